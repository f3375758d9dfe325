//! `Pod` of `v1`.

pub(super) mod affinity;
mod annotations;
mod apparmor;
mod containers;
mod create;
mod debug_containers;
mod defaults;
pub(super) mod diff;
mod dns;
pub(super) mod env;
pub(super) mod ephemeral_claim;
pub(super) mod internal;
mod internal_types;
pub(super) mod mounts;
pub(super) mod old_volumes;
pub(super) mod paths;
pub(super) mod placement;
mod ports;
mod probes;
mod projected;
mod qos;
pub(super) mod quantities;
mod references;
mod resize;
pub(super) mod resources;
mod restart;
mod row;
mod security;
pub(super) mod spec;
pub(super) mod spec_defaults;
mod status;
mod subresources;
pub(super) mod template;
mod update;
pub(super) mod volume_defaults;
pub(super) mod volumes;
pub(super) mod warnings;
mod windows;

use jiff::Timestamp;
use serde_json::Value;

use super::common::walk::{at, flag, int_ptr, text};
use crate::field::{FieldErrors, Path};
use crate::kind::{Column, Deletion, Kind, KindInfo, Part, Rules, Scope, Subresource, Unowned};

/// The kind's rules.
pub struct Pod;

static INFO: KindInfo = KindInfo {
    group: "",
    version: "v1",
    kind: "Pod",
    plural: "pods",
    singular: "pod",
    short_names: &["po"],
    categories: &["all"],
    scope: Scope::Namespaced,
    verbs: &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
    subresources: &[
        Subresource {
            name: "attach",
            kind: "PodAttachOptions",
            group: "",
            version: "",
            verbs: &["create", "get"],
        },
        Subresource { name: "binding", kind: "Binding", group: "", version: "", verbs: &["create"] },
        Subresource {
            name: "ephemeralcontainers",
            kind: "Pod",
            group: "",
            version: "",
            verbs: &["get", "patch", "update"],
        },
        Subresource {
            name: "eviction",
            kind: "Eviction",
            group: "policy",
            version: "v1",
            verbs: &["create"],
        },
        Subresource {
            name: "exec",
            kind: "PodExecOptions",
            group: "",
            version: "",
            verbs: &["create", "get"],
        },
        Subresource { name: "log", kind: "Pod", group: "", version: "", verbs: &["get"] },
        Subresource {
            name: "portforward",
            kind: "PodPortForwardOptions",
            group: "",
            version: "",
            verbs: &["create", "get"],
        },
        Subresource {
            name: "proxy",
            kind: "PodProxyOptions",
            group: "",
            version: "",
            verbs: &["create", "delete", "get", "patch", "update"],
        },
        Subresource {
            name: "resize",
            kind: "Pod",
            group: "",
            version: "",
            verbs: &["get", "patch", "update"],
        },
        Subresource {
            name: "status",
            kind: "Pod",
            group: "",
            version: "",
            verbs: &["get", "patch", "update"],
        },
    ],
    store_prefix: "pods",
};

impl Kind for Pod {
    fn info(&self) -> &'static KindInfo {
        &INFO
    }

    fn unowned(&self, part: Part) -> Unowned {
        match part {
            Part::Status => Unowned::Listed(&[
                &["spec"],
                &["metadata", "deletionTimestamp"],
                &["metadata", "ownerReferences"],
            ]),
            Part::Sub("ephemeralcontainers") => Unowned::AllBut(&[&["spec", "ephemeralContainers"]]),
            Part::Sub("resize") => Unowned::AllBut(&[
                &["spec", "containers", "*", "resources"],
                &["spec", "containers", "*", "resizePolicy"],
                &["spec", "initContainers", "*", "resources"],
                &["spec", "initContainers", "*", "resizePolicy"],
                &["spec", "resources"],
            ]),
            _ => Unowned::Listed(&[&["status"]]),
        }
    }

    fn set_defaults(&self, object: &mut Value) {
        defaults::pod(object);
    }

    fn prepare_create(&self, object: &mut Value, rules: &Rules<'_>) {
        create::prepare(object, rules.now);
    }

    fn counts_generations(&self) -> bool {
        true
    }

    fn prepare_update(&self, new: &mut Value, old: &Value, part: Part, _rules: &Rules<'_>) {
        match part {
            Part::Main => update::prepare(new, old),
            Part::Status => subresources::status(new, old),
            Part::Sub("ephemeralcontainers") => subresources::ephemeral_containers(new, old),
            Part::Sub("resize") => subresources::resize(new, old),
            Part::Sub(_) => {}
        }
    }

    fn validate_create(&self, object: &Value, errors: &mut FieldErrors) {
        spec::validate_create(errors, object);
    }

    fn validate_update(&self, new: &Value, old: &Value, part: Part, errors: &mut FieldErrors) {
        match part {
            Part::Main => update::validate(errors, new, old),
            Part::Status => status::validate(errors, new, old),
            Part::Sub("ephemeralcontainers") => {
                spec::validate_pod(errors, new);
                let path = Path::new("metadata");
                annotations::validate_update(errors, &path.child("annotations"), new, old);
                debug_containers::validate_update(errors, new, old);
            }
            Part::Sub("resize") => resize::validate(errors, new, old),
            Part::Sub(_) => {}
        }
    }

    /// Only for new pods: updates are frequent, and people rarely make them.
    fn warnings(&self, new: &Value, old: Option<&Value>) -> Vec<String> {
        if old.is_some() { Vec::new() } else { warnings::of_pod(new) }
    }

    /// The client's wish, else the pod's own grace; none at all for pods that no node has, and for those that
    /// have ended.
    fn deletion(&self, object: &Value, grace_seconds: Option<i64>) -> Deletion {
        let spec = &object["spec"];
        let ended = matches!(text(&object["status"], "phase"), "Succeeded" | "Failed");
        let seconds = if ended || text(spec, "nodeName").is_empty() {
            0
        } else {
            grace_seconds.or_else(|| int_ptr(spec, "terminationGracePeriodSeconds")).unwrap_or(0)
        };
        Deletion::Graceful { seconds: if seconds < 0 { 1 } else { seconds } }
    }

    fn columns(&self) -> &'static [Column] {
        row::COLUMNS
    }

    fn row(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        row::cells(object, now)
    }

    fn row_conditions(&self, object: &Value) -> Value {
        row::conditions(object)
    }

    fn selectable(&self, object: &Value) -> Vec<(&'static str, String)> {
        let spec = &object["spec"];
        let status = &object["status"];
        let ip = at(status, &["podIPs"])
            .and_then(|ips| ips.get(0))
            .map_or_else(|| text(status, "podIP"), |first| text(first, "ip"));
        vec![
            ("spec.nodeName", text(spec, "nodeName").to_owned()),
            ("spec.restartPolicy", text(spec, "restartPolicy").to_owned()),
            ("spec.schedulerName", text(spec, "schedulerName").to_owned()),
            ("spec.serviceAccountName", text(spec, "serviceAccountName").to_owned()),
            ("spec.hostNetwork", flag(spec, "hostNetwork").to_string()),
            ("status.phase", text(status, "phase").to_owned()),
            ("status.podIP", ip.to_owned()),
            // It may be asked for, and upstream has no value for it.
            ("status.podIPs", String::new()),
            ("status.nominatedNodeName", text(status, "nominatedNodeName").to_owned()),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn grace_is_the_clients_or_the_pods_own() {
        for (node, phase, own, asked, seconds) in [
            ("", "Pending", 30, None, 0),
            ("", "Pending", 30, Some(10), 0),
            ("n", "Running", 30, None, 30),
            ("n", "Running", 30, Some(5), 5),
            ("n", "Running", 30, Some(0), 0),
            ("n", "Running", 30, Some(-4), 1),
            ("n", "Succeeded", 30, None, 0),
        ] {
            let pod = json!({"spec": {"nodeName": node, "terminationGracePeriodSeconds": own},
                "status": {"phase": phase}});
            assert_eq!(Pod.deletion(&pod, asked), Deletion::Graceful { seconds }, "{node} {phase} {asked:?}");
        }
    }

    #[test]
    fn fields_to_select_by_are_always_there() {
        let fields = Pod
            .selectable(&json!({"spec": {"hostNetwork": true}, "status": {"podIPs": [{"ip": "1.2.3.4"}]}}));
        assert_eq!(fields.len(), 9);
        assert!(fields.contains(&("status.podIPs", String::new())));
        assert!(fields.contains(&("spec.hostNetwork", "true".into())));
        assert!(fields.contains(&("status.podIP", "1.2.3.4".into())));
        assert!(fields.contains(&("spec.nodeName", String::new())));
    }
}
