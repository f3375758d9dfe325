//! The first process of a process namespace that the containers of a pod share: it reaps and does nothing else.

use std::path::Path;

use cox_sys::capability::{self, Capabilities};
use cox_sys::mount::{READONLY, attach, new_filesystem};
use cox_sys::namespace::{self, Namespaces};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{Gid, Uid};
use rustix::mount::UnmountFlags;
use rustix::process::Signal;

use super::error::Context;
use super::{Report, place, report, rootfs};
use crate::protocol::{IdMap, ResolvedUser};

/// Who it is, as upstream's pause image has it.
const USER: u32 = 65535;

/// Gives up everything, since the containers of the pod can see and perhaps trace it, and waits forever.
pub fn run(user_namespace: Option<IdMap>, socket: OwnedFd) -> ! {
    let result = prepare(user_namespace);
    let message = match result {
        Ok(()) => Report::Ready { user: ResolvedUser::default(), oom_score_clamped: false },
        Err(message) => Report::Failed(message),
    };
    let failed = matches!(message, Report::Failed(_));
    let _ = report(&socket, &message, None);
    drop(socket);
    if failed {
        cox_sys::process::exit_now(1);
    }
    cox_sys::signal::pause_forever()
}

fn prepare(map: Option<IdMap>) -> Result<(), String> {
    cox_sys::signal::reset_all();
    // The kernel reaps for a process that ignores its children's ends.
    cox_sys::signal::ignore(libc_sigchld());
    rustix::process::setsid().context(|| "setsid".to_owned())?;
    namespace::unshare(Namespaces::MOUNT).context(|| "unshare the mount namespace".to_owned())?;
    rootfs::leave_propagation()?;
    let empty = new_filesystem("tmpfs", &[("size", "0"), ("nr_inodes", "2")], READONLY)
        .context(|| "mount an empty root".to_owned())?;
    let target = place::open(Path::new("/proc")).context(|| "open /proc".to_owned())?;
    attach(empty.as_fd(), target.as_fd()).context(|| "mount an empty root".to_owned())?;
    rustix::process::chdir("/proc").context(|| "chdir".to_owned())?;
    rustix::process::pivot_root(".", ".").context(|| "pivot_root".to_owned())?;
    rustix::mount::unmount(".", UnmountFlags::DETACH).context(|| "unmount the old root".to_owned())?;
    rustix::process::chdir("/").context(|| "chdir".to_owned())?;
    let none = Capabilities::default();
    capability::limit_bounding_set(none).context(|| "limit capabilities".to_owned())?;
    let (uid, gid) = map.map_or((USER, USER), |map| {
        (map.uid.saturating_add(map.size - 1), map.gid.saturating_add(map.size - 1))
    });
    let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
    let name = || "give up the user".to_owned();
    rustix::thread::set_thread_groups(&[gid]).context(name)?;
    rustix::thread::set_thread_res_gid(gid, gid, gid).context(name)?;
    rustix::thread::set_thread_res_uid(uid, uid, uid).context(name)?;
    capability::set(none).context(name)?;
    rustix::thread::set_no_new_privs(true).context(name)?;
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL)).context(name)
}

fn libc_sigchld() -> i32 {
    Signal::CHILD.as_raw()
}
