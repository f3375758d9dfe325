//! System call filters: profiles become programs here, the supervisor only installs them.

mod compile;
mod default;
mod profile;
mod syscalls;

use std::path::Path;

use cox_sys::capability::Capabilities;

use crate::{Result, RuntimeError};

/// The program of the runtime's default profile for a process with these capabilities, packed for transport.
pub fn runtime_default(capabilities: Capabilities) -> Vec<u64> {
    compile::compile(&default::profile(capabilities)).into_iter().map(|i| i.pack()).collect()
}

/// The program of a profile in the OCI's form.
pub fn localhost(path: &Path) -> Result<Vec<u64>> {
    let bytes = std::fs::read(path)
        .map_err(|e| RuntimeError::Create(format!("cannot load seccomp profile {path:?}: {e}")))?;
    let profile = profile::parse(&bytes)
        .map_err(|e| RuntimeError::Create(format!("cannot load seccomp profile {path:?}: {e}")))?;
    Ok(compile::compile(&profile).into_iter().map(|i| i.pack()).collect())
}
