//! The pods and claims of a StatefulSet.

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{
    PersistentVolumeClaim, PersistentVolumeClaimVolumeSource, Pod, PodTemplateSpec, Volume,
};

use crate::common::owner::{controller_reference, name, namespace};
use crate::common::pods;
use crate::common::revisions::REVISION_LABEL;

pub(super) const POD_NAME: &str = "statefulset.kubernetes.io/pod-name";
const POD_INDEX: &str = "apps.kubernetes.io/pod-index";

/// The ordinal in a pod's name; none where the name is no pod's of this set.
pub(super) fn ordinal(set: &StatefulSet, pod: &Pod) -> Option<i32> {
    let (parent, number) = name(pod).rsplit_once('-')?;
    (parent == name(set)).then(|| number.parse().ok()).flatten().filter(|number| *number >= 0)
}

/// The revision that a pod was made from.
pub(super) fn revision(pod: &Pod) -> &str {
    let labels = pod.metadata.labels.as_ref();
    labels.and_then(|labels| labels.get(REVISION_LABEL)).map_or("", String::as_str)
}

fn claim_name(set: &StatefulSet, claim: &PersistentVolumeClaim, ordinal: i32) -> String {
    format!("{}-{}-{ordinal}", name(claim), name(set))
}

/// The pod of an ordinal, from the template of a revision.
pub(super) fn pod(set: &StatefulSet, template: &PodTemplateSpec, revision: &str, ordinal: i32) -> Pod {
    let mut pod = pods::from_template(template, namespace(set), controller_reference(set));
    let pod_name = format!("{}-{ordinal}", name(set));
    pod.metadata.generate_name = Some(format!("{}-", name(set)));
    let labels = pod.metadata.labels.get_or_insert_default();
    labels.insert(REVISION_LABEL.to_owned(), revision.to_owned());
    labels.insert(POD_NAME.to_owned(), pod_name.clone());
    labels.insert(POD_INDEX.to_owned(), ordinal.to_string());
    let spec = pod.spec.get_or_insert_default();
    spec.hostname = Some(pod_name.clone());
    spec.subdomain =
        set.spec.as_ref().and_then(|spec| spec.service_name.clone()).filter(|service| !service.is_empty());
    let claims = set.spec.as_ref().and_then(|spec| spec.volume_claim_templates.as_deref()).unwrap_or(&[]);
    let volumes = spec.volumes.get_or_insert_default();
    for claim in claims {
        volumes.retain(|volume| volume.name != name(claim));
        volumes.push(Volume {
            name: name(claim).to_owned(),
            persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource {
                claim_name: claim_name(set, claim, ordinal),
                read_only: None,
            }),
            ..Volume::default()
        });
    }
    if volumes.is_empty() {
        spec.volumes = None;
    }
    pod.metadata.name = Some(pod_name);
    pod
}

/// The claims of an ordinal.
pub(super) fn claims(set: &StatefulSet, ordinal: i32) -> Vec<PersistentVolumeClaim> {
    let Some(spec) = &set.spec else { return Vec::new() };
    let labels = spec.selector.match_labels.clone().unwrap_or_default();
    spec.volume_claim_templates
        .iter()
        .flatten()
        .map(|claim| {
            let mut made = claim.clone();
            made.status = None;
            made.metadata.name = Some(claim_name(set, claim, ordinal));
            made.metadata.namespace = set.metadata.namespace.clone();
            made.metadata.labels.get_or_insert_default().extend(labels.clone());
            made
        })
        .collect()
}
