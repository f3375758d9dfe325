//! `Pod` of `v1`.

use crate::kind::{Kind, KindInfo, Scope, Subresource};

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
}
