//! Stopping, removing, restarting the agent, losing a supervisor.

use std::time::{Duration, Instant};

use cox_runtime::*;

use crate::node::{Node, PATIENCE, next, script, sleeper};

#[tokio::test]
async fn stopping_asks_first_and_kills_then() {
    let node = Node::new().await;
    let sandbox = node.sandbox().await;
    let ready = async |config: ContainerConfig| {
        let id = node.runtime.create_container(&sandbox, config).await.unwrap();
        node.runtime.start_container(&id).await.unwrap();
        // The handler is in place when the file is there.
        while node.exec(&id, "test -f /tmp/ready").await.exit_code != 0 {}
        id
    };
    let polite =
        script("polite", "trap 'exit 5' TERM; touch /tmp/ready; while :; do sleep 1000 & wait; done");
    let polite = ready(polite).await;
    node.runtime.stop_container(&polite, PATIENCE, None).await.unwrap();
    assert_eq!(node.runtime.container_status(&polite).await.unwrap().exit_code, Some(5));

    let usr1 = script("usr1", "trap 'exit 6' USR1; touch /tmp/ready; while :; do sleep 1000 & wait; done");
    let usr1 = ready(ContainerConfig { stop_signal: Signal::parse("SIGUSR1"), ..usr1 }).await;
    node.runtime.stop_container(&usr1, PATIENCE, None).await.unwrap();
    assert_eq!(node.runtime.container_status(&usr1).await.unwrap().exit_code, Some(6));

    let stubborn = script("stubborn", "trap '' TERM; touch /tmp/ready; while :; do sleep 1000 & wait; done");
    let stubborn = ready(stubborn).await;
    let grace = Duration::from_millis(300);
    let start = Instant::now();
    node.runtime.stop_container(&stubborn, grace, None).await.unwrap();
    assert!(start.elapsed() >= grace);
    let status = node.runtime.container_status(&stubborn).await.unwrap();
    assert_eq!(
        (status.exit_code, status.signal, status.reason.as_str()),
        (Some(137), Some(Signal::KILL), "Error")
    );
    // Again, and of what doesn't exist: done already.
    node.runtime.stop_container(&stubborn, grace, None).await.unwrap();
    node.runtime.remove_container(&stubborn).await.unwrap();
    node.runtime.stop_container(&stubborn, grace, None).await.unwrap();
    node.runtime.remove_container(&stubborn).await.unwrap();
    assert!(node.runtime.container_status(&stubborn).await.unwrap_err().is_not_found());
    node.finish().await;
}

#[tokio::test]
async fn a_stopped_sandbox_keeps_its_records() {
    let node = Node::new().await;
    let sandbox = node.sandbox().await;
    let id = node.runtime.create_container(&sandbox, sleeper("a")).await.unwrap();
    node.runtime.start_container(&id).await.unwrap();
    let created = node.runtime.create_container(&sandbox, sleeper("never started")).await.unwrap();
    node.runtime.stop_sandbox(&sandbox).await.unwrap();
    node.runtime.stop_sandbox(&sandbox).await.unwrap();
    assert_eq!(node.runtime.sandbox_status(&sandbox).await.unwrap().state, SandboxState::NotReady);
    for id in [&id, &created] {
        let status = node.runtime.container_status(id).await.unwrap();
        assert_eq!((status.state, status.exit_code), (ContainerState::Exited, Some(137)));
    }
    assert!(node.runtime.create_container(&sandbox, sleeper("b")).await.is_err());
    node.finish().await;
}

#[tokio::test]
async fn containers_outlive_the_agent() {
    let mut node = Node::new().await;
    let sandbox = node.sandbox().await;
    let running = node.runtime.create_container(&sandbox, sleeper("a")).await.unwrap();
    node.runtime.start_container(&running).await.unwrap();
    let done = node.runtime.create_container(&sandbox, script("b", "exit 3")).await.unwrap();
    node.runtime.start_container(&done).await.unwrap();
    node.exited(&done).await;
    let before = node.runtime.container_status(&running).await.unwrap();
    // Held like a running agent's; the new one works beside it.
    let old = std::mem::replace(&mut node.runtime, NativeRuntime::open(node.config.clone()).await.unwrap());
    drop(old);
    let after = node.runtime.container_status(&running).await.unwrap();
    assert_eq!(after, before);
    assert_eq!(after.state, ContainerState::Running);
    assert_eq!(node.runtime.container_status(&done).await.unwrap().exit_code, Some(3));
    assert_eq!(node.exec(&running, "echo alive").await.stdout, b"alive\n");
    // Events come to the new one.
    let mut events = node.runtime.events();
    node.runtime.signal_container(&running, Signal::KILL).await.unwrap();
    let event = next(&mut events).await;
    assert!(
        matches!(&event, RuntimeEvent::ContainerExited { container, exit_code: 137, .. } if *container == running),
        "{event:?}"
    );
    node.finish().await;
}

#[tokio::test]
async fn a_lost_supervisor_takes_its_containers_along() {
    let mut node = Node::new().await;
    // Also where the kernel doesn't end everything with the first process.
    for share_process_namespace in [false, true] {
        let config = SandboxConfig { share_process_namespace, ..node.sandbox_config() };
        let sandbox = node.runtime.run_sandbox(config).await.unwrap();
        let id = node.runtime.create_container(&sandbox, sleeper("a")).await.unwrap();
        node.runtime.start_container(&id).await.unwrap();
        let pid = node.runtime.container_status(&id).await.unwrap().pid.unwrap();
        let supervisor = node.runtime.sandbox_status(&sandbox).await.unwrap().supervisor_pid.unwrap();
        let mut events = node.runtime.events();
        let supervisor = rustix::process::Pid::from_raw(supervisor as i32).unwrap();
        rustix::process::kill_process(supervisor, rustix::process::Signal::KILL).unwrap();
        while next(&mut events).await != (RuntimeEvent::SandboxGone { sandbox: sandbox.clone() }) {}
        let status = node.runtime.container_status(&id).await.unwrap();
        assert_eq!((status.state, status.exit_code), (ContainerState::Exited, Some(137)));
        assert_eq!(node.runtime.sandbox_status(&sandbox).await.unwrap().state, SandboxState::NotReady);
        let gone = async {
            while std::path::Path::new(&format!("/proc/{pid}")).exists() {
                tokio::task::yield_now().await
            }
        };
        tokio::time::timeout(PATIENCE, gone).await.unwrap();
        // An agent that starts now sees the same.
        node.runtime = NativeRuntime::open(node.config.clone()).await.unwrap();
        let status = node.runtime.container_status(&id).await.unwrap();
        assert_eq!((status.state, status.exit_code), (ContainerState::Exited, Some(137)));
        node.runtime.remove_sandbox(&sandbox).await.unwrap();
    }
    node.finish().await;
}

#[tokio::test]
async fn many_sandboxes_at_once() {
    let node = Node::new().await;
    let all = (0..20).map(|number| {
        let config = SandboxConfig {
            cgroup_parent: format!("kubepods/besteffort/pod{number}"),
            ..node.sandbox_config()
        };
        let node = &node;
        async move {
            let sandbox = node.runtime.run_sandbox(config).await.unwrap();
            let name = format!("c{number}");
            let (status, output) = node.run(&sandbox, script(&name, &format!("echo {number}"))).await;
            assert_eq!((status.exit_code, output), (Some(0), format!("{number}\n")));
            node.runtime.remove_sandbox(&sandbox).await.unwrap();
        }
    });
    futures::future::join_all(all).await;
    node.finish().await;
}

#[tokio::test]
async fn a_supervisor_keeps_nothing_open_that_the_agent_was_started_with() {
    let node = Node::new().await;
    // Not close-on-exec: what a shell or a test runner leaves open in its children is like this.
    let (reader, writer) = rustix::pipe::pipe().unwrap();
    let sandbox = node.sandbox().await;
    drop(writer);
    let reader = tokio::net::unix::pipe::Receiver::from_owned_fd(reader).unwrap();
    let ended = async {
        reader.readable().await.unwrap();
        reader.try_read(&mut [0]).unwrap()
    };
    let count = tokio::time::timeout(PATIENCE, ended).await.expect("the pipe's other end is closed");
    assert_eq!(count, 0);
    assert_eq!(node.runtime.sandbox_status(&sandbox).await.unwrap().state, SandboxState::Ready);
    node.finish().await;
}

/// A pod's sandboxes share its cgroup: what ends the old one leaves the new one alone.
#[tokio::test]
async fn an_old_sandbox_ends_alone() {
    let mut node = Node::new().await;
    let parent = "kubepods/podof-two".to_owned();
    let config = |attempt| SandboxConfig { attempt, cgroup_parent: parent.clone(), ..node.sandbox_config() };
    let (first, second) = (config(0), config(1));
    let old = node.runtime.run_sandbox(first).await.unwrap();
    node.runtime.stop_sandbox(&old).await.unwrap();
    let new = node.runtime.run_sandbox(second).await.unwrap();
    let id = node.runtime.create_container(&new, sleeper("a")).await.unwrap();
    node.runtime.start_container(&id).await.unwrap();
    node.runtime.stop_sandbox(&old).await.unwrap();
    let before =
        std::mem::replace(&mut node.runtime, NativeRuntime::open(node.config.clone()).await.unwrap());
    drop(before);
    assert_eq!(node.runtime.container_status(&id).await.unwrap().state, ContainerState::Running);
    node.runtime.remove_sandbox(&old).await.unwrap();
    assert_eq!(node.runtime.container_status(&id).await.unwrap().state, ContainerState::Running);
    assert_eq!(node.exec(&id, "echo alive").await.stdout, b"alive\n");
    node.runtime.remove_sandbox(&new).await.unwrap();
    node.finish().await;
}
