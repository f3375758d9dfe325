//! Groups on this machine's own tree, and the files of version 2 in a directory that stands for it. Needs root.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::sync::Arc;

use cox_sys::cgroup::{Cgroup, DeviceRule, Hierarchy, Limits, Usage};

/// A group that is removed with everything in it, also when a test fails.
struct Group(Cgroup, String);

impl Group {
    fn new(hierarchy: Hierarchy, test: &str) -> Self {
        let root = format!("cox-sys-test-{}-{test}", std::process::id());
        let group = Cgroup::new(Arc::new(hierarchy), &format!("{root}/kubepods/pod1")).unwrap();
        group.create().expect("needs root and cgroups");
        Group(group, root)
    }

    fn root(&self) -> Cgroup {
        // Names are relative to the tree, so a group of the same name is the same group.
        let hierarchy =
            if self.1.ends_with("unified") { unified().unwrap() } else { Hierarchy::detect().unwrap() };
        Cgroup::new(Arc::new(hierarchy), &self.1).unwrap()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = self.root().kill_all();
        let _ = self.root().remove();
    }
}

fn sleeper() -> Child {
    Command::new("sleep").arg("1000").spawn().unwrap()
}

fn life(group: &Group) {
    let inner = group.0.child("inner").unwrap();
    inner.create().unwrap();
    inner.create().unwrap();
    let mut children = [sleeper(), sleeper()];
    for child in &children {
        inner.add_process(child.id()).unwrap();
    }
    let mut pids: Vec<u32> = children.iter().map(Child::id).collect();
    pids.sort_unstable();
    assert_eq!(group.0.processes().unwrap(), pids);
    let reaper = std::thread::spawn(move || children.each_mut().map(|child| child.wait().unwrap()));
    group.0.kill_all().unwrap();
    reaper.join().unwrap();
    assert!(group.0.processes().unwrap().is_empty());
    group.root().remove().unwrap();
    assert!(!group.0.exists());
    // What is gone is done.
    group.root().remove().unwrap();
    group.0.kill_all().unwrap();
}

#[test]
fn a_group_lives_and_dies() {
    life(&Group::new(Hierarchy::detect().unwrap(), "life"));
}

#[test]
fn limits_reach_the_kernel() {
    let group = Group::new(Hierarchy::detect().unwrap(), "limits");
    let limits = Limits {
        cpu_shares: Some(2048),
        cpu_quota_us: Some(20_000),
        cpu_period_us: Some(100_000),
        memory_limit_bytes: Some(8 << 20),
        pids_max: Some(7),
        cpuset_cpus: Some("0".to_owned()),
        ..Limits::default()
    };
    group.0.set(&limits).unwrap();
    let usage = group.0.usage().unwrap();
    assert_eq!(usage.memory_limit_bytes, Some(8 << 20));
    assert_eq!((usage.pids, group.0.oom_kills()), (0, 0));
    // Up, down and away.
    for (bytes, seen) in [(64 << 20, Some(64 << 20)), (4 << 20, Some(4 << 20)), (-1, None)] {
        group.0.set(&Limits { memory_limit_bytes: Some(bytes), ..Limits::default() }).unwrap();
        assert_eq!(group.0.usage().unwrap().memory_limit_bytes, seen);
    }
    group.0.allow_devices(&DeviceRule::CONTAINER_DEFAULT).unwrap();
    let error =
        group.0.set(&Limits { cpuset_cpus: Some("9999".to_owned()), ..Limits::default() }).unwrap_err();
    assert!(error.to_string().contains("cpuset.cpus"), "{error}");
}

/// Where a hybrid machine has version 2 beside version 1.
fn unified() -> Option<Hierarchy> {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
    let line = mounts.lines().find(|line| line.split(' ').nth(2) == Some("cgroup2"))?;
    Some(Hierarchy::v2_at(PathBuf::from(line.split(' ').nth(1)?)))
}

#[test]
fn version_2_lives_and_dies_and_filters_devices() {
    let hierarchy = unified().expect("a cgroup2 file system has to be mounted");
    let group = Group::new(hierarchy, "unified");
    group.0.allow_devices(&DeviceRule::CONTAINER_DEFAULT).unwrap();
    // Joined by itself, as containers do; then reading /dev/mem's kind of device is refused by the filter.
    let join = group.0.join_files();
    let script = format!("echo 0 > {} && exec head -c 1 /dev/kmsg", join[0].display());
    let output = Command::new("sh").arg("-c").arg(script).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(errors.contains("Operation not permitted"), "{errors}");
    life(&group);
}

#[test]
fn version_2_has_its_own_files_and_units() {
    let dir = std::env::temp_dir().join(format!("cox-sys-test-{}-files", std::process::id()));
    let group_dir = dir.join("pod");
    fs::create_dir_all(&group_dir).unwrap();
    let file = |name: &str, text: &str| fs::write(group_dir.join(name), text).unwrap();
    for name in ["cpu.weight", "pids.max", "memory.max", "memory.swap.max", "memory.low", "cpuset.cpus"] {
        file(name, "");
    }
    file("cpu.max", "max 100000\n");
    file("cpu.stat", "usage_usec 1500\nuser_usec 1000\n");
    file("memory.current", "5000\n");
    file("memory.stat", "anon 1000\nfile 4000\ninactive_file 3000\npgfault 9\npgmajfault 2\n");
    file("memory.events", "low 0\noom 3\noom_kill 2\n");
    file("pids.current", "4\n");
    let group = Cgroup::new(Arc::new(Hierarchy::v2_at(&dir)), "pod").unwrap();
    let limits = Limits {
        cpu_shares: Some(1024),
        cpu_quota_us: Some(25_000),
        memory_limit_bytes: Some(4096),
        pids_max: Some(-1),
        cpuset_cpus: Some("0-1".to_owned()),
        unified: vec![("memory.low".to_owned(), "123".to_owned())],
        ..Limits::default()
    };
    let result = group.set(&limits);
    let bad = Limits { unified: vec![("../memory.max".to_owned(), "1".to_owned())], ..Limits::default() };
    let refused = group.set(&bad);
    let (usage, kills) = (group.usage().unwrap(), group.oom_kills());
    let read = |name: &str| fs::read_to_string(group_dir.join(name)).unwrap();
    let written =
        ["cpu.weight", "cpu.max", "memory.max", "memory.swap.max", "pids.max", "cpuset.cpus", "memory.low"]
            .map(read);
    fs::remove_dir_all(&dir).unwrap();
    result.unwrap();
    assert!(refused.is_err());
    // The kernel replaces the whole value; a plain file keeps the rest of a longer one.
    assert_eq!(written, ["100", "25000 100000", "4096", "0", "max", "0-1", "123"].map(str::to_owned));
    let expected = Usage {
        cpu_ns: 1_500_000,
        memory_bytes: 5000,
        memory_working_set_bytes: 2000,
        memory_anonymous_bytes: 1000,
        memory_limit_bytes: Some(4096),
        page_faults: 9,
        major_page_faults: 2,
        pids: 4,
    };
    assert_eq!((usage, kills), (expected, 2));
}
