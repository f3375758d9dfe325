//! Events about pods, their containers and the node.

use cox_client::events::reference;
use cox_client::{EventRecorder, EventType};
use k8s_openapi::api::core::v1::{Node, ObjectReference, Pod};

use crate::pod::spec;

/// The kubelet's recorder.
#[derive(Clone)]
pub(crate) struct Events(pub(crate) EventRecorder);

fn sort(kind: &str) -> EventType {
    if kind == "Warning" { EventType::Warning } else { EventType::Normal }
}

impl Events {
    /// About a pod.
    pub(crate) fn pod(&self, pod: &Pod, kind: &str, reason: &'static str, message: &str) {
        self.0.event(pod, sort(kind), reason, message);
    }

    /// About a container of a pod.
    pub(crate) fn container(&self, pod: &Pod, name: &str, kind: &str, reason: &'static str, message: &str) {
        let list = if spec::inits(pod).iter().any(|init| init.name == name) {
            "initContainers"
        } else if spec::ephemerals(pod).iter().any(|ephemeral| ephemeral.name == name) {
            "ephemeralContainers"
        } else {
            "containers"
        };
        let about = ObjectReference { field_path: Some(format!("spec.{list}{{{name}}}")), ..reference(pod) };
        self.0.event_about(about, sort(kind), reason, message);
    }

    /// About the node: upstream refers to it by its name as uid.
    pub(crate) fn node(&self, name: &str, kind: &str, reason: &'static str, message: &str) {
        let node = Node {
            metadata: k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta {
                name: Some(name.into()),
                uid: Some(name.into()),
                ..Default::default()
            },
            ..Node::default()
        };
        self.0.event(&node, sort(kind), reason, message);
    }
}
