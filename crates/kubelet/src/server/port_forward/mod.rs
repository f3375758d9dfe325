//! `/portForward`: connections to a pod's ports, over SPDY, SPDY inside of a WebSocket, or a WebSocket's channels.
//! Source: KEP-4006, upstream's `portforward.k8s.io` protocol.

mod channels;
mod pairs;
mod tunnel;

use std::sync::Arc;
use std::time::Duration;

use cox_runtime::{SandboxId, SandboxState};
use hyper::body::{Bytes, Incoming};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;

use super::spdy::{self, Session};
use super::{Body, Refusal, lookup, query, websocket};
use crate::node::Node;
use crate::pod::spec;

/// How long a pod that takes no more is listened to. Source: containerd's port-forward.
const LAST_WORDS_TIME_MAX: Duration = Duration::from_secs(1);
/// How much is read from a pod at a time.
const CHUNK_BYTES: usize = 32 * 1024;
const PROTOCOL: &str = "portforward.k8s.io";
const TUNNEL: &str = "SPDY/3.1+portforward.k8s.io";
/// In the order in which the server prefers them.
const WEBSOCKET_PROTOCOLS: [&str; 3] = [TUNNEL, "v4.channel.k8s.io", "v4.base64.channel.k8s.io"];

pub(super) async fn serve(
    node: &Arc<Node>,
    namespace: &str,
    name: &str,
    request: Request<Incoming>,
) -> Result<Response<Body>, Refusal> {
    let pod = lookup::pod(node, namespace, name)?;
    let sandboxes = node.runtime.list_sandboxes().await.map_err(Refusal::internal)?;
    let mut ours = sandboxes.into_iter().filter(|sandbox| sandbox.config.uid == spec::uid(&pod));
    let sandbox = ours.find(|sandbox| sandbox.state == SandboxState::Ready);
    let sandbox =
        sandbox.ok_or_else(|| Refusal::internal(format!("pod {name} has no sandbox that runs")))?.id;
    let env = node.env.clone();
    let target = Target { node: node.clone(), sandbox };
    if spdy::is_spdy(&request) {
        let (response, _) = spdy::switch(&request, &[PROTOCOL])?;
        node.env.spawn(async move {
            let Ok(upgraded) = hyper::upgrade::on(request).await else { return };
            let (reader, writer) = tokio::io::split(TokioIo::new(upgraded));
            pairs::serve(target, Session::new(env, reader, writer)).await;
        });
        return Ok(response);
    }
    let (response, protocol) = websocket::upgrade_response(&request, &WEBSOCKET_PROTOCOLS)?;
    if protocol == TUNNEL {
        node.env.spawn(async move {
            let Some(socket) = websocket::upgraded(request).await else { return };
            let (reader, writer) = tunnel::halves(socket);
            pairs::serve(target, Session::new(env, reader, writer)).await;
        });
        return Ok(response);
    }
    let ports = ports(request.uri().query().unwrap_or_default())?;
    let base64 = protocol == "v4.base64.channel.k8s.io";
    node.env.spawn(async move {
        if let Some(socket) = websocket::upgraded(request).await {
            channels::serve(target, socket, &ports, base64).await;
        }
    });
    Ok(response)
}

/// The ports that a client names in its query, as the API has it (`ports`) and as the kubelet has it (`port`).
fn ports(text: &str) -> Result<Vec<u16>, Refusal> {
    let mut ports = Vec::new();
    let values = query(text).into_iter().filter(|(key, _)| key == "ports" || key == "port");
    for port in values.flat_map(|(_, value)| value.split(',').map(str::to_owned).collect::<Vec<_>>()) {
        ports.push(number(&port).map_err(Refusal::bad_request)?);
    }
    // Each has two channels, and a channel is one byte.
    match ports.len() {
        0 => Err(Refusal::bad_request("query parameter \"port\" is required")),
        1..=64 => Ok(ports),
        _ => Err(Refusal::bad_request("too many ports: at most 64 are forwarded by one connection")),
    }
}

/// A port as a text.
fn number(text: &str) -> Result<u16, String> {
    match text.parse() {
        Ok(0) => Err(format!("port {text:?} must be > 0")),
        Ok(port) => Ok(port),
        Err(_) => Err(format!("unable to parse {text:?} as a port")),
    }
}

/// The pod that is connected to.
#[derive(Clone)]
struct Target {
    node: Arc<Node>,
    sandbox: SandboxId,
}

impl Target {
    /// Carries bytes between a client and a port, until the pod has no more to say or the client is gone.
    ///
    /// # Errors
    /// What the client is told.
    async fn forward<Sent: Future<Output = bool>>(
        &self,
        port: u16,
        input: &mut mpsc::Receiver<Bytes>,
        mut send: impl FnMut(Bytes) -> Sent,
    ) -> Result<(), String> {
        let failed = |error: &dyn std::fmt::Display| {
            // Upstream's kubelet names the sandbox here, and no uid.
            format!("error forwarding port {port} to pod {}, uid : {error}", self.sandbox)
        };
        let connected = self.node.runtime.port_forward(&self.sandbox, port).await;
        let (mut reader, mut writer) = connected.map_err(|error| failed(&error))?.into_split();
        let up = async {
            while let Some(bytes) = input.recv().await {
                if let Err(error) = writer.write_all(&bytes).await {
                    return failed(&cox_sys::error_text(&error));
                }
            }
            let _ = writer.shutdown().await;
            std::future::pending().await
        };
        let down = async {
            let mut buffer = vec![0; CHUNK_BYTES];
            loop {
                match reader.read(&mut buffer).await {
                    Ok(0) => return Ok(()),
                    Ok(read) => {
                        if !send(Bytes::copy_from_slice(&buffer[..read])).await {
                            return Ok(());
                        }
                    }
                    Err(error) => return Err(failed(&cox_sys::error_text(&error))),
                }
            }
        };
        tokio::pin!(up, down);
        let text = tokio::select! {
            biased;
            ended = &mut down => return ended,
            text = &mut up => text,
        };
        // It takes no more, and may still have something to say.
        tokio::select! {
            biased;
            _ = down => {}
            () = self.node.env.sleep(LAST_WORDS_TIME_MAX) => {}
        }
        Err(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_read_from_a_query() {
        let read = |text: &str| ports(text).map_err(|refusal| refusal.1);
        assert_eq!(read("ports=80&ports=443").unwrap(), [80, 443]);
        assert_eq!(read("port=80%2C443&x=1").unwrap(), [80, 443]);
        assert_eq!(read("x=1").unwrap_err(), "query parameter \"port\" is required");
        assert_eq!(read("ports=0").unwrap_err(), "port \"0\" must be > 0");
        assert_eq!(read("ports=65536").unwrap_err(), "unable to parse \"65536\" as a port");
        assert!(read(&format!("ports=1{}", ",1".repeat(64))).is_err());
    }
}
