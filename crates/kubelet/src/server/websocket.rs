//! exec and attach over WebSockets: `v5.channel.k8s.io` and its elders.
//! Source: KEP-4006; the first byte of a message names the channel.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use cox_runtime::StreamOptions;
use futures::{SinkExt, StreamExt};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONNECTION, HeaderValue, UPGRADE};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::sync::mpsc;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};

use super::streams::{Channel, Client, Connecting, Input, size};
use super::{Body, Refusal, full};

/// Messages that wait for either side.
const MESSAGES_MAX: usize = 16;
/// Bytes of one message.
const MESSAGE_BYTES_MAX: usize = 1 << 20;

/// In the order in which the server prefers them.
const PROTOCOLS: [&str; 4] =
    ["v5.channel.k8s.io", "v4.channel.k8s.io", "v4.base64.channel.k8s.io", "channel.k8s.io"];
const BASE64_PROTOCOLS: [&str; 2] = ["v4.base64.channel.k8s.io", "base64.channel.k8s.io"];

const STDIN: u8 = 0;
const STDOUT: u8 = 1;
const STDERR: u8 = 2;
const ERROR: u8 = 3;
const RESIZE: u8 = 4;
/// `v5`: the second byte names a channel that the client has closed.
const CLOSE: u8 = 255;

/// Whether a request asks for a WebSocket.
pub(super) fn is_websocket(request: &Request<Incoming>) -> bool {
    request.headers().get(UPGRADE).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

/// The answer to a request for an upgrade, with the protocol chosen among those offered.
pub(super) fn upgrade_response(
    request: &Request<Incoming>,
    known: &[&'static str],
) -> Result<(Response<Body>, &'static str), Refusal> {
    if !is_websocket(request) {
        return Err(Refusal::bad_request("Upgrade request required"));
    }
    let key = request
        .headers()
        .get("sec-websocket-key")
        .ok_or_else(|| Refusal::bad_request("no Sec-WebSocket-Key"))?;
    let offered =
        request.headers().get_all("sec-websocket-protocol").iter().filter_map(|value| value.to_str().ok());
    let offered: Vec<&str> = offered.flat_map(|value| value.split(',')).map(str::trim).collect();
    let chosen = known.iter().find(|protocol| offered.contains(protocol)).copied();
    // A client that names none speaks the first version.
    let chosen = match chosen {
        Some(chosen) => chosen,
        None if offered.is_empty() => "",
        None => {
            return Err(Refusal(
                StatusCode::FORBIDDEN,
                format!("unable to upgrade: none of the protocols {offered:?} is spoken here"),
            ));
        }
    };
    let mut response = Response::new(full(""));
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    let accept = HeaderValue::from_str(&derive_accept_key(key.as_bytes())).map_err(Refusal::internal)?;
    headers.insert("sec-websocket-accept", accept);
    if !chosen.is_empty() {
        headers.insert("sec-websocket-protocol", HeaderValue::from_static(chosen));
    }
    Ok((response, chosen))
}

/// The WebSocket of an upgraded request; none where the client went away.
pub(super) async fn upgraded(
    request: Request<Incoming>,
) -> Option<WebSocketStream<TokioIo<hyper::upgrade::Upgraded>>> {
    let upgraded = hyper::upgrade::on(request).await.ok()?;
    let config = WebSocketConfig::default()
        .max_message_size(Some(MESSAGE_BYTES_MAX))
        .max_frame_size(Some(MESSAGE_BYTES_MAX));
    Some(WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, Some(config)).await)
}

/// Accepts a client of exec or attach: the answer to send, and the client once it is connected.
pub(super) fn accept(
    request: Request<Incoming>,
    options: StreamOptions,
) -> Result<(Response<Body>, Connecting), Refusal> {
    let known: Vec<&'static str> = PROTOCOLS.into_iter().chain(["base64.channel.k8s.io"]).collect();
    let (response, protocol) = upgrade_response(&request, &known)?;
    let base64 = BASE64_PROTOCOLS.contains(&protocol);
    let client = async move {
        let socket = upgraded(request).await?;
        let (input_sender, input) = mpsc::channel(MESSAGES_MAX);
        let (output, output_receiver) = mpsc::channel(MESSAGES_MAX);
        let carry = Box::pin(carry(socket, base64, options, input_sender, output_receiver));
        Some(Client { input, output, carry })
    };
    Ok((response, Box::pin(client)))
}

async fn carry(
    socket: WebSocketStream<TokioIo<hyper::upgrade::Upgraded>>,
    base64: bool,
    options: StreamOptions,
    input: mpsc::Sender<Input>,
    mut output: mpsc::Receiver<(Channel, Bytes)>,
) {
    let (mut sink, mut source) = socket.split();
    // Every channel that is open is announced by an empty message, as upstream's server does.
    let open = [(STDIN, options.stdin), (STDOUT, options.stdout), (STDERR, options.stderr), (ERROR, true)];
    for (channel, _) in open.into_iter().filter(|(_, wanted)| *wanted) {
        if sink.send(encode(channel, &[], base64)).await.is_err() {
            return;
        }
    }
    let read = async {
        while let Some(Ok(message)) = source.next().await {
            let Some(message) = decode(message, base64) else { continue };
            let input_message = match message.split_first() {
                Some((&STDIN, bytes)) => Some(Input::Stdin(Bytes::copy_from_slice(bytes))),
                Some((&RESIZE, bytes)) => {
                    serde_json::from_slice(bytes).ok().and_then(|value| size(&value)).map(Input::Resize)
                }
                Some((&CLOSE, [STDIN, ..])) => Some(Input::StdinClosed),
                _ => None,
            };
            if let Some(message) = input_message
                && input.send(message).await.is_err()
            {
                // The process takes no more input; the socket is still read so that a close is noticed.
                continue;
            }
        }
        drop(input);
    };
    let write = async {
        while let Some((channel, bytes)) = output.recv().await {
            let number = match channel {
                Channel::Stdout => STDOUT,
                Channel::Stderr => STDERR,
                Channel::Error => ERROR,
            };
            if sink.send(encode(number, &bytes, base64)).await.is_err() {
                return;
            }
        }
        // Everything is said; the client answers with a close of its own, or has gone.
        let _ = sink.send(normal_end()).await;
    };
    tokio::pin!(read);
    tokio::pin!(write);
    tokio::select! {
        biased;
        () = &mut write => {}
        () = &mut read => {}
    }
}

/// The last message. A close without this code is an error to clients.
pub(super) fn normal_end() -> Message {
    Message::Close(Some(CloseFrame { code: CloseCode::Normal, reason: "".into() }))
}

pub(super) fn encode(channel: u8, bytes: &[u8], base64: bool) -> Message {
    if base64 {
        return Message::Text(format!("{channel}{}", BASE64.encode(bytes)).into());
    }
    let mut message = Vec::with_capacity(bytes.len() + 1);
    message.push(channel);
    message.extend_from_slice(bytes);
    Message::Binary(message.into())
}

pub(super) fn decode(message: Message, base64: bool) -> Option<Vec<u8>> {
    let bytes: Vec<u8> = match message {
        Message::Binary(bytes) => bytes.to_vec(),
        Message::Text(text) => text.as_bytes().to_vec(),
        _ => return None,
    };
    if !base64 {
        return Some(bytes);
    }
    let (channel, text) = bytes.split_first()?;
    let mut decoded = vec![channel.checked_sub(b'0')?];
    decoded.extend(BASE64.decode(text).ok()?);
    Some(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_in_both_forms() {
        for base64 in [false, true] {
            let message = encode(STDOUT, b"hi", base64);
            assert_eq!(decode(message, base64).unwrap(), [1, b'h', b'i']);
        }
        assert_eq!(decode(Message::Text("0aGk=".into()), true).unwrap(), [0, b'h', b'i']);
        assert_eq!(decode(Message::Text("x!".into()), true), None);
    }
}
