//! `kubectl port-forward` and `kubectl exec`, over WebSockets and over SPDY/3.1 alone; what other clients do by WebSockets.

use std::io::{BufRead, BufReader, Lines, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsFd;
use std::process::{Child, ChildStdout, Command, Stdio};

use cox_tests::Cluster;

/// What a pod listens with: a page on loopback only, and an echo.
const POD: &str = r#"
apiVersion: v1
kind: Pod
metadata: {name: p}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - name: page
    image: busybox:1
    command: [sh, -c, "mkdir /www && echo the page >/www/index.html && echo page up && httpd -f -p 127.0.0.1:8080 -h /www"]
    readinessProbe: {exec: {command: [sh, -c, "nc 127.0.0.1 8080 </dev/null"]}, periodSeconds: 1}
  - name: echo
    image: busybox:1
    command: [nc, -ll, -p, "9000", -e, cat]
    startupProbe: {tcpSocket: {port: 9000}, periodSeconds: 1}
"#;

/// A command of kubectl, with WebSockets or without.
fn kubectl(cluster: &Cluster, websockets: bool, args: &[&str]) -> Command {
    let mut command = cluster.inside(&cox_tests::kubectl());
    command.arg("--kubeconfig").arg(cluster.kubeconfig()).args(args);
    for variable in ["KUBECTL_PORT_FORWARD_WEBSOCKETS", "KUBECTL_REMOTE_COMMAND_WEBSOCKETS"] {
        command.env(variable, websockets.to_string());
    }
    command
}

/// A forwarding kubectl, which ends with the test.
struct Forward {
    child: Child,
    /// It ends when nobody reads what it says.
    _lines: Lines<BufReader<ChildStdout>>,
}

impl Forward {
    /// Starts it; gives the local ports.
    fn start(cluster: &Cluster, websockets: bool, ports: &[&str]) -> (Forward, Vec<u16>) {
        let mut command = kubectl(cluster, websockets, &["port-forward", "--address=127.0.0.1", "pod/p"]);
        let mut child = command
            .args(ports)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("kubectl starts");
        let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let locals = lines.by_ref().take(ports.len()).map(|line| {
            let line = line.expect("text");
            let local = line.split(" -> ").next().and_then(|left| left.rsplit(':').next()).map(str::parse);
            local.and_then(Result::ok).unwrap_or_else(|| panic!("{line}"))
        });
        let locals: Vec<u16> = locals.collect();
        assert_eq!(locals.len(), ports.len(), "kubectl port-forward ended");
        (Forward { child, _lines: lines }, locals)
    }
}

impl Drop for Forward {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let mut said = String::new();
        if std::thread::panicking()
            && let Some(mut stderr) = self.child.stderr.take()
            && stderr.read_to_string(&mut said).is_ok()
        {
            eprintln!("kubectl port-forward said:\n{said}");
        }
    }
}

/// Runs in the cluster's network namespace, as threads that it starts do.
fn inside<T: Send + 'static>(cluster: &Cluster, work: impl FnOnce() -> T + Send + 'static) -> T {
    let namespace = cluster.network_namespace();
    let thread = std::thread::spawn(move || {
        let network = Some(rustix::thread::LinkNameSpaceType::Network);
        rustix::thread::move_into_link_name_space(namespace.as_fd(), network)
            .expect("tests of nodes need root");
        work()
    });
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Asks for the page.
fn page(port: u16) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("kubectl listens");
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").expect("it is there");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("an answer");
    text
}

/// Sends a megabyte of its own and gets it back; the end of what is sent is seen by the pod.
fn echo(port: u16, seed: u8) {
    let sent: Vec<u8> = (0..1_000_000u32).map(|at| (at % 251) as u8 ^ seed).collect();
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("kubectl listens");
    let mut writer = stream.try_clone().expect("a second handle");
    let to_send = sent.clone();
    let sending = std::thread::spawn(move || {
        writer.write_all(&to_send).expect("it is there");
        writer.shutdown(Shutdown::Write).expect("it is there");
    });
    let mut got = Vec::new();
    stream.read_to_end(&mut got).expect("an echo");
    sending.join().expect("sent");
    assert!(got == sent, "{} bytes came back, of {}", got.len(), sent.len());
}

fn forwards(cluster: &Cluster, websockets: bool) {
    let (forward, ports) = Forward::start(cluster, websockets, &[":8080", ":9000"]);
    let (page_port, echo_port) = (ports[0], ports[1]);
    let text = inside(cluster, move || page(page_port));
    assert!(text.ends_with("\r\n\r\nthe page\n"), "{text:?}");
    // Connections side by side share one to the node. More of them don't fit into the queue of busybox' nc.
    inside(cluster, move || {
        std::thread::scope(|scope| {
            for seed in 0..3 {
                scope.spawn(move || echo(echo_port, seed));
            }
        });
    });
    // It still serves afterwards.
    assert!(inside(cluster, move || page(page_port)).ends_with("the page\n"));
    drop(forward);

    // Nothing listens there: kubectl says what the node told it.
    let (mut forward, ports) = Forward::start(cluster, websockets, &[":81"]);
    let port = ports[0];
    inside(cluster, move || {
        let mut got = Vec::new();
        // It is cut off.
        let _ = TcpStream::connect(("127.0.0.1", port)).expect("kubectl listens").read_to_end(&mut got);
        assert_eq!(got, b"");
    });
    let _ = forward.child.kill();
    let mut said = String::new();
    forward.child.stderr.take().expect("a pipe").read_to_string(&mut said).expect("text");
    let expected = "IPv4: dial tcp4 127.0.0.1:81: connect: connection refused IPv6 dial tcp6 [::1]:81: connect: connection refused";
    assert!(said.contains("error forwarding port 81 to pod ") && said.contains(expected), "{said}");
}

fn exec(cluster: &Cluster, websockets: bool) {
    let run = |args: &[&str], input: &[u8]| {
        let mut command = kubectl(cluster, websockets, &["exec", "-i", "p", "-c", "page", "--"]);
        command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("kubectl starts");
        let mut stdin = child.stdin.take().expect("a pipe");
        let input = input.to_vec();
        let writing = std::thread::spawn(move || stdin.write_all(&input));
        let out = child.wait_with_output().expect("it ends");
        writing.join().expect("no panic").expect("all was taken");
        (out.status.code(), out.stdout, String::from_utf8_lossy(&out.stderr).into_owned())
    };
    let input: Vec<u8> = (0..300_000u32).map(|at| (at % 253) as u8).collect();
    let (code, out, err) = run(&["cat"], &input);
    assert!(code == Some(0) && out == input, "{code:?}: {} bytes, {err}", out.len());
    let (code, out, err) = run(&["sh", "-c", "echo out; echo err >&2; exit 7"], b"");
    assert_eq!((code, &out[..]), (Some(7), &b"out\n"[..]), "{err}");
    assert!(err.contains("err\n") && err.contains("exit code 7"), "{err}");
}

/// Both ways that kubectl has, and those of other clients.
#[test]
fn over_websockets_and_over_spdy() {
    let mut cluster = Cluster::start(&["--node-name", "solo"]);
    let file = cluster.dir().join("pod.yaml");
    std::fs::write(&file, POD).expect("the directory is there");
    cluster.kubectl(&["apply", "-f", &file.display().to_string()]);
    cluster.kubectl(&["wait", "--for=condition=Ready", "pod/p", "--timeout=30s"]);
    for websockets in [true, false] {
        forwards(&cluster, websockets);
        exec(&cluster, websockets);
    }
    cluster.python("streams.py", "all came through");
    cluster.kubectl(&["delete", "pod", "p", "--timeout=30s"]);
    cluster.down();
}
