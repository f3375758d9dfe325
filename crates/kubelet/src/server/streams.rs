//! The multiplexed streams of a client, whichever protocol carries them (WebSocket or SPDY).

use cox_runtime::TerminalSize;
use futures::future::BoxFuture;
use hyper::body::Bytes;
use tokio::sync::mpsc;

/// Where output goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Channel {
    Stdout,
    Stderr,
    /// The `Status` that ends it all.
    Error,
}

/// What a client sends.
#[derive(Debug, PartialEq)]
pub(crate) enum Input {
    Stdin(Bytes),
    StdinClosed,
    Resize(TerminalSize),
}

/// A connected client of exec or attach. Dropping `output` closes the connection once everything was sent.
pub(crate) struct Client {
    pub(crate) input: mpsc::Receiver<Input>,
    pub(crate) output: mpsc::Sender<(Channel, Bytes)>,
    /// Carries the bytes; to be run until it ends.
    pub(crate) carry: BoxFuture<'static, ()>,
}

/// A client that the answer was not sent to yet; none where it goes away.
pub(crate) type Connecting = BoxFuture<'static, Option<Client>>;

/// Reads a size as clients send it: `{"Width": 80, "Height": 24}`.
pub(crate) fn size(value: &serde_json::Value) -> Option<TerminalSize> {
    let number = |key: &str| value.get(key)?.as_u64().and_then(|number| u16::try_from(number).ok());
    Some(TerminalSize { width: number("Width")?, height: number("Height")? })
}
