//! A further program in a running container.

use std::convert::Infallible;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

use cox_sys::namespace::{self, Namespaces};
use rustix::fs::Mode;

use super::container::{connect_pipes, connect_terminal, join, open_cgroups, set_oom_score};
use super::error::Context;
use super::place::Owner;
use super::program::{self, Tie};
use super::{Report, Stdio, dev, report};
use crate::protocol::{IdMap, Process, ResolvedUser};

/// What the child is given.
pub struct ExecJob<'a> {
    /// The program, with the container's environment, capabilities and filter.
    pub process: &'a Process,
    /// The container's user.
    pub user: &'a ResolvedUser,
    /// The container's first process. (The process namespace has been joined by the fork.)
    pub container: BorrowedFd<'a>,
    /// The map of the pod's user namespace, if it has one.
    pub map: Option<IdMap>,
    /// Files to join the container's cgroup by.
    pub cgroup_join: &'a [PathBuf],
    /// Its streams; `None` with a terminal.
    pub stdio: Option<Stdio>,
    /// The socket to the supervisor.
    pub socket: OwnedFd,
}

/// Does it all; never returns.
pub fn run(job: ExecJob<'_>) -> ! {
    let Err(message) = join_and_execute(&job);
    let _ = report(&job.socket, &Report::Failed(message), None);
    cox_sys::process::exit_now(128)
}

fn join_and_execute(job: &ExecJob<'_>) -> Result<Infallible, String> {
    cox_sys::signal::reset_all();
    rustix::process::setsid().context(|| "setsid".to_owned())?;
    rustix::process::umask(Mode::empty());
    join(open_cgroups(job.cgroup_join)?)?;
    set_oom_score(job.process.oom_score_adj);
    let owner = match job.map {
        Some(map) => Owner { uid: map.uid, gid: map.gid },
        None => Owner { uid: 0, gid: 0 },
    };
    let user =
        Owner { uid: owner.uid.saturating_add(job.user.uid), gid: owner.gid.saturating_add(job.user.gid) };
    // All of them, by the process that defines the container. The user namespace comes last because a terminal
    // can be given to the user only from outside; no program of the container runs before it is joined.
    let all = Namespaces::MOUNT
        | Namespaces::CONTROL_GROUP
        | Namespaces::NETWORK
        | Namespaces::INTER_PROCESS_COMMUNICATION
        | Namespaces::HOST_NAME_AND_NIS_DOMAIN_NAME;
    namespace::setns(job.container, all).context(|| "join the container's namespaces".to_owned())?;
    let master = match &job.stdio {
        Some(stdio) => connect_pipes(stdio, user).map(|()| None)?,
        None => {
            let (master, terminal) = dev::open_terminal(user)?;
            connect_terminal(&terminal)?;
            Some(master)
        }
    };
    if job.map.is_some() {
        namespace::setns(job.container, Namespaces::USER).context(|| "join the user namespace".to_owned())?;
    }
    let home = super::user::resolve(&job.process.user).map(|i| i.home).unwrap_or_else(|_| "/".to_owned());
    let ready = Report::Ready { user: job.user.clone(), oom_score_clamped: false };
    report(&job.socket, &ready, master.as_ref().map(AsFd::as_fd))?;
    drop(master);
    Err(program::execute(job.process, job.user, &home, Tie::DieWithSupervisor))
}
