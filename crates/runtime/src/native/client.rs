//! The standing connection to a supervisor: many requests at a time, and its events.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};

use cox_shim::protocol::{Call, Event, Failure, Message, Reply, Request, State};
use tokio::sync::{Mutex as AsyncMutex, oneshot};

use super::link::{self, Incoming, Link};
use crate::{Result, RuntimeError};

/// The sending side.
pub struct Client {
    link: AsyncMutex<Link>,
    waiting: Arc<Mutex<Waiting>>,
    name: String,
}

struct Waiting {
    next_id: u64,
    replies: BTreeMap<u64, oneshot::Sender<Result<Reply, Failure>>>,
    open: bool,
}

/// The receiving side, to be [served](Receiver::serve) by a task.
pub struct Receiver {
    incoming: Incoming,
    waiting: Arc<Mutex<Waiting>>,
}

fn lock(waiting: &Mutex<Waiting>) -> MutexGuard<'_, Waiting> {
    waiting.lock().unwrap_or_else(|e| e.into_inner())
}

impl Client {
    /// Connects to the supervisor of the sandbox in `dir` and subscribes to its events; also gives its state.
    pub async fn connect(dir: &Path) -> Result<(Self, Receiver, State)> {
        let (link, incoming, reply, _) = link::ask(dir, Call::Subscribe, &[]).await?;
        let Reply::State(state) = reply else {
            return Err(RuntimeError::Protocol(format!("unexpected reply {reply:?}")));
        };
        let waiting = Waiting { next_id: 2, replies: BTreeMap::new(), open: true };
        let waiting = Arc::new(Mutex::new(waiting));
        let name = dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let receiver = Receiver { incoming, waiting: waiting.clone() };
        Ok((Client { link: AsyncMutex::new(link), waiting, name }, receiver, state))
    }

    /// Asks and waits for the reply.
    pub async fn call(&self, call: Call) -> Result<Reply> {
        let gone = || RuntimeError::SandboxGone(self.name.clone());
        let (sender, receiver) = oneshot::channel();
        let id = {
            let mut waiting = lock(&self.waiting);
            if !waiting.open {
                return Err(gone());
            }
            let id = waiting.next_id;
            waiting.next_id += 1;
            waiting.replies.insert(id, sender);
            id
        };
        let link = self.link.lock().await;
        if link.send(&Request { id, call }, &[]).await.is_err() {
            lock(&self.waiting).replies.remove(&id);
            return Err(gone());
        }
        drop(link);
        match receiver.await {
            Ok(result) => result.map_err(link::failure),
            Err(_) => Err(gone()),
        }
    }
}

impl Receiver {
    /// Hands replies to those who wait and events to `handle`, until the connection ends.
    pub async fn serve(mut self, mut handle: impl FnMut(Event)) {
        while let Ok(Some((message, _))) = self.incoming.next().await {
            match message {
                Message::Reply { id, result } => {
                    if let Some(sender) = lock(&self.waiting).replies.remove(&id) {
                        // Whoever asked may have given up.
                        let _ = sender.send(result);
                    }
                }
                Message::Event(event) => handle(event),
            }
        }
        let mut waiting = lock(&self.waiting);
        waiting.open = false;
        waiting.replies.clear();
    }
}
