//! Watches over WebSockets, one message for each event, and bearer tokens of clients that can set no header: browsers.
//! Source: <https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes>, upstream's
//! `pkg/endpoints/handlers/watch.go` and `pkg/authentication/request/websocket`

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{SinkExt, StreamExt};
use http::header::{CONNECTION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, UPGRADE};
use http::{Request, StatusCode};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};

use super::reply::{Answered, Reply, whole};
use super::ticket::Ticket;

const ACCEPT: HeaderName = HeaderName::from_static("sec-websocket-accept");
const KEY: HeaderName = HeaderName::from_static("sec-websocket-key");
const PROTOCOL: HeaderName = HeaderName::from_static("sec-websocket-protocol");
/// A protocol of this form is a token.
const BEARER: &str = "base64url.bearer.authorization.k8s.io.";
/// Bytes of one message of a client that watches: it has nothing to say.
const MESSAGE_BYTES_MAX: usize = 4096;

fn is_asked(headers: &HeaderMap) -> bool {
    headers.get(UPGRADE).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

fn protocols(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let lines = headers.get_all(PROTOCOL).iter().filter_map(|value| value.to_str().ok());
    lines.flat_map(|line| line.split(',')).map(str::trim)
}

/// Takes the token out of the protocols that a client offers, so that nobody further on sees it.
///
/// # Errors
/// Where what is offered is no token, there are several, or no other protocol is left to choose.
pub(super) fn take_bearer(headers: &mut HeaderMap) -> Result<Option<String>, &'static str> {
    if !is_asked(headers) {
        return Ok(None);
    }
    let (tokens, others): (Vec<&str>, Vec<&str>) =
        protocols(headers).partition(|protocol| protocol.starts_with(BEARER));
    let Some(token) = tokens.first() else { return Ok(None) };
    if tokens.len() > 1 {
        return Err("several tokens are offered");
    }
    if others.is_empty() {
        return Err("no protocol besides the token is offered");
    }
    let decoded =
        URL_SAFE_NO_PAD.decode(&token[BEARER.len()..]).map_err(|_| "the token is not in base64url")?;
    let token = String::from_utf8(decoded).map_err(|_| "the token is no text")?;
    let others = HeaderValue::from_str(&others.join(",")).map_err(|_| "the protocols are no header")?;
    headers.insert(PROTOCOL, others);
    Ok(Some(token))
}

/// A client that wants its watch as a WebSocket.
pub(super) struct Socket {
    upgrade: OnUpgrade,
    accept: HeaderValue,
    protocol: Option<HeaderValue>,
}

impl Socket {
    /// None where the request asks for no WebSocket.
    pub(super) fn of(request: &mut Request<Incoming>) -> Option<Socket> {
        let headers = request.headers();
        if !is_asked(headers) {
            return None;
        }
        let accept = HeaderValue::from_str(&derive_accept_key(headers.get(KEY)?.as_bytes())).ok()?;
        let protocol = protocols(headers).next().and_then(|first| HeaderValue::from_str(first).ok());
        Some(Socket { upgrade: hyper::upgrade::on(request), accept, protocol })
    }

    /// The answer that switches protocols, where the watch has begun; anything else stays an answer over HTTP.
    pub(super) fn carry(self, ticket: &Ticket, answered: Answered) -> Answered {
        let frames = answered
            .headers()
            .get(CONTENT_TYPE)
            .is_some_and(|media| media.as_bytes().starts_with(b"application/vnd.kubernetes.protobuf"));
        let (parts, body) = answered.into_parts();
        let Reply::Pieces(events, _, held) = body else { return Answered::from_parts(parts, body) };
        let (upgrade, ticket) = (self.upgrade, ticket.clone());
        ticket.server().clone().env().spawn(async move {
            // The request lasts as long as the connection.
            let _held = (ticket, held);
            let Ok(upgraded) = upgrade.await else { return };
            let config = WebSocketConfig::default()
                .max_message_size(Some(MESSAGE_BYTES_MAX))
                .max_frame_size(Some(MESSAGE_BYTES_MAX));
            let io = TokioIo::new(upgraded);
            send(WebSocketStream::from_raw_socket(io, Role::Server, Some(config)).await, events, frames)
                .await;
        });
        let mut switched = whole(StatusCode::SWITCHING_PROTOCOLS.as_u16(), "text/plain", Bytes::new());
        let headers = switched.headers_mut();
        headers.remove(CONTENT_TYPE);
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(ACCEPT, self.accept);
        if let Some(protocol) = self.protocol {
            headers.insert(PROTOCOL, protocol);
        }
        switched
    }
}

/// Sends events until there are no more, or the client goes.
async fn send<S>(socket: WebSocketStream<S>, mut events: BoxStream<'static, Bytes>, frames: bool)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    let (mut sink, mut source) = socket.split();
    loop {
        tokio::select! {
            piece = events.next() => {
                let Some(piece) = piece else { break };
                for message in if frames { binary(piece) } else { lines(&piece) } {
                    if sink.feed(message).await.is_err() {
                        return;
                    }
                }
                if sink.flush().await.is_err() {
                    return;
                }
            }
            said = source.next() => match said {
                // What a client says to a watch counts for nothing.
                Some(Ok(message)) if !message.is_close() => {}
                _ => return,
            },
        }
    }
    // The client may be gone already.
    let _ = sink.close().await;
}

/// One message for each line.
fn lines(piece: &Bytes) -> Vec<Message> {
    let ends = memchr::memchr_iter(b'\n', piece);
    let mut begin = 0;
    let mut messages = Vec::new();
    for end in ends {
        if let Ok(text) = Utf8Bytes::try_from(piece.slice(begin..=end)) {
            messages.push(Message::Text(text));
        }
        begin = end + 1;
    }
    messages
}

/// One message for each frame, without its length.
fn binary(mut piece: Bytes) -> Vec<Message> {
    let mut messages = Vec::new();
    while piece.len() >= 4 {
        let length = u32::from_be_bytes([piece[0], piece[1], piece[2], piece[3]]) as usize;
        let mut frame = piece.split_off(4);
        piece = frame.split_off(length.min(frame.len()));
        messages.push(Message::Binary(frame));
    }
    messages
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offering(protocols: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(UPGRADE, HeaderValue::from_static("WebSocket"));
        for protocol in protocols {
            headers.append(PROTOCOL, HeaderValue::from_str(protocol).unwrap());
        }
        headers
    }

    #[test]
    fn tokens_are_taken_out_of_the_protocols() {
        let token = format!("{BEARER}{}", URL_SAFE_NO_PAD.encode("a token"));
        let mut headers = offering(&[&format!("v4.channel.k8s.io, {token}"), "base64.channel.k8s.io"]);
        assert_eq!(take_bearer(&mut headers), Ok(Some("a token".into())));
        assert_eq!(protocols(&headers).collect::<Vec<_>>(), ["v4.channel.k8s.io", "base64.channel.k8s.io"]);
        assert_eq!(take_bearer(&mut headers), Ok(None));
    }

    #[test]
    fn what_is_no_token_is_refused() {
        let token = format!("{BEARER}{}", URL_SAFE_NO_PAD.encode("t"));
        assert!(take_bearer(&mut offering(&[&token])).is_err(), "nothing is left to choose");
        assert!(take_bearer(&mut offering(&["p", &token, &token])).is_err(), "two");
        assert!(take_bearer(&mut offering(&["p", &format!("{BEARER}%")])).is_err(), "not base64url");
        assert!(take_bearer(&mut offering(&["p", &format!("{BEARER}_w")])).is_err(), "not UTF-8");
        let mut plain = offering(&["p", &token]);
        plain.remove(UPGRADE);
        assert_eq!(take_bearer(&mut plain), Ok(None), "no WebSocket");
    }

    #[test]
    fn pieces_become_messages() {
        let text = lines(&Bytes::from_static(b"{\"a\":1}\n{\"b\":2}\n"));
        assert_eq!(text, [Message::text("{\"a\":1}\n"), Message::text("{\"b\":2}\n")]);
        let frames = binary(Bytes::from_static(b"\0\0\0\x02ab\0\0\0\0\0\0\0\x01c"));
        assert_eq!(frames, [Message::binary("ab"), Message::binary(""), Message::binary("c")]);
    }
}
