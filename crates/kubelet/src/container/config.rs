//! A container of a pod's spec as the runtime's configuration.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use cox_runtime::{
    ContainerConfig, DEFAULT_MASKED_PATHS, DEFAULT_READONLY_PATHS, ImageInfo, Mount, Propagation,
    SeccompProfile, SecurityContext, Signal, SupplementalGroupsPolicy,
};
use k8s_openapi::api::core::v1::{Container, Pod, SeccompProfile as Seccomp};

use super::expand::expand;
use crate::pod::spec;
use crate::resources::{self, Allocatable};
use crate::volumes::Mounted;

/// What a configuration is made from besides the spec.
pub(crate) struct Facts<'a> {
    /// The pod's directory on the node.
    pub(crate) pod_dir: &'a Path,
    /// The image, which is present.
    pub(crate) image: &'a ImageInfo,
    /// The environment.
    pub(crate) envs: Vec<(String, String)>,
    /// The pod's volumes.
    pub(crate) volumes: &'a BTreeMap<String, Mounted>,
    /// Restart count.
    pub(crate) attempt: u32,
    /// What pods of the node may use.
    pub(crate) allocatable: &'a Allocatable,
    /// Where seccomp profiles of type Localhost are.
    pub(crate) seccomp_root: &'a Path,
    /// Limit of processes per pod, if the node has one.
    pub(crate) pids_max: Option<i64>,
    /// Whether the pod has a user namespace.
    pub(crate) user_namespace: bool,
}

/// The file on the node behind `terminationMessagePath`.
pub(crate) fn termination_file(pod_dir: &Path, container: &str, attempt: u32) -> PathBuf {
    pod_dir.join("containers").join(container).join(attempt.to_string())
}

/// Where a container's log is below the pod's log directory.
pub(crate) fn log_path(container: &str, attempt: u32) -> PathBuf {
    PathBuf::from(container).join(format!("{attempt}.log"))
}

/// The configuration, or why there can't be one (`CreateContainerConfigError`).
pub(crate) fn config(pod: &Pod, container: &Container, facts: Facts<'_>) -> Result<ContainerConfig, String> {
    let lookup =
        |name: &str| facts.envs.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
    let words = |list: &Option<Vec<String>>| -> Vec<String> {
        list.iter().flatten().map(|word| expand(word, &lookup)).collect()
    };
    let security = security(pod, container, facts.image, facts.seccomp_root)?;
    let mut mounts = etc_mounts(facts.pod_dir);
    for mount in container.volume_mounts.iter().flatten() {
        let volume =
            facts.volumes.get(&mount.name).ok_or_else(|| format!("volume {} is not there", mount.name))?;
        let sub_path = match (&mount.sub_path, &mount.sub_path_expr) {
            (Some(path), _) if !path.is_empty() => Some(path.clone()),
            (_, Some(expression)) if !expression.is_empty() => Some(expand(expression, &lookup)),
            _ => None,
        };
        if let Some(sub_path) = &sub_path {
            make_sub_path(&volume.path, sub_path)?;
        }
        mounts.push(Mount {
            host_path: volume.path.clone(),
            sub_path: sub_path.map(PathBuf::from),
            container_path: PathBuf::from(&mount.mount_path),
            readonly: mount.read_only == Some(true) || volume.read_only,
            recursive_readonly: mount.recursive_read_only.as_deref().is_some_and(|mode| mode != "Disabled"),
            propagation: match mount.mount_propagation.as_deref() {
                Some("HostToContainer") => Propagation::HostToContainer,
                Some("Bidirectional") => Propagation::Bidirectional,
                _ => Propagation::None,
            },
            id_mapped: facts.user_namespace && volume.id_mapped,
        });
    }
    let message_path = container.termination_message_path.as_deref().unwrap_or("/dev/termination-log");
    mounts.push(Mount {
        host_path: termination_file(facts.pod_dir, &container.name, facts.attempt),
        container_path: PathBuf::from(message_path),
        id_mapped: facts.user_namespace,
        ..Mount::default()
    });
    let stop_signal =
        match container.lifecycle.as_ref().and_then(|lifecycle| lifecycle.stop_signal.as_deref()) {
            Some(name) => {
                Some(Signal::parse(name).ok_or_else(|| format!("stopSignal {name} is not a signal"))?)
            }
            None => None,
        };
    Ok(ContainerConfig {
        name: container.name.clone(),
        attempt: facts.attempt,
        image: facts.image.id.clone(),
        user_specified_image: container.image.clone().unwrap_or_default(),
        command: words(&container.command),
        args: words(&container.args),
        working_dir: container.working_dir.clone().filter(|dir| !dir.is_empty()),
        resources: resources::container(container, facts.pids_max),
        security,
        tty: container.tty == Some(true),
        stdin: container.stdin == Some(true),
        stdin_once: container.stdin_once == Some(true),
        log_path: Some(log_path(&container.name, facts.attempt)),
        stop_signal,
        oom_score_adj: Some(resources::oom_score_adj(pod, container, facts.allocatable)),
        mounts,
        envs: facts.envs,
        ..ContainerConfig::default()
    })
}

fn etc_mounts(pod_dir: &Path) -> Vec<Mount> {
    ["hosts", "hostname", "resolv.conf"]
        .into_iter()
        .map(|name| Mount {
            host_path: pod_dir.join("etc").join(name),
            container_path: Path::new("/etc").join(name),
            ..Mount::default()
        })
        .collect()
}

/// A subPath that isn't there becomes a directory, without leaving the volume by a link.
fn make_sub_path(volume: &Path, sub_path: &str) -> Result<(), String> {
    let mut at = volume.to_owned();
    for part in Path::new(sub_path).components() {
        let std::path::Component::Normal(part) = part else {
            return Err(format!("subPath {sub_path:?} must be relative and without \"..\""));
        };
        at.push(part);
        match at.symlink_metadata() {
            Ok(found) if found.is_dir() => {}
            // A file, or a link: the runtime opens it without leaving the volume.
            Ok(_) => return Ok(()),
            Err(_) => std::fs::create_dir(&at).map_err(|error| format!("subPath {sub_path:?}: {error}"))?,
        }
    }
    Ok(())
}

fn security(
    pod: &Pod,
    container: &Container,
    image: &ImageInfo,
    seccomp_root: &Path,
) -> Result<SecurityContext, String> {
    let whole = spec::spec(pod).security_context.clone().unwrap_or_default();
    let own = container.security_context.clone().unwrap_or_default();
    let run_as_user = own.run_as_user.or(whole.run_as_user);
    if own.run_as_non_root.or(whole.run_as_non_root) == Some(true) {
        let pod_text = format!(
            "pod: \"{}_{}({})\", container: {}",
            spec::name(pod),
            spec::namespace(pod),
            spec::uid(pod),
            container.name
        );
        match (run_as_user, image.uid, &image.username) {
            (Some(0), ..) => {
                return Err(format!("container's runAsUser breaks non-root policy ({pod_text})"));
            }
            (Some(_), ..) => {}
            (None, Some(0), _) | (None, None, None) => {
                return Err(format!("container has runAsNonRoot and image will run as root ({pod_text})"));
            }
            (None, None, Some(name)) => {
                return Err(format!(
                    "container has runAsNonRoot and image has non-numeric user ({name}), cannot verify user is non-root ({pod_text})"
                ));
            }
            (None, Some(_), _) => {}
        }
    }
    if own.se_linux_options.is_some() || whole.se_linux_options.is_some() {
        // Without SELinux in the kernel upstream's runtimes ignore it as well: there is nothing to label.
    }
    let privileged = own.privileged == Some(true);
    let capabilities = own.capabilities.unwrap_or_default();
    let mut groups: Vec<i64> = whole.supplemental_groups.clone().unwrap_or_default();
    groups.extend(whole.fs_group.filter(|group| !groups.contains(group)));
    let unmasked = own.proc_mount.as_deref() == Some("Unmasked");
    let paths = |list: &[&str]| {
        if unmasked { Vec::new() } else { list.iter().map(|path| (*path).to_owned()).collect() }
    };
    Ok(SecurityContext {
        run_as_user,
        run_as_group: own.run_as_group.or(whole.run_as_group),
        run_as_username: None,
        supplemental_groups: groups,
        supplemental_groups_policy: match whole.supplemental_groups_policy.as_deref() {
            Some("Strict") => SupplementalGroupsPolicy::Strict,
            _ => SupplementalGroupsPolicy::Merge,
        },
        privileged,
        capabilities_add: capabilities.add.unwrap_or_default(),
        capabilities_drop: capabilities.drop.unwrap_or_default(),
        no_new_privs: own.allow_privilege_escalation == Some(false),
        readonly_rootfs: own.read_only_root_filesystem == Some(true),
        seccomp: seccomp(own.seccomp_profile.or(whole.seccomp_profile).as_ref(), seccomp_root)?,
        masked_paths: paths(&DEFAULT_MASKED_PATHS),
        readonly_paths: paths(&DEFAULT_READONLY_PATHS),
    })
}

fn seccomp(profile: Option<&Seccomp>, root: &Path) -> Result<SeccompProfile, String> {
    match profile {
        None => Ok(SeccompProfile::Unconfined),
        Some(profile) => match profile.type_.as_str() {
            "RuntimeDefault" => Ok(SeccompProfile::RuntimeDefault),
            "Localhost" => {
                let name = profile.localhost_profile.as_deref().unwrap_or_default();
                Ok(SeccompProfile::Localhost(root.join(name)))
            }
            _ => Ok(SeccompProfile::Unconfined),
        },
    }
}
