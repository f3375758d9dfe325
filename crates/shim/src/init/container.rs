//! The first process of a container, from fork to exec.

use std::convert::Infallible;
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use cox_sys::mount::{self, Change, READONLY, Reach};
use cox_sys::namespace::{self, Namespaces};
use rustix::fs::{FileType, Mode, OFlags};

use super::dev::{self, HostParts};
use super::error::Context;
use super::place::{self, Owner};
use super::program::{self, Tie};
use super::{Report, Stdio, await_release, mounts, report, rootfs, user};
use crate::protocol::{ContainerSpec, IdMap, ResolvedUser};

/// What the child is given.
pub struct ContainerJob<'a> {
    /// What it should become.
    pub spec: &'a ContainerSpec,
    /// The pod's user namespace and its map.
    pub user_namespace: Option<(BorrowedFd<'a>, IdMap)>,
    /// The pod's shared memory: a detached mount.
    pub shm: Option<BorrowedFd<'a>>,
    /// Or where it is mounted.
    pub shm_path: PathBuf,
    /// Its streams; `None` with a terminal.
    pub stdio: Option<Stdio>,
    /// The socket to the supervisor.
    pub socket: OwnedFd,
}

/// Does it all; never returns.
pub fn run(job: ContainerJob<'_>) -> ! {
    let Err(message) = prepare_and_execute(&job);
    let _ = report(&job.socket, &Report::Failed(message), None);
    cox_sys::process::exit_now(128)
}

fn prepare_and_execute(job: &ContainerJob<'_>) -> Result<Infallible, String> {
    let spec = job.spec;
    cox_sys::signal::reset_all();
    rustix::process::setsid().context(|| "setsid".to_owned())?;
    rustix::process::umask(Mode::empty());
    let oom_score_clamped = !set_oom_score(spec.process.oom_score_adj);
    namespace::unshare(Namespaces::MOUNT).context(|| "unshare the mount namespace".to_owned())?;

    // Everything of the host is opened while it is in sight.
    let cgroups = open_cgroups(&spec.cgroup_join)?;
    let map = job.user_namespace.map(|(fd, _)| fd);
    let sources = spec.mounts.iter().map(|m| mounts::take(m, map)).collect::<Result<Vec<_>, String>>()?;
    let parts = HostParts { shm: shared_memory(job)?, cgroups: cgroup_view(spec)? };
    rootfs::leave_propagation()?;
    rootfs::mount_overlay(&spec.rootfs, map)?;
    rootfs::enter(&spec.rootfs)?;

    let owner = match job.user_namespace {
        Some((_, map)) => Owner { uid: map.uid, gid: map.gid },
        None => Owner { uid: 0, gid: 0 },
    };
    dev::mount_all(spec, &parts, owner)?;
    sources.iter().try_for_each(|source| source.put(owner))?;
    drop(sources);
    drop(parts);
    mounts::mask(&spec.masked_paths)?;
    mounts::make_readonly(&spec.readonly_paths)?;
    if spec.process.cwd != "/" {
        // Whether it is a directory the user can enter is seen later.
        let _ = place::directory(Path::new(&spec.process.cwd), owner);
    }

    let identity = user::resolve(&spec.process.user)?;
    let master = connect_streams(job, owner, &identity.user)?;
    if spec.rootfs.readonly {
        let change = Change { set: READONLY, ..Change::default() };
        mount::set_attributes_at(Path::new("/"), Reach::One, &change)
            .context(|| "make / read-only".to_owned())?;
    }
    // Not before: whatever is written until here, as directories to mount at, would be charged to the container's
    // cgroup and keep it in the kernel long after its removal.
    join(cgroups)?;
    namespace::unshare(Namespaces::CONTROL_GROUP).context(|| "unshare the cgroup namespace".to_owned())?;
    if let Some((user_namespace, _)) = job.user_namespace {
        enter_user_namespace(user_namespace)?;
    }

    let ready = Report::Ready { user: identity.user.clone(), oom_score_clamped };
    report(&job.socket, &ready, master.as_ref().map(AsFd::as_fd))?;
    drop(master);
    await_release(&job.socket);
    Err(program::execute(&spec.process, &identity.user, &identity.home, Tie::DieWithSupervisor))
}

/// The files to join cgroups by.
pub fn open_cgroups(files: &[PathBuf]) -> Result<Vec<File>, String> {
    let open = |file: &PathBuf| File::options().write(true).open(file);
    files.iter().map(|file| open(file).context(|| format!("open cgroup {file:?}"))).collect()
}

/// Joins by itself, which needs no lock of the whole machine.
pub fn join(cgroups: Vec<File>) -> Result<(), String> {
    cgroups
        .into_iter()
        .try_for_each(|mut file| file.write_all(b"0"))
        .context(|| "join the cgroups".to_owned())
}

/// Raising is always allowed; lowering needs CAP_SYS_RESOURCE, and where that is missing the value stays.
pub fn set_oom_score(score: Option<i32>) -> bool {
    let Some(score) = score else { return true };
    std::fs::write("/proc/self/oom_score_adj", score.to_string()).is_ok()
}

fn shared_memory(job: &ContainerJob<'_>) -> Result<OwnedFd, String> {
    let name = || "open the pod's shared memory".to_owned();
    match job.shm {
        Some(shm) => mount::clone_tree(shm, Reach::One).context(name),
        None => {
            let flags = OFlags::PATH | OFlags::CLOEXEC;
            let place = rustix::fs::open(&job.shm_path, flags, Mode::empty()).context(name)?;
            mount::clone_tree(place.as_fd(), Reach::One).context(name)
        }
    }
}

fn cgroup_view(spec: &ContainerSpec) -> Result<Vec<(String, OwnedFd)>, String> {
    let take = |(name, dir): &(String, PathBuf)| -> Result<(String, OwnedFd), String> {
        Ok((name.clone(), mounts::take_plain(dir, spec.writable_sys)?))
    };
    spec.cgroup_view.iter().map(take).collect()
}

/// Puts the streams in their places, owned by the user so that it can open `/dev/stdout`; gives a terminal's
/// master.
fn connect_streams(
    job: &ContainerJob<'_>,
    owner: Owner,
    user: &ResolvedUser,
) -> Result<Option<OwnedFd>, String> {
    let user = Owner { uid: owner.uid.saturating_add(user.uid), gid: owner.gid.saturating_add(user.gid) };
    match &job.stdio {
        Some(stdio) => connect_pipes(stdio, user).map(|()| None),
        None => {
            let (master, terminal) = dev::open_terminal(user)?;
            dev::mount_console(&terminal, owner)?;
            connect_terminal(&terminal)?;
            Ok(Some(master))
        }
    }
}

/// Makes a terminal the process's streams and controlling terminal.
pub fn connect_terminal(terminal: &OwnedFd) -> Result<(), String> {
    let name = || "connect the terminal".to_owned();
    cox_sys::process::take_terminal(terminal.as_fd()).context(name)?;
    rustix::stdio::dup2_stdin(terminal).context(name)?;
    rustix::stdio::dup2_stdout(terminal).context(name)?;
    rustix::stdio::dup2_stderr(terminal).context(name)
}

/// Makes pipes the process's streams.
pub fn connect_pipes(stdio: &Stdio, user: Owner) -> Result<(), String> {
    for stream in [&stdio.stdin, &stdio.stdout, &stdio.stderr] {
        // Files that aren't pipes keep their owners: they may be the host's own, like /dev/null.
        if rustix::fs::fstat(stream).is_ok_and(|s| FileType::from_raw_mode(s.st_mode) == FileType::Fifo) {
            let _ = rustix::fs::fchown(stream, Some(user.uid()), Some(user.gid()));
        }
    }
    let name = || "connect the standard streams".to_owned();
    rustix::stdio::dup2_stdin(&stdio.stdin).context(name)?;
    rustix::stdio::dup2_stdout(&stdio.stdout).context(name)?;
    rustix::stdio::dup2_stderr(&stdio.stderr).context(name)
}

/// From here on this process is nobody on the host. A second mount namespace, which belongs to the user
/// namespace, locks the mounts made so far.
fn enter_user_namespace(user_namespace: BorrowedFd<'_>) -> Result<(), String> {
    namespace::setns(user_namespace, Namespaces::USER).context(|| "join the user namespace".to_owned())?;
    namespace::unshare(Namespaces::MOUNT).context(|| "unshare the mount namespace again".to_owned())
}
