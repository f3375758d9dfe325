//! Connections to what listens inside a pod.

use std::fs::File;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream as StdStream};
use std::os::fd::AsFd;
use std::time::Duration;

use cox_sys::error_text;
use cox_sys::netlink::in_netns;
use tokio::net::TcpStream;

use super::{Inner, blocking};
use crate::types::*;
use crate::{Result, RuntimeError};

/// How long a program may take to accept a connection; over loopback the kernel does so at once unless its queue is
/// full.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(10);

impl Inner {
    pub(super) async fn port_forward(&self, id: &SandboxId, port: u16) -> Result<TcpStream> {
        let sandbox = self.sandbox(id)?;
        let namespace = match &sandbox.record.config.network {
            NetworkNamespace::Host => None,
            NetworkNamespace::Path(path) | NetworkNamespace::Create(path) => Some(path.clone()),
        };
        let id = id.clone();
        let stream = blocking(move || {
            let connected = match &namespace {
                None => connect(port),
                Some(path) => {
                    let file = File::open(path).map_err(RuntimeError::file("open", path))?;
                    let inside = in_netns(file.as_fd(), || connect(port));
                    inside.map_err(|e| {
                        RuntimeError::PortForward(format!("failed to enter the network of the pod: {e}"))
                    })?
                }
            };
            connected.map_err(|why| {
                RuntimeError::PortForward(format!(
                    "failed to connect to localhost:{port} inside namespace {:?}, {why}",
                    id.as_str()
                ))
            })
        })
        .await?;
        let ready = stream
            .set_nonblocking(true)
            .and_then(|()| stream.set_nodelay(true))
            .and_then(|()| TcpStream::from_std(stream));
        ready.map_err(RuntimeError::os("connect"))
    }
}

/// By IPv4 and, where nothing listens there, by IPv6.
fn connect(port: u16) -> Result<StdStream, String> {
    let to = |family: &str, address: SocketAddr| {
        let connected = StdStream::connect_timeout(&address, CONNECT_TIME_MAX);
        connected.map_err(|e| format!("dial {family} {address}: connect: {}", error_text(&e)))
    };
    let first = match to("tcp4", (Ipv4Addr::LOCALHOST, port).into()) {
        Ok(stream) => return Ok(stream),
        Err(error) => error,
    };
    to("tcp6", (Ipv6Addr::LOCALHOST, port).into()).map_err(|second| format!("IPv4: {first} IPv6 {second}"))
}
