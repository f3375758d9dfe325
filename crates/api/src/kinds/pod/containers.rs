//! Containers of a pod: the three lists, and what is the same for all.

use serde_json::Value;

use super::resources::{Of, requirements};
use super::spec_defaults::{CONTAINER_LISTS, restarts_always};
use super::volumes::Volumes;
use super::{env, mounts, ports, probes, restart, security};
use crate::field::{FieldErrors, Path};
use crate::kinds::common::check::{self, bad_text};
use crate::kinds::common::walk::{get, list, text};

/// What checks of a container know of its pod.
pub struct Around<'a> {
    /// The volumes that are all right.
    pub volumes: Volumes<'a>,
    /// Names of `spec.resourceClaims`.
    pub claims: Vec<&'a str>,
    /// `spec.terminationGracePeriodSeconds`.
    pub grace: Option<i64>,
    /// `spec.restartPolicy`.
    pub restart_policy: &'a str,
    /// Whether the pod shares the host's users.
    pub host_users: bool,
}

/// Calls back for each container of any list, with its path.
pub fn visit(spec: &Value, path: &Path<'_>, each: &mut dyn FnMut(&Value, &Path<'_>)) {
    for key in CONTAINER_LISTS {
        let path = path.child(key);
        for (index, container) in list(spec, key).iter().enumerate() {
            each(container, &path.index(index));
        }
    }
}

/// `spec.containers`.
pub fn regular(errors: &mut FieldErrors, path: &Path<'_>, spec: &Value, around: &Around<'_>) {
    let all = list(spec, "containers");
    if all.is_empty() {
        return errors.required(path, "");
    }
    for (index, container) in all.iter().enumerate() {
        let path = path.index(index);
        common(errors, &path, container, around);
        let name = text(container, "name");
        if has_name(&all[..index], name) {
            errors.duplicate(&path.child("name"), &name.into());
        }
        probes::of_container(errors, &path, container, around.grace);
        restart::policy(errors, &path, container);
    }
    ports::host_conflicts(errors, path, all.iter().enumerate());
}

/// `spec.initContainers`.
pub fn init(errors: &mut FieldErrors, path: &Path<'_>, spec: &Value, around: &Around<'_>) {
    let all = list(spec, "initContainers");
    for (index, container) in all.iter().enumerate() {
        let item = path.index(index);
        common(errors, &item, container, around);
        restart::policy(errors, &item, container);
        let name = text(container, "name");
        let named = |earlier: &Value| text(earlier, "name") == name;
        let among_init = !name.is_empty() && all[..index].iter().any(named);
        if among_init || list(spec, "containers").iter().any(named) {
            errors.duplicate(&item.child("name"), &name.into());
        }
        ports::host_conflicts(errors, path, [(0, container)].into_iter());
        if restarts_always(container) {
            probes::of_container(errors, &item, container, around.grace);
            continue;
        }
        for key in ["lifecycle", "livenessProbe", "readinessProbe", "startupProbe"] {
            if get(container, key).is_some() {
                let detail = "may not be set for init containers without restartPolicy=Always";
                errors.forbidden(&item.child(key), detail);
            }
        }
        restart::never_for_resize(errors, &item.child("resizePolicy"), container);
    }
}

fn has_name(containers: &[Value], name: &str) -> bool {
    containers.iter().any(|container| text(container, "name") == name)
}

/// What holds for containers of any list.
pub fn common(errors: &mut FieldErrors, path: &Path<'_>, container: &Value, around: &Around<'_>) {
    let name = text(container, "name");
    if name.is_empty() {
        errors.required(&path.child("name"), "");
    } else {
        check::label(errors, &path.child("name"), name);
    }
    check::required(errors, &path.child("image"), text(container, "image"));
    let policy = text(container, "terminationMessagePolicy");
    let allowed = &["File", "FallbackToLogsOnError"];
    check::required_one_of(errors, &path.child("terminationMessagePolicy"), policy, allowed);
    ports::ports(errors, &path.child("ports"), container);
    env::variables(errors, &path.child("env"), container);
    env::sources(errors, &path.child("envFrom"), container);
    mounts::mounts(errors, &path.child("volumeMounts"), container, &around.volumes);
    mounts::devices(errors, &path.child("volumeDevices"), container, &around.volumes);
    pull_policy(errors, &path.child("imagePullPolicy"), text(container, "imagePullPolicy"));
    if let Some(resources) = get(container, "resources") {
        requirements(errors, &path.child("resources"), resources, &around.claims, Of::Container);
    }
    restart::resize(errors, &path.child("resizePolicy"), container, around.restart_policy);
    if let Some(context) = get(container, "securityContext") {
        security::container(errors, &path.child("securityContext"), context, around.host_users);
    }
}

/// When an image is pulled.
pub fn pull_policy(errors: &mut FieldErrors, path: &Path<'_>, policy: &str) {
    check::required_one_of(errors, path, policy, &["Always", "IfNotPresent", "Never"]);
}

/// What holds for containers of pods, not of templates: images have no blanks around.
pub fn image_blanks(errors: &mut FieldErrors, path: &Path<'_>, container: &Value) {
    let image = text(container, "image");
    if image.trim() != image {
        bad_text(errors, &path.child("image"), image, "must not have leading or trailing whitespace");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::common::testing::faults;
    use crate::kinds::pod::Pod;
    use serde_json::json;

    #[test]
    fn plain_init_containers_are_not_restarted_for_a_resize() {
        let policy = json!([{"resourceName": "cpu", "restartPolicy": "NotRequired"},
            {"resourceName": "memory", "restartPolicy": "RestartContainer"}]);
        let pod = |init: Value| {
            json!({"spec": {"serviceAccountName": "s", "containers": [{"name": "c", "image": "i"}],
                "initContainers": [init]}})
        };
        assert_eq!(
            faults(&Pod, pod(json!({"name": "i", "image": "i", "resizePolicy": policy}))),
            [
                "spec.initContainers[0].resizePolicy[1].restartPolicy: Invalid value: \"RestartContainer\": must not be set to 'RestartContainer' for non-sidecar initContainers"
            ]
        );
        let sidecar = json!({"name": "i", "image": "i", "restartPolicy": "Always", "resizePolicy": policy});
        assert_eq!(faults(&Pod, pod(sidecar)), [""; 0]);
    }
}
