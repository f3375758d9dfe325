//! `/exec` and `/attach`: a process's streams over a client's connection.
//! Source: <https://kubernetes.io/docs/reference/using-api/api-concepts/>, KEP-4006 (WebSockets).

use std::sync::Arc;

use cox_runtime::{ContainerId, Runtime, RuntimeError, StreamOptions, Streams};
use hyper::body::{Bytes, Incoming};
use hyper::{Request, Response};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;

use super::streams::{Channel, Client, Input};
use super::{Body, Refusal, lookup, query, remote_command, spdy, websocket};
use crate::node::Node;

/// How much is read from a process at a time.
const CHUNK_BYTES: usize = 32 * 1024;

pub(super) async fn serve(
    node: &Arc<Node>,
    (namespace, name, container): (&str, &str, &str),
    attach: bool,
    request: Request<Incoming>,
) -> Result<Response<Body>, Refusal> {
    let mut options = StreamOptions::default();
    let mut command = Vec::new();
    let yes = |value: &str| matches!(value, "1" | "true");
    for (key, value) in query(request.uri().query().unwrap_or_default()) {
        match key.as_str() {
            // The kubelet's own names, and the API's.
            "input" | "stdin" => options.stdin = yes(&value),
            "output" | "stdout" => options.stdout = yes(&value),
            "error" | "stderr" => options.stderr = yes(&value),
            "tty" => options.tty = yes(&value),
            "command" => command.push(value),
            _ => {}
        }
    }
    if options.tty {
        options.stderr = false;
    }
    if !options.stdin && !options.stdout && !options.stderr {
        return Err(Refusal::bad_request("you must specify at least 1 of stdin, stdout, stderr"));
    }
    if !attach && command.is_empty() {
        return Err(Refusal::bad_request("you must specify a command"));
    }
    let pod = lookup::pod(node, namespace, name)?;
    let target = lookup::running(node, &pod, container).await?;
    let (response, client) = if spdy::is_spdy(&request) {
        remote_command::accept(&node.env, request, options)?
    } else {
        websocket::accept(request, options)?
    };
    let (node, id) = (node.clone(), target.id);
    node.clone().env.spawn(async move {
        if let Some(client) = client.await {
            relay(&node, &id, attach, &command, options, client).await;
        }
    });
    Ok(response)
}

async fn relay(
    node: &Node,
    id: &ContainerId,
    attach: bool,
    command: &[String],
    options: StreamOptions,
    client: Client,
) {
    let Client { mut input, output, carry } = client;
    let carrier = node.env.spawn(carry);
    let runtime: &dyn Runtime = &*node.runtime;
    let opened =
        if attach { runtime.attach(id, options).await } else { runtime.exec(id, command, options).await };
    let Streams { mut stdin, stdout, stderr, resize, exit } = match opened {
        Ok(streams) => streams,
        Err(error) => {
            finish(&output, Err(error)).await;
            drop(output);
            carrier.await;
            return;
        }
    };
    let feed = async {
        while let Some(message) = input.recv().await {
            match message {
                Input::Stdin(bytes) => {
                    let failed = match &mut stdin {
                        Some(stdin) => stdin.write_all(&bytes).await.is_err() || stdin.flush().await.is_err(),
                        None => false,
                    };
                    if failed {
                        stdin = None;
                    }
                }
                Input::StdinClosed => stdin = None,
                Input::Resize(size) => {
                    if let Some(resize) = &resize {
                        // The process may have gone.
                        let _ = resize.send(size).await;
                    }
                }
            }
        }
    };
    let pumps =
        (pump(stdout, Channel::Stdout, output.clone()), pump(stderr, Channel::Stderr, output.clone()));
    let drain = async move {
        tokio::join!(pumps.0, pumps.1);
        exit.await
    };
    tokio::pin!(feed);
    tokio::pin!(drain);
    let code = tokio::select! {
        biased;
        code = &mut drain => Some(code),
        () = &mut feed => None,
    };
    match code {
        Some(code) => finish(&output, code).await,
        // The client has gone: dropping the streams ends the command.
        None => return,
    }
    drop(output);
    carrier.await;
}

async fn pump(
    stream: Option<cox_runtime::OutputStream>,
    channel: Channel,
    output: mpsc::Sender<(Channel, Bytes)>,
) {
    let Some(mut stream) = stream else { return };
    let mut buffer = vec![0; CHUNK_BYTES];
    loop {
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(read) => {
                if output.send((channel, Bytes::copy_from_slice(&buffer[..read]))).await.is_err() {
                    return;
                }
            }
        }
    }
}

/// Tells the client how it ended, as a `Status`.
async fn finish(output: &mpsc::Sender<(Channel, Bytes)>, result: Result<i32, RuntimeError>) {
    let status = match result {
        Ok(0) => json!({"metadata": {}, "status": "Success"}),
        Ok(code) => json!({
            "metadata": {}, "status": "Failure", "reason": "NonZeroExitCode",
            "message": format!("command terminated with non-zero exit code: exit status {code}"),
            "details": {"causes": [{"reason": "ExitCode", "message": code.to_string()}]},
        }),
        Err(error) => json!({
            "metadata": {}, "status": "Failure", "reason": "InternalError", "code": 500,
            "message": format!("error executing command in container: {error}"),
        }),
    };
    // A client that has gone doesn't want to know.
    let _ = output.send((Channel::Error, Bytes::from(status.to_string()))).await;
}
