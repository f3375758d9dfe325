//! The namespaces of the pod. The supervisor itself lives in those that all containers share (network, IPC, UTS),
//! so that they are inherited; the user and process namespaces it only holds.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use cox_sys::mount::{NODEV, NOEXEC, NOSUID, Reach, attach, clone_tree, new_filesystem};
use cox_sys::namespace::{self, Namespaces};
use cox_sys::process::{Forked, SingleThreaded, exit_now, fork};
use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};

use crate::init::{self, Report, error_text};
use crate::protocol::{IdMap, Network, PidMode, SandboxSpec};

/// The pod's namespaces.
pub struct Sandbox {
    /// What was asked for.
    pub spec: SandboxSpec,
    /// The user namespace.
    pub user_namespace: Option<OwnedFd>,
    /// Shared memory, as a detached mount; `None`: it is mounted at `shm_path`.
    shm: Option<OwnedFd>,
    shm_path: PathBuf,
    /// The supervisor's own process namespace, to come back to.
    own_pids: OwnedFd,
    /// The one the pod's containers share, and its first process.
    pod_pids: Option<OwnedFd>,
    pause: Option<u32>,
}

/// Where shared memory is mounted on kernels that can't copy detached mounts (before 6.15).
pub const SHM_DIR: &str = "shm";

impl Sandbox {
    /// Makes the namespaces and enters those it lives in.
    pub fn make(proof: &SingleThreaded, dir: &Path, spec: SandboxSpec) -> Result<Self, String> {
        let own_pids = open("/proc/self/ns/pid")?;
        let own = own_namespaces(&spec);
        let user_namespace = match spec.user_namespace {
            Some(map) => Some(make_in_user_namespace(proof, map, own)?),
            None => {
                namespace::unshare(own).map_err(|e| format!("unshare: {}", error_text(&e)))?;
                None
            }
        };
        match &spec.network {
            Network::Host => {}
            Network::Join(path) => {
                let file = File::open(path)
                    .map_err(|e| format!("open network namespace {path:?}: {}", error_text(&e)))?;
                namespace::setns(file.as_fd(), Namespaces::NETWORK)
                    .map_err(|e| format!("join network namespace {path:?}: {}", error_text(&e)))?;
            }
            Network::Create(path) => pin_network(path)?,
        }
        if let Some(hostname) = &spec.hostname {
            rustix::system::sethostname(hostname.as_bytes())
                .map_err(|e| format!("set host name {hostname:?}: {}", error_text(&e.into())))?;
        }
        for (name, value) in &spec.sysctls {
            let path = Path::new("/proc/sys").join(name.replace('.', "/"));
            fs::write(&path, value)
                .map_err(|e| format!("set sysctl {name} to {value:?}: {}", error_text(&e)))?;
        }
        let (shm, shm_path) = shared_memory(dir, &spec)?;
        let mut sandbox =
            Sandbox { spec, user_namespace, shm, shm_path, own_pids, pod_pids: None, pause: None };
        if sandbox.spec.pid == PidMode::Pod {
            sandbox.make_pod_pids(proof)?;
        }
        Ok(sandbox)
    }

    /// The user namespace with its map.
    pub fn user_map(&self) -> Option<(BorrowedFd<'_>, IdMap)> {
        Some((self.user_namespace.as_ref()?.as_fd(), self.spec.user_namespace?))
    }

    /// The detached shared memory, or where it is mounted.
    pub fn shm(&self) -> (Option<BorrowedFd<'_>>, &Path) {
        (self.shm.as_ref().map(AsFd::as_fd), &self.shm_path)
    }

    /// Process id of the shared process namespace's first process.
    pub fn pause(&self) -> Option<u32> {
        self.pause
    }

    /// Forks a container's first process.
    pub fn fork_container(&self, proof: &SingleThreaded) -> io::Result<Forked> {
        match (self.spec.pid, &self.pod_pids) {
            (PidMode::Container, _) => fork(proof, Namespaces::PROCESS_ID, None),
            (PidMode::Pod, Some(pids)) => self.fork_into(proof, pids.as_fd()),
            (PidMode::Pod, None) | (PidMode::Host, _) => fork(proof, Namespaces::empty(), None),
        }
    }

    /// Forks into the process namespace that `of` is (a file of `/proc/PID/ns`) or is in (a pidfd).
    pub fn fork_into(&self, proof: &SingleThreaded, of: BorrowedFd<'_>) -> io::Result<Forked> {
        namespace::setns(of, Namespaces::PROCESS_ID)?;
        let forked = fork(proof, Namespaces::empty(), None);
        if !matches!(forked, Ok(Forked::Child)) {
            namespace::setns(self.own_pids.as_fd(), Namespaces::PROCESS_ID)?;
        }
        forked
    }

    fn make_pod_pids(&mut self, proof: &SingleThreaded) -> Result<(), String> {
        let failed = |e: io::Error| format!("make the pod's process namespace: {}", error_text(&e));
        let (ours, theirs) = init::report_channel().map_err(failed)?;
        rustix::io::ioctl_fionbio(&ours, false).map_err(|e| failed(e.into()))?;
        match fork(proof, Namespaces::PROCESS_ID, None).map_err(failed)? {
            Forked::Child => {
                cox_sys::process::close_others(&[theirs.as_fd()]);
                // The agent waits for the end of standard output.
                if let Err(e) = super::container::null().and_then(|null| {
                    rustix::stdio::dup2_stdin(&null)?;
                    rustix::stdio::dup2_stdout(&null)?;
                    Ok(rustix::stdio::dup2_stderr(&null)?)
                }) {
                    eprintln!("pause: {e}");
                    exit_now(1);
                }
                init::pause(self.spec.user_namespace, theirs)
            }
            Forked::Parent { pid, .. } => {
                drop(theirs);
                self.pod_pids = Some(open(&format!("/proc/{pid}/ns/pid"))?);
                self.pause = Some(pid);
                match init::receive_report(ours.as_fd()).map_err(failed)? {
                    Some((Report::Ready { .. }, _)) => Ok(()),
                    Some((Report::Failed(message), _)) => Err(format!("pause: {message}")),
                    None => Err("pause: ended before it was ready".to_owned()),
                }
            }
        }
    }

    /// Gives up what could be seen from outside.
    pub fn leave(&self) {
        if self.shm.is_none() && !self.spec.host_ipc {
            let _ = rustix::mount::unmount(&self.shm_path, rustix::mount::UnmountFlags::DETACH);
        }
    }
}

fn open(path: &str) -> Result<OwnedFd, String> {
    File::open(path).map(OwnedFd::from).map_err(|e| format!("open {path}: {}", error_text(&e)))
}

/// The namespaces that are made anew and lived in.
fn own_namespaces(spec: &SandboxSpec) -> Namespaces {
    let mut namespaces = Namespaces::empty();
    if !spec.host_ipc {
        namespaces |= Namespaces::INTER_PROCESS_COMMUNICATION;
    }
    if spec.hostname.is_some() {
        namespaces |= Namespaces::HOST_NAME_AND_NIS_DOMAIN_NAME;
    }
    if matches!(spec.network, Network::Create(_)) {
        namespaces |= Namespaces::NETWORK;
    }
    namespaces
}

/// Makes a user namespace and others that belong to it, with the help of a child that does nothing, and enters the
/// others.
fn make_in_user_namespace(proof: &SingleThreaded, map: IdMap, own: Namespaces) -> Result<OwnedFd, String> {
    let failed = |e: io::Error| format!("make the user namespace: {}", error_text(&e));
    let (pid, pidfd) = match fork(proof, own | Namespaces::USER, None).map_err(failed)? {
        Forked::Child => {
            let tied = rustix::process::set_parent_process_death_signal(Some(Signal::KILL));
            if tied.is_err() {
                exit_now(1);
            }
            cox_sys::signal::pause_forever()
        }
        Forked::Parent { pid, pidfd } => (pid, pidfd),
    };
    let enter = || -> Result<OwnedFd, String> {
        for (file, outside) in [("uid_map", map.uid), ("gid_map", map.gid)] {
            fs::write(format!("/proc/{pid}/{file}"), format!("0 {outside} {}\n", map.size))
                .map_err(failed)?;
        }
        let user = open(&format!("/proc/{pid}/ns/user"))?;
        if !own.is_empty() {
            namespace::setns(pidfd.as_fd(), own).map_err(failed)?;
        }
        Ok(user)
    };
    let result = enter();
    if let Some(pid) = Pid::from_raw(pid as i32) {
        let _ = kill_process(pid, Signal::KILL);
        let _ = waitpid(Some(pid), WaitOptions::empty());
    }
    result
}

/// Binds this process's network namespace to a path.
fn pin_network(path: &Path) -> Result<(), String> {
    let failed = |e: io::Error| format!("bind the network namespace to {path:?}: {}", error_text(&e));
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(failed)?;
    }
    File::create(path).map_err(failed)?;
    rustix::mount::mount_bind("/proc/self/ns/net", path).map_err(|e| failed(e.into()))
}

/// A file system in memory for `/dev/shm` of all containers, seen from nowhere else where the kernel can do that.
fn shared_memory(dir: &Path, spec: &SandboxSpec) -> Result<(Option<OwnedFd>, PathBuf), String> {
    if spec.host_ipc {
        return Ok((None, PathBuf::from("/dev/shm")));
    }
    let failed = |e: io::Error| format!("make shared memory: {}", error_text(&e));
    let size = spec.shm_size_bytes.to_string();
    let (uid, gid) = spec.user_namespace.map_or((0, 0), |map| (map.uid, map.gid));
    let (uid, gid) = (uid.to_string(), gid.to_string());
    let options = [("mode", "1777"), ("size", size.as_str()), ("uid", uid.as_str()), ("gid", gid.as_str())];
    let shm = new_filesystem("tmpfs", &options, NOSUID | NODEV | NOEXEC).map_err(failed)?;
    let path = dir.join(SHM_DIR);
    if clone_tree(shm.as_fd(), Reach::One).is_ok() {
        return Ok((Some(shm), path));
    }
    fs::create_dir_all(&path).map_err(failed)?;
    let place = File::open(&path).map_err(failed)?;
    attach(shm.as_fd(), place.as_fd()).map_err(failed)?;
    Ok((None, path))
}
