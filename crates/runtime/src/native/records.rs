//! What is kept on disk about sandboxes and containers.

use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::path::Path;

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::types::{ContainerConfig, SandboxConfig, Signal};
use crate::{Result, RuntimeError};

pub const SANDBOX_FILE: &str = "sandbox.json";
pub const CONTAINER_FILE: &str = "container.json";

/// A sandbox as it was asked for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SandboxRecord {
    pub config: SandboxConfig,
    pub created_at: Timestamp,
}

/// A container as it was asked for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ContainerRecord {
    pub config: ContainerConfig,
    pub created_at: Timestamp,
    pub image_id: String,
    pub image_ref: String,
    pub stop_signal: Signal,
}

/// Writes a file so that it is always whole. It isn't synced: it describes what a crash of the machine ends.
pub fn write<T: Serialize>(path: &Path, value: &T) -> Result<()> {
    let temporary = path.with_extension("tmp");
    let write = || -> std::io::Result<()> {
        fs::write(&temporary, serde_json::to_vec(value)?)?;
        fs::rename(&temporary, path)
    };
    write().map_err(RuntimeError::file("write", path))
}

/// Reads a file.
pub fn read<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let bytes = fs::read(path).map_err(RuntimeError::file("read", path))?;
    serde_json::from_slice(&bytes).map_err(|e| RuntimeError::file("read", path)(e.into()))
}

/// Ids of the images that containers of the node with this state directory use, as its files say: for commands that
/// work on the image store beside a running node.
pub fn images_in_use(state_dir: &Path) -> BTreeSet<String> {
    let list =
        |dir: &Path| fs::read_dir(dir).into_iter().flatten().flatten().map(|e| e.path()).collect::<Vec<_>>();
    let containers = list(&state_dir.join("pods")).into_iter().flat_map(|pod| list(&pod.join("containers")));
    containers
        .filter_map(|dir| read::<ContainerRecord>(&dir.join(CONTAINER_FILE)).ok())
        .map(|record| record.image_id)
        .collect()
}

/// 64 random hexadecimal digits.
pub fn new_id() -> Result<String> {
    let mut bytes = [0; 32];
    let mut random = fs::File::open("/dev/urandom").map_err(RuntimeError::file("open", "/dev/urandom"))?;
    random.read_exact(&mut bytes).map_err(RuntimeError::file("read", "/dev/urandom"))?;
    Ok(bytes.iter().map(|b| format!("{b:02x}")).collect())
}

/// Removes a directory with everything in it; one that is gone counts as done.
pub fn remove_tree(path: &Path) -> Result<()> {
    match fs::remove_dir_all(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(RuntimeError::file("remove", path)(e)),
        _ => Ok(()),
    }
}
