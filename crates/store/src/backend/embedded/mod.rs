//! The store of one machine: a log-structured engine (fjall) as journal, behind one thread that writes,
//! syncs and answers. Nothing is read from it but at the start: reads come from memory.

mod engine;
mod record;

use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::time::Instant;

use async_trait::async_trait;
use parking_lot::Mutex;
use tokio::sync::{mpsc as async_mpsc, oneshot};

use self::engine::{Engine, RawEntry};
use super::{Authority, Backend, Each, Loaded, Outcome, Write};
use crate::error::BackendError;

/// Entries that travel together from the thread to the loader, and how many such chunks may wait.
const CHUNK: usize = 256;
const CHUNKS: usize = 4;

/// What the thread is asked to do.
enum Command {
    Load(async_mpsc::Sender<Vec<RawEntry>>, Answer<Loaded>),
    Commit(Arc<Vec<Write>>, Answer<Vec<Outcome>>),
    /// Lets go of the files, and answers then.
    Close(Answer<()>),
}

type Answer<T> = oneshot::Sender<Result<T, BackendError>>;

/// The store of one machine, in a directory.
pub struct Embedded {
    place: PathBuf,
    epoch: u64,
    /// Gone when closed. Dropping it ends the thread.
    thread: Mutex<Option<mpsc::Sender<Command>>>,
}

impl Embedded {
    /// Opens the directory, or makes it; headers are of epoch 0.
    ///
    /// # Errors
    /// [`BackendError::Open`], [`BackendError::Locked`].
    pub async fn open(dir: impl Into<PathBuf>) -> Result<Embedded, BackendError> {
        Embedded::open_at(dir, 0).await
    }

    /// Opens the directory, or makes it.
    ///
    /// Headers are kept with the objects. `epoch` changes whenever the same object may get another header
    /// (a kind has a new selectable field): what was written under another epoch is described anew when it is
    /// loaded. A hash of all kinds' selectable fields does.
    ///
    /// # Errors
    /// [`BackendError::Open`], [`BackendError::Locked`].
    pub async fn open_at(dir: impl Into<PathBuf>, epoch: u64) -> Result<Embedded, BackendError> {
        let place: PathBuf = dir.into();
        let (sender, commands) = mpsc::channel();
        let (opened, wait) = oneshot::channel();
        let dir = place.clone();
        std::thread::Builder::new()
            .name("store-journal".into())
            .spawn(move || serve(&dir, epoch, opened, &commands))
            .map_err(|error| open_error(&place, error))?;
        wait.await.unwrap_or(Err(BackendError::Closed))?;
        Ok(Embedded { place, epoch, thread: Mutex::new(Some(sender)) })
    }

    /// The directory.
    pub fn place(&self) -> &Path {
        &self.place
    }

    fn send(&self, command: Command) -> Result<(), BackendError> {
        let thread = self.thread.lock();
        thread.as_ref().and_then(|thread| thread.send(command).ok()).ok_or(BackendError::Closed)
    }
}

fn open_error(place: &Path, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> BackendError {
    BackendError::Open { place: place.display().to_string(), source: source.into() }
}

/// The thread.
fn serve(dir: &Path, epoch: u64, opened: Answer<()>, commands: &mpsc::Receiver<Command>) {
    let mut engine = match Engine::open(dir, epoch) {
        Ok(engine) => engine,
        Err(error) => {
            let _ = opened.send(Err(error));
            return;
        }
    };
    let _ = opened.send(Ok(()));
    let mut looked = Instant::now();
    loop {
        if looked.elapsed() >= engine::LOOK {
            engine.look();
            looked = Instant::now();
        }
        let received = if engine.holds_memory() {
            commands.recv_timeout(engine::LOOK.saturating_sub(looked.elapsed()))
        } else {
            commands.recv().map_err(Into::into)
        };
        let command = match received {
            Ok(command) => command,
            Err(mpsc::RecvTimeoutError::Timeout) => continue,
            Err(mpsc::RecvTimeoutError::Disconnected) => return,
        };
        match command {
            Command::Load(chunks, answer) => {
                let _ = answer.send(load(&engine, &chunks));
            }
            Command::Commit(batch, answer) => {
                let _ = answer.send(engine.commit(&batch));
            }
            Command::Close(answer) => {
                drop(engine);
                let _ = answer.send(Ok(()));
                return;
            }
        }
    }
}

fn load(engine: &Engine, chunks: &async_mpsc::Sender<Vec<RawEntry>>) -> Result<Loaded, BackendError> {
    let mut chunk = Vec::with_capacity(CHUNK);
    for entry in engine.raw_entries() {
        chunk.push(entry?);
        if chunk.len() == CHUNK
            && chunks.blocking_send(std::mem::replace(&mut chunk, Vec::with_capacity(CHUNK))).is_err()
        {
            return Err(BackendError::Closed);
        }
    }
    let _ = chunks.blocking_send(chunk);
    let revision = engine.revision();
    Ok(Loaded { revision, compacted: revision })
}

#[async_trait]
impl Backend for Embedded {
    fn authority(&self) -> Authority {
        Authority::Store
    }

    async fn load(&self, each: Each<'_>) -> Result<Loaded, BackendError> {
        let (sender, mut chunks) = async_mpsc::channel(CHUNKS);
        let (answer, loaded) = oneshot::channel();
        self.send(Command::Load(sender, answer))?;
        while let Some(chunk) = chunks.recv().await {
            // Decoded here, while the thread reads on.
            for entry in chunk {
                each(entry.decode(self.epoch)?)?;
            }
        }
        loaded.await.unwrap_or(Err(BackendError::Closed))
    }

    async fn commit(&self, batch: Arc<Vec<Write>>) -> Result<Vec<Outcome>, BackendError> {
        let (answer, outcome) = oneshot::channel();
        self.send(Command::Commit(batch, answer))?;
        // A thread that died (a panic in the engine) may have written or not.
        outcome.await.unwrap_or_else(|_| Err(BackendError::Journal("the journal's thread is gone".into())))
    }

    async fn close(&self) {
        let (answer, closed) = oneshot::channel();
        let thread = self.thread.lock().take();
        if thread.is_some_and(|thread| thread.send(Command::Close(answer)).is_ok()) {
            let _ = closed.await;
        }
    }
}
