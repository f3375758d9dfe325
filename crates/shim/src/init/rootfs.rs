//! The root file system: an overlay of the image's layers under a layer of the container's own.

use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use cox_sys::mount::{self, Change, Propagation, Reach};
use rustix::mount::{MountFlags, UnmountFlags};

use super::error::Context;
use crate::protocol::Rootfs;

/// Keeps later mounts of this mount namespace from the host, while the host's still arrive here.
pub fn leave_propagation() -> Result<(), String> {
    let change = Change { propagation: Some(Propagation::Slave), ..Change::default() };
    mount::set_attributes_at(Path::new("/"), Reach::Recursive, &change)
        .context(|| "make / a slave mount".to_owned())
}

/// Mounts the overlay. With a user namespace the layers are seen through its id map.
pub fn mount_overlay(rootfs: &Rootfs, user_namespace: Option<BorrowedFd<'_>>) -> Result<(), String> {
    if let Some(user_namespace) = user_namespace {
        for layer in &rootfs.layers {
            map_ids(&rootfs.layers_dir.join(layer), user_namespace)?;
        }
    }
    // Names relative to the current directory, since all options have to fit in a page.
    rustix::process::chdir(&rootfs.layers_dir).context(|| format!("chdir to {:?}", rootfs.layers_dir))?;
    let (upper, work) = (rootfs.upper.display(), rootfs.work.display());
    // Nobody needs the writable layer after a crash of the machine: `volatile` leaves out syncing it, which would
    // sync the whole file system whenever a container ends.
    let options = format!("lowerdir={},upperdir={upper},workdir={work},volatile", rootfs.layers.join(":"));
    let options = std::ffi::CString::new(options).map_err(|_| "a layer's name has a null byte".to_owned())?;
    rustix::mount::mount("overlay", &rootfs.target, "overlay", MountFlags::empty(), options.as_c_str())
        .context(|| format!("mount the root file system with {} layers", rootfs.layers.len()))
}

/// Covers a layer (in this mount namespace) by a view of it with translated ids.
fn map_ids(layer: &Path, user_namespace: BorrowedFd<'_>) -> Result<(), String> {
    let name = || format!("map the ids of layer {layer:?}");
    let place = super::place::open(layer).context(name)?;
    let tree = mount::clone_tree(place.as_fd(), Reach::One).context(name)?;
    let change = Change { idmap: Some(user_namespace), ..Change::default() };
    mount::set_attributes(tree.as_fd(), Reach::One, &change).context(name)?;
    mount::attach(tree.as_fd(), place.as_fd()).context(name)
}

/// Makes the overlay the root and lets go of the old one with everything in it.
pub fn enter(rootfs: &Rootfs) -> Result<(), String> {
    rustix::process::chdir(&rootfs.target).context(|| "chdir to the new root".to_owned())?;
    // The old root is put over the new one for a moment, so that no directory is needed to keep it.
    rustix::process::pivot_root(".", ".").context(|| "pivot_root".to_owned())?;
    rustix::mount::unmount(".", UnmountFlags::DETACH).context(|| "unmount the old root".to_owned())?;
    rustix::process::chdir("/").context(|| "chdir to the new root".to_owned())
}
