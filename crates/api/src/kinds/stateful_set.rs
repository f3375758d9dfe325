//! `StatefulSet` of `apps/v1`.

mod checks;

use jiff::Timestamp;
use serde_json::Value;

use super::common::cells::{self, column};
use super::common::walk::{
    at, default, default_text, ensure, get, get_mut, int, list, list_mut, remove, text,
};
use super::pod::{spec_defaults, template, volume_defaults, warnings};
use crate::field::{FieldErrors, Path};
use crate::kind::{Column, Kind, KindInfo, NameRule, Part, Rules, ScalePaths, Scope, Subresource};

/// The kind's rules.
pub struct StatefulSet;

static INFO: KindInfo = KindInfo {
    group: "apps",
    version: "v1",
    kind: "StatefulSet",
    plural: "statefulsets",
    singular: "statefulset",
    short_names: &["sts"],
    categories: &["all"],
    scope: Scope::Namespaced,
    verbs: &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
    subresources: &[
        Subresource {
            name: "scale",
            kind: "Scale",
            group: "autoscaling",
            version: "v1",
            verbs: &["get", "patch", "update"],
        },
        Subresource {
            name: "status",
            kind: "StatefulSet",
            group: "",
            version: "",
            verbs: &["get", "patch", "update"],
        },
    ],
    store_prefix: "statefulsets",
};

static COLUMNS: &[Column] = &[
    cells::NAME,
    column("Ready", "string", "Pods that are ready, of those wanted."),
    cells::AGE,
    cells::CONTAINERS,
    cells::IMAGES,
];

/// How many pods an update may take away at once is behind a gate that 1.36 closed again. KEP-961.
const MAX_UNAVAILABLE: [&str; 4] = ["spec", "updateStrategy", "rollingUpdate", "maxUnavailable"];

fn drop_max_unavailable(object: &mut Value) {
    let [parents @ .., last] = MAX_UNAVAILABLE;
    if let Some(rolling) = parents.iter().try_fold(object, |value, key| get_mut(value, key)) {
        remove(rolling, last);
    }
}

impl Kind for StatefulSet {
    fn info(&self) -> &'static KindInfo {
        &INFO
    }

    fn name_rule(&self) -> NameRule {
        NameRule::Label
    }

    fn set_defaults(&self, object: &mut Value) {
        let spec = ensure(object, "spec");
        default_text(spec, "podManagementPolicy", "OrderedReady");
        let strategy = ensure(spec, "updateStrategy");
        if text(strategy, "type").is_empty() {
            default_text(strategy, "type", "RollingUpdate");
            default(ensure(strategy, "rollingUpdate"), "partition", 0);
        }
        if text(strategy, "type") == "RollingUpdate" && get(strategy, "rollingUpdate").is_some() {
            default(ensure(strategy, "rollingUpdate"), "partition", 0);
        }
        let retention = ensure(spec, "persistentVolumeClaimRetentionPolicy");
        default_text(retention, "whenDeleted", "Retain");
        default_text(retention, "whenScaled", "Retain");
        default(spec, "replicas", 1);
        default(spec, "revisionHistoryLimit", 10);
        spec_defaults::template(spec, "template");
        for claim in list_mut(spec, "volumeClaimTemplates") {
            default_text(claim, "apiVersion", "v1");
            default_text(claim, "kind", "PersistentVolumeClaim");
            default_text(ensure(claim, "status"), "phase", "Pending");
            volume_defaults::claim_spec(ensure(claim, "spec"));
        }
    }

    fn prepare_create(&self, object: &mut Value, _rules: &Rules<'_>) {
        template::drop_disabled(object, None);
        drop_max_unavailable(object);
    }

    fn prepare_update(&self, new: &mut Value, old: &Value, part: Part, _rules: &Rules<'_>) {
        if part != Part::Status {
            template::drop_disabled(new, Some(old));
            if at(old, &MAX_UNAVAILABLE).is_none() {
                drop_max_unavailable(new);
            }
        }
    }

    fn counts_generations(&self) -> bool {
        true
    }

    fn validate_create(&self, object: &Value, errors: &mut FieldErrors) {
        let (path, spec) = (Path::new("spec"), &object["spec"]);
        checks::spec(errors, &path, spec);
        checks::claims_and_service(errors, &path, spec);
    }

    fn validate_update(&self, new: &Value, old: &Value, part: Part, errors: &mut FieldErrors) {
        if part == Part::Status {
            checks::status(errors, &Path::new("status"), &new["status"], &old["status"]);
        } else {
            checks::update(errors, &Path::new("spec"), &new["spec"], &old["spec"]);
        }
    }

    fn warnings(&self, new: &Value, old: Option<&Value>) -> Vec<String> {
        let mut warnings = warnings::of_owner(new, old);
        if warnings::has_changed(new, old) {
            let path = Path::new("spec");
            let path = path.child("volumeClaimTemplates");
            for (index, claim) in list(&new["spec"], "volumeClaimTemplates").iter().enumerate() {
                warnings::of_claim(&mut warnings, &path.index(index), &claim["spec"]);
            }
        }
        if int(&new["spec"], "revisionHistoryLimit") < 0
            && old
                .is_none_or(|old| old["spec"]["revisionHistoryLimit"] != new["spec"]["revisionHistoryLimit"])
        {
            warnings.push(
                "spec.revisionHistoryLimit: a negative value retains all historical revisions; a value >= 0 is recommended"
                    .to_owned(),
            );
        }
        warnings
    }

    fn scale(&self) -> Option<ScalePaths> {
        Some(ScalePaths::Workload { selector: "/spec/selector", selector_is_map: false })
    }

    fn columns(&self) -> &'static [Column] {
        COLUMNS
    }

    fn row(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        let (spec, status) = (&object["spec"], &object["status"]);
        let [containers, images] = cells::containers(at(spec, &["template", "spec"]));
        vec![
            cells::name(object),
            format!("{}/{}", int(status, "readyReplicas"), int(spec, "replicas")).into(),
            cells::age(object, now),
            containers,
            images,
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::common::testing::{changed, made};
    use serde_json::json;

    #[test]
    fn the_most_that_may_be_gone_is_not_kept_unless_it_was_there() {
        let given = json!({"spec": {"updateStrategy": {"type": "RollingUpdate",
            "rollingUpdate": {"maxUnavailable": 2}}}});
        let made = made(&StatefulSet, given);
        assert_eq!(
            made["spec"]["updateStrategy"],
            json!({"type": "RollingUpdate", "rollingUpdate": {"partition": 0}})
        );
        let mut old = made.clone();
        old["spec"]["updateStrategy"]["rollingUpdate"]["maxUnavailable"] = 1.into();
        let new = changed(&StatefulSet, &old, Part::Main, |new| {
            new["spec"]["updateStrategy"]["rollingUpdate"]["maxUnavailable"] = 3.into();
        });
        assert_eq!(at(&new, &MAX_UNAVAILABLE), Some(&json!(3)));
    }
}
