//! `StatefulSet` of `apps/v1`.

mod checks;

use jiff::Timestamp;
use serde_json::Value;

use super::common::cells::{self, column};
use super::common::walk::{at, default, default_text, ensure, get, int, list_mut, text};
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
    }

    fn prepare_update(&self, new: &mut Value, old: &Value, part: Part, _rules: &Rules<'_>) {
        if part != Part::Status {
            template::drop_disabled(new, Some(old));
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
        if int(&new["spec"], "revisionHistoryLimit") < 0
            && old.is_none_or(|old| old["spec"]["revisionHistoryLimit"] != new["spec"]["revisionHistoryLimit"])
        {
            warnings.push(
                "spec.revisionHistoryLimit: a negative value retains all historical revisions; a value >= 0 is recommended"
                    .to_owned(),
            );
        }
        warnings
    }

    fn scale(&self) -> Option<ScalePaths> {
        Some(ScalePaths { selector: "/spec/selector", selector_is_map: false })
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
