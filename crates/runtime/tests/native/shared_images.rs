//! Several nodes of one machine with one image store.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use cox_runtime::*;

use crate::node::{Node, script, sleeper};

fn count(dir: &Path) -> usize {
    fs::read_dir(dir).unwrap().count()
}

#[tokio::test]
async fn an_image_stays_while_any_node_uses_it() {
    let first = Node::new().await;
    let mut second = Node::new().await;
    let images: Arc<ImageStore> = first.runtime.images().clone();
    second.runtime = NativeRuntime::open_with_images(second.config.clone(), images.clone()).await.unwrap();
    let sandbox = second.sandbox().await;
    let id = second.runtime.create_container(&sandbox, sleeper("a")).await.unwrap();
    second.runtime.start_container(&id).await.unwrap();
    // A directory and a record.
    assert_eq!(count(&images.layers_dir()), 2);

    first.runtime.remove_image("busybox").await.unwrap();
    assert!(second.runtime.image_status("busybox").await.unwrap().is_none());
    assert_eq!(second.exec(&id, "cat /etc/group | grep -c .").await.stdout, b"3\n");

    // Its containers run on without it. What the other node does meanwhile takes nothing from them.
    let config = second.config.clone();
    second.runtime =
        NativeRuntime::open(RuntimeConfig { state_dir: second.dir().join("other"), ..config.clone() })
            .await
            .unwrap();
    let other_sandbox = first.sandbox().await;
    assert!(
        first.runtime.create_container(&other_sandbox, script("b", "true")).await.unwrap_err().is_not_found()
    );
    first.runtime.remove_sandbox(&other_sandbox).await.unwrap();
    assert_eq!(count(&images.layers_dir()), 2);

    second.runtime = NativeRuntime::open_with_images(config, images.clone()).await.unwrap();
    assert_eq!(second.exec(&id, "cat /etc/group | grep -c .").await.stdout, b"3\n");
    second.runtime.remove_container(&id).await.unwrap();
    assert_eq!(count(&images.layers_dir()), 0);
    assert!(first.runtime.list_images().await.unwrap().is_empty());
    second.finish().await;
    first.finish().await;
}
