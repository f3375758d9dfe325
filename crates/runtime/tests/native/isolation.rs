//! Mounts, namespaces, limits, filters.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown, symlink};
use std::path::Path;

use cox_runtime::*;

use crate::node::{Node, script, sleeper};

fn mount(host: &Path, container: &str) -> Mount {
    Mount { host_path: host.to_owned(), container_path: container.into(), ..Mount::default() }
}

#[tokio::test]
async fn volumes_are_mounted() {
    let node = Node::new().await;
    let sandbox = node.sandbox().await;
    let volume = node.dir().join("volume");
    fs::create_dir_all(volume.join("sub")).unwrap();
    fs::write(volume.join("sub/file"), "content").unwrap();
    fs::write(volume.join("hosts"), "127.0.0.1 me").unwrap();
    let config = ContainerConfig {
        mounts: vec![
            mount(&volume, "/data"),
            Mount { readonly: true, recursive_readonly: true, ..mount(&volume, "/ro") },
            Mount { sub_path: Some("sub/file".into()), ..mount(&volume, "/deep/er/file") },
            mount(&volume.join("hosts"), "/etc/hosts"),
        ],
        ..script("a", "cat /deep/er/file /etc/hosts; echo; echo new > /data/new; touch /ro/x; cat /ro/new")
    };
    let (status, output) = node.run(&sandbox, config).await;
    assert_eq!(status.exit_code, Some(0), "{output}");
    assert!(output.contains("content127.0.0.1 me\n"), "{output}");
    assert!(output.contains("touch: /ro/x: Read-only file system"), "{output}");
    assert_eq!(fs::read_to_string(volume.join("new")).unwrap(), "new\n");
    node.finish().await;
}

#[tokio::test]
async fn a_sub_path_cannot_leave_its_volume() {
    let node = Node::new().await;
    let sandbox = node.sandbox().await;
    let volume = node.dir().join("volume");
    fs::create_dir_all(&volume).unwrap();
    symlink("/etc", volume.join("out")).unwrap();
    symlink("..", volume.join("up")).unwrap();
    for path in ["out", "up", "../state", "out/passwd"] {
        let mounts = vec![Mount { sub_path: Some(path.into()), ..mount(&volume, "/data") }];
        let config = ContainerConfig { mounts, ..script("a", "ls /data") };
        let error = node.runtime.create_container(&sandbox, config).await.unwrap_err().to_string();
        assert!(error.contains("not within volume path"), "{path}: {error}");
    }
    let missing = ContainerConfig { mounts: vec![mount(&volume.join("no"), "/data")], ..script("a", "true") };
    let error = node.runtime.create_container(&sandbox, missing).await.unwrap_err().to_string();
    assert!(error.contains("no such file or directory"), "{error}");
    node.finish().await;
}

#[tokio::test]
async fn proc_and_sys_are_protected_and_the_root_can_be_read_only() {
    let node = Node::new().await;
    let sandbox = node.sandbox().await;
    let look = "wc -c < /proc/timer_list; ls /proc/acpi /sys/firmware 2>/dev/null | grep -v : | grep -c .; \
                echo 1 > /proc/sys/kernel/domainname; touch /sys/x; touch /x; touch /dev/shm/ok && echo shm";
    let security = SecurityContext { readonly_rootfs: true, ..SecurityContext::default() };
    let (_, output) = node.run(&sandbox, ContainerConfig { security, ..script("a", look) }).await;
    assert!(output.starts_with("0\n0\n"), "{output}");
    for path in ["/proc/sys/kernel/domainname", "/sys/x", "/x"] {
        let denied = output.lines().any(|line| line.contains(path) && line.contains("Read-only"));
        assert!(denied, "{path}: {output}");
    }
    assert!(output.ends_with("shm\n"), "{output}");
    let (_, output) = node.run(&sandbox, script("b", "ls /dev | tr '\\n' ' '; echo; ps | grep -c .")).await;
    let devices = "fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero \n";
    assert!(output.starts_with(devices), "{output}");
    // Its own processes only: sh, ps, grep and the heading.
    assert!(output.ends_with("4\n"), "{output}");
    node.finish().await;
}

#[tokio::test]
async fn containers_of_a_pod_share_what_they_should() {
    let node = Node::new().await;
    let config = SandboxConfig { share_process_namespace: true, ..node.sandbox_config() };
    let sandbox = node.runtime.run_sandbox(config).await.unwrap();
    let first = node.runtime.create_container(&sandbox, sleeper("first")).await.unwrap();
    node.runtime.start_container(&first).await.unwrap();
    let (_, output) = node
        .run(&sandbox, script("second", "ps; echo text > /dev/shm/file; cat /proc/1/status; ls /proc/1/root"))
        .await;
    assert!(output.contains("trap 'exit 0' TERM"), "{output}");
    // The pod's first process has given up everything.
    assert!(
        output.contains("CapBnd:\t0000000000000000") && output.contains("Uid:\t65535\t65535"),
        "{output}"
    );
    assert!(output.contains("ls: /proc/1/root: Permission denied"), "{output}");
    assert_eq!(node.exec(&first, "cat /dev/shm/file").await.stdout, b"text\n");
    node.finish().await;
}

#[tokio::test]
async fn a_network_namespace_with_host_name_and_sysctls() {
    let node = Node::new().await;
    let path = node.dir().join("netns");
    let config = SandboxConfig {
        network: NetworkNamespace::Create(path.clone()),
        sysctls: [("net.ipv4.ip_unprivileged_port_start".to_owned(), "81".to_owned())].into(),
        ..node.sandbox_config()
    };
    let sandbox = node.runtime.run_sandbox(config.clone()).await.unwrap();
    let second = SandboxConfig {
        network: NetworkNamespace::Path(path.clone()),
        hostname: "other".to_owned(),
        sysctls: Default::default(),
        cgroup_parent: "kubepods/besteffort/podother".to_owned(),
        ..config
    };
    let second = node.runtime.run_sandbox(second).await.unwrap();
    let look = "hostname; cat /proc/sys/net/ipv4/ip_unprivileged_port_start; readlink /proc/self/ns/net; \
                grep -c : /proc/net/dev";
    let (_, one) = node.run(&sandbox, script("a", look)).await;
    let (_, two) = node.run(&second, script("b", look)).await;
    assert!(one.starts_with("pod\n81\nnet:["), "{one}");
    assert!(one.ends_with("]\n1\n"), "only lo: {one}");
    assert_eq!(one.replace("pod\n", "other\n"), two);
    let bad = SandboxConfig {
        sysctls: [("kernel.panic".to_owned(), "1".to_owned())].into(),
        ..node.sandbox_config()
    };
    let error = node.runtime.run_sandbox(bad).await.unwrap_err().to_string();
    assert!(error.contains("kernel.panic"), "{error}");
    for sandbox in [&sandbox, &second] {
        node.runtime.stop_sandbox(sandbox).await.unwrap();
    }
    rustix::mount::unmount(&path, rustix::mount::UnmountFlags::DETACH).unwrap();
    node.finish().await;
}

#[tokio::test]
async fn memory_limits_kill_and_are_reported() {
    let node = Node::new().await;
    let sandbox = node.sandbox().await;
    let config = ContainerConfig {
        resources: Resources { memory_limit_bytes: Some(16 << 20), ..Resources::default() },
        // Doubles a string until there is no memory left.
        command: vec!["sh".into(), "-c".into(), "x=aaaaaaaaaaaaaaaa; while :; do x=$x$x; done".into()],
        ..script("a", "")
    };
    let (status, _) = node.run(&sandbox, config).await;
    assert_eq!((status.reason.as_str(), status.exit_code), ("OOMKilled", Some(137)));
    node.finish().await;
}

/// Pages that wait to be written keep a cgroup in the kernel when it is removed.
#[tokio::test]
async fn a_container_is_not_charged_for_its_making() {
    let node = Node::new().await;
    let sandbox = node.sandbox().await;
    let id = node.runtime.create_container(&sandbox, sleeper("a")).await.unwrap();
    node.runtime.start_container(&id).await.unwrap();
    let v2 = node.runtime.info().cgroup_version == 2;
    let (file, name) = if v2 { ("memory.stat", "file_dirty") } else { ("memory/memory.stat", "dirty") };
    let look = format!("grep '^{name} ' /sys/fs/cgroup/{file}");
    let seen = String::from_utf8(node.exec(&id, &look).await.stdout).unwrap();
    assert_eq!(seen, format!("{name} 0\n"));
    node.finish().await;
}

#[tokio::test]
async fn limits_are_set_and_changed() {
    let node = Node::new().await;
    let sandbox = node.sandbox().await;
    let config = ContainerConfig {
        resources: Resources {
            cpu_shares: Some(512),
            cpu_quota_us: Some(50_000),
            cpu_period_us: Some(100_000),
            memory_limit_bytes: Some(64 << 20),
            pids_max: Some(100),
            ..Resources::default()
        },
        ..sleeper("a")
    };
    let id = node.runtime.create_container(&sandbox, config).await.unwrap();
    node.runtime.start_container(&id).await.unwrap();
    // What the container itself sees.
    let v2 = node.runtime.info().cgroup_version == 2;
    let files = if v2 {
        "cat cpu.weight cpu.max memory.max pids.max"
    } else {
        "cat cpu/cpu.shares cpu/cpu.cfs_quota_us cpu/cpu.cfs_period_us memory/memory.limit_in_bytes pids/pids.max"
    };
    let look = format!("cd /sys/fs/cgroup && {files} | tr '\\n' ' '");
    let expected = |v1: &str, v2_text: &str| if v2 { v2_text.to_owned() } else { v1.to_owned() };
    let seen = String::from_utf8(node.exec(&id, &look).await.stdout).unwrap();
    assert_eq!(seen, expected("512 50000 100000 67108864 100 ", "59 50000 100000 67108864 100 "));
    for (quota, memory) in [(20_000, 32 << 20), (200_000, 128 << 20), (-1, -1)] {
        let change = Resources {
            cpu_quota_us: Some(quota),
            cpu_period_us: Some(100_000),
            memory_limit_bytes: Some(memory),
            ..Resources::default()
        };
        node.runtime.update_resources(&id, &change).await.unwrap();
        let limit = node.runtime.container_stats(&id).await.unwrap().memory.limit_bytes;
        assert_eq!(limit, u64::try_from(memory).ok());
    }
    let stats = node.runtime.container_stats(&id).await.unwrap();
    assert!(stats.pids >= 1 && stats.memory.usage_bytes > 0 && stats.cpu.usage_core_ns > 0, "{stats:?}");
    let pod = node.runtime.sandbox_stats(&sandbox).await.unwrap();
    assert!(pod.pids >= stats.pids, "{pod:?}");
    node.finish().await;
}

#[tokio::test]
async fn devices_are_limited() {
    let node = Node::new().await;
    let sandbox = node.sandbox().await;
    // Major 1 minor 1 is /dev/mem.
    let look =
        "mknod /mem c 1 1 && head -c 1 /mem; head -c 4 /dev/zero | wc -c; echo x > /dev/null && echo ok";
    let (_, output) = node.run(&sandbox, script("a", look)).await;
    assert!(output.contains("head: /mem: Operation not permitted"), "{output}");
    assert!(output.ends_with("4\nok\n") || output.contains("4\nok\n"), "{output}");
    node.finish().await;
}

#[tokio::test]
async fn the_default_seccomp_profile_refuses_dangerous_calls() {
    let node = Node::new().await;
    let sandbox = node.sandbox().await;
    let run = async |name: &str, seccomp: SeccompProfile, add: &[&str]| {
        let security = SecurityContext {
            seccomp,
            capabilities_add: add.iter().map(|c| c.to_string()).collect(),
            ..SecurityContext::default()
        };
        let look = "grep Seccomp: /proc/self/status; unshare -U true && echo unshared";
        node.run(&sandbox, ContainerConfig { security, ..script(name, look) }).await.1
    };
    let output = run("a", SeccompProfile::RuntimeDefault, &[]).await;
    assert!(output.starts_with("Seccomp:\t2\n") && output.contains("not permitted"), "{output}");
    let output = run("b", SeccompProfile::RuntimeDefault, &["SYS_ADMIN"]).await;
    assert_eq!(output, "Seccomp:\t2\nunshared\n");
    let output = run("c", SeccompProfile::Unconfined, &[]).await;
    assert_eq!(output, "Seccomp:\t0\nunshared\n");
    let path = node.dir().join("profile.json");
    fs::write(
        &path,
        r#"{"defaultAction": "SCMP_ACT_ALLOW",
            "syscalls": [{"names": ["unshare"], "action": "SCMP_ACT_ERRNO", "errnoRet": 12}]}"#,
    )
    .unwrap();
    let output = run("d", SeccompProfile::Localhost(path), &[]).await;
    assert!(output.contains("memory"), "ENOMEM, as the profile says: {output}");
    node.finish().await;
}

#[tokio::test]
async fn privileged_containers_see_the_machine() {
    let node = Node::new().await;
    let sandbox = node.sandbox().await;
    let security = SecurityContext { privileged: true, ..SecurityContext::default() };
    let look = "mkdir /m && mount -t tmpfs none /m && echo mounted; test -c /dev/kmsg && echo device; \
                touch /proc/sys/kernel/domainname && echo writable";
    let (_, output) = node.run(&sandbox, ContainerConfig { security, ..script("a", look) }).await;
    assert_eq!(output, "mounted\ndevice\nwritable\n");
    node.finish().await;
}

const BASE: u32 = 1_000_000;

fn user_namespace(node: &Node) -> SandboxConfig {
    let map = IdMapping { host_uid_base: BASE, host_gid_base: BASE, size: 65_536 };
    SandboxConfig { user_namespace: Some(map), ..node.sandbox_config() }
}

#[tokio::test]
async fn a_user_namespace_holds_for_the_container_and_for_exec() {
    let node = Node::new().await;
    let sandbox = node.runtime.run_sandbox(user_namespace(&node)).await.unwrap();
    let volume = node.dir().join("volume");
    fs::create_dir_all(&volume).unwrap();
    chown(&volume, Some(0), Some(0)).unwrap();
    let config = ContainerConfig {
        mounts: vec![Mount { id_mapped: true, ..mount(&volume, "/data") }],
        ..sleeper("a")
    };
    let id = node.runtime.create_container(&sandbox, config).await.unwrap();
    node.runtime.start_container(&id).await.unwrap();
    let pid = node.runtime.container_status(&id).await.unwrap().pid.unwrap();
    let map = |text: &str| text.split_whitespace().map(|n| n.parse().unwrap()).collect::<Vec<u32>>();
    let expected = vec![0, BASE, 65_536];
    assert_eq!(map(&fs::read_to_string(format!("/proc/{pid}/uid_map")).unwrap()), expected);
    assert_eq!(fs::metadata(format!("/proc/{pid}")).unwrap().uid(), BASE);

    // Joining everything but the user namespace would make this the host's root.
    let seen = String::from_utf8(node.exec(&id, "cat /proc/self/uid_map").await.stdout).unwrap();
    assert_eq!(map(&seen), expected);
    let seen = String::from_utf8(node.exec(&id, "cat /proc/self/gid_map").await.stdout).unwrap();
    assert_eq!(map(&seen), expected);

    let look = "id -u; stat -c '%u:%g' /bin/busybox / /dev/null /tmp /data; \
                touch /data/file /tmp/file /dev/shm/file && chown 5:6 /tmp/file && stat -c '%u:%g' /tmp/file; \
                mount -t tmpfs none /tmp || echo denied";
    let result = node.exec(&id, look).await;
    let output = String::from_utf8_lossy(&result.stdout);
    assert_eq!(output, "0\n0:0\n0:0\n0:0\n0:0\n0:0\n5:6\ndenied\n", "{result:?}");
    // The volume's own ids are those inside.
    assert_eq!(fs::metadata(volume.join("file")).unwrap().uid(), 0);
    node.finish().await;
}

#[tokio::test]
async fn a_network_namespace_made_for_a_user_namespace_belongs_to_it() {
    let node = Node::new().await;
    let path = node.dir().join("netns");
    let config = SandboxConfig { network: NetworkNamespace::Create(path.clone()), ..user_namespace(&node) };
    let sandbox = node.runtime.run_sandbox(config).await.unwrap();
    // Binding a low port needs a capability over the network namespace's owner. The loopback device is down, but
    // binding to any address works.
    let look = "busybox nc -l -p 80 -w 1 2>&1; hostname";
    let (_, output) = node.run(&sandbox, script("a", look)).await;
    assert!(!output.contains("denied"), "{output}");
    assert!(output.ends_with("pod\n"), "{output}");
    node.runtime.stop_sandbox(&sandbox).await.unwrap();
    rustix::mount::unmount(&path, rustix::mount::UnmountFlags::DETACH).unwrap();
    node.finish().await;
}

#[tokio::test]
async fn mounts_propagate_as_asked() {
    use rustix::mount::{
        MountFlags, MountPropagationFlags, UnmountFlags, mount as mount_fs, mount_change, unmount,
    };

    let node = Node::new().await;
    let sandbox = node.sandbox().await;
    let volume = node.dir().join("volume");
    fs::create_dir_all(&volume).unwrap();
    mount_fs("none", &volume, "tmpfs", MountFlags::empty(), None).unwrap();
    mount_change(&volume, MountPropagationFlags::SHARED).unwrap();
    let later = volume.join("later");
    fs::create_dir_all(&later).unwrap();
    fs::create_dir_all(volume.join("own")).unwrap();
    let config = |name: &str, propagation| ContainerConfig {
        mounts: vec![Mount { propagation, ..mount(&volume, "/data") }],
        security: SecurityContext { privileged: true, ..SecurityContext::default() },
        ..sleeper(name)
    };
    let mut ids = Vec::new();
    for (name, propagation) in
        [("a", Propagation::None), ("b", Propagation::HostToContainer), ("c", Propagation::Bidirectional)]
    {
        let id = node.runtime.create_container(&sandbox, config(name, propagation)).await.unwrap();
        node.runtime.start_container(&id).await.unwrap();
        ids.push(id);
    }
    mount_fs("none", &later, "tmpfs", MountFlags::empty(), None).unwrap();
    fs::write(later.join("file"), "").unwrap();
    let mut seen = Vec::new();
    for id in &ids {
        seen.push(node.exec(id, "test -f /data/later/file").await.exit_code == 0);
    }
    // And back: only the last one's mount is seen here.
    let mut back = Vec::new();
    for id in &ids {
        node.exec(id, "mount -t tmpfs none /data/own && touch /data/own/file").await;
        back.push(volume.join("own/file").exists());
    }
    let _ = unmount(volume.join("own"), UnmountFlags::DETACH);
    unmount(&later, UnmountFlags::DETACH).unwrap();
    unmount(&volume, UnmountFlags::DETACH).unwrap();
    assert_eq!((seen, back), (vec![false, true, true], vec![false, false, true]));
    let unprivileged =
        ContainerConfig { security: SecurityContext::default(), ..config("d", Propagation::Bidirectional) };
    assert!(node.runtime.create_container(&sandbox, unprivileged).await.is_err());
    node.finish().await;
}
