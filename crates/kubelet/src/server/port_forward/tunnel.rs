//! SPDY inside of a WebSocket: its binary messages are the bytes of the connection, however they are cut.

use std::future::ready;
use std::io;

use futures::{SinkExt, StreamExt};
use hyper::body::Bytes;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_util::io::{CopyToBytes, SinkWriter, StreamReader};

/// Both directions of a socket as bytes.
pub(super) fn halves<S>(
    socket: WebSocketStream<S>,
) -> (impl AsyncRead + Unpin + Send, impl AsyncWrite + Unpin + Send)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (sink, source) = socket.split();
    let source = source.filter_map(|message| {
        ready(match message {
            Ok(Message::Binary(bytes)) => Some(Ok(bytes)),
            Ok(_) => None,
            Err(error) => Some(Err(io::Error::other(error))),
        })
    });
    let sink = sink
        .sink_map_err(io::Error::other)
        .with(|bytes: Bytes| ready(Ok::<_, io::Error>(Message::Binary(bytes))));
    (StreamReader::new(source), SinkWriter::new(CopyToBytes::new(sink)))
}
