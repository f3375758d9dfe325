//! Finding what runs when the agent starts.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use cox_shim::protocol::{ContainerState as ShimContainer, STATE_FILE, State};

use super::client::Client;
use super::model::{Container, Sandbox};
use super::records::{self, CONTAINER_FILE, ContainerRecord, SANDBOX_FILE, SandboxRecord};
use super::{Inner, blocking, cgroup_error};
use crate::types::{ContainerId, SandboxId};
use crate::{Result, RuntimeError};

impl Inner {
    pub(super) async fn reconnect_all(self: Arc<Self>) -> Result<()> {
        let pods = self.pods_dir();
        let mut dirs = Vec::new();
        for entry in fs::read_dir(&pods).map_err(RuntimeError::file("list", &pods))?.flatten() {
            dirs.push(entry.path());
        }
        dirs.sort();
        for dir in dirs {
            let Some(id) = dir.file_name().and_then(|name| name.to_str()).map(SandboxId::from) else {
                continue;
            };
            match records::read::<SandboxRecord>(&dir.join(SANDBOX_FILE)) {
                Ok(record) => self.clone().reconnect(id, &dir, record).await?,
                // It wasn't finished, or was being removed.
                Err(_) => {
                    super::sandboxes::unmount_shm(&dir);
                    records::remove_tree(&dir)?;
                }
            }
        }
        let inner = self.clone();
        blocking(move || inner.images.collect(&inner.images_in_use())).await
    }

    async fn reconnect(self: Arc<Self>, id: SandboxId, dir: &Path, record: SandboxRecord) -> Result<()> {
        let sandbox = Arc::new(Sandbox::new(id.clone(), dir.to_owned(), record));
        match Client::connect(dir).await {
            Ok((client, receiver, state)) => {
                sandbox.connected(client, state.pid);
                self.add_containers(&sandbox, state)?;
                self.sandboxes().insert(id, sandbox.clone());
                self.listen(sandbox, receiver);
            }
            Err(error) => {
                // Stopped before, or lost while nobody looked. Nothing of it may go on unseen.
                tracing::info!(sandbox = %id, %error, "no supervisor answers: what is left of the sandbox ends");
                let state = records::read(&dir.join(STATE_FILE)).unwrap_or_default();
                self.add_containers(&sandbox, state)?;
                self.kill_what_is_left(&sandbox).await?;
                sandbox.disconnected();
                sandbox.begin_stop();
                self.sandboxes().insert(id, sandbox);
            }
        }
        Ok(())
    }

    /// Containers on disk, with what the supervisor knows of them. One that it doesn't know was being made or
    /// removed: what is left of it goes.
    fn add_containers(&self, sandbox: &Sandbox, state: State) -> Result<()> {
        let dir = sandbox.dir.join("containers");
        let group = self.pod_cgroup(&sandbox.id, &sandbox.record.config)?;
        for entry in fs::read_dir(&dir).map_err(RuntimeError::file("list", &dir))?.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let known: Option<&ShimContainer> = state.containers.iter().find(|c| c.id == name);
            let record = records::read::<ContainerRecord>(&entry.path().join(CONTAINER_FILE));
            match (known, record) {
                (Some(known), Ok(record)) => {
                    let id = ContainerId(name);
                    sandbox.add(Arc::new(Container::new(id, entry.path(), record, known.clone())));
                }
                _ => {
                    let group = group.child(&name).map_err(cgroup_error)?;
                    group.kill_all().and_then(|()| group.remove()).map_err(cgroup_error)?;
                    records::remove_tree(&entry.path())?;
                }
            }
        }
        Ok(())
    }
}
