//! A log over a WebSocket, for clients that can't read a body as it comes: `binary.k8s.io` and its base64 form.
//! Source: upstream's `wsstream` reader.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use futures::{SinkExt, StreamExt};
use hyper::body::{Bytes, Incoming};
use hyper::{Request, Response};
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Message;

use super::websocket::{normal_end, upgrade_response, upgraded};
use super::{Body, Refusal};
use crate::node::Node;

const BASE64_PROTOCOL: &str = "base64.binary.k8s.io";
/// In the order in which the server prefers them.
const PROTOCOLS: [&str; 2] = ["binary.k8s.io", BASE64_PROTOCOL];

/// Answers with the pieces of a log, each a message.
pub(super) fn answer(
    node: &Arc<Node>,
    request: Request<Incoming>,
    mut pieces: mpsc::Receiver<Bytes>,
) -> Result<Response<Body>, Refusal> {
    let (response, protocol) = upgrade_response(&request, &PROTOCOLS)?;
    let base64 = protocol == BASE64_PROTOCOL;
    let message = move |bytes: Bytes| {
        if base64 { Message::Text(BASE64.encode(bytes).into()) } else { Message::Binary(bytes) }
    };
    node.env.spawn(async move {
        let Some(socket) = upgraded(request).await else { return };
        let (mut sink, mut source) = socket.split();
        let write = async {
            // An empty one tells the client that the log was found.
            let mut next = Some(Bytes::new());
            while let Some(bytes) = next {
                if sink.send(message(bytes)).await.is_err() {
                    return;
                }
                next = pieces.recv().await;
            }
            // A client that has gone doesn't want to know.
            let _ = sink.send(normal_end()).await;
        };
        // Clients have nothing to say but that they go.
        let read = async { while let Some(Ok(_)) = source.next().await {} };
        tokio::select! {
            biased;
            () = write => {}
            () = read => {}
        }
    });
    Ok(response)
}
