//! How the other commands talk to a running `cox up`: a Unix socket in the data directory, one JSON line each way.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt};
use tokio::net::UnixListener;

/// A line may not be longer, bytes.
const LINE_BYTES_MAX: u64 = 1 << 20;

/// What is asked.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "ask")]
pub(crate) enum Ask {
    /// What runs.
    Status,
    /// The nodes.
    NodeLs,
    /// Stop a node as if its machine had failed.
    NodeStop { name: String },
    /// Bring it back.
    NodeStart { name: String },
    /// Load an archive into every node.
    ImageLoad { file: PathBuf },
    /// Make an image of a directory on every node.
    ImageBuild { from: PathBuf, tag: String, entrypoint: Vec<String>, cmd: Vec<String>, env: Vec<String> },
    /// Fetch an image on every node.
    ImagePull { reference: String },
    /// List images by node.
    ImageLs,
    /// Remove an image from every node.
    ImageRm { reference: String },
}

/// What is answered.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Answer {
    /// Lines for people.
    Lines(Vec<String>),
    /// What went wrong.
    Error(String),
}

fn path(data_dir: &Path) -> PathBuf {
    data_dir.join("cox.sock")
}

/// Asks the running process; none where none runs.
pub(crate) fn ask(data_dir: &Path, ask: &Ask) -> Result<Option<Vec<String>>> {
    let path = path(data_dir);
    let mut stream = match UnixStream::connect(&path) {
        Ok(stream) => stream,
        Err(error)
            if matches!(
                error.kind(),
                std::io::ErrorKind::NotFound | std::io::ErrorKind::ConnectionRefused
            ) =>
        {
            return Ok(None);
        }
        Err(error) => return Err(error).with_context(|| format!("connecting to {}", path.display())),
    };
    let mut line = serde_json::to_vec(ask)?;
    line.push(b'\n');
    stream.write_all(&line)?;
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer)?;
    match serde_json::from_str(&answer).context("cox up ended before it answered")? {
        Answer::Lines(lines) => Ok(Some(lines)),
        Answer::Error(error) => bail!(error),
    }
}

/// Opens the socket; only root may connect.
pub(crate) fn listen(data_dir: &Path) -> Result<UnixListener> {
    let path = path(data_dir);
    // The lock on the data directory says that nobody else listens.
    let _ = std::fs::remove_file(&path);
    let listener = UnixListener::bind(&path).with_context(|| format!("listening on {}", path.display()))?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Answers one connection with `handle`.
pub(crate) async fn serve<F>(stream: tokio::net::UnixStream, handle: impl FnOnce(Ask) -> F) -> Result<()>
where
    F: Future<Output = Result<Vec<String>>>,
{
    let (read, mut write) = stream.into_split();
    let mut line = String::new();
    let mut reader = tokio::io::BufReader::new(tokio::io::AsyncReadExt::take(read, LINE_BYTES_MAX));
    reader.read_line(&mut line).await?;
    let answer = match serde_json::from_str(&line) {
        Ok(ask) => match handle(ask).await {
            Ok(lines) => Answer::Lines(lines),
            Err(error) => Answer::Error(format!("{error:#}")),
        },
        Err(error) => Answer::Error(format!("not understood: {error}")),
    };
    let mut bytes = serde_json::to_vec(&answer)?;
    bytes.push(b'\n');
    write.write_all(&bytes).await?;
    Ok(())
}
