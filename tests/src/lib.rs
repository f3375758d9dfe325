//! A cluster for a test: `cox up` or `cox server` in a network namespace of its own, its own data directory, and the
//! real kubectl.
//! Everything goes when the test ends, also when it fails.
//!
//! The binary is `COX_BIN`, else the one beside the test; kubectl is `KUBECTL`, else the one on the path. They need
//! root and `/bin/busybox` (Debian's `busybox-static`); what is missing is said.

mod leftovers;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

pub use leftovers::Leftovers;

/// The image that tests run: busybox with its usual commands.
pub const IMAGE: &str = "busybox:1";
/// How long a command may take.
const COMMAND_SECONDS_MAX: u64 = 120;
/// How long a start may take, in a build without optimisation on a busy machine.
const READY_SECONDS_MAX: u64 = 60;
const PORT: u16 = 6443;

/// A cluster of a test.
pub struct Cluster {
    data: tempfile::TempDir,
    /// A process that only holds the network namespace.
    holder: Child,
    /// `cox`'s own command line: what to start, and with which flags.
    command: Vec<String>,
    cox: Option<Child>,
}

impl Cluster {
    /// Starts `cox up` with these flags, and loads [`IMAGE`].
    ///
    /// # Panics
    /// Where something that tests need is missing, or the cluster doesn't get ready.
    pub fn start(flags: &[&str]) -> Cluster {
        let cluster = Cluster::of(&[&["up"], flags].concat());
        cluster.build_image(IMAGE);
        cluster
    }

    /// Starts the API server alone, on a store in memory: what is written stays as it was written.
    ///
    /// # Panics
    /// As [`Cluster::start`].
    pub fn api() -> Cluster {
        Cluster::of(&["up", "--no-node", "--store", "memory"])
    }

    /// Starts the API server alone, on the embedded store: what is acknowledged outlives kills.
    ///
    /// # Panics
    /// As [`Cluster::start`].
    pub fn durable_api() -> Cluster {
        Cluster::of(&["up", "--no-node", "--store", "embedded"])
    }

    /// Starts the API server alone, on a store in memory, with more flags.
    ///
    /// # Panics
    /// As [`Cluster::start`].
    pub fn api_with(flags: &[&str]) -> Cluster {
        Cluster::of(&[&["up", "--no-node", "--store", "memory"], flags].concat())
    }

    /// Starts the control plane alone, on a store in memory: API server, controllers and scheduler, no node.
    ///
    /// # Panics
    /// As [`Cluster::start`].
    pub fn control_plane() -> Cluster {
        Cluster::of(&["server", "--store", "memory"])
    }

    fn of(command: &[&str]) -> Cluster {
        assert!(Path::new("/bin/busybox").exists(), "install Debian's busybox-static: cargo xtask test does");
        let holder = Command::new("unshare")
            .args([
                "--net",
                "/bin/busybox",
                "sh",
                "-c",
                "/bin/busybox ip link set lo up; exec /bin/busybox sleep 100000",
            ])
            .stdin(Stdio::null())
            .spawn()
            .expect("unshare: tests of nodes need root and util-linux");
        let data = tempfile::tempdir().expect("a directory");
        let command = command.iter().map(|word| (*word).to_owned()).collect();
        let mut cluster = Cluster { data, holder, command, cox: None };
        cluster.until("the network namespace", 10, |cluster| {
            // Until it has its own, the holder is still in ours.
            let netns = |process: &str| std::fs::read_link(format!("/proc/{process}/ns/net")).ok();
            let own = netns(&cluster.holder.id().to_string());
            own.is_some()
                && own != netns("self")
                && cluster
                    .inside("/bin/busybox")
                    .args(["ip", "link", "show", "lo"])
                    .output()
                    .is_ok_and(|out| String::from_utf8_lossy(&out.stdout).contains(",UP"))
        });
        cluster.up();
        cluster
    }

    /// Starts `cox` (again) and waits until it is ready.
    ///
    /// # Panics
    /// Where it doesn't get ready; with its log.
    pub fn up(&mut self) {
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.dir().join("cox.log"))
            .expect("a log file");
        let mut command = self.inside(&cox_binary());
        command.args(&self.command).arg("--data-dir").arg(self.dir());
        command.args(["--no-merge", "--listen", &format!("127.0.0.1:{PORT}")]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        self.cox = Some(command.spawn().expect("the binary starts: cargo build -p cox"));
        self.until("cox up", READY_SECONDS_MAX, |cluster| {
            if let Some(cox) = &mut cluster.cox
                && let Ok(Some(status)) = cox.try_wait()
            {
                panic!("cox up ended with {status}:\n{}", cluster.log());
            }
            cluster.cox_output(&["status"]).status.success()
        });
    }

    /// Kills the process without a word, as a crash would.
    ///
    /// # Panics
    /// Where it isn't running.
    pub fn kill(&mut self) {
        let mut cox = self.cox.take().expect("cox runs");
        cox.kill().expect("it can be killed");
        cox.wait().expect("it ends");
    }

    /// Tells the process to end, by SIGTERM, and waits until it has.
    ///
    /// # Panics
    /// Where it isn't running.
    pub fn terminate(&mut self) -> std::process::ExitStatus {
        self.tell_to_end();
        let mut cox = self.cox.take().expect("cox runs");
        cox.wait().expect("it ends")
    }

    /// Sends the process SIGTERM.
    ///
    /// # Panics
    /// Where it isn't running.
    pub fn tell_to_end(&mut self) {
        let cox = self.cox.as_ref().expect("cox runs");
        let told = Command::new("/bin/busybox").args(["kill", "-TERM", &cox.id().to_string()]).status();
        assert!(told.is_ok_and(|status| status.success()), "it can be told");
    }

    /// Makes an image of busybox under another name.
    ///
    /// # Panics
    /// Where that fails.
    pub fn build_image(&self, name: &str) {
        let root = self.dir().join("image-root");
        if !root.exists() {
            std::fs::create_dir_all(root.join("bin")).expect("a directory");
            std::fs::create_dir_all(root.join("tmp")).expect("a directory");
            std::fs::copy("/bin/busybox", root.join("bin/busybox")).expect("busybox");
            let list =
                Command::new("/bin/busybox").arg("--list").output().expect("busybox lists its commands");
            for applet in String::from_utf8_lossy(&list.stdout).lines().filter(|applet| *applet != "busybox")
            {
                std::os::unix::fs::symlink("busybox", root.join("bin").join(applet)).expect("a link");
            }
        }
        let root = root.to_string_lossy().into_owned();
        self.cox(&["image", "build", "--from", &root, "-t", name]);
    }

    /// The cluster's directory.
    pub fn dir(&self) -> &Path {
        self.data.path()
    }

    /// What `cox up` said.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir().join("cox.log")).unwrap_or_default()
    }

    /// A command in the cluster's network namespace.
    pub fn inside(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/proc/{}/ns/net", self.holder.id())).arg("--").arg(program);
        command
    }

    /// Runs a `cox` command.
    pub fn cox_output(&self, args: &[&str]) -> Output {
        self.inside(&cox_binary())
            .args(args)
            .arg("--data-dir")
            .arg(self.dir())
            .stdin(Stdio::null())
            .output()
            .expect("the binary starts")
    }

    /// Runs a `cox` command that has to succeed; brings what it printed.
    ///
    /// # Panics
    /// Where it fails.
    pub fn cox(&self, args: &[&str]) -> String {
        text_of(&format!("cox {}", args.join(" ")), self.cox_output(args))
    }

    /// A kubectl command.
    pub fn kubectl_command(&self, args: &[&str]) -> Command {
        let mut command = self.inside("timeout");
        command.arg(COMMAND_SECONDS_MAX.to_string()).arg(kubectl());
        command.arg("--kubeconfig").arg(self.kubeconfig());
        // Clusters of tests share an address, and are different: what one serves isn't what another does.
        command.arg("--cache-dir").arg(self.dir().join("kubectl-cache")).args(args).stdin(Stdio::null());
        command
    }

    /// The administrator's kubeconfig.
    pub fn kubeconfig(&self) -> PathBuf {
        self.dir().join("admin.kubeconfig")
    }

    /// The cluster's network namespace, to enter.
    ///
    /// # Panics
    /// Where the process that holds it is gone.
    pub fn network_namespace(&self) -> std::fs::File {
        std::fs::File::open(format!("/proc/{}/ns/net", self.holder.id())).expect("the holder runs")
    }

    /// What is left of the cluster, with the links, addresses, routes and rules of its network namespace.
    pub fn leftovers(&self) -> Leftovers {
        let mut listed = String::new();
        for command in ["link", "address", "route"] {
            let out = self
                .inside("/bin/busybox")
                .args(["ip", command])
                .output()
                .expect("busybox lists the network");
            listed.push_str(&String::from_utf8_lossy(&out.stdout));
        }
        Leftovers::of(self.dir()).with_network(&listed)
    }

    /// A line of a shell in the cluster's network namespace and directory, where `kubectl` is the one under test with
    /// the administrator's kubeconfig and a cache of its own.
    pub fn shell(&self, line: &str) -> Command {
        let kubectl = std::env::var("KUBECTL").unwrap_or_else(|_| "kubectl".into());
        let mut command = self.inside("timeout");
        command.arg(COMMAND_SECONDS_MAX.to_string()).args(["sh", "-c"]);
        command.arg(format!("kubectl() {{ \"$KUBECTL\" \"$@\"; }}\n{line}")).current_dir(self.dir());
        command.env("KUBECTL", kubectl).env("KUBECONFIG", self.dir().join("admin.kubeconfig"));
        command
            .env("KUBECACHEDIR", self.dir().join("kube-cache"))
            .env("KUBECTL_KUBERC", "false")
            .stdin(Stdio::null());
        command
    }

    /// Runs a script of `python/` with the Python client of PyPI (`PYTHON` names an interpreter that has it).
    ///
    /// # Panics
    /// When it fails, or `end` is not its last line.
    pub fn python(&self, script: &str, end: &str) {
        let python = std::env::var("PYTHON").unwrap_or_else(|_| "python3".into());
        let script = format!("{}/python/{script}", env!("CARGO_MANIFEST_DIR"));
        let out = self
            .inside(&python)
            .arg(script)
            .env("KUBECONFIG", self.kubeconfig())
            .output()
            .expect("python starts");
        let text = String::from_utf8_lossy(&out.stdout).into_owned();
        assert!(
            out.status.success() && text.lines().last() == Some(end),
            "{text}{}",
            String::from_utf8_lossy(&out.stderr)
        );
    }

    /// Runs kubectl; it may fail.
    pub fn kubectl_output(&self, args: &[&str]) -> Output {
        self.kubectl_command(args).output().expect("kubectl starts")
    }

    /// Runs kubectl, which has to succeed; brings what it printed.
    ///
    /// # Panics
    /// Where it fails.
    pub fn kubectl(&self, args: &[&str]) -> String {
        let out = self.kubectl_output(args);
        if !out.status.success() {
            eprintln!("cox said:\n{}", self.log());
        }
        text_of(&format!("kubectl {}", args.join(" ")), out)
    }

    /// One value of objects, by a JSON path.
    pub fn value(&self, what: &[&str], path: &str) -> String {
        let output = format!("jsonpath={path}");
        let mut args = vec!["get"];
        args.extend_from_slice(what);
        args.extend_from_slice(&["-o", &output]);
        self.kubectl(&args)
    }

    /// Waits until something holds.
    ///
    /// # Panics
    /// When it doesn't within `seconds`; with the log and the pods.
    pub fn until(&mut self, what: &str, seconds: u64, mut holds: impl FnMut(&mut Cluster) -> bool) {
        let until = Instant::now() + Duration::from_secs(seconds);
        while !holds(self) {
            if Instant::now() > until {
                let pods = self.kubectl_output(&["get", "pods,nodes", "-A", "-o", "wide"]);
                panic!(
                    "{what}: not within {seconds} s\n{}\n{}",
                    String::from_utf8_lossy(&pods.stdout),
                    self.log()
                );
            }
            // The interval of looking, not a wait for anything.
            std::thread::park_timeout(Duration::from_millis(50));
        }
    }

    /// Ends everything and says what is left behind.
    ///
    /// # Panics
    /// Where `cox down --purge` fails.
    pub fn down(&mut self) {
        self.cox(&["down", "--purge"]);
        if let Some(mut cox) = self.cox.take() {
            cox.wait().expect("it ends");
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if self.dir().join("cluster.json").exists() {
            let _ = self.cox_output(&["down", "--purge"]);
        }
        if let Some(mut cox) = self.cox.take() {
            let _ = cox.kill();
            let _ = cox.wait();
        }
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

/// The kubectl of the tests.
pub fn kubectl() -> String {
    std::env::var("KUBECTL").unwrap_or_else(|_| "kubectl".into())
}

/// The binary under test.
fn cox_binary() -> String {
    if let Ok(path) = std::env::var("COX_BIN") {
        return path;
    }
    let mut path: PathBuf = std::env::current_exe().expect("the test has a path");
    path.pop();
    path.pop();
    path.join("cox").to_string_lossy().into_owned()
}

fn text_of(what: &str, out: Output) -> String {
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(out.status.success(), "{what}: {}\n{text}{}", out.status, String::from_utf8_lossy(&out.stderr));
    text
}
