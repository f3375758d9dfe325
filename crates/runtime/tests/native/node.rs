//! A node of its own for each test, which leaves nothing behind.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use cox_runtime::*;
use futures::stream::{BoxStream, StreamExt};
use tempfile::TempDir;

/// No test waits longer for anything.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A node with the image `busybox`.
pub struct Node {
    pub runtime: NativeRuntime,
    pub config: RuntimeConfig,
    dir: TempDir,
}

static NEXT: AtomicU32 = AtomicU32::new(0);

impl Node {
    pub async fn new() -> Self {
        assert!(rustix::process::getuid().is_root(), "these tests make containers and need root");
        let dir = tempfile::Builder::new().prefix("cox-runtime-test-").tempdir().unwrap();
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let config = RuntimeConfig {
            state_dir: dir.path().join("state"),
            cgroup_root: format!("cox-test-{}-{number}", std::process::id()),
            node_name: "node-1".to_owned(),
        };
        let runtime = NativeRuntime::open(config.clone()).await.unwrap();
        let root = dir.path().join("image");
        busybox(&root);
        let image = ImageConfig {
            cmd: vec!["sh".to_owned()],
            env: vec!["FROM_IMAGE=yes".to_owned()],
            ..ImageConfig::default()
        };
        runtime.build_from_dir(&root, "busybox", image).await.unwrap();
        Node { runtime, config, dir }
    }

    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// A sandbox with the host's network, without asking for more.
    pub fn sandbox_config(&self) -> SandboxConfig {
        SandboxConfig {
            name: "pod".to_owned(),
            namespace: "default".to_owned(),
            uid: "1234".to_owned(),
            hostname: "pod".to_owned(),
            cgroup_parent: "kubepods/besteffort/pod1234".to_owned(),
            log_dir: self.dir.path().join("logs"),
            ..SandboxConfig::default()
        }
    }

    pub async fn sandbox(&self) -> SandboxId {
        self.runtime.run_sandbox(self.sandbox_config()).await.unwrap()
    }

    /// Runs a container to its end; gives its status and what its log says, without the log's own fields.
    pub async fn run(&self, sandbox: &SandboxId, config: ContainerConfig) -> (ContainerStatus, String) {
        let id = self.runtime.create_container(sandbox, config).await.unwrap();
        self.runtime.start_container(&id).await.unwrap();
        let status = self.exited(&id).await;
        let output = log_text(status.log_path.as_deref().unwrap());
        (status, output)
    }

    /// Waits for a container's end.
    pub async fn exited(&self, id: &ContainerId) -> ContainerStatus {
        let mut events = self.runtime.events();
        loop {
            let status = self.runtime.container_status(id).await.unwrap();
            if status.state == ContainerState::Exited {
                return status;
            }
            next(&mut events).await;
        }
    }

    pub async fn exec(&self, id: &ContainerId, script: &str) -> ExecSyncResult {
        let command = ["sh", "-c", script].map(str::to_owned);
        self.runtime.exec_sync(id, &command, Some(PATIENCE)).await.unwrap()
    }

    /// Removes everything and looks whether something is left.
    pub async fn finish(self) {
        for sandbox in self.runtime.list_sandboxes().await.unwrap() {
            self.runtime.remove_sandbox(&sandbox.id).await.unwrap();
        }
        let left: Vec<_> = fs::read_dir(self.config.state_dir.join("pods")).unwrap().collect();
        assert!(left.is_empty(), "left in pods: {left:?}");
        let state = self.config.state_dir.display().to_string();
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        assert!(!mounts.contains(&state), "left mounts: {mounts}");
        let processes = processes_with(&state);
        assert!(processes.is_empty(), "left processes: {processes:?}");
        for dir in self.cgroup_dirs() {
            let kubepods = dir.join("kubepods/besteffort");
            let left: Vec<_> = fs::read_dir(&kubepods)
                .map(|entries| entries.flatten().filter(|e| e.path().is_dir()).map(|e| e.path()).collect())
                .unwrap_or_default();
            assert!(left.is_empty(), "left cgroups: {left:?}");
        }
    }

    fn cgroup_dirs(&self) -> Vec<PathBuf> {
        let name = &self.config.cgroup_root;
        let hierarchies = fs::read_dir("/sys/fs/cgroup").unwrap().flatten().map(|e| e.path().join(name));
        hierarchies.chain([Path::new("/sys/fs/cgroup").join(name)]).filter(|dir| dir.is_dir()).collect()
    }
}

impl Drop for Node {
    /// Also when a test has failed.
    fn drop(&mut self) {
        for _ in 0..100 {
            let pids = self.cgroup_dirs().iter().flat_map(|dir| members(dir)).collect::<Vec<_>>();
            if pids.is_empty() {
                break;
            }
            for pid in pids.into_iter().filter_map(rustix::process::Pid::from_raw) {
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        for dir in self.cgroup_dirs() {
            remove_cgroup(&dir);
        }
    }
}

fn members(dir: &Path) -> Vec<i32> {
    let own = fs::read_to_string(dir.join("cgroup.procs")).unwrap_or_default();
    let mut all: Vec<i32> = own.lines().filter_map(|line| line.parse().ok()).collect();
    for entry in fs::read_dir(dir).into_iter().flatten().flatten().filter(|e| e.path().is_dir()) {
        all.extend(members(&entry.path()));
    }
    all
}

fn remove_cgroup(dir: &Path) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten().filter(|e| e.path().is_dir()) {
        remove_cgroup(&entry.path());
    }
    for _ in 0..100 {
        if fs::remove_dir(dir).is_ok() || !dir.exists() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Processes whose command line or environment mentions a path.
fn processes_with(text: &str) -> Vec<String> {
    let commands = fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| {
        let bytes = fs::read(entry.path().join("cmdline")).ok()?;
        Some(String::from_utf8_lossy(&bytes).replace('\0', " "))
    });
    commands.filter(|command| command.contains(text)).collect()
}

/// A root file system with all of busybox's programs that tests use.
pub fn busybox(root: &Path) {
    let source = Path::new("/bin/busybox");
    assert!(source.exists(), "/bin/busybox is missing: install Debian's busybox-static");
    for dir in ["bin", "etc", "tmp", "root", "home/web"] {
        fs::create_dir_all(root.join(dir)).unwrap();
    }
    fs::copy(source, root.join("bin/busybox")).unwrap();
    for name in [
        "sh", "true", "false", "cat", "echo", "sleep", "id", "ls", "hostname", "grep", "mount", "touch",
        "stat", "pwd", "env", "kill", "ps", "dd", "head", "tail", "printf", "test", "mkdir", "readlink",
        "tr", "stty", "wc", "mknod", "unshare", "chroot", "sync", "trap", "seq", "umount", "df", "chown",
    ] {
        symlink("busybox", root.join("bin").join(name)).unwrap();
    }
    fs::write(root.join("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\nweb:x:1000:1001::/home/web:/bin/sh\n")
        .unwrap();
    fs::write(root.join("etc/group"), "root:x:0:\nweb:x:1001:\nextra:x:2000:web\n").unwrap();
}

/// A container with a shell script.
pub fn script(name: &str, script: &str) -> ContainerConfig {
    ContainerConfig {
        name: name.to_owned(),
        image: "busybox".to_owned(),
        command: ["sh", "-c", script].map(str::to_owned).to_vec(),
        log_path: Some(format!("{name}/0.log").into()),
        ..ContainerConfig::default()
    }
}

/// A container that runs until it is told to stop.
pub fn sleeper(name: &str) -> ContainerConfig {
    script(name, "trap 'exit 0' TERM; while :; do sleep 1000 & wait; done")
}

/// The lines of a log without time, stream and tag.
pub fn log_text(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    text.lines().map(|line| format!("{}\n", line.splitn(4, ' ').nth(3).unwrap())).collect()
}

pub async fn next(events: &mut BoxStream<'static, RuntimeEvent>) -> RuntimeEvent {
    tokio::time::timeout(PATIENCE, events.next()).await.expect("an event comes in time").unwrap()
}
