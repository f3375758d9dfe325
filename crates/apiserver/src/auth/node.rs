//! What a kubelet may do: its own node, the pods bound to it, and what those pods refer to.
//! Source: <https://kubernetes.io/docs/reference/access-authn-authz/node/>

use std::sync::OnceLock;

use serde_json::Value;

use super::Attributes;
use super::defaults::default_policy;
use super::rbac::PolicyRule;
use crate::db::Db;

/// What the node authorizer said. It refuses nothing by itself: roles may still allow it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Allow,
    NoOpinion(String),
}

fn no(reason: impl Into<String>) -> Verdict {
    Verdict::NoOpinion(reason.into())
}

/// Decides for a member of `system:nodes`.
pub(super) fn decide(db: &Db, attempt: &Attributes<'_>) -> Verdict {
    let Some(node) = attempt.user.node_name() else { return no("") };
    if node.is_empty() {
        return no(format!("unknown node for user {:?}", attempt.user.name));
    }
    match (attempt.group, attempt.resource) {
        ("", "secrets") => {
            read_namespaced(attempt, node, || pods_refer(db, attempt, node, Reference::Secret))
        }
        ("", "configmaps") => {
            read_namespaced(attempt, node, || pods_refer(db, attempt, node, Reference::ConfigMap))
        }
        ("", "persistentvolumeclaims") if attempt.subresource == "status" => {
            if !matches!(attempt.verb, "update" | "patch") {
                return no("can only update or patch status of this type");
            }
            related(attempt, node, || pods_refer(db, attempt, node, Reference::Claim))
        }
        ("", "persistentvolumeclaims") => {
            get_only(attempt, node, || pods_refer(db, attempt, node, Reference::Claim))
        }
        ("", "persistentvolumes") => get_only(attempt, node, || volume_of_pods(db, attempt.name, node)),
        ("resource.k8s.io", "resourceclaims") => {
            get_only(attempt, node, || pods_refer(db, attempt, node, Reference::Devices))
        }
        ("resource.k8s.io", "resourceslices") => own_slices(db, attempt, node),
        ("storage.k8s.io", "volumeattachments") => get_only(attempt, node, || {
            db.get("volumeattachments", "", attempt.name)
                .is_some_and(|attachment| attachment.value()["spec"]["nodeName"] == node)
        }),
        ("", "serviceaccounts") => {
            if attempt.verb != "create" || attempt.subresource != "token" {
                return no("can only create tokens for individual service accounts");
            }
            related(attempt, node, || pods_refer(db, attempt, node, Reference::Account))
        }
        ("coordination.k8s.io", "leases") => own_lease(attempt, node),
        ("storage.k8s.io", "csinodes") => own_csi_node(attempt, node),
        ("", "nodes") => own_node(attempt, node),
        ("", "pods") => own_pods(db, attempt, node),
        _ => by_rules(attempt),
    }
}

fn by_rules(attempt: &Attributes<'_>) -> Verdict {
    static RULES: OnceLock<Vec<PolicyRule>> = OnceLock::new();
    let rules = RULES.get_or_init(|| {
        default_policy()
            .into_iter()
            .find(|(plural, object)| *plural == "clusterroles" && object["metadata"]["name"] == "system:node")
            .and_then(|(_, object)| serde_json::from_value(object["rules"].clone()).ok())
            .unwrap_or_default()
    });
    if rules.iter().any(|rule| rule.allows(attempt)) { Verdict::Allow } else { no("") }
}

fn related(attempt: &Attributes<'_>, node: &str, found: impl FnOnce() -> bool) -> Verdict {
    if attempt.name.is_empty() {
        return no("No Object name found");
    }
    if found() {
        Verdict::Allow
    } else {
        no(format!("no relationship found between node '{node}' and this object"))
    }
}

fn read_namespaced(attempt: &Attributes<'_>, node: &str, found: impl FnOnce() -> bool) -> Verdict {
    if !attempt.is_read() {
        return no("can only read resources of this type");
    }
    if !attempt.subresource.is_empty() {
        return no("cannot read subresource");
    }
    if attempt.namespace.is_empty() {
        return no("can only read namespaced object of this type");
    }
    related(attempt, node, found)
}

fn get_only(attempt: &Attributes<'_>, node: &str, found: impl FnOnce() -> bool) -> Verdict {
    if attempt.verb != "get" {
        return no("can only get individual resources of this type");
    }
    if !attempt.subresource.is_empty() {
        return no("cannot get subresource");
    }
    related(attempt, node, found)
}

fn own_lease(attempt: &Attributes<'_>, node: &str) -> Verdict {
    const NAMESPACE: &str = "kube-node-lease";
    if !matches!(attempt.verb, "get" | "create" | "update" | "patch" | "delete") {
        return no("can only get, create, update, patch, or delete a node lease");
    }
    if attempt.namespace != NAMESPACE {
        return no(format!("can only access leases in the {NAMESPACE:?} system namespace"));
    }
    if attempt.verb != "create" && attempt.name != node {
        return no("can only access node lease with the same name as the requesting node");
    }
    Verdict::Allow
}

fn own_csi_node(attempt: &Attributes<'_>, node: &str) -> Verdict {
    if !matches!(attempt.verb, "get" | "create" | "update" | "patch" | "delete") {
        return no("can only get, create, update, patch, or delete a CSINode");
    }
    if !attempt.subresource.is_empty() {
        return no("cannot authorize CSINode subresources");
    }
    if attempt.verb != "create" && attempt.name != node {
        return no("can only access CSINode with the same name as the requesting node");
    }
    Verdict::Allow
}

fn own_slices(db: &Db, attempt: &Attributes<'_>, node: &str) -> Verdict {
    if !attempt.subresource.is_empty() {
        return no("cannot authorize ResourceSlice subresources");
    }
    match attempt.verb {
        // Which node a new slice is of, NodeRestriction looks at.
        "create" => Verdict::Allow,
        "get" | "update" | "patch" | "delete" => related(attempt, node, || {
            db.get("resourceslices", "", attempt.name)
                .is_some_and(|slice| slice.header().field("spec.nodeName") == Some(node))
        }),
        "watch" | "list" | "deletecollection" if selects_node(attempt, node) => Verdict::Allow,
        "watch" | "list" | "deletecollection" => {
            no("can only list/watch/deletecollection resourceslices with nodeName field selector")
        }
        _ => no(
            "only the following verbs are allowed for a ResourceSlice: get, watch, list, create, update, patch, delete, deletecollection",
        ),
    }
}

/// Whether the field selector leaves objects of the node alone.
fn selects_node(attempt: &Attributes<'_>, node: &str) -> bool {
    let wanted = format!("spec.nodeName={node}");
    attempt.field_selector.split(',').any(|part| part.replace("==", "=").trim() == wanted)
}

fn own_node(attempt: &Attributes<'_>, node: &str) -> Verdict {
    match (attempt.subresource, attempt.verb) {
        ("", "create" | "update" | "patch") => Verdict::Allow,
        ("", "get" | "list" | "watch") if attempt.name == node => Verdict::Allow,
        ("", "get" | "list" | "watch") if attempt.name.is_empty() => {
            no(format!("node '{node}' cannot read all nodes, only its own Node object"))
        }
        ("", "get" | "list" | "watch") => {
            no(format!("node '{node}' cannot read '{}', only its own Node object", attempt.name))
        }
        ("status", "update" | "patch") => Verdict::Allow,
        _ => no(""),
    }
}

fn own_pods(db: &Db, attempt: &Attributes<'_>, node: &str) -> Verdict {
    match (attempt.subresource, attempt.verb) {
        ("", "get") => related(attempt, node, || {
            db.get("pods", attempt.namespace, attempt.name)
                .is_some_and(|pod| pod.header().field("spec.nodeName") == Some(node))
        }),
        ("", "list" | "watch") if selects_node(attempt, node) => Verdict::Allow,
        ("", "list" | "watch") => no("can only list/watch pods with spec.nodeName field selector"),
        ("", "create" | "delete") | ("status", "get" | "update" | "patch") | ("eviction", "create") => {
            Verdict::Allow
        }
        _ => no(""),
    }
}

#[derive(Clone, Copy)]
enum Reference {
    Secret,
    ConfigMap,
    Claim,
    Account,
    /// A ResourceClaim: named by the pod, or made for it.
    Devices,
}

/// Whether a pod of the node and the namespace refers to the object. Mirror pods count for nothing: the node
/// made them up itself.
fn pods_refer(db: &Db, attempt: &Attributes<'_>, node: &str, reference: Reference) -> bool {
    db.any("pods", Some(attempt.namespace), |pod| {
        pod.header().field("spec.nodeName") == Some(node) && {
            let pod = pod.value();
            pod["metadata"]["annotations"].get("kubernetes.io/config.mirror").is_none()
                && refers(&pod, reference, attempt.name)
        }
    })
}

fn volume_of_pods(db: &Db, volume: &str, node: &str) -> bool {
    let Some(volume) = db.get("persistentvolumes", "", volume) else { return false };
    let claim = &volume.value()["spec"]["claimRef"];
    let (Some(namespace), Some(name)) = (claim["namespace"].as_str(), claim["name"].as_str()) else {
        return false;
    };
    db.any("pods", Some(namespace), |pod| {
        pod.header().field("spec.nodeName") == Some(node) && refers(&pod.value(), Reference::Claim, name)
    })
}

fn refers(pod: &Value, reference: Reference, name: &str) -> bool {
    let spec = &pod["spec"];
    match reference {
        Reference::Account => spec["serviceAccountName"] == name,
        Reference::Devices => {
            let status = &pod["status"];
            list(&spec["resourceClaims"]).any(|claim| claim["resourceClaimName"] == name)
                || list(&status["resourceClaimStatuses"]).any(|made| made["resourceClaimName"] == name)
                || status["extendedResourceClaimStatus"]["resourceClaimName"] == name
        }
        Reference::Claim => {
            let pod_name = pod["metadata"]["name"].as_str().unwrap_or_default();
            list(&spec["volumes"]).any(|volume| {
                volume["persistentVolumeClaim"]["claimName"] == name
                    || (volume.get("ephemeral").is_some()
                        && volume["name"].as_str().is_some_and(|own| format!("{pod_name}-{own}") == name))
            })
        }
        Reference::Secret => {
            list(&spec["imagePullSecrets"]).any(|secret| secret["name"] == name)
                || environment_refers(spec, "secretRef", "secretKeyRef", name)
                || list(&spec["volumes"]).any(|volume| {
                    volume["secret"]["secretName"] == name
                        || projected(volume).any(|source| source["secret"]["name"] == name)
                        || volume["csi"]["nodePublishSecretRef"]["name"] == name
                        || ["cephfs", "cinder", "flexVolume", "iscsi", "rbd", "scaleIO", "storageos"]
                            .iter()
                            .any(|kind| volume[*kind]["secretRef"]["name"] == name)
                        || volume["azureFile"]["secretName"] == name
                })
        }
        Reference::ConfigMap => {
            environment_refers(spec, "configMapRef", "configMapKeyRef", name)
                || list(&spec["volumes"]).any(|volume| {
                    volume["configMap"]["name"] == name
                        || projected(volume).any(|source| source["configMap"]["name"] == name)
                })
        }
    }
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn projected(volume: &Value) -> impl Iterator<Item = &Value> {
    list(&volume["projected"]["sources"])
}

fn environment_refers(spec: &Value, whole: &str, key: &str, name: &str) -> bool {
    ["containers", "initContainers", "ephemeralContainers"].iter().flat_map(|part| list(&spec[*part])).any(
        |container| {
            list(&container["envFrom"]).any(|from| from[whole]["name"] == name)
                || list(&container["env"]).any(|env| env["valueFrom"][key]["name"] == name)
        },
    )
}
