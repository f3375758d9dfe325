//! The file system of an image with busybox and all its commands.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

/// Makes it below `dir` and tells where it is.
pub fn make(dir: &Path) -> Result<PathBuf> {
    let root = dir.join("image-root");
    std::fs::create_dir_all(root.join("bin"))?;
    std::fs::create_dir_all(root.join("tmp"))?;
    std::fs::copy("/bin/busybox", root.join("bin/busybox"))?;
    let list = Command::new("/bin/busybox").arg("--list").output()?;
    for applet in String::from_utf8_lossy(&list.stdout).lines().filter(|applet| *applet != "busybox") {
        std::os::unix::fs::symlink("busybox", root.join("bin").join(applet))?;
    }
    Ok(root)
}
