//! One node's runtime as a value: several can run on one machine.

use std::path::PathBuf;

/// Where a node's runtime keeps its things.
#[derive(Clone, Debug)]
pub struct RuntimeConfig {
    /// Directory of images, sandboxes and containers; made if missing. Two runtimes never share one.
    pub state_dir: PathBuf,
    /// The part of the cgroup tree that is this node's, without leading slash, for instance `cox-1`. Cgroup
    /// parents of sandboxes are below it.
    pub cgroup_root: String,
    /// The node's name, which host network pods see as host name.
    pub node_name: String,
}

/// What a runtime says about itself, as in a node's `status.nodeInfo` and `status.features`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuntimeInfo {
    /// The scheme of container ids, for instance `cox`: a pod's status says `cox://<id>`.
    pub name: String,
    /// Its version.
    pub version: String,
    /// 1 or 2: which cgroup interface it uses.
    pub cgroup_version: u8,
    /// Whether `hostUsers: false` works.
    pub user_namespaces: bool,
    /// Whether `recursiveReadOnly` mounts work.
    pub recursive_readonly_mounts: bool,
}
