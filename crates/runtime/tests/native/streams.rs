//! Attach, terminals, logs.

use std::fs;

use cox_runtime::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::node::{Node, log_text, script};

#[tokio::test]
async fn attach_to_input_and_output() {
    let node = Node::new().await;
    let sandbox = node.sandbox().await;
    let config =
        ContainerConfig { stdin: true, stdin_once: true, ..script("a", "cat; echo done >&2; exit 3") };
    let id = node.runtime.create_container(&sandbox, config).await.unwrap();
    // Attached before the start, so that nothing is missed.
    let options = StreamOptions { stdin: true, stdout: true, stderr: true, tty: false };
    let mut streams = node.runtime.attach(&id, options).await.unwrap();
    node.runtime.start_container(&id).await.unwrap();
    let mut stdin = streams.stdin.take().unwrap();
    // More than the pipes on the way hold, so that both sides have to wait.
    let data = vec![b'x'; 1_000_000];
    let sent = data.clone();
    let sending = tokio::spawn(async move {
        stdin.write_all(&sent).await.unwrap();
        stdin.write_all(b"\n").await.unwrap();
    });
    let (mut output, mut errors) = (Vec::new(), String::new());
    streams.stdout.unwrap().read_to_end(&mut output).await.unwrap();
    streams.stderr.unwrap().read_to_string(&mut errors).await.unwrap();
    sending.await.unwrap();
    assert_eq!(output.len(), data.len() + 1);
    assert_eq!(errors, "done\n");
    assert_eq!(streams.exit.await.unwrap(), 3);
    let status = node.exited(&id).await;
    // Long lines are split in the log, but nothing is lost.
    let log = fs::read_to_string(status.log_path.unwrap()).unwrap();
    let content: usize = log
        .lines()
        .map(|l| l.splitn(4, ' ').nth(3).unwrap())
        .filter(|l| l.starts_with('x'))
        .map(str::len)
        .sum();
    assert_eq!(content, data.len());
    assert!(log.lines().filter(|line| line.contains(" stdout P ")).count() > 50);
    node.finish().await;
}

#[tokio::test]
async fn a_container_with_a_terminal() {
    let node = Node::new().await;
    let sandbox = node.sandbox().await;
    let look = "read x; stty size; test -c /dev/console && echo console; echo error >&2";
    let config = ContainerConfig { tty: true, stdin: true, ..script("a", look) };
    let id = node.runtime.create_container(&sandbox, config).await.unwrap();
    let options = StreamOptions { stdin: true, stdout: true, stderr: true, tty: true };
    let mut streams = node.runtime.attach(&id, options).await.unwrap();
    assert!(streams.stderr.is_none());
    node.runtime.start_container(&id).await.unwrap();
    streams.resize.take().unwrap().send(TerminalSize { width: 80, height: 24 }).await.unwrap();
    // The supervisor answers in order, so that the size is set when this is done.
    node.runtime.reopen_log(&id).await.unwrap();
    let mut stdin = streams.stdin.take().unwrap();
    stdin.write_all(b"go\n").await.unwrap();
    let mut output = String::new();
    streams.stdout.unwrap().read_to_string(&mut output).await.unwrap();
    assert_eq!(output, "go\r\n24 80\r\nconsole\r\nerror\r\n");
    assert_eq!(streams.exit.await.unwrap(), 0);
    node.finish().await;
}

#[tokio::test]
async fn a_log_can_be_rotated() {
    let node = Node::new().await;
    let sandbox = node.sandbox().await;
    let config = ContainerConfig { stdin: true, stdin_once: true, ..script("a", "echo one; cat") };
    let id = node.runtime.create_container(&sandbox, config).await.unwrap();
    let options = StreamOptions { stdin: true, stdout: true, ..StreamOptions::default() };
    let mut streams = node.runtime.attach(&id, options).await.unwrap();
    node.runtime.start_container(&id).await.unwrap();
    let mut stdout = streams.stdout.take().unwrap();
    let mut line = [0; 4];
    stdout.read_exact(&mut line).await.unwrap();
    let path = node.runtime.container_status(&id).await.unwrap().log_path.unwrap();
    let old = path.with_extension("log.1");
    fs::rename(&path, &old).unwrap();
    node.runtime.reopen_log(&id).await.unwrap();
    let mut stdin = streams.stdin.take().unwrap();
    stdin.write_all(b"two\n").await.unwrap();
    stdin.shutdown().await.unwrap();
    drop(stdin);
    node.exited(&id).await;
    assert_eq!(log_text(&old), "one\n");
    assert_eq!(log_text(&path), "two\n");
    node.finish().await;
}
