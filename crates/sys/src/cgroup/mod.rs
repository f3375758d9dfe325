//! Control groups, version 1 and 2, behind one interface: a tree of groups with limits, usage and members.
//!
//! On version 1 (and on a hybrid machine) a group is a directory in each controller's hierarchy; on version 2 it
//! is one directory. Every controller is a file here.

mod cpu;
mod cpuset;
mod devices;
mod devices_bpf;
mod hierarchy;
mod memory;
mod pids;

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use cpu::weight_of_shares;
pub use devices::{Access, DeviceKind, DeviceRule};
pub use hierarchy::{Hierarchy, Version};

/// The result of a cgroup call.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong with a cgroup.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file of the cgroup tree.
    #[error("{what} {path:?}: {source}")]
    File {
        /// What was being done.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// A file of the cgroup tree took a value badly.
    #[error("write {value:?} to {path:?}: {source}")]
    Write {
        /// The value.
        value: String,
        /// The file.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// A name that would leave the tree, or a file name that isn't one.
    #[error("{0:?} is not a name inside the cgroup tree")]
    BadName(String),
    /// Neither version is mounted, or a controller that is needed is missing.
    #[error("{0}")]
    Unsupported(String),
    /// The group still has processes after killing them repeatedly.
    #[error("cgroup {0:?} still has processes that can't be killed")]
    Busy(String),
}

/// Limits of a group; what is `None` stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Relative weight, 2 to 262144, in the terms of version 1.
    pub cpu_shares: Option<u64>,
    /// CPU time per period in microseconds; negative: no limit.
    pub cpu_quota_us: Option<i64>,
    /// The period in microseconds.
    pub cpu_period_us: Option<u64>,
    /// Memory in bytes; negative: no limit. Swap is not given on top.
    pub memory_limit_bytes: Option<i64>,
    /// Processes; negative: no limit.
    pub pids_max: Option<i64>,
    /// CPUs, for instance `0-1,4`.
    pub cpuset_cpus: Option<String>,
    /// Memory nodes.
    pub cpuset_mems: Option<String>,
    /// Files of version 2 to be written as given; ignored on version 1.
    pub unified: Vec<(String, String)>,
}

/// What a group and those below it use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// CPU time so far, in nanoseconds.
    pub cpu_ns: u64,
    /// All memory charged, in bytes.
    pub memory_bytes: u64,
    /// Memory without file pages that weren't used lately.
    pub memory_working_set_bytes: u64,
    /// Anonymous memory.
    pub memory_anonymous_bytes: u64,
    /// The memory limit, if there is one.
    pub memory_limit_bytes: Option<u64>,
    /// Page faults so far.
    pub page_faults: u64,
    /// Page faults that needed the disk, so far.
    pub major_page_faults: u64,
    /// Processes and threads.
    pub pids: u64,
}

/// A group: a place in the tree, whether it exists or not.
#[derive(Clone, Debug)]
pub struct Cgroup {
    hierarchy: Arc<Hierarchy>,
    name: String,
}

impl Cgroup {
    /// The group called `name`, relative to the root of the tree.
    pub fn new(hierarchy: Arc<Hierarchy>, name: &str) -> Result<Self> {
        let name = name.trim_matches('/');
        let good = |part: &str| !part.is_empty() && part != "." && part != ".." && !part.contains('\0');
        if !name.split('/').all(good) {
            return Err(Error::BadName(name.to_owned()));
        }
        Ok(Cgroup { hierarchy, name: name.to_owned() })
    }

    /// The group called `name` below this one.
    pub fn child(&self, name: &str) -> Result<Self> {
        Self::new(self.hierarchy.clone(), &format!("{}/{}", self.name, name))
    }

    /// Its name, relative to the root, without leading slash.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its directory in `controller`'s hierarchy (on version 2 they are all the same); `None` where the machine
    /// doesn't have the controller.
    fn dir(&self, controller: &str) -> Option<PathBuf> {
        Some(self.hierarchy.mount_of(controller)?.join(&self.name))
    }

    /// All its directories.
    fn dirs(&self) -> impl Iterator<Item = PathBuf> + '_ {
        self.hierarchy.mounts().map(|mount| mount.join(&self.name))
    }

    /// Makes the group and its parents, where they don't exist.
    pub fn create(&self) -> Result<()> {
        match self.hierarchy.version() {
            Version::V1 => {
                for mount in self.hierarchy.mounts() {
                    make_dirs(mount, &self.name)?;
                }
                Ok(())
            }
            Version::V2 => self.hierarchy.create_v2(&self.name),
        }
    }

    /// Whether it exists (in the hierarchy of memory).
    pub fn exists(&self) -> bool {
        self.dir("memory").is_some_and(|dir| dir.is_dir())
    }

    /// Sets limits.
    pub fn set(&self, limits: &Limits) -> Result<()> {
        cpu::set(self, limits)?;
        memory::set(self, limits)?;
        pids::set(self, limits)?;
        cpuset::set(self, limits)?;
        if self.hierarchy.version() == Version::V2 {
            for (file, value) in &limits.unified {
                if file.contains('/') || !file.contains('.') {
                    return Err(Error::BadName(file.clone()));
                }
                self.write("", file, value)?;
            }
        }
        Ok(())
    }

    /// Lets its processes use only the devices that `rules` name. On version 2 to be called once.
    pub fn allow_devices(&self, rules: &[DeviceRule]) -> Result<()> {
        devices::set(self, rules)
    }

    /// The files into which a process with one thread writes `0` to become a member. Joining by oneself this way
    /// takes no lock that all processes of the machine share, unlike being moved.
    pub fn join_files(&self) -> Vec<PathBuf> {
        let file = match self.hierarchy.version() {
            Version::V1 => "tasks",
            Version::V2 => "cgroup.procs",
        };
        let mut files: Vec<PathBuf> = self.dirs().map(|dir| dir.join(file)).collect();
        if self.hierarchy.version() == Version::V1
            && let Some(file) = self.dir("cpuset").map(|dir| dir.join(file)).filter(|file| file.exists())
        {
            files.push(file);
        }
        files
    }

    /// The file that counts kills for want of memory, and the key of the count in it.
    pub fn oom_file(&self) -> Option<PathBuf> {
        memory::oom_file(self)
    }

    /// The group's directory in the hierarchy of `controller`, for showing it to its own processes.
    pub fn controller_dir(&self, controller: &str) -> Option<PathBuf> {
        self.dir(controller)
    }

    /// Moves a process and its threads into the group.
    pub fn add_process(&self, pid: u32) -> Result<()> {
        for dir in self.dirs() {
            write_file(&dir.join("cgroup.procs"), &pid.to_string())?;
        }
        Ok(())
    }

    /// What it uses. Controllers that are missing count as zero.
    pub fn usage(&self) -> Result<Usage> {
        let mut usage = Usage::default();
        cpu::usage(self, &mut usage)?;
        memory::usage(self, &mut usage)?;
        pids::usage(self, &mut usage)?;
        Ok(usage)
    }

    /// How often the kernel killed a process in it for want of memory.
    pub fn oom_kills(&self) -> u64 {
        self.oom_file().map_or(0, |file| oom_kills(&file))
    }

    /// The processes in it and below it.
    pub fn processes(&self) -> Result<Vec<u32>> {
        let mut all = Vec::new();
        for dir in self.dirs() {
            collect_processes(&dir, &mut all)?;
        }
        all.sort_unstable();
        all.dedup();
        Ok(all)
    }

    /// Kills every process in it and below it, and waits a bounded time until they are gone.
    pub fn kill_all(&self) -> Result<()> {
        if self.hierarchy.version() == Version::V2
            && let Some(kill) = self.dir("").map(|dir| dir.join("cgroup.kill"))
            && kill.exists()
        {
            write_file(&kill, "1")?;
        }
        // A process may fork between the look and the blow, so this goes on until a look finds none. The kernel
        // needs some time per process, which is why it waits longer each time.
        for round in 0..KILL_ROUNDS_MAX {
            let pids = self.processes()?;
            if pids.is_empty() {
                return Ok(());
            }
            for pid in pids {
                if let Some(pid) = rustix::process::Pid::from_raw(pid as i32) {
                    // Gone in between is what we want.
                    let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
                }
            }
            std::thread::sleep(std::time::Duration::from_micros(200 << round.min(7)));
        }
        Err(Error::Busy(self.name.clone()))
    }

    /// Removes it with all groups below it. Processes have to be gone. What doesn't exist counts as done.
    pub fn remove(&self) -> Result<()> {
        for dir in self.dirs().chain(self.cpuset_dir_v1()) {
            remove_tree(&dir)?;
        }
        Ok(())
    }

    /// On version 1 cpuset is joined only where it is asked for.
    fn cpuset_dir_v1(&self) -> Option<PathBuf> {
        match self.hierarchy.version() {
            Version::V1 => self.dir("cpuset"),
            Version::V2 => None,
        }
    }

    fn write(&self, controller: &str, file: &str, value: &str) -> Result<()> {
        match self.dir(controller) {
            Some(dir) => write_file(&dir.join(file), value),
            None => Err(Error::Unsupported(format!("this machine has no cgroup controller {controller:?}"))),
        }
    }

    fn read(&self, controller: &str, file: &str) -> Result<Option<String>> {
        let Some(dir) = self.dir(controller) else { return Ok(None) };
        let path = dir.join(file);
        match fs::read_to_string(&path) {
            Ok(text) => Ok(Some(text)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(Error::File { what: "read", path, source }),
        }
    }

    fn read_number(&self, controller: &str, file: &str) -> Result<Option<u64>> {
        Ok(self.read(controller, file)?.and_then(|text| text.trim().parse().ok()))
    }
}

/// Rounds of killing and looking: about six seconds.
const KILL_ROUNDS_MAX: u32 = 250;

/// Reads the count from an [`oom_file`](Cgroup::oom_file); a file that is gone has none.
pub fn oom_kills(file: &Path) -> u64 {
    fs::read_to_string(file).map(|text| value_of(&text, "oom_kill").unwrap_or(0)).unwrap_or(0)
}

/// The number after `key` in a file of `key value` lines.
fn value_of(text: &str, key: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' ')?.trim().parse().ok())
}

fn write_file(path: &Path, value: &str) -> Result<()> {
    let write = || fs::OpenOptions::new().write(true).open(path)?.write_all(value.as_bytes());
    write().map_err(|source| Error::Write { value: value.to_owned(), path: path.to_owned(), source })
}

/// `mkdir -p`, trying the last one first: mostly the parents exist.
fn make_dirs(mount: &Path, name: &str) -> Result<()> {
    let dir = mount.join(name);
    match fs::create_dir(&dir) {
        Ok(()) => Ok(()),
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            fs::create_dir_all(&dir).map_err(|source| Error::File { what: "create", path: dir, source })
        }
        Err(source) => Err(Error::File { what: "create", path: dir, source }),
    }
}

fn collect_processes(dir: &Path, into: &mut Vec<u32>) -> Result<()> {
    let path = dir.join("cgroup.procs");
    match fs::read_to_string(&path) {
        Ok(text) => into.extend(text.lines().filter_map(|line| line.parse::<u32>().ok())),
        Err(e) if is_gone(&e) => return Ok(()),
        Err(source) => return Err(Error::File { what: "read", path, source }),
    }
    for child in children(dir)? {
        collect_processes(&child, into)?;
    }
    Ok(())
}

fn children(dir: &Path) -> Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(e) if is_gone(&e) => return Ok(Vec::new()),
        Err(source) => return Err(Error::File { what: "list", path: dir.to_owned(), source }),
    };
    Ok(entries.flatten().filter(|e| e.file_type().is_ok_and(|t| t.is_dir())).map(|e| e.path()).collect())
}

fn is_gone(e: &io::Error) -> bool {
    e.kind() == io::ErrorKind::NotFound || e.raw_os_error() == Some(libc::ENODEV)
}

fn remove_tree(dir: &Path) -> Result<()> {
    // The kernel says busy for a moment after the last process has been reaped.
    for round in 0..REMOVE_ROUNDS_MAX {
        match fs::remove_dir(dir) {
            Ok(()) => return Ok(()),
            Err(e) if is_gone(&e) => return Ok(()),
            Err(e) if e.raw_os_error() == Some(libc::EBUSY) => {
                for child in children(dir)? {
                    remove_tree(&child)?;
                }
                if round > 0 {
                    std::thread::sleep(std::time::Duration::from_micros(100 << round.min(8)));
                }
            }
            Err(source) => return Err(Error::File { what: "remove", path: dir.to_owned(), source }),
        }
    }
    Err(Error::Busy(dir.display().to_string()))
}

/// Tries of removing a group that is busy: about a second.
const REMOVE_ROUNDS_MAX: u32 = 40;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_inside_the_tree() {
        let hierarchy = Arc::new(Hierarchy::v2_at("/nowhere"));
        assert_eq!(Cgroup::new(hierarchy.clone(), "/a/b/").unwrap().name(), "a/b");
        for bad in ["", "/", "a/../b", "..", "a//b", "./a"] {
            assert!(Cgroup::new(hierarchy.clone(), bad).is_err(), "{bad}");
        }
        let a = Cgroup::new(hierarchy, "a").unwrap();
        assert!(a.child("../b").is_err());
        assert_eq!(a.child("b").unwrap().name(), "a/b");
    }

    #[test]
    fn keys_are_whole_words() {
        let text = "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n";
        assert_eq!(value_of(text, "oom_kill"), Some(3));
        assert_eq!(value_of(text, "nope"), None);
    }
}
