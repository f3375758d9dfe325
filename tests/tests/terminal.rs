//! `kubectl exec -it`, with a real terminal on the client's side (made by util-linux' `script`).

use std::io::Write;
use std::process::Stdio;

use cox_tests::Cluster;

/// Over WebSockets and over SPDY: the shell has a terminal of the client's size, Ctrl-C interrupts what runs, and its exit code comes back.
#[test]
fn exec_with_a_terminal() {
    let mut cluster = Cluster::start(&["--node-name", "solo"]);
    cluster.kubectl(&["run", "p", "--image=busybox:1", "--restart=Never", "--", "sleep", "1000"]);
    cluster.kubectl(&["wait", "--for=condition=Ready", "pod/p", "--timeout=30s"]);
    for websockets in [true, false] {
        session(&cluster, websockets);
    }
    cluster.kubectl(&["delete", "pod", "p", "--grace-period=1", "--timeout=30s"]);
    cluster.down();
}

fn session(cluster: &Cluster, websockets: bool) {
    let exec = format!(
        "stty rows 33 cols 111; KUBECTL_REMOTE_COMMAND_WEBSOCKETS={websockets} {} --kubeconfig {} exec -it p -- sh",
        cox_tests::kubectl(),
        cluster.kubeconfig().display()
    );
    let mut child = cluster
        .inside("script")
        .args(["-q", "-e", "-c", &exec, "/dev/null"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("util-linux' script");
    let mut stdin = child.stdin.take().expect("a pipe");
    let mut stdout = child.stdout.take().expect("a pipe");
    let (heard, listen) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let mut part = [0; 4096];
        while let Ok(count @ 1..) = std::io::Read::read(&mut stdout, &mut part) {
            let _ = heard.send(String::from_utf8_lossy(&part[..count]).into_owned());
        }
    });
    let mut seen = String::new();
    let mut wait_for = |what: &str| {
        while !seen.contains(what) {
            let part = listen.recv_timeout(std::time::Duration::from_secs(30));
            seen.push_str(&part.unwrap_or_else(|_| panic!("{what:?} doesn't come; seen: {seen}")));
        }
        seen.clear();
    };
    wait_for("# ");
    // The size comes in a message of its own, after the start.
    let mut say = |text: &str| stdin.write_all(text.as_bytes()).expect("it reads");
    say("until [ \"$(stty size)\" = '33 111' ]; do sleep 0.1; done; echo size-$((33+111))\n");
    wait_for("size-144");
    say("tty\n");
    wait_for("/dev/pts/");
    say("sleep 1000 || echo interrupted-$((1+1))\n");
    std::thread::sleep(std::time::Duration::from_millis(500));
    say("\u{3}");
    wait_for("# ");
    say("exit 5\n");
    let status = child.wait().expect("it ends");
    assert_eq!(status.code(), Some(5));
}
