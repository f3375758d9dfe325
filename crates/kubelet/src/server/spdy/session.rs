//! A connection with its streams.

use std::collections::HashMap;
use std::io;
use std::time::Duration;

use cox_env::Env;
use futures::FutureExt;
use futures::future::BoxFuture;
use hyper::body::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::{mpsc, oneshot};

use super::frame::{self, Received, Reset, Sent};
use super::headers::{Headers, Packer, Unpacker};

/// Streams that are open at a time.
const STREAMS_MAX: usize = 1024;
/// Pieces that wait for either side; without flow control a stream that nobody reads holds up the others.
const PIECES_MAX: usize = 16;
/// Bytes of a piece of a stream.
const PIECE_BYTES_MAX: usize = 32 * 1024;
/// How long a client may say nothing. Source: the kubelet's `streamingConnectionIdleTimeout`.
const QUIET_TIME_MAX: Duration = Duration::from_secs(4 * 3600);
/// How long a client may take to close a connection whose streams have all ended.
const CLOSE_TIME_MAX: Duration = Duration::from_secs(10);

/// A client's connection.
pub(crate) struct Session {
    /// The streams that the client opens. Dropping it refuses those that come.
    pub(crate) opened: mpsc::Receiver<Opened>,
    /// Carries the bytes; to be run until it ends, which it does when the connection does.
    pub(crate) carry: BoxFuture<'static, ()>,
    sent: mpsc::Sender<Sent>,
}

/// A stream that a client has opened and that was neither taken nor refused yet.
pub(crate) struct Opened {
    /// Odd, and higher than the last one's.
    pub(crate) id: u32,
    /// What it is for.
    pub(crate) headers: Headers,
    /// What the client sends, until it has no more to send.
    pub(crate) input: mpsc::Receiver<Bytes>,
    /// What the client gets.
    pub(crate) output: Output,
    /// Ends when the client doesn't want the stream any more, or is gone.
    pub(crate) gone: oneshot::Receiver<()>,
}

impl Opened {
    /// A header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// This side's half of a stream. What is sent to a client that is gone is lost.
#[derive(Clone)]
pub(crate) struct Output {
    id: u32,
    sent: mpsc::Sender<Sent>,
}

impl Output {
    /// Takes the stream: before this the client ignores what comes on it.
    pub(crate) async fn accept(&self) {
        let _ = self.sent.send(Sent::Reply(self.id)).await;
    }

    /// Doesn't take it.
    pub(crate) async fn refuse(&self) {
        let _ = self.sent.send(Sent::Reset { id: self.id, why: Reset::Refused }).await;
    }

    /// Sends bytes; whether the connection is there.
    pub(crate) async fn send(&self, bytes: Bytes) -> bool {
        self.sent.send(Sent::Data { id: self.id, bytes, fin: false }).await.is_ok()
    }

    /// Nothing more will be sent.
    pub(crate) async fn close(&self) {
        let _ = self.sent.send(Sent::Data { id: self.id, bytes: Bytes::new(), fin: true }).await;
    }
}

impl Session {
    /// The connection behind two halves.
    pub(crate) fn new(
        env: Env,
        reader: impl AsyncRead + Unpin + Send + 'static,
        writer: impl AsyncWrite + Unpin + Send + 'static,
    ) -> Session {
        let (sent, to_send) = mpsc::channel(PIECES_MAX);
        let (new, opened) = mpsc::channel(PIECES_MAX);
        let carry = carry(env, reader, writer, new, sent.clone(), to_send).boxed();
        Session { opened, carry, sent }
    }

    /// What ends the connection once everything that was sent is out.
    pub(crate) fn close(&self) -> impl Future<Output = ()> + Send + 'static {
        let sent = self.sent.clone();
        async move {
            // The highest number: all streams were served.
            let _ = sent.send(Sent::GoAway { last: 0x7fff_ffff }).await;
        }
    }
}

async fn carry(
    env: Env,
    reader: impl AsyncRead + Unpin,
    writer: impl AsyncWrite + Unpin,
    new: mpsc::Sender<Opened>,
    sent: mpsc::Sender<Sent>,
    to_send: mpsc::Receiver<Sent>,
) {
    let receive = receive(&env, reader, new, sent).fuse();
    let send = send(writer, to_send).fuse();
    tokio::pin!(receive, send);
    let ended = tokio::select! {
        biased;
        ended = &mut receive => ended,
        ended = &mut send => match ended {
            // The client closes it, so that nothing that is on its way is lost.
            Ok(()) => tokio::select! {
                biased;
                ended = &mut receive => ended,
                () = env.sleep(CLOSE_TIME_MAX) => Ok(()),
            },
            error => error,
        },
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "SPDY");
    }
}

/// A stream as the reading side knows it.
struct Stream {
    /// None once the client has said all.
    input: Option<mpsc::Sender<Bytes>>,
    gone: oneshot::Sender<()>,
}

async fn receive(
    env: &Env,
    mut reader: impl AsyncRead + Unpin,
    new: mpsc::Sender<Opened>,
    sent: mpsc::Sender<Sent>,
) -> io::Result<()> {
    let mut unpacker = Unpacker::new();
    let mut streams: HashMap<u32, Stream> = HashMap::new();
    let mut last = 0;
    loop {
        let frame = tokio::select! {
            biased;
            frame = frame::read(&mut reader, &mut unpacker) => frame?,
            () = env.sleep(QUIET_TIME_MAX) => return Ok(()),
        };
        match frame {
            None => return Ok(()),
            Some(Received::Open { id, headers, fin }) => {
                streams.retain(|_, stream| !stream.gone.is_closed());
                if id <= last || id.is_multiple_of(2) {
                    let _ = sent.send(Sent::Reset { id, why: Reset::ProtocolError }).await;
                    continue;
                }
                last = id;
                if streams.len() >= STREAMS_MAX {
                    let _ = sent.send(Sent::Reset { id, why: Reset::Refused }).await;
                    continue;
                }
                let ((to, input), (gone, is_gone)) = (mpsc::channel(PIECES_MAX), oneshot::channel());
                let output = Output { id, sent: sent.clone() };
                if new.send(Opened { id, headers, input, output, gone: is_gone }).await.is_ok() {
                    streams.insert(id, Stream { input: (!fin).then_some(to), gone });
                } else {
                    let _ = sent.send(Sent::Reset { id, why: Reset::Refused }).await;
                }
            }
            Some(Received::Headers { id, fin }) => {
                if fin && let Some(stream) = streams.get_mut(&id) {
                    stream.input = None;
                }
            }
            Some(Received::Data { id, length, fin }) => {
                let mut left = length;
                while left > 0 {
                    let mut piece = vec![0; left.min(PIECE_BYTES_MAX)];
                    reader.read_exact(&mut piece).await?;
                    left -= piece.len();
                    if let Some(input) = streams.get(&id).and_then(|stream| stream.input.as_ref()) {
                        // Whoever read it has gone: the rest is dropped.
                        let _ = input.send(piece.into()).await;
                    }
                }
                match streams.get_mut(&id) {
                    Some(stream) if fin => stream.input = None,
                    Some(_) => {}
                    None if id > last || id.is_multiple_of(2) => {
                        let _ = sent.send(Sent::Reset { id, why: Reset::InvalidStream }).await;
                    }
                    // Its end and this crossed.
                    None => {}
                }
            }
            Some(Received::Reset { id }) => {
                if let Some(stream) = streams.remove(&id) {
                    let _ = stream.gone.send(());
                }
            }
            // Odd numbers are the client's; an even one would be the answer to a ping of ours, which don't exist.
            Some(Received::Ping(id)) if id % 2 == 1 => {
                let _ = sent.send(Sent::Ping(id)).await;
            }
            Some(Received::Ping(_) | Received::GoAway | Received::Other) => {}
        }
    }
}

/// Writes what is to be sent, until something says that it was the last.
async fn send(mut writer: impl AsyncWrite + Unpin, mut frames: mpsc::Receiver<Sent>) -> io::Result<()> {
    let mut packer = Packer::new();
    let mut buffer = Vec::with_capacity(PIECE_BYTES_MAX + 8);
    while let Some(frame) = frames.recv().await {
        buffer.clear();
        frame::write(&frame, &mut packer, &mut buffer)?;
        writer.write_all(&buffer).await?;
        writer.flush().await?;
        if let Sent::GoAway { .. } = frame {
            break;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use tokio::io::{DuplexStream, ReadHalf, WriteHalf};

    use super::*;

    async fn pair(test: impl AsyncFnOnce(Session, ReadHalf<DuplexStream>, WriteHalf<DuplexStream>)) {
        let (client, server) = tokio::io::duplex(1 << 20);
        let (reader, writer) = tokio::io::split(server);
        let session = Session::new(Env::real(), reader, writer);
        let (reader, writer) = tokio::io::split(client);
        tokio::time::timeout(Duration::from_secs(20), test(session, reader, writer)).await.expect("in time");
    }

    #[tokio::test]
    async fn streams_carry_bytes_both_ways() {
        pair(async |mut session, mut reader, mut writer| {
            let mut packer = Packer::new();
            let mut bytes = frame::open(1, &[("streamtype", "data")], false, &mut packer);
            bytes.extend([0, 0, 0, 1, 0, 0, 0, 2, b'h', b'i']);
            bytes.extend([0, 0, 0, 1, 1, 0, 0, 0]);
            writer.write_all(&bytes).await.unwrap();
            let closing = session.close();
            let serve = async {
                let mut opened = session.opened.recv().await.expect("a stream");
                assert_eq!((opened.id, opened.header("streamtype")), (1, Some("data")));
                opened.output.accept().await;
                assert_eq!(opened.input.recv().await.as_deref(), Some(&b"hi"[..]));
                assert_eq!(opened.input.recv().await, None);
                assert!(opened.output.send(Bytes::from_static(b"ho")).await);
                opened.output.close().await;
                closing.await;
                let end = [
                    &[0, 0, 0, 1, 0, 0, 0, 2, b'h', b'o'][..],
                    &[0, 0, 0, 1, 1, 0, 0, 0],
                    &[0x80, 3, 0, 7, 0, 0, 0, 8, 0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0],
                ];
                let (end, mut got) = (end.concat(), Vec::new());
                while !got.ends_with(&end) {
                    assert_ne!(reader.read_buf(&mut got).await.unwrap(), 0, "{got:?}");
                }
                assert_eq!(&got[..4], [0x80, 3, 0, 2]);
                // The stream counts as wanted until the client closes the connection.
                writer.shutdown().await.unwrap();
                assert!(opened.gone.await.is_err());
            };
            tokio::join!(session.carry, serve);
        })
        .await;
    }

    #[tokio::test]
    async fn a_reset_ends_one_stream_and_broken_frames_end_all() {
        pair(async |mut session, _reader, mut writer| {
            let mut packer = Packer::new();
            let mut bytes = frame::open(1, &[], false, &mut packer);
            bytes.extend(frame::open(3, &[], false, &mut packer));
            // Neither even numbers nor old ones.
            bytes.extend(frame::open(3, &[], false, &mut packer));
            bytes.extend(frame::open(6, &[], false, &mut packer));
            bytes.extend([0x80, 3, 0, 3, 0, 0, 0, 8, 0, 0, 0, 1, 0, 0, 0, 5]);
            writer.write_all(&bytes).await.unwrap();
            let serve = async {
                let mut first = session.opened.recv().await.expect("a stream");
                let mut second = session.opened.recv().await.expect("a stream");
                assert!(first.gone.await.is_ok());
                assert_eq!(first.input.recv().await, None);
                assert!(second.gone.try_recv().is_err());
                writer.write_all(b"\x80\x09nonsense").await.unwrap();
                assert!(session.opened.recv().await.is_none());
                assert!(second.gone.await.is_err());
            };
            tokio::join!(session.carry, serve);
        })
        .await;
    }
}
