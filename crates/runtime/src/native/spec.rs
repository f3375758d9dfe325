//! From what the kubelet asks for to what the supervisor does.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use cox_shim::protocol::{self, ContainerSpec, DeviceNode, Process, Rootfs, User};
use cox_sys::capability::Capabilities;
use cox_sys::cgroup::{Access, Cgroup, DeviceKind, DeviceRule};

use super::Inner;
use super::model::Sandbox;
use crate::image::StoredImage;
use crate::seccomp;
use crate::types::*;
use crate::{Result, RuntimeError};

const PATH_DEFAULT: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// What a container sees of its cgroup on version 1.
const CGROUP_VIEW_V1: [&str; 5] = ["cpu", "cpuacct", "devices", "memory", "pids"];

/// A container's specification, and the devices it may use besides the usual ones.
pub struct Built {
    pub spec: ContainerSpec,
    pub devices: Vec<DeviceRule>,
}

/// Resolves everything.
pub fn build(
    inner: &Inner,
    sandbox: &Sandbox,
    id: &ContainerId,
    dir: &Path,
    config: &ContainerConfig,
    image: &StoredImage,
    group: &Cgroup,
) -> Result<Built> {
    let security = &config.security;
    let (nodes, devices) = devices(config)?;
    let capabilities = capabilities(security)?;
    let unlocked = security.privileged;
    let process = Process {
        args: arguments(config, &image.config)?,
        env: environment(inner, sandbox, config, &image.config),
        cwd: working_dir(config, &image.config)?,
        user: user(security, &image.config)?,
        capabilities: capabilities.0,
        no_new_privs: security.no_new_privs,
        seccomp: match &security.seccomp {
            _ if unlocked => Vec::new(),
            SeccompProfile::Unconfined => Vec::new(),
            SeccompProfile::RuntimeDefault => seccomp::runtime_default(capabilities),
            SeccompProfile::Localhost(path) => seccomp::localhost(path)?,
        },
        tty: config.tty,
        oom_score_adj: config.oom_score_adj,
    };
    let mut layers = image.layers.clone();
    layers.reverse();
    let layers_dir = absolute(&inner.images.layers_dir())?;
    let dir = absolute(dir)?;
    let cgroup_view = match inner.hierarchy.version() {
        cox_sys::cgroup::Version::V1 => CGROUP_VIEW_V1
            .iter()
            .filter_map(|name| Some(((*name).to_owned(), group.controller_dir(name)?)))
            .collect(),
        cox_sys::cgroup::Version::V2 => {
            group.controller_dir("").map(|dir| (String::new(), dir)).into_iter().collect()
        }
    };
    // The cgroup isn't there yet when this is built, but its files are known.
    let spec = ContainerSpec {
        id: id.to_string(),
        rootfs: Rootfs {
            layers_dir,
            layers,
            upper: dir.join("upper"),
            work: dir.join("work"),
            target: dir.join("rootfs"),
            readonly: security.readonly_rootfs,
        },
        mounts: mounts(config)?,
        devices: nodes,
        writable_sys: unlocked,
        masked_paths: if unlocked { Vec::new() } else { security.masked_paths.clone() },
        readonly_paths: if unlocked { Vec::new() } else { security.readonly_paths.clone() },
        process,
        stdin: config.stdin,
        stdin_once: config.stdin_once,
        log_path: config.log_path.as_ref().map(|path| sandbox.record.config.log_dir.join(path)),
        cgroup_view,
        cgroup_join: group.join_files(),
        oom_file: group.oom_file(),
    };
    Ok(Built { spec, devices })
}

fn absolute(path: &Path) -> Result<PathBuf> {
    let path = std::path::absolute(path).map_err(RuntimeError::file("resolve", path))?;
    // These characters mean something in an overlay's options.
    if path.to_string_lossy().contains([',', ':', '\\']) {
        return Err(RuntimeError::Invalid(format!("state_dir: {path:?} contains one of , : \\")));
    }
    Ok(path)
}

/// The rules of Kubernetes: `command` replaces the entrypoint and then the image's arguments don't count, `args`
/// replaces the arguments.
fn arguments(config: &ContainerConfig, image: &ImageConfig) -> Result<Vec<String>> {
    let (program, arguments) = match (config.command.is_empty(), config.args.is_empty()) {
        (true, true) => (&image.entrypoint, &image.cmd),
        (true, false) => (&image.entrypoint, &config.args),
        (false, _) => (&config.command, &config.args),
    };
    let all: Vec<String> = program.iter().chain(arguments).cloned().collect();
    if all.is_empty() {
        return Err(RuntimeError::Create("no command specified".to_owned()));
    }
    Ok(all)
}

fn environment(
    inner: &Inner,
    sandbox: &Sandbox,
    config: &ContainerConfig,
    image: &ImageConfig,
) -> Vec<String> {
    let sandbox = &sandbox.record.config;
    let hostname = if sandbox.hostname.is_empty() { &inner.config.node_name } else { &sandbox.hostname };
    let mut env = vec![format!("PATH={PATH_DEFAULT}"), format!("HOSTNAME={hostname}")];
    if config.tty {
        env.push("TERM=xterm".to_owned());
    }
    let given = config.envs.iter().map(|(name, value)| format!("{name}={value}"));
    for entry in image.env.iter().cloned().chain(given) {
        let name = entry.split('=').next().unwrap_or_default();
        let same = env.iter_mut().find(|e| e.split('=').next() == Some(name));
        match same {
            Some(old) => *old = entry,
            None => env.push(entry),
        }
    }
    env
}

fn working_dir(config: &ContainerConfig, image: &ImageConfig) -> Result<String> {
    let given = config.working_dir.as_deref().filter(|dir| !dir.is_empty());
    let dir = given.unwrap_or(&image.working_dir);
    match dir {
        "" => Ok("/".to_owned()),
        dir if dir.starts_with('/') => Ok(dir.to_owned()),
        dir => Err(RuntimeError::Create(format!("working_dir: {dir:?} is not an absolute path"))),
    }
}

fn user(security: &SecurityContext, image: &ImageConfig) -> Result<User> {
    let id = |field: &str, value: i64| {
        u32::try_from(value).map_err(|_| RuntimeError::Invalid(format!("{field}: {value} is out of range")))
    };
    let mut name = match (security.run_as_user, &security.run_as_username) {
        (Some(uid), _) => id("run_as_user", uid)?.to_string(),
        (None, Some(name)) => name.clone(),
        (None, None) => String::new(),
    };
    if let Some(gid) = security.run_as_group {
        let gid = id("run_as_group", gid)?;
        if name.is_empty() {
            return Err(RuntimeError::Create(format!("user group \"{gid}\" is specified without user")));
        }
        name = format!("{name}:{gid}");
    }
    if name.is_empty() {
        name = image.user.clone();
    }
    let groups = security
        .supplemental_groups
        .iter()
        .map(|gid| id("supplemental_groups", *gid))
        .collect::<Result<Vec<u32>>>()?;
    let image_groups = security.supplemental_groups_policy == SupplementalGroupsPolicy::Merge;
    Ok(User { name, groups, image_groups })
}

fn capabilities(security: &SecurityContext) -> Result<Capabilities> {
    if security.privileged {
        return Ok(Capabilities::ALL);
    }
    let named = |name: &String| {
        Capabilities::named(name)
            .ok_or_else(|| RuntimeError::Create(format!("unknown capability {:?}", format!("CAP_{name}"))))
    };
    let all = |list: &[String]| list.iter().any(|name| name.eq_ignore_ascii_case("ALL"));
    let each = |list: &[String]| {
        list.iter()
            .filter(|name| !name.eq_ignore_ascii_case("ALL"))
            .map(named)
            .try_fold(Capabilities::default(), |set, one| Ok(set.with(one?)))
    };
    let mut set = DEFAULT_CAPABILITIES
        .iter()
        .filter_map(|name| Capabilities::named(name))
        .fold(Capabilities::default(), Capabilities::with);
    if all(&security.capabilities_add) {
        set = Capabilities::ALL;
    }
    if all(&security.capabilities_drop) {
        set = Capabilities::default();
    }
    Ok(set.with(each(&security.capabilities_add)?).without(each(&security.capabilities_drop)?))
}

/// Parents before children, otherwise as given; of mounts at the same place the last one counts.
fn mounts(config: &ContainerConfig) -> Result<Vec<protocol::Mount>> {
    let mut all = Vec::new();
    for mount in &config.mounts {
        if !mount.host_path.is_absolute() || !mount.container_path.is_absolute() {
            let message =
                format!("mounts: {:?} and {:?} have to be absolute", mount.host_path, mount.container_path);
            return Err(RuntimeError::Invalid(message));
        }
        if mount.propagation == Propagation::Bidirectional && !config.security.privileged {
            let message = "mounts: Bidirectional propagation is only for privileged containers";
            return Err(RuntimeError::Invalid(message.to_owned()));
        }
        if mount.recursive_readonly && (!mount.readonly || mount.propagation != Propagation::None) {
            let message = "mounts: recursive_readonly needs readonly and no propagation";
            return Err(RuntimeError::Invalid(message.to_owned()));
        }
        all.push(protocol::Mount {
            source: mount.host_path.clone(),
            sub_path: mount.sub_path.clone(),
            target: mount.container_path.clone(),
            readonly: mount.readonly,
            recursive_readonly: mount.recursive_readonly,
            propagation: match mount.propagation {
                Propagation::None => protocol::Propagation::Private,
                Propagation::HostToContainer => protocol::Propagation::FromHost,
                Propagation::Bidirectional => protocol::Propagation::Both,
            },
            id_mapped: mount.id_mapped,
        });
    }
    all.sort_by_key(|mount| mount.target.components().count());
    Ok(all)
}

fn devices(config: &ContainerConfig) -> Result<(Vec<DeviceNode>, Vec<DeviceRule>)> {
    let (mut nodes, mut rules) = (Vec::new(), Vec::new());
    if config.security.privileged {
        host_devices(Path::new("/dev"), &mut nodes);
    }
    for device in &config.devices {
        let node = device_node(&device.host_path, &device.container_path).ok_or_else(|| {
            RuntimeError::Create(format!("devices: {:?} is not a device of the host", device.host_path))
        })?;
        rules.push(DeviceRule {
            kind: if node.block { DeviceKind::Block } else { DeviceKind::Char },
            major: Some(node.major),
            minor: Some(node.minor),
            access: Access::parse(&device.permissions),
        });
        nodes.push(node);
    }
    Ok((nodes, rules))
}

/// Directories of `/dev` that every container has its own of, or that aren't about devices.
const OWN_DIRS: [&str; 7] = ["pts", "shm", "fd", "mqueue", ".lxc", ".lxd-mounts", ".udev"];

/// All of the host's, but for what every container has its own of.
fn host_devices(dir: &Path, nodes: &mut Vec<DeviceNode>) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        match entry.file_type() {
            Ok(kind) if kind.is_dir() && !OWN_DIRS.iter().any(|own| name == *own) => {
                host_devices(&path, nodes);
            }
            Ok(kind) if (kind.is_char_device() || kind.is_block_device()) && name != "console" => {
                nodes.extend(device_node(&path, &path));
            }
            _ => {}
        }
    }
}

fn device_node(host: &Path, container: &Path) -> Option<DeviceNode> {
    let metadata = fs::metadata(host).ok()?;
    let kind = metadata.file_type();
    if !kind.is_block_device() && !kind.is_char_device() {
        return None;
    }
    let number = metadata.rdev();
    Some(DeviceNode {
        path: container.to_owned(),
        block: kind.is_block_device(),
        major: rustix::fs::major(number),
        minor: rustix::fs::minor(number),
        mode: metadata.mode() & 0o7777,
        uid: metadata.uid(),
        gid: metadata.gid(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strings(list: &[&str]) -> Vec<String> {
        list.iter().map(|s| s.to_string()).collect()
    }

    #[test]
    fn command_and_args_replace_entrypoint_and_cmd() {
        let image =
            ImageConfig { entrypoint: strings(&["e"]), cmd: strings(&["c"]), ..ImageConfig::default() };
        for (command, args, result) in [
            (vec![], vec![], vec!["e", "c"]),
            (vec![], vec!["a"], vec!["e", "a"]),
            (vec!["k"], vec![], vec!["k"]),
            (vec!["k"], vec!["a"], vec!["k", "a"]),
        ] {
            let config = ContainerConfig {
                command: strings(&command),
                args: strings(&args),
                ..ContainerConfig::default()
            };
            assert_eq!(arguments(&config, &image).unwrap(), strings(&result));
        }
        assert!(arguments(&ContainerConfig::default(), &ImageConfig::default()).is_err());
    }

    #[test]
    fn capabilities_are_added_and_dropped() {
        let set = |add: &[&str], drop: &[&str]| {
            let security = SecurityContext {
                capabilities_add: strings(add),
                capabilities_drop: strings(drop),
                ..SecurityContext::default()
            };
            capabilities(&security).map(|c| c.0)
        };
        let one = |name: &str| Capabilities::named(name).unwrap().0;
        assert_eq!(set(&[], &[]).unwrap(), 0xa804_25fb);
        assert_eq!(set(&["NET_ADMIN"], &["ALL"]).unwrap(), one("NET_ADMIN"));
        assert_eq!(set(&["ALL"], &["SYS_ADMIN"]).unwrap(), Capabilities::ALL.0 & !one("SYS_ADMIN"));
        assert!(set(&["NOPE"], &[]).unwrap_err().to_string().contains("CAP_NOPE"));
    }

    #[test]
    fn users_come_from_the_spec_or_the_image() {
        let image = ImageConfig { user: "web:www".to_owned(), ..ImageConfig::default() };
        let name = |uid, gid| {
            let security =
                SecurityContext { run_as_user: uid, run_as_group: gid, ..SecurityContext::default() };
            user(&security, &image).map(|u| u.name)
        };
        assert_eq!(name(None, None).unwrap(), "web:www");
        assert_eq!(name(Some(7), None).unwrap(), "7");
        assert_eq!(name(Some(7), Some(8)).unwrap(), "7:8");
        assert!(name(None, Some(8)).is_err());
        assert!(name(Some(-1), None).is_err());
    }

    #[test]
    fn parents_are_mounted_first() {
        let mount = |target: &str| Mount {
            host_path: "/x".into(),
            container_path: target.into(),
            ..Mount::default()
        };
        let config = ContainerConfig {
            mounts: vec![mount("/a/b"), mount("/c"), mount("/a")],
            ..ContainerConfig::default()
        };
        let targets: Vec<PathBuf> = mounts(&config).unwrap().into_iter().map(|m| m.target).collect();
        assert_eq!(targets, [PathBuf::from("/c"), "/a".into(), "/a/b".into()]);
    }
}
