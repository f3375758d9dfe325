//! The supervisor's executable, which this library carries.

use std::fs::{self, File};
use std::io::Write;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use cox_sys::mount::{Change, READONLY, Reach, clone_tree, set_attributes};

use crate::{Result, RuntimeError};

static BYTES: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/cox-shim"));
const DIGEST: &str = env!("COX_SHIM_DIGEST");

/// The extracted executable.
pub struct ShimBinary {
    path: PathBuf,
    /// A read-only mount of the file that is in no mount table. Executed through it, the file can't be written by
    /// a container that gets hold of `/proc/PID/exe`. `None` on kernels that can't do this.
    readonly: Option<OwnedFd>,
}

impl ShimBinary {
    /// Extracts it, unless it is there: its name has its digest, so that running supervisors keep theirs.
    pub fn extract(dir: &Path) -> Result<Self> {
        fs::create_dir_all(dir).map_err(RuntimeError::file("create", dir))?;
        let path = dir.join(format!("cox-shim-{DIGEST}"));
        let present = fs::metadata(&path).is_ok_and(|m| m.len() == BYTES.len() as u64);
        if !present {
            let temporary = dir.join(format!(".cox-shim-{DIGEST}-{}", std::process::id()));
            let write = || {
                let mut file = File::create(&temporary)?;
                file.write_all(BYTES)?;
                file.set_permissions(fs::Permissions::from_mode(0o700))?;
                file.sync_all()?;
                fs::rename(&temporary, &path)
            };
            write().map_err(RuntimeError::file("write", &path))?;
        }
        let readonly = read_only_mount(&path).ok();
        Ok(ShimBinary { path, readonly })
    }

    /// What to execute.
    pub fn program(&self) -> PathBuf {
        match &self.readonly {
            Some(fd) => PathBuf::from(format!("/proc/self/fd/{}", fd.as_raw_fd())),
            None => self.path.clone(),
        }
    }
}

fn read_only_mount(path: &Path) -> std::io::Result<OwnedFd> {
    let file = File::open(path)?;
    let mount = clone_tree(file.as_fd(), Reach::One)?;
    set_attributes(mount.as_fd(), Reach::One, &Change { set: READONLY, ..Change::default() })?;
    Ok(mount)
}
