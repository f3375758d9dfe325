//! What a namespace that is being deleted tells.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Namespace, NamespaceCondition, NamespaceStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::common::conditions;

/// The finalizer of `spec.finalizers` that this controller takes off.
pub(super) const FINALIZER: &str = "kubernetes";

/// What is left in the namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Remains {
    /// Objects by resource (`pods.`, `deployments.apps`).
    pub(super) objects: BTreeMap<String, usize>,
    /// Objects held by a finalizer.
    pub(super) finalizers: BTreeMap<String, usize>,
    /// What could not be listed or deleted.
    pub(super) failures: Vec<String>,
}

impl Remains {
    pub(super) fn is_empty(&self) -> bool {
        self.objects.is_empty() && self.failures.is_empty()
    }
}

/// The status that tells of what is left; none where it is told already.
pub(super) fn status(namespace: &Namespace, remains: &Remains, now: Timestamp) -> Option<NamespaceStatus> {
    let before = namespace.status.clone().unwrap_or_default();
    let mut status = before.clone();
    status.phase = Some("Terminating".to_owned());
    let objects: Vec<String> = remains
        .objects
        .iter()
        .map(|(what, count)| format!("{what} has {count} resource instances"))
        .collect();
    let rows: [(&str, bool, &str, String); 5] = [
        (
            "NamespaceDeletionDiscoveryFailure",
            false,
            "ResourcesDiscovered",
            "All resources successfully discovered".into(),
        ),
        (
            "NamespaceDeletionGroupVersionParsingFailure",
            false,
            "ParsedGroupVersions",
            "All legacy kube types successfully parsed".into(),
        ),
        if remains.failures.is_empty() {
            (
                "NamespaceDeletionContentFailure",
                false,
                "ContentDeleted",
                "All content successfully deleted, may be waiting on finalization".into(),
            )
        } else {
            (
                "NamespaceDeletionContentFailure",
                true,
                "ContentDeletionFailed",
                format!(
                    "Failed to delete all resource types, {} remaining: {}",
                    remains.failures.len(),
                    remains.failures.join(", ")
                ),
            )
        },
        if objects.is_empty() {
            ("NamespaceContentRemaining", false, "ContentRemoved", "All content successfully removed".into())
        } else {
            (
                "NamespaceContentRemaining",
                true,
                "SomeResourcesRemain",
                format!("Some resources are remaining: {}", objects.join(", ")),
            )
        },
        if remains.finalizers.is_empty() {
            (
                "NamespaceFinalizersRemaining",
                false,
                "ContentHasNoFinalizers",
                "All content-preserving finalizers finished".into(),
            )
        } else {
            let parts: Vec<String> = remains
                .finalizers
                .iter()
                .map(|(finalizer, count)| format!("{finalizer} in {count} resource instances"))
                .collect();
            (
                "NamespaceFinalizersRemaining",
                true,
                "SomeFinalizersRemain",
                format!("Some content in the namespace has finalizers remaining: {}", parts.join(", ")),
            )
        },
    ];
    for (kind, truth, reason, message) in rows {
        let condition = NamespaceCondition {
            type_: kind.into(),
            status: if truth { "True" } else { "False" }.into(),
            reason: Some(reason.into()),
            message: Some(message.clone()),
            last_transition_time: Some(Time(now)),
        };
        let told = conditions::find(&status.conditions, kind).cloned();
        match told {
            // The message counts anew without a transition.
            Some(told) if told.status == condition.status && told.reason == condition.reason => {
                for known in status.conditions.iter_mut().flatten().filter(|known| known.type_ == kind) {
                    known.message = Some(message.clone());
                }
            }
            _ => conditions::set(&mut status.conditions, condition),
        }
    }
    (status != before).then_some(status)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::common::testing::{at, object};
    use serde_json::json;

    #[test]
    fn remains_are_told() {
        let namespace: Namespace = object(json!({"metadata": {"name": "ns"}}));
        let remains = Remains {
            objects: [("pods.".to_owned(), 2)].into(),
            finalizers: [("example.com/hold".to_owned(), 1)].into(),
            failures: Vec::new(),
        };
        let told = status(&namespace, &remains, at(0)).unwrap();
        let messages: Vec<String> =
            told.conditions.as_ref().unwrap().iter().map(|c| c.message.clone().unwrap()).collect();
        assert_eq!(messages[3], "Some resources are remaining: pods. has 2 resource instances");
        assert_eq!(
            messages[4],
            "Some content in the namespace has finalizers remaining: example.com/hold in 1 resource instances"
        );
        let again = Namespace { status: Some(told), ..namespace };
        assert!(status(&again, &remains, at(9)).is_none());
    }
}
