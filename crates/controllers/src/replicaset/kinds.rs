//! The two kinds that keep a number of pods.

use cox_client::Selector;
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{ReplicaSet, ReplicaSetCondition};
use k8s_openapi::api::core::v1::{PodTemplateSpec, ReplicationController, ReplicationControllerCondition};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::plan::Counts;
use super::{Failure, Replicated};
use crate::common::conditions;

const FAILURE: &str = "ReplicaFailure";

impl Replicated for ReplicaSet {
    const QUEUE: &'static str = "replicaset";

    fn replicas(&self) -> i32 {
        self.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1)
    }

    fn min_ready_seconds(&self) -> i32 {
        self.spec.as_ref().and_then(|spec| spec.min_ready_seconds).unwrap_or(0)
    }

    fn selector(&self) -> Selector {
        Selector::of(self.spec.as_ref().map(|spec| &spec.selector))
    }

    fn template(&self) -> PodTemplateSpec {
        self.spec.as_ref().and_then(|spec| spec.template.clone()).unwrap_or_default()
    }

    fn with_status(&self, counts: &Counts, failure: Option<&Failure>, now: Timestamp) -> Option<Self> {
        let before = self.status.clone().unwrap_or_default();
        let mut status = before.clone();
        status.replicas = counts.replicas;
        status.fully_labeled_replicas = some(counts.fully_labeled);
        status.ready_replicas = some(counts.ready);
        status.available_replicas = some(counts.available);
        status.terminating_replicas = Some(counts.terminating);
        status.observed_generation = self.metadata.generation;
        match failure {
            Some(failure) if conditions::find(&status.conditions, FAILURE).is_none() => {
                let condition = ReplicaSetCondition {
                    type_: FAILURE.into(),
                    status: "True".into(),
                    reason: Some(failure.reason.into()),
                    message: Some(failure.message.clone()),
                    last_transition_time: Some(Time(now)),
                };
                conditions::set(&mut status.conditions, condition);
            }
            Some(_) => {}
            None => conditions::remove(&mut status.conditions, FAILURE),
        }
        let same = status == before && self.status.is_some();
        (!same).then(|| ReplicaSet { status: Some(status), ..self.clone() })
    }
}

impl Replicated for ReplicationController {
    const QUEUE: &'static str = "replicationcontroller";

    fn replicas(&self) -> i32 {
        self.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1)
    }

    fn min_ready_seconds(&self) -> i32 {
        self.spec.as_ref().and_then(|spec| spec.min_ready_seconds).unwrap_or(0)
    }

    fn selector(&self) -> Selector {
        let selector = self.spec.as_ref().and_then(|spec| spec.selector.as_ref());
        selector.map_or(Selector::Nothing, |labels| Selector::of_map(Some(labels)))
    }

    fn template(&self) -> PodTemplateSpec {
        self.spec.as_ref().and_then(|spec| spec.template.clone()).unwrap_or_default()
    }

    fn with_status(&self, counts: &Counts, failure: Option<&Failure>, now: Timestamp) -> Option<Self> {
        let before = self.status.clone().unwrap_or_default();
        let mut status = before.clone();
        status.replicas = counts.replicas;
        status.fully_labeled_replicas = some(counts.fully_labeled);
        status.ready_replicas = some(counts.ready);
        status.available_replicas = some(counts.available);
        status.observed_generation = self.metadata.generation;
        match failure {
            Some(failure) if conditions::find(&status.conditions, FAILURE).is_none() => {
                let condition = ReplicationControllerCondition {
                    type_: FAILURE.into(),
                    status: "True".into(),
                    reason: Some(failure.reason.into()),
                    message: Some(failure.message.clone()),
                    last_transition_time: Some(Time(now)),
                };
                conditions::set(&mut status.conditions, condition);
            }
            Some(_) => {}
            None => conditions::remove(&mut status.conditions, FAILURE),
        }
        let same = status == before && self.status.is_some();
        (!same).then(|| ReplicationController { status: Some(status), ..self.clone() })
    }
}

/// Zero is left out, as upstream writes these fields.
fn some(count: i32) -> Option<i32> {
    (count != 0).then_some(count)
}
