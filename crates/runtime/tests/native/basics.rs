//! Running, exit codes, environment, users, logs.

use cox_runtime::*;

use crate::node::{Node, script};

#[tokio::test]
async fn a_container_runs_and_its_end_is_reported() {
    let node = Node::new().await;
    let sandbox = node.sandbox().await;
    let (status, output) = node.run(&sandbox, script("a", "echo hello; echo bad >&2; exit 7")).await;
    assert_eq!((status.exit_code, status.reason.as_str(), status.signal), (Some(7), "Error", None));
    assert!(status.started_at.unwrap() <= status.finished_at.unwrap());
    assert_eq!(status.pid, None);
    let mut lines: Vec<&str> = output.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["bad", "hello"]);
    let log = std::fs::read_to_string(status.log_path.unwrap()).unwrap();
    assert!(log.lines().any(|line| line.ends_with("Z stdout F hello")), "{log}");
    assert!(log.lines().any(|line| line.ends_with("Z stderr F bad")), "{log}");

    let (status, _) = node.run(&sandbox, script("b", "exit 0")).await;
    assert_eq!((status.exit_code, status.reason.as_str()), (Some(0), "Completed"));
    node.finish().await;
}

#[tokio::test]
async fn environment_directory_and_arguments() {
    let node = Node::new().await;
    let sandbox = node.sandbox().await;
    let config = ContainerConfig {
        command: vec!["sh".into(), "-c".into(), "echo $0 $1; pwd; echo $A $FROM_IMAGE $HOME $PATH".into()],
        args: vec!["zero".into(), "one".into()],
        working_dir: Some("/made/for/it".into()),
        envs: vec![("A".into(), "1".into()), ("A".into(), "2".into())],
        ..script("a", "")
    };
    let (_, output) = node.run(&sandbox, config).await;
    let path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    assert_eq!(output, format!("zero one\n/made/for/it\n2 yes /root {path}\n"));
    node.finish().await;
}

#[tokio::test]
async fn users_groups_and_capabilities() {
    let node = Node::new().await;
    let sandbox = node.sandbox().await;
    let run = async |name: &str, security: SecurityContext| {
        let who = "id -u; id -g; id -G; echo $HOME; grep -E 'CapEff|CapBnd|NoNewPrivs' /proc/self/status | tr '\\n' ' '";
        node.run(&sandbox, ContainerConfig { security, ..script(name, who) }).await
    };
    let (status, output) = run("root", SecurityContext::default()).await;
    assert!(output.starts_with("0\n0\n0\n/root\n"), "{output}");
    assert_eq!(output.matches("00000000a80425fb").count(), 2, "{output}");
    assert_eq!(status.user, Some(ContainerUser { uid: 0, gid: 0, supplemental_groups: vec![0] }));

    let named = SecurityContext { run_as_username: Some("web".into()), ..SecurityContext::default() };
    let (status, output) = run("named", named).await;
    assert!(output.starts_with("1000\n1001\n1001 2000\n/home/web\n"), "{output}");
    assert_eq!(status.user.unwrap().supplemental_groups, [1001, 2000]);

    let strict = SecurityContext {
        run_as_user: Some(1000),
        run_as_group: Some(5),
        supplemental_groups: vec![77],
        supplemental_groups_policy: SupplementalGroupsPolicy::Strict,
        capabilities_drop: vec!["ALL".into()],
        no_new_privs: true,
        ..SecurityContext::default()
    };
    let (_, output) = run("strict", strict).await;
    assert!(output.starts_with("1000\n5\n5 77\n/home/web\n"), "{output}");
    assert!(output.contains("NoNewPrivs:\t1"), "{output}");
    assert_eq!(output.matches("0000000000000000").count(), 2, "{output}");

    let unknown =
        SecurityContext { run_as_username: Some("nobody-here".into()), ..SecurityContext::default() };
    let config = ContainerConfig { security: unknown, ..script("unknown", "true") };
    let error = node.runtime.create_container(&sandbox, config).await.unwrap_err().to_string();
    assert!(error.contains("unable to find user nobody-here: no matching entries in passwd file"), "{error}");
    node.finish().await;
}

#[tokio::test]
async fn a_program_that_is_missing_is_a_start_error() {
    let node = Node::new().await;
    let sandbox = node.sandbox().await;
    let config = ContainerConfig { command: vec!["foo".into()], ..script("a", "") };
    let id = node.runtime.create_container(&sandbox, config).await.unwrap();
    let error = node.runtime.start_container(&id).await.unwrap_err();
    assert!(matches!(&error, RuntimeError::Start(_)), "{error:?}");
    assert!(error.to_string().contains("exec: \"foo\": executable file not found in $PATH"), "{error}");
    let status = node.runtime.container_status(&id).await.unwrap();
    assert_eq!((status.exit_code, status.reason.as_str()), (Some(128), "StartError"));
    assert_eq!(status.message, error.to_string());
    node.finish().await;
}

#[tokio::test]
async fn an_image_that_is_missing_is_named() {
    let node = Node::new().await;
    let sandbox = node.sandbox().await;
    let config = ContainerConfig { image: "absent".into(), ..script("a", "") };
    assert!(node.runtime.create_container(&sandbox, config).await.unwrap_err().is_not_found());
    let error = node.runtime.pull_image("absent", None).await.unwrap_err();
    assert!(error.to_string().contains("registry pulls are not available yet"), "{error}");
    let present = node.runtime.pull_image("docker.io/library/busybox:latest", None).await.unwrap();
    let info = node.runtime.image_status(&present).await.unwrap().unwrap();
    assert_eq!(info.repo_tags, ["docker.io/library/busybox:latest"]);
    // A container keeps its image's layers.
    let id = node.runtime.create_container(&sandbox, script("b", "true")).await.unwrap();
    node.runtime.remove_image("busybox").await.unwrap();
    assert!(node.runtime.image_status("busybox").await.unwrap().is_none());
    node.runtime.start_container(&id).await.unwrap();
    assert_eq!(node.exited(&id).await.exit_code, Some(0));
    node.runtime.remove_container(&id).await.unwrap();
    assert!(node.runtime.list_images().await.unwrap().is_empty());
    assert_eq!(node.runtime.image_fs_usage().await.unwrap(), FsUsage::default());
    node.finish().await;
}
