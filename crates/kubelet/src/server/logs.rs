//! `/containerLogs`: what a container wrote, from its log file in the CRI's format.
//! Source: <https://kubernetes.io/docs/concepts/cluster-administration/logging/>

use std::io::{BufRead, Read, Seek};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cox_runtime::{ContainerId, ContainerState, RuntimeEvent};
use futures::StreamExt;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::{Request, Response};
use jiff::Timestamp;
use rustix::fs::inotify;
use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc;

use super::{Body, Refusal, log_socket, lookup, query, websocket};
use crate::node::Node;

/// How much is read from the file at a time.
const CHUNK_BYTES: usize = 64 * 1024;
/// Chunks that wait for a slow client.
const CHUNKS_MAX: usize = 16;

/// What is wanted of a log (`v1.PodLogOptions`).
#[derive(Debug, Default, PartialEq)]
struct Wanted {
    follow: bool,
    previous: bool,
    timestamps: bool,
    since: Option<Timestamp>,
    tail: Option<usize>,
    limit_bytes: Option<u64>,
    /// `stdout` or `stderr`; both where not given.
    stream: Option<&'static str>,
}

fn wanted(text: &str, now: Timestamp) -> Result<Wanted, Refusal> {
    let mut wanted = Wanted::default();
    let yes = |value: &str| matches!(value, "1" | "true" | "True" | "t" | "T" | "TRUE");
    for (key, value) in query(text) {
        let number = || {
            value
                .parse::<i64>()
                .map_err(|_| Refusal::bad_request(format!("{key}: {value:?} is not a number")))
        };
        match key.as_str() {
            "follow" => wanted.follow = yes(&value),
            "previous" => wanted.previous = yes(&value),
            "timestamps" => wanted.timestamps = yes(&value),
            "sinceSeconds" => {
                wanted.since = Some(now - std::time::Duration::from_secs(number()?.max(0).unsigned_abs()))
            }
            "sinceTime" => {
                wanted.since = Some(
                    value
                        .parse()
                        .map_err(|_| Refusal::bad_request(format!("sinceTime: {value:?} is not a time")))?,
                );
            }
            "tailLines" => wanted.tail = Some(usize::try_from(number()?).unwrap_or(0)),
            "limitBytes" => wanted.limit_bytes = Some(number()?.max(1).unsigned_abs()),
            "stream" => {
                wanted.stream = match value.as_str() {
                    "Stdout" => Some("stdout"),
                    "Stderr" => Some("stderr"),
                    _ => None,
                }
            }
            _ => {}
        }
    }
    Ok(wanted)
}

pub(super) async fn serve(
    node: &Arc<Node>,
    namespace: &str,
    name: &str,
    container: &str,
    request: Request<Incoming>,
) -> Result<Response<Body>, Refusal> {
    let wanted = wanted(request.uri().query().unwrap_or_default(), node.env.now())?;
    let pod = lookup::pod(node, namespace, name)?;
    if crate::pod::spec::find(&pod, container).is_none() {
        return Err(Refusal::bad_request(format!("container {container} is not valid for pod {name}")));
    }
    let mut all = lookup::containers(node, &pod, container).await?;
    let newest = all.pop();
    let chosen = if wanted.previous {
        all.pop().ok_or_else(|| {
            Refusal::bad_request(format!(
                "previous terminated container \"{container}\" in pod \"{name}\" not found"
            ))
        })?
    } else {
        newest.filter(|newest| newest.state != ContainerState::Created).ok_or_else(|| {
            let statuses = pod.status.as_ref();
            let mut waiting = statuses
                .iter()
                .flat_map(|status| status.container_statuses.iter().chain(&status.init_container_statuses))
                .flatten()
                .filter(|status| status.name == container)
                .filter_map(|status| status.state.as_ref()?.waiting.as_ref()?.reason.clone());
            let reason = waiting.next().unwrap_or_else(|| "ContainerCreating".into());
            Refusal::bad_request(format!(
                "container \"{container}\" in pod \"{name}\" is waiting to start: {reason}"
            ))
        })?
    };
    let path = chosen.log_path.clone().ok_or_else(|| Refusal::not_found("the container keeps no log"))?;
    let (sender, receiver) = mpsc::channel::<Bytes>(CHUNKS_MAX);
    let (reading, id) = (node.clone(), chosen.id.clone());
    node.env.spawn(async move {
        if let Err(error) = stream(&reading, &id, path, wanted, &sender).await {
            // The client has its status already: what is left is to tell it in the text.
            let _ = sender.send(Bytes::from(format!("failed to read the log: {error}\n"))).await;
        }
    });
    if websocket::is_websocket(&request) {
        return log_socket::answer(node, request, receiver);
    }
    let frames = futures::stream::unfold(receiver, |mut receiver| async move {
        let bytes = receiver.recv().await?;
        Some((Ok::<_, std::convert::Infallible>(Frame::data(bytes)), receiver))
    });
    let mut response = Response::new(StreamBody::new(frames).boxed_unsync());
    response.headers_mut().insert("content-type", hyper::header::HeaderValue::from_static("text/plain"));
    Ok(response)
}

/// Sends the log until its end, or (with `follow`) until the container has exited.
async fn stream(
    node: &Node,
    id: &ContainerId,
    path: PathBuf,
    mut wanted: Wanted,
    sender: &mpsc::Sender<Bytes>,
) -> std::io::Result<()> {
    let mut left = wanted.limit_bytes.unwrap_or(u64::MAX);
    let mut events = node.runtime.events();
    let watch = if wanted.follow { Some(Watch::new(&path)?) } else { None };
    let mut reader = Reader::open(&path)?;
    if let Some(tail) = wanted.tail.take() {
        reader.seek_tail(tail, &wanted)?;
    }
    loop {
        // Looked at before reading: what was written before the exit is read after it.
        let over = !wanted.follow || !running(node, id).await;
        loop {
            let mut out = Vec::new();
            let more = reader.next_chunk(&wanted, &mut out)?;
            if out.len() as u64 > left {
                out.truncate(usize::try_from(left).unwrap_or(usize::MAX));
            }
            left -= out.len() as u64;
            if !out.is_empty() && sender.send(Bytes::from(out)).await.is_err() {
                return Ok(());
            }
            if left == 0 {
                return Ok(());
            }
            if !more {
                break;
            }
        }
        if reader.rotated(&path)? {
            reader = Reader::open(&path)?;
            continue;
        }
        let Some(watch) = watch.as_ref().filter(|_| !over) else { return Ok(()) };
        tokio::select! {
            biased;
            () = sender.closed() => return Ok(()),
            changed = watch.changed() => changed?,
            () = exited(&mut events, id) => {}
        }
    }
}

async fn running(node: &Node, id: &ContainerId) -> bool {
    node.runtime.container_status(id).await.is_ok_and(|status| status.state == ContainerState::Running)
}

async fn exited(events: &mut futures::stream::BoxStream<'static, RuntimeEvent>, id: &ContainerId) {
    while let Some(event) = events.next().await {
        match event {
            RuntimeEvent::ContainerExited { container, .. } if container == *id => return,
            RuntimeEvent::SandboxGone { .. } | RuntimeEvent::Missed => return,
            _ => {}
        }
    }
}

/// Tells when a log file, or the directory it is rotated in, changes.
struct Watch(AsyncFd<OwnedFd>);

impl Watch {
    #[expect(deprecated, reason = "AsyncFd::register is unsafe; an OwnedFd keeps its promise")]
    fn new(path: &Path) -> std::io::Result<Watch> {
        let fd = inotify::init(inotify::CreateFlags::NONBLOCK | inotify::CreateFlags::CLOEXEC)?;
        inotify::add_watch(&fd, path, inotify::WatchFlags::MODIFY)?;
        if let Some(dir) = path.parent() {
            inotify::add_watch(
                &fd,
                dir,
                inotify::WatchFlags::CREATE | inotify::WatchFlags::MOVED_TO | inotify::WatchFlags::MODIFY,
            )?;
        }
        Ok(Watch(AsyncFd::new(fd)?))
    }

    async fn changed(&self) -> std::io::Result<()> {
        let mut ready = self.0.readable().await?;
        let mut buffer = [0u8; 4096];
        while rustix::io::read(&self.0, &mut buffer).is_ok_and(|read| read > 0) {}
        ready.clear_ready();
        Ok(())
    }
}

/// Reads a log file line by line, as far as it is written.
struct Reader {
    file: std::io::BufReader<std::fs::File>,
    /// A line whose end isn't written yet.
    partial: Vec<u8>,
    inode: u64,
}

impl Reader {
    fn open(path: &Path) -> std::io::Result<Reader> {
        use std::os::unix::fs::MetadataExt;
        let file = std::fs::File::open(path)?;
        let inode = file.metadata()?.ino();
        Ok(Reader { file: std::io::BufReader::with_capacity(CHUNK_BYTES, file), partial: Vec::new(), inode })
    }

    fn rotated(&self, path: &Path) -> std::io::Result<bool> {
        use std::os::unix::fs::MetadataExt;
        match std::fs::metadata(path) {
            Ok(metadata) => Ok(metadata.ino() != self.inode),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Appends up to a chunk of wanted output; false at the end of what is written.
    fn next_chunk(&mut self, wanted: &Wanted, out: &mut Vec<u8>) -> std::io::Result<bool> {
        while out.len() < CHUNK_BYTES {
            let read = self.file.by_ref().take(CHUNK_BYTES as u64).read_until(b'\n', &mut self.partial)?;
            if read == 0 {
                return Ok(false);
            }
            if self.partial.last() == Some(&b'\n') {
                let line = std::mem::take(&mut self.partial);
                write_line(&line, wanted, out);
            }
        }
        Ok(true)
    }

    /// Goes to the last `lines` lines: searched from the end of the file.
    fn seek_tail(&mut self, lines: usize, wanted: &Wanted) -> std::io::Result<()> {
        let _ = wanted;
        let file = self.file.get_mut();
        let end = file.metadata()?.len();
        let mut at = end;
        let mut found = 0;
        let mut buffer = vec![0; CHUNK_BYTES];
        'search: while at > 0 && lines > 0 {
            let from = at.saturating_sub(CHUNK_BYTES as u64);
            let length = usize::try_from(at - from).unwrap_or(CHUNK_BYTES);
            file.seek(std::io::SeekFrom::Start(from))?;
            file.read_exact(&mut buffer[..length])?;
            for i in (0..length).rev() {
                let here = from + i as u64;
                // The newline that ends the file begins no line.
                if buffer[i] == b'\n' && here + 1 < end {
                    found += 1;
                    if found == lines {
                        at = here + 1;
                        break 'search;
                    }
                }
            }
            at = from;
        }
        let start = if lines == 0 { end } else { at };
        self.file.seek(std::io::SeekFrom::Start(start))?;
        Ok(())
    }
}

/// `TIME STREAM F|P TEXT`: the text, with its time if wanted; a partial line (P) ends without a newline.
fn write_line(line: &[u8], wanted: &Wanted, out: &mut Vec<u8>) {
    let mut fields = line.splitn(4, |byte| *byte == b' ');
    let (Some(time), Some(stream), Some(tag), Some(text)) =
        (fields.next(), fields.next(), fields.next(), fields.next())
    else {
        return;
    };
    if wanted.stream.is_some_and(|only| only.as_bytes() != stream) {
        return;
    }
    if let Some(since) = wanted.since {
        let written = std::str::from_utf8(time).ok().and_then(|time| time.parse::<Timestamp>().ok());
        if written.is_some_and(|written| written < since) {
            return;
        }
    }
    if wanted.timestamps {
        out.extend_from_slice(time);
        out.push(b' ');
    }
    let text = if tag.first() == Some(&b'P') { text.strip_suffix(b"\n").unwrap_or(text) } else { text };
    out.extend_from_slice(text);
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "2026-01-01T00:00:01.000000000Z stdout F one\n2026-01-01T00:00:02.000000000Z stderr F two\n\
                       2026-01-01T00:00:03.000000000Z stdout P thr\n2026-01-01T00:00:03.100000000Z stdout F ee\n";

    fn read(wanted: Wanted) -> String {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("0.log");
        std::fs::write(&path, LOG).unwrap();
        let mut reader = Reader::open(&path).unwrap();
        if let Some(tail) = wanted.tail {
            reader.seek_tail(tail, &wanted).unwrap();
        }
        let mut out = Vec::new();
        while reader.next_chunk(&wanted, &mut out).unwrap() {}
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn lines_are_chosen_and_joined() {
        assert_eq!(read(Wanted::default()), "one\ntwo\nthree\n");
        assert_eq!(read(Wanted { stream: Some("stderr"), ..Wanted::default() }), "two\n");
        assert_eq!(read(Wanted { tail: Some(1), ..Wanted::default() }), "ee\n");
        assert_eq!(read(Wanted { tail: Some(0), ..Wanted::default() }), "");
        assert_eq!(read(Wanted { tail: Some(99), ..Wanted::default() }), "one\ntwo\nthree\n");
        let since = Some("2026-01-01T00:00:02Z".parse().unwrap());
        assert_eq!(read(Wanted { since, ..Wanted::default() }), "two\nthree\n");
        let text = read(Wanted { timestamps: true, tail: Some(3), ..Wanted::default() });
        assert!(text.starts_with("2026-01-01T00:00:02.000000000Z two\n"), "{text}");
    }
}
