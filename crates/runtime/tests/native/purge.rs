//! Nothing of a node stays in the kernel.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use cox_runtime::*;
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

use crate::node::{Node, sleeper};

/// The node's directories in all hierarchies.
fn cgroups(config: &RuntimeConfig) -> Vec<PathBuf> {
    let name = &config.cgroup_root;
    let hierarchies = fs::read_dir("/sys/fs/cgroup").unwrap().flatten().map(|e| e.path().join(name));
    hierarchies.chain([Path::new("/sys/fs/cgroup").join(name)]).filter(|dir| dir.is_dir()).collect()
}

/// A process in a group of the node's, as a supervisor's crash could leave it.
fn stray(config: &RuntimeConfig) -> Child {
    let child = Command::new("sleep").arg("1000").spawn().unwrap();
    for dir in cgroups(config) {
        let group = dir.join("kubepods/stray");
        fs::create_dir_all(&group).unwrap();
        fs::write(group.join("cgroup.procs"), child.id().to_string()).unwrap();
    }
    child
}

fn is_mounted(path: &Path) -> bool {
    let escaped = path.display().to_string().replace(' ', "\\040");
    fs::read_to_string("/proc/self/mountinfo").unwrap().contains(&format!(" {escaped} "))
}

fn mount_at(path: &Path) {
    fs::create_dir_all(path).unwrap();
    mount("none", path, "tmpfs", MountFlags::empty(), None).unwrap();
    assert!(is_mounted(path));
}

#[tokio::test]
async fn nothing_of_a_node_without_sandboxes_stays() {
    let node = Node::new().await;
    let sandbox = node.sandbox().await;
    let id = node.runtime.create_container(&sandbox, sleeper("a")).await.unwrap();
    node.runtime.start_container(&id).await.unwrap();
    let error = NativeRuntime::purge_kernel(&node.config).unwrap_err();
    assert!(error.to_string().starts_with("1 sandboxes are left in "), "{error}");
    assert_eq!(node.exec(&id, "echo alive").await.stdout, b"alive\n");
    node.runtime.remove_sandbox(&sandbox).await.unwrap();

    let mut process = stray(&node.config);
    let (outer, foreign) =
        (node.config.state_dir.join("pods/lost/shm"), node.config.state_dir.join("images/disk"));
    let inner = outer.join("with blank");
    for path in [&outer, &inner, &foreign] {
        mount_at(path);
    }
    let purged = NativeRuntime::purge_kernel(&node.config);
    let left: Vec<&PathBuf> =
        [&inner, &outer, &foreign].into_iter().filter(|path| is_mounted(path)).collect();
    for path in &left {
        unmount(*path, UnmountFlags::DETACH).unwrap();
    }
    purged.unwrap();
    assert_eq!(left, [&foreign], "what is outside the pods' directories isn't the runtime's");
    assert_eq!(process.wait().unwrap().signal(), Some(9));
    assert_eq!(cgroups(&node.config), Vec::<PathBuf>::new());
    fs::remove_dir_all(node.config.state_dir.join("pods/lost")).unwrap();

    // Again, and of a node that was never there.
    NativeRuntime::purge_kernel(&node.config).unwrap();
    let absent = RuntimeConfig { state_dir: node.dir().join("absent"), ..node.config.clone() };
    NativeRuntime::purge_kernel(&absent).unwrap();
    node.finish().await;
}
