//! A WebSocket's channels: two for every port that was named, data and errors. What a client with `v4.channel.k8s.io`
//! expects first on each is the port's number, low byte first.

use futures::future::join_all;
use futures::{SinkExt, StreamExt};
use hyper::body::Bytes;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio_tungstenite::WebSocketStream;

use super::super::websocket::{decode, encode, normal_end};
use super::Target;

/// Messages that wait for either side.
const MESSAGES_MAX: usize = 16;

/// Serves a client until it goes or all its connections have ended.
pub(super) async fn serve<S>(target: Target, socket: WebSocketStream<S>, ports: &[u16], base64: bool)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (mut sink, mut source) = socket.split();
    let (to_client, mut messages) = mpsc::channel::<(u8, Bytes)>(MESSAGES_MAX);
    let mut inputs = Vec::new();
    let mut connections = Vec::new();
    for (at, port) in ports.iter().copied().enumerate() {
        let (input, mut from_client) = mpsc::channel(MESSAGES_MAX);
        inputs.push(input);
        let (target, to_client) = (target.clone(), to_client.clone());
        // There are at most 64.
        let (data, error) = (at as u8 * 2, at as u8 * 2 + 1);
        connections.push(async move {
            for channel in [data, error] {
                let _ = to_client.send((channel, Bytes::copy_from_slice(&port.to_le_bytes()))).await;
            }
            let send = |bytes| {
                let to_client = to_client.clone();
                async move { to_client.send((data, bytes)).await.is_ok() }
            };
            if let Err(text) = target.forward(port, &mut from_client, send).await {
                let _ = to_client.send((error, text.into())).await;
            }
        });
    }
    drop(to_client);
    let read = async {
        while let Some(Ok(message)) = source.next().await {
            let Some(message) = decode(message, base64) else { continue };
            let Some((channel, bytes)) = message.split_first() else { continue };
            // Clients have nothing to say on channels of errors.
            if channel % 2 == 0
                && let Some(input) = inputs.get(usize::from(channel / 2))
            {
                // A connection that has ended takes no more.
                let _ = input.send(Bytes::copy_from_slice(bytes)).await;
            }
        }
    };
    let write = async {
        while let Some((channel, bytes)) = messages.recv().await {
            if sink.send(encode(channel, &bytes, base64)).await.is_err() {
                return;
            }
        }
        let _ = sink.send(normal_end()).await;
    };
    let work = async {
        tokio::join!(join_all(connections), write);
    };
    tokio::select! {
        biased;
        () = read => {}
        () = work => {}
    }
}
