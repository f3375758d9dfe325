//! Programs in running containers.

use std::time::Duration;

use cox_runtime::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::node::{Node, PATIENCE, script, sleeper};

fn command(words: &[&str]) -> Vec<String> {
    words.iter().map(|w| w.to_string()).collect()
}

async fn running(node: &Node, config: ContainerConfig) -> ContainerId {
    let sandbox = node.sandbox().await;
    let id = node.runtime.create_container(&sandbox, config).await.unwrap();
    node.runtime.start_container(&id).await.unwrap();
    id
}

#[tokio::test]
async fn output_and_exit_code() {
    let node = Node::new().await;
    let id = running(&node, ContainerConfig { envs: vec![("A".into(), "1".into())], ..sleeper("a") }).await;
    let result = node.exec(&id, "echo out $A; echo err >&2; exit 42").await;
    assert_eq!((result.stdout.as_slice(), result.stderr.as_slice()), (&b"out 1\n"[..], &b"err\n"[..]));
    assert_eq!(result.exit_code, 42);
    let result = node.exec(&id, "kill -9 $$").await;
    assert_eq!(result.exit_code, 137);
    // More than pipes hold.
    let result = node.exec(&id, "head -c 3000000 /dev/zero").await;
    assert_eq!(result.stdout.len(), 3_000_000);
    let error = node.runtime.exec_sync(&id, &command(&["nope"]), None).await.unwrap_err();
    assert!(error.to_string().contains("exec: \"nope\": executable file not found in $PATH"), "{error}");
    node.finish().await;
}

#[tokio::test]
async fn a_timeout_kills() {
    let node = Node::new().await;
    let id = running(&node, sleeper("a")).await;
    let wanted = command(&["sleep", "4321"]);
    let timeout = Some(Duration::from_millis(200));
    let error = node.runtime.exec_sync(&id, &wanted, timeout).await.unwrap_err();
    assert!(matches!(error, RuntimeError::ExecTimeout { .. }), "{error:?}");
    // Killed by the closed connection, which the supervisor sees before it takes a new one: looking until it is gone
    // is bounded by the test's patience.
    let gone = async { while node.exec(&id, "ps").await.stdout.windows(4).any(|w| w == b"4321") {} };
    tokio::time::timeout(PATIENCE, gone).await.unwrap();
    node.finish().await;
}

#[tokio::test]
async fn many_at_a_time() {
    let node = Node::new().await;
    let id = running(&node, sleeper("a")).await;
    let all = (0..40).map(|number| {
        let (runtime, id) = (node.runtime.clone(), id.clone());
        async move {
            let script = format!("echo {number}; exit {number}");
            runtime.exec_sync(&id, &command(&["sh", "-c", &script]), Some(PATIENCE)).await.unwrap()
        }
    });
    for (number, result) in futures::future::join_all(all).await.into_iter().enumerate() {
        assert_eq!(result.exit_code, number as i32);
        assert_eq!(result.stdout, format!("{number}\n").into_bytes());
    }
    node.finish().await;
}

#[tokio::test]
async fn input_is_passed_and_ends() {
    let node = Node::new().await;
    let id = running(&node, sleeper("a")).await;
    let options = StreamOptions { stdin: true, stdout: true, ..StreamOptions::default() };
    let mut streams = node.runtime.exec(&id, &command(&["cat"]), options).await.unwrap();
    let mut stdin = streams.stdin.take().unwrap();
    stdin.write_all(b"through").await.unwrap();
    drop(stdin);
    let mut output = String::new();
    streams.stdout.unwrap().read_to_string(&mut output).await.unwrap();
    assert_eq!(output, "through");
    assert_eq!(streams.exit.await.unwrap(), 0);
    node.finish().await;
}

#[tokio::test]
async fn a_terminal_with_a_size() {
    let node = Node::new().await;
    let id = running(&node, sleeper("a")).await;
    let options = StreamOptions { stdin: true, stdout: true, tty: true, ..StreamOptions::default() };
    let wanted = command(&["sh", "-c", "read x; stty size; test -t 0 && echo terminal $TERM"]);
    let mut streams = node.runtime.exec(&id, &wanted, options).await.unwrap();
    let resize = streams.resize.take().unwrap();
    resize.send(TerminalSize { width: 91, height: 37 }).await.unwrap();
    // The size has been set when the channel has taken the next one; the line starts the program's look.
    drop(resize);
    tokio::task::yield_now().await;
    let mut stdin = streams.stdin.take().unwrap();
    stdin.write_all(b"go\n").await.unwrap();
    let mut output = String::new();
    streams.stdout.unwrap().read_to_string(&mut output).await.unwrap();
    assert_eq!(output, "go\r\n37 91\r\nterminal xterm\r\n");
    assert_eq!(streams.exit.await.unwrap(), 0);
    node.finish().await;
}

#[tokio::test]
async fn not_in_a_container_that_has_ended() {
    let node = Node::new().await;
    let id = running(&node, script("a", "exit 0")).await;
    node.exited(&id).await;
    let error = node.runtime.exec_sync(&id, &command(&["true"]), None).await.unwrap_err();
    assert!(matches!(error, RuntimeError::WrongState(_)), "{error:?}");
    node.finish().await;
}
