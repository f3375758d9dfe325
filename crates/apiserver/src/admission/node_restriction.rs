//! What a kubelet may write: itself, and what belongs to the pods bound to it.
//! Source: <https://kubernetes.io/docs/reference/access-authn-authz/admission-controllers/#noderestriction>

use std::collections::BTreeSet;

use cox_api::Status;
use serde_json::Value;

use super::{Attempt, Operation, Plugin, each, text};
use crate::auth::NODES;

/// Labels of Kubernetes' own that a node may set on itself.
const OWN_LABELS: [&str; 10] = [
    "kubernetes.io/hostname",
    "kubernetes.io/os",
    "kubernetes.io/arch",
    "beta.kubernetes.io/os",
    "beta.kubernetes.io/arch",
    "beta.kubernetes.io/instance-type",
    "node.kubernetes.io/instance-type",
    "topology.kubernetes.io/zone",
    "topology.kubernetes.io/region",
    "failure-domain.beta.kubernetes.io/zone",
];
const OWN_PREFIXES: [&str; 2] = ["kubelet.kubernetes.io", "node.kubernetes.io"];
const MIRROR: &str = "kubernetes.io/config.mirror";

pub(super) struct NodeRestriction;

impl Plugin for NodeRestriction {
    fn admit(&self, attempt: &Attempt<'_>, object: &mut Value, _: &mut Vec<String>) -> Result<(), Status> {
        check(attempt, Some(object))
    }

    fn validate(
        &self,
        attempt: &Attempt<'_>,
        object: Option<&Value>,
        _: &mut Vec<String>,
    ) -> Result<(), Status> {
        if attempt.operation == Operation::Delete || matches!(attempt.subresource, "token" | "eviction") {
            return check(attempt, object);
        }
        Ok(())
    }
}

fn check(attempt: &Attempt<'_>, object: Option<&Value>) -> Result<(), Status> {
    if !attempt.user.is_in(NODES) {
        return Ok(());
    }
    let Some(node) = attempt.user.node_name().filter(|node| !node.is_empty()) else {
        return Ok(());
    };
    let null = Value::Null;
    let object = object.unwrap_or(&null);
    match (attempt.info.group, attempt.info.plural, attempt.subresource) {
        ("", "pods", "") => pods(attempt, node, object),
        ("", "pods", "status") => pod_status(attempt, node, object),
        ("", "pods", "eviction") => eviction(attempt, node),
        ("", "nodes", _) => nodes(attempt, node, object),
        ("", "persistentvolumeclaims", "status") => Ok(()),
        ("", "serviceaccounts", "token") => token(attempt, object),
        ("coordination.k8s.io", "leases", _) => lease(attempt, node),
        ("storage.k8s.io", "csinodes", _) => {
            named(attempt, node, "can only access CSINode with the same name as the requesting node")
        }
        ("resource.k8s.io", "resourceslices", "") => slices(attempt, node, object),
        _ => Ok(()),
    }
}

fn named(attempt: &Attempt<'_>, node: &str, words: &str) -> Result<(), Status> {
    if attempt.name == node { Ok(()) } else { Err(attempt.forbidden(words)) }
}

/// Other writes of slices are up to the authorizer, which knows the slice by its name.
fn slices(attempt: &Attempt<'_>, node: &str, slice: &Value) -> Result<(), Status> {
    let (slice, verb) = match attempt.operation {
        Operation::Create => (Some(slice), "create"),
        Operation::Delete => (attempt.old, "delete"),
        Operation::Update | Operation::Connect => return Ok(()),
    };
    if slice.is_some_and(|slice| slice["spec"]["nodeName"] == node) {
        return Ok(());
    }
    let words = format!("can only {verb} ResourceSlice with the same NodeName as the requesting node");
    Err(attempt.forbidden(&words))
}

fn lease(attempt: &Attempt<'_>, node: &str) -> Result<(), Status> {
    const NAMESPACE: &str = "kube-node-lease";
    if attempt.namespace != NAMESPACE {
        return Err(
            attempt.forbidden(&format!("can only access leases in the {NAMESPACE:?} system namespace"))
        );
    }
    named(attempt, node, "can only access node lease with the same name as the requesting node")
}

fn token(attempt: &Attempt<'_>, request: &Value) -> Result<(), Status> {
    let reference = &request["spec"]["boundObjectRef"];
    if reference["kind"] != "Pod" || reference["apiVersion"] != "v1" || text(&reference["name"]).is_empty() {
        return Err(attempt.forbidden("node requested token not bound to a pod"));
    }
    if text(&reference["uid"]).is_empty() {
        return Err(attempt.forbidden("node requested token with a pod binding without a uid"));
    }
    let pod = attempt.server.db().get("pods", attempt.namespace, text(&reference["name"]));
    let node = attempt.user.node_name().unwrap_or_default();
    match pod {
        Some(pod) if pod.uid() != text(&reference["uid"]) => Err(attempt.forbidden(&format!(
            "the UID in the bound object reference ({}) does not match the UID in record. The object might have been deleted and then recreated",
            text(&reference["uid"])
        ))),
        Some(pod) if pod.header().field("spec.nodeName") == Some(node) => Ok(()),
        Some(_) => Err(attempt.forbidden("node requested token bound to a pod scheduled on a different node")),
        None => Err(Status::not_found("", "pods", text(&reference["name"]))),
    }
}

fn eviction(attempt: &Attempt<'_>, node: &str) -> Result<(), Status> {
    let pod = attempt.server.db().get("pods", attempt.namespace, &attempt.name);
    if pod.is_some_and(|pod| pod.header().field("spec.nodeName") != Some(node)) {
        return Err(
            attempt.forbidden(&format!("node {node} can only evict pods with spec.nodeName set to itself"))
        );
    }
    Ok(())
}

fn pods(attempt: &Attempt<'_>, node: &str, pod: &Value) -> Result<(), Status> {
    match attempt.operation {
        Operation::Create => new_pod(attempt, node, pod),
        Operation::Delete => {
            let old = attempt.old.map_or("", |old| text(&old["spec"]["nodeName"]));
            if old == node {
                return Ok(());
            }
            Err(attempt
                .forbidden(&format!("node {node:?} can only delete pods with spec.nodeName set to itself")))
        }
        Operation::Connect => Ok(()),
        Operation::Update => Err(attempt.forbidden(&format!(
            "unexpected operation \"UPDATE\", node {node:?} can only create and delete mirror pods"
        ))),
    }
}

fn new_pod(attempt: &Attempt<'_>, node: &str, pod: &Value) -> Result<(), Status> {
    let refuse = |why: String| Err(attempt.forbidden(&why));
    if pod["metadata"]["annotations"].get(MIRROR).is_none() {
        return refuse(format!(
            "pod does not have {MIRROR:?} annotation, node {node:?} can only create mirror pods"
        ));
    }
    let spec = &pod["spec"];
    if spec["nodeName"] != node {
        return refuse(format!("node {node:?} can only create pods with spec.nodeName set to itself"));
    }
    let owners: Vec<&Value> = each(&pod["metadata"]["ownerReferences"]).collect();
    let owner = match owners.as_slice() {
        [] => {
            return refuse(format!(
                "node {node:?} can only create pods with an owner reference set to itself"
            ));
        }
        [one] => one,
        _ => {
            return refuse(format!(
                "node {node:?} can only create pods with a single owner reference set to itself"
            ));
        }
    };
    if owner["apiVersion"] != "v1" || owner["kind"] != "Node" || owner["name"] != node {
        return refuse(format!("node {node:?} can only create pods with an owner reference set to itself"));
    }
    if owner["controller"] != true {
        return refuse(format!(
            "node {node:?} can only create pods with a controller owner reference set to itself"
        ));
    }
    if owner["blockOwnerDeletion"] == true {
        return refuse(format!("node {node:?} must not set blockOwnerDeletion on an owner reference"));
    }
    let known = attempt.server.db().get("minions", "", node);
    let uid = known.as_ref().map_or("", |node| node.uid());
    if owner["uid"] != uid {
        return refuse(format!("node {node} UID mismatch: expected {} got {uid}", text(&owner["uid"])));
    }
    if !text(&spec["serviceAccountName"]).is_empty() {
        return refuse(format!("node {node:?} can not create pods that reference a service account"));
    }
    for (kind, words) in [
        ("secret", "secrets"),
        ("configMap", "configmaps"),
        ("persistentVolumeClaim", "persistentvolumeclaims"),
    ] {
        let projected =
            |volume: &Value| each(&volume["projected"]["sources"]).any(|source| source.get(kind).is_some());
        if each(&spec["volumes"]).any(|volume| volume.get(kind).is_some() || projected(volume)) {
            return refuse(format!("node {node:?} can not create pods that reference {words}"));
        }
    }
    if each(&spec["resourceClaims"]).next().is_some() {
        return refuse(format!("node {node:?} can not create pods that reference resourceclaims"));
    }
    Ok(())
}

fn pod_status(attempt: &Attempt<'_>, node: &str, pod: &Value) -> Result<(), Status> {
    let Some(old) = attempt.old else { return Ok(()) };
    if old["spec"]["nodeName"] != node {
        return Err(attempt.forbidden(&format!(
            "node {node:?} can only update pod status for pods with spec.nodeName set to itself"
        )));
    }
    let labels = |pod: &Value| pod["metadata"]["labels"].as_object().cloned().unwrap_or_default();
    if labels(old) != labels(pod) {
        return Err(attempt.forbidden(&format!("node {node:?} cannot update labels through pod status")));
    }
    if claims(old) != claims(pod) {
        // Upstream's spelling.
        return Err(attempt.forbidden(&format!("node {node:?} cannot update resource claim statues")));
    }
    let extended = |pod: &Value| pod["status"]["extendedResourceClaimStatus"].clone();
    if extended(old) != extended(pod) {
        let words = format!("node {node:?} cannot update extended resource claim status");
        return Err(attempt.forbidden(&words));
    }
    Ok(())
}

/// Which claims a pod has, as its status says: what a node could otherwise use to read claims of others.
fn claims(pod: &Value) -> Vec<(&str, Option<&str>)> {
    each(&pod["status"]["resourceClaimStatuses"])
        .map(|status| (text(&status["name"]), status["resourceClaimName"].as_str()))
        .collect()
}

fn nodes(attempt: &Attempt<'_>, node: &str, object: &Value) -> Result<(), Status> {
    if attempt.name != node {
        return Err(
            attempt.forbidden(&format!("node {node:?} is not allowed to modify node {:?}", attempt.name))
        );
    }
    if attempt.operation == Operation::Delete || !attempt.subresource.is_empty() {
        return Ok(());
    }
    let null = Value::Null;
    let old = attempt.old.unwrap_or(&null);
    let forbidden = forbidden_labels(&object["metadata"]["labels"], &old["metadata"]["labels"]);
    if !forbidden.is_empty() {
        let list: Vec<&str> = forbidden.iter().map(String::as_str).collect();
        let words = if attempt.operation == Operation::Create {
            "is not allowed to set the following labels"
        } else {
            "is not allowed to modify labels"
        };
        return Err(attempt.forbidden(&format!("{words}: {}", list.join(", "))));
    }
    if attempt.operation == Operation::Update {
        if object["spec"]["taints"] != old["spec"]["taints"] {
            return Err(attempt.forbidden(&format!("node {node:?} is not allowed to modify taints")));
        }
        if object["metadata"]["ownerReferences"] != old["metadata"]["ownerReferences"] {
            return Err(attempt.forbidden(&format!("node {node:?} is not allowed to modify ownerReferences")));
        }
    }
    Ok(())
}

/// Labels that differ and that a node may not touch.
fn forbidden_labels(new: &Value, old: &Value) -> BTreeSet<String> {
    let keys = |labels: &Value| labels.as_object().cloned().unwrap_or_default();
    let (new, old) = (keys(new), keys(old));
    new.keys()
        .chain(old.keys())
        .filter(|key| new.get(*key) != old.get(*key))
        .filter(|key| {
            let namespace = key.split_once('/').map_or("", |(namespace, _)| namespace);
            let within = |domain: &str| {
                namespace == domain || namespace.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'))
            };
            let kubernetes = within("kubernetes.io") || within("k8s.io");
            let own = OWN_LABELS.contains(&key.as_str()) || OWN_PREFIXES.iter().any(|prefix| within(prefix));
            within("node-restriction.kubernetes.io") || (kubernetes && !own)
        })
        .cloned()
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn nodes_touch_their_own_labels_alone() {
        let new = json!({"kubernetes.io/hostname": "a", "my.io/x": "y", "node-role.kubernetes.io/z": "",
            "a.node-restriction.kubernetes.io/b": "", "x.kubelet.kubernetes.io/c": ""});
        let forbidden = forbidden_labels(&new, &Value::Null);
        assert_eq!(
            forbidden.into_iter().collect::<Vec<_>>(),
            ["a.node-restriction.kubernetes.io/b", "node-role.kubernetes.io/z"]
        );
    }
}
