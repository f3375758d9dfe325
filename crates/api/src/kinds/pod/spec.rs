//! The rules of a pod spec, in upstream's order.

use serde_json::Value;

use super::containers::{self, Around};
use super::{
    affinity, annotations, debug_containers, dns, env, placement, ports, resources, restart, security,
    spec_defaults, volumes, windows,
};
use crate::field::{FieldErrors, Path};
use crate::kinds::common::check;
use crate::kinds::common::walk::{get, int_ptr, list, text, text_ptr};
use crate::meta::validate_labels;

/// How strict to be.
#[derive(Clone, Copy)]
pub struct Options {
    /// A pod, not a template: host ports must be there, for example.
    pub is_pod: bool,
}

/// A pod spec. `metadata` is the pod's own; null for templates.
pub fn validate(errors: &mut FieldErrors, path: &Path<'_>, spec: &Value, metadata: &Value, options: Options) {
    let grace = int_ptr(spec, "terminationGracePeriodSeconds");
    if grace.is_none() {
        errors.required(&path.child("terminationGracePeriodSeconds"), "");
    }
    let pod_name = text(metadata, "name");
    let good = volumes::volumes(errors, &path.child("volumes"), spec, pod_name, options);
    let is_mirror = get(metadata, "annotations").is_some_and(|all| get(all, annotations::MIRROR).is_some());
    resources::claims(errors, &path.child("resourceClaims"), spec, is_mirror);
    let around = Around {
        volumes: good,
        claims: list(spec, "resourceClaims").iter().map(|claim| text(claim, "name")).collect(),
        grace,
        restart_policy: text(spec, "restartPolicy"),
        host_users: spec_defaults::host_users(spec),
    };
    containers::regular(errors, &path.child("containers"), spec, &around);
    containers::init(errors, &path.child("initContainers"), spec, &around);
    debug_containers::validate(errors, &path.child("ephemeralContainers"), spec, &around);
    resources::pod_level(errors, path, spec, &around.claims);
    ports::host_network(errors, path, spec, options.is_pod);
    restart::pod_policy(errors, &path.child("restartPolicy"), text(spec, "restartPolicy"));
    dns::policy(errors, &path.child("dnsPolicy"), text(spec, "dnsPolicy"));
    validate_labels(get(spec, "nodeSelector").unwrap_or(&Value::Null), &path.child("nodeSelector"), errors);
    security::pod(errors, &path.child("securityContext"), spec);
    if let Some(wish) = get(spec, "affinity") {
        affinity::affinity(errors, &path.child("affinity"), wish);
    }
    dns::config(errors, &path.child("dnsConfig"), spec);
    placement::readiness_gates(errors, &path.child("readinessGates"), spec);
    placement::scheduling_gates(errors, &path.child("schedulingGates"), spec);
    placement::spread(errors, &path.child("topologySpreadConstraints"), spec);
    windows::host_process(errors, path, spec);
    security::own_users(errors, path, spec);
    dns::hostname_override(errors, path, spec);
    plain_fields(errors, path, spec);
    windows::os(errors, path, spec);
    env::file_volumes(errors, path, spec);
}

fn plain_fields(errors: &mut FieldErrors, path: &Path<'_>, spec: &Value) {
    for key in ["serviceAccountName", "nodeName"] {
        let name = text(spec, key);
        if !name.is_empty() {
            check::subdomain(errors, &path.child(key), name);
        }
    }
    if let Some(seconds) = int_ptr(spec, "activeDeadlineSeconds") {
        deadline(errors, &path.child("activeDeadlineSeconds"), seconds, 1);
    }
    for key in ["hostname", "subdomain"] {
        let name = text(spec, key);
        if !name.is_empty() {
            check::label(errors, &path.child(key), name);
        }
    }
    placement::tolerations(errors, &path.child("tolerations"), spec);
    dns::host_aliases(errors, &path.child("hostAliases"), spec);
    let class = text(spec, "priorityClassName");
    if !class.is_empty() {
        check::subdomain(errors, &path.child("priorityClassName"), class);
    }
    if let Some(class) = text_ptr(spec, "runtimeClassName") {
        check::subdomain(errors, &path.child("runtimeClassName"), class);
    }
    if let Some(policy) = text_ptr(spec, "preemptionPolicy") {
        let allowed = &["PreemptLowerPriority", "Never"];
        check::required_one_of(errors, &path.child("preemptionPolicy"), policy, allowed);
    }
    if let Some(overhead) = get(spec, "overhead") {
        resources::overhead(errors, &path.child("overhead"), overhead);
    }
}

/// Seconds that a pod may run: `least` or more, and no more than 32 bits hold.
pub fn deadline(errors: &mut FieldErrors, path: &Path<'_>, seconds: i64, least: i64) -> bool {
    let most = i64::from(i32::MAX);
    let good = (least..=most).contains(&seconds);
    if !good {
        errors.invalid(path, &seconds.into(), format!("must be between {least} and {most}, inclusive"));
    }
    good
}

/// What holds for pods and not for templates: a pod's metadata and spec.
pub fn validate_pod(errors: &mut FieldErrors, pod: &Value) {
    let nothing = Value::Null;
    let metadata = get(pod, "metadata").unwrap_or(&nothing);
    let spec = get(pod, "spec").unwrap_or(&nothing);
    let path = Path::new("spec");
    annotations::validate(errors, &Path::new("metadata").child("annotations"), metadata, spec);
    validate(errors, &path, spec, metadata, Options { is_pod: true });
    if text(spec, "serviceAccountName").is_empty() {
        tokens_need_an_account(errors, &path, spec);
    }
    for key in ["containers", "initContainers"] {
        let path = path.child(key);
        for (index, container) in list(spec, key).iter().enumerate() {
            containers::image_blanks(errors, &path.index(index), container);
        }
    }
}

fn tokens_need_an_account(errors: &mut FieldErrors, path: &Path<'_>, spec: &Value) {
    let path = path.child("volumes");
    for (at, volume) in list(spec, "volumes").iter().enumerate() {
        let Some(projected) = get(volume, "projected") else { continue };
        for (index, source) in list(projected, "sources").iter().enumerate() {
            if get(source, "serviceAccountToken").is_some() {
                let path = path.index(at);
                let path = path.child("projected.sources");
                let detail = "must not be specified when serviceAccountName is not set";
                errors.forbidden(&path.index(index).child("serviceAccountToken"), detail);
            }
        }
    }
}

/// A new pod.
pub fn validate_create(errors: &mut FieldErrors, pod: &Value) {
    validate_pod(errors, pod);
    let nothing = Value::Null;
    let spec = get(pod, "spec").unwrap_or(&nothing);
    let path = Path::new("spec");
    if !list(spec, "ephemeralContainers").is_empty() {
        errors.forbidden(&path.child("ephemeralContainers"), "cannot be set on create");
    }
    if !text(spec, "nodeName").is_empty() && !list(spec, "schedulingGates").is_empty() {
        let detail = "cannot be set until all schedulingGates have been cleared";
        errors.forbidden(&path.child("nodeName"), detail);
    }
    annotations::match_fields(errors, &path, get(pod, "metadata").unwrap_or(&nothing), spec);
}
