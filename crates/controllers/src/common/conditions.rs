//! Conditions in lists: one entry a type.

/// A condition of some kind's status.
pub(crate) trait Conditional: Clone + PartialEq {
    /// `type`.
    fn kind(&self) -> &str;
    /// `status`.
    fn status(&self) -> &str;
    /// `reason`, empty where absent.
    fn reason(&self) -> &str;
    /// Takes over the time of the last transition.
    fn keep_transition(&mut self, from: &Self);
}

macro_rules! conditional {
    ($($kind:ty),+) => {$(
        impl Conditional for $kind {
            fn kind(&self) -> &str {
                &self.type_
            }
            fn status(&self) -> &str {
                &self.status
            }
            fn reason(&self) -> &str {
                self.reason.as_deref().unwrap_or("")
            }
            fn keep_transition(&mut self, from: &Self) {
                self.last_transition_time.clone_from(&from.last_transition_time);
            }
        }
    )+};
}

conditional!(
    k8s_openapi::api::apps::v1::DeploymentCondition,
    k8s_openapi::api::apps::v1::ReplicaSetCondition,
    k8s_openapi::api::core::v1::ReplicationControllerCondition,
    k8s_openapi::api::core::v1::PodCondition,
    k8s_openapi::api::core::v1::NodeCondition,
    k8s_openapi::api::core::v1::NamespaceCondition,
    k8s_openapi::api::batch::v1::JobCondition
);

/// The condition of a type.
pub(crate) fn find<'a, C: Conditional>(conditions: &'a Option<Vec<C>>, kind: &str) -> Option<&'a C> {
    conditions.iter().flatten().find(|condition| condition.kind() == kind)
}

/// Puts in a condition; one with the same status and reason stays as it is, one with the same status keeps its
/// transition time. The changed condition goes last, as upstream's setters do.
pub(crate) fn set<C: Conditional>(conditions: &mut Option<Vec<C>>, mut condition: C) {
    if let Some(current) = find(conditions, condition.kind()) {
        if current.status() == condition.status() && current.reason() == condition.reason() {
            return;
        }
        if current.status() == condition.status() {
            condition.keep_transition(&current.clone());
        }
    }
    remove(conditions, condition.kind().to_owned().as_str());
    conditions.get_or_insert_default().push(condition);
}

/// Takes out the condition of a type.
pub(crate) fn remove<C: Conditional>(conditions: &mut Option<Vec<C>>, kind: &str) {
    if let Some(list) = conditions {
        list.retain(|condition| condition.kind() != kind);
        if list.is_empty() {
            *conditions = None;
        }
    }
}
