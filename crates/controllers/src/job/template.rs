//! The pods of a Job.

use k8s_openapi::api::batch::v1::{Job, JobSpec};
use k8s_openapi::api::core::v1::{EnvVar, EnvVarSource, ObjectFieldSelector, Pod};

use super::view::{self, FINALIZER, INDEX, INDEX_FAILURES, INDEX_FAILURES_IGNORED};
use crate::common::owner::{controller_reference, name, namespace};
use crate::common::pods;

/// What is special about a pod of an index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slot {
    pub(super) index: i32,
    /// Failures of the index so far, where the Job limits them.
    pub(super) failures: Option<(i32, i32)>,
}

/// A new pod, for an index where the Job has such.
pub(super) fn pod(job: &Job, spec: &JobSpec, slot: Option<Slot>) -> Pod {
    let mut pod = pods::from_template(&spec.template, namespace(job), controller_reference(job));
    pod.metadata.finalizers.get_or_insert_default().push(FINALIZER.to_owned());
    let Some(slot) = slot else { return pod };
    let index = slot.index.to_string();
    pod.metadata.generate_name = Some(format!("{}-{index}-", name(job)));
    pod.metadata.labels.get_or_insert_default().insert(INDEX.to_owned(), index.clone());
    let annotations = pod.metadata.annotations.get_or_insert_default();
    annotations.insert(INDEX.to_owned(), index.clone());
    if let Some((failures, ignored)) = slot.failures {
        annotations.insert(INDEX_FAILURES.to_owned(), failures.to_string());
        if ignored > 0 {
            annotations.insert(INDEX_FAILURES_IGNORED.to_owned(), ignored.to_string());
        }
    }
    if let Some(spec) = &mut pod.spec {
        spec.hostname = Some(format!("{}-{index}", name(job)));
        for container in spec.init_containers.iter_mut().flatten().chain(&mut spec.containers) {
            let known = container.env.iter().flatten().any(|env| env.name == "JOB_COMPLETION_INDEX");
            if !known {
                container.env.get_or_insert_default().push(index_variable());
            }
        }
    }
    debug_assert_eq!(view::index_of(&pod), Some(slot.index));
    pod
}

fn index_variable() -> EnvVar {
    EnvVar {
        name: "JOB_COMPLETION_INDEX".into(),
        value_from: Some(EnvVarSource {
            field_ref: Some(ObjectFieldSelector {
                api_version: None,
                field_path: format!("metadata.labels['{INDEX}']"),
            }),
            ..EnvVarSource::default()
        }),
        ..EnvVar::default()
    }
}
