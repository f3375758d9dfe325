//! exec and attach over SPDY: a stream for each of the process's, one for sizes and one for how it ended.
//! Source: upstream's `remotecommand` protocols `channel.k8s.io` to `v4.channel.k8s.io`.

use std::time::Duration;

use cox_env::Env;
use cox_runtime::StreamOptions;
use futures::FutureExt;
use hyper::body::{Bytes, Incoming};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::sync::mpsc;

use super::spdy::{self, Opened, Session};
use super::streams::{Channel, Client, Connecting, Input, size};
use super::{Body, Refusal};

/// In the order in which upstream's server prefers them; the client's order counts.
const PROTOCOLS: [&str; 4] =
    ["v4.channel.k8s.io", "v3.channel.k8s.io", "v2.channel.k8s.io", "channel.k8s.io"];
/// How long a client may take to open its streams. Source: upstream's `DefaultStreamCreationTimeout`.
const OPEN_TIME_MAX: Duration = Duration::from_secs(30);
/// Messages that wait for either side.
const MESSAGES_MAX: usize = 16;
/// Bytes of a size of a terminal.
const SIZE_BYTES_MAX: usize = 4096;

/// What a protocol can.
#[derive(Clone, Copy)]
struct Version {
    /// The end is told as a `Status` (v4) instead of a text.
    status: bool,
    /// Sizes of the terminal come on a stream of their own (v3).
    sizes: bool,
}

/// Accepts a client of exec or attach: the answer to send, and the client once it has opened its streams.
pub(super) fn accept(
    env: &Env,
    request: Request<Incoming>,
    options: StreamOptions,
) -> Result<(Response<Body>, Connecting), Refusal> {
    let (response, protocol) = spdy::switch(&request, &PROTOCOLS)?;
    let version = Version { status: protocol == PROTOCOLS[0], sizes: PROTOCOLS[..2].contains(&protocol) };
    let env = env.clone();
    let client = async move {
        let upgraded = hyper::upgrade::on(request).await.ok()?;
        let (reader, writer) = tokio::io::split(TokioIo::new(upgraded));
        client(env.clone(), Session::new(env, reader, writer), version, options).await
    };
    Ok((response, client.boxed()))
}

/// The streams of a client.
#[derive(Default)]
struct Opens {
    error: Option<Opened>,
    stdin: Option<Opened>,
    stdout: Option<Opened>,
    stderr: Option<Opened>,
    resize: Option<Opened>,
}

async fn client(env: Env, mut session: Session, version: Version, options: StreamOptions) -> Option<Client> {
    let wanted = 1
        + usize::from(options.stdin)
        + usize::from(options.stdout)
        + usize::from(options.stderr)
        + usize::from(options.tty && version.sizes);
    let opens = tokio::select! {
        biased;
        opens = collect(&mut session.opened, wanted) => opens?,
        () = &mut session.carry => return None,
        () = env.sleep(OPEN_TIME_MAX) => {
            tracing::debug!("timed out waiting for client to create streams");
            return None;
        }
    };
    let (to_process, input) = mpsc::channel(MESSAGES_MAX);
    let (output, from_process) = mpsc::channel(MESSAGES_MAX);
    Some(Client { input, output, carry: carry(session, opens, version, to_process, from_process).boxed() })
}

/// Takes streams until all that are wanted are there.
async fn collect(opened: &mut mpsc::Receiver<Opened>, wanted: usize) -> Option<Opens> {
    let mut opens = Opens::default();
    for _ in 0..wanted {
        let stream = opened.recv().await?;
        let place = match stream.header("streamtype") {
            Some("error") => &mut opens.error,
            Some("stdin") => &mut opens.stdin,
            Some("stdout") => &mut opens.stdout,
            Some("stderr") => &mut opens.stderr,
            Some("resize") => &mut opens.resize,
            _ => {
                stream.output.refuse().await;
                return None;
            }
        };
        stream.output.accept().await;
        *place = Some(stream);
    }
    Some(opens)
}

async fn carry(
    session: Session,
    mut opens: Opens,
    version: Version,
    to_process: mpsc::Sender<Input>,
    mut from_process: mpsc::Receiver<(Channel, Bytes)>,
) {
    let closing = session.close();
    let stdin = opens.stdin.take().map(|stream| stream.input);
    let resize = opens.resize.take().map(|stream| stream.input);
    let feed = async {
        tokio::join!(feed_stdin(stdin, &to_process), feed_sizes(resize, &to_process));
        // As long as the client is there there may be no end of input.
        std::future::pending::<()>().await;
    };
    let write = async move {
        while let Some((channel, bytes)) = from_process.recv().await {
            let (stream, bytes) = match channel {
                Channel::Stdout => (&opens.stdout, bytes),
                Channel::Stderr => (&opens.stderr, bytes),
                Channel::Error if version.status => (&opens.error, bytes),
                Channel::Error => (&opens.error, text_of(&bytes)),
            };
            if let Some(stream) = stream
                && !bytes.is_empty()
            {
                stream.output.send(bytes).await;
            }
        }
        for stream in [&opens.stdout, &opens.stderr, &opens.error].into_iter().flatten() {
            stream.output.close().await;
        }
        closing.await;
    };
    let pumps = async {
        tokio::select! {
            () = feed => {}
            () = write => {}
        }
        // The session ends by itself once it is closed.
        std::future::pending::<()>().await;
    };
    tokio::select! {
        biased;
        () = session.carry => {}
        () = pumps => {}
    }
}

async fn feed_stdin(stdin: Option<mpsc::Receiver<Bytes>>, to_process: &mpsc::Sender<Input>) {
    let Some(mut stdin) = stdin else { return };
    while let Some(bytes) = stdin.recv().await {
        if to_process.send(Input::Stdin(bytes)).await.is_err() {
            return;
        }
    }
    // The process may have gone.
    let _ = to_process.send(Input::StdinClosed).await;
}

/// Sizes come as JSON, one after another.
async fn feed_sizes(resize: Option<mpsc::Receiver<Bytes>>, to_process: &mpsc::Sender<Input>) {
    let Some(mut resize) = resize else { return };
    let mut waiting = Vec::new();
    while let Some(bytes) = resize.recv().await {
        waiting.extend_from_slice(&bytes);
        let mut values = serde_json::Deserializer::from_slice(&waiting).into_iter::<Value>();
        let mut sizes = Vec::new();
        while let Some(Ok(value)) = values.next() {
            sizes.extend(size(&value));
        }
        let read = values.byte_offset();
        waiting.drain(..read);
        for size in sizes {
            if to_process.send(Input::Resize(size)).await.is_err() {
                return;
            }
        }
        if waiting.len() > SIZE_BYTES_MAX {
            return;
        }
    }
}

/// A failure in words, as protocols before v4 tell it; nothing for a success.
fn text_of(status: &[u8]) -> Bytes {
    let status: Value = serde_json::from_slice(status).unwrap_or_default();
    match status["message"].as_str() {
        Some(message) => Bytes::copy_from_slice(message.as_bytes()),
        None => Bytes::new(),
    }
}
