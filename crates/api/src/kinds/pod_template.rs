//! `PodTemplate` of `v1`.

use jiff::Timestamp;
use serde_json::Value;

use super::common::cells::{self, column};
use super::common::walk::{at, ensure, get, get_mut};
use super::pod::{spec_defaults, template, warnings};
use crate::field::{FieldErrors, Path};
use crate::kind::{Column, Kind, KindInfo, Part, Rules, Scope};

/// The kind's rules.
pub struct PodTemplate;

static INFO: KindInfo = KindInfo {
    group: "",
    version: "v1",
    kind: "PodTemplate",
    plural: "podtemplates",
    singular: "podtemplate",
    short_names: &[],
    categories: &[],
    scope: Scope::Namespaced,
    verbs: &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
    subresources: &[],
    store_prefix: "podtemplates",
};

static COLUMNS: &[Column] = &[
    cells::NAME,
    column("Containers", "string", "Names of the containers in the template."),
    column("Images", "string", "Images of the containers in the template."),
    column("Pod Labels", "string", "Labels of pods made from the template."),
];

impl Kind for PodTemplate {
    fn info(&self) -> &'static KindInfo {
        &INFO
    }

    fn set_defaults(&self, object: &mut Value) {
        spec_defaults::template(object, "template");
    }

    fn prepare_create(&self, object: &mut Value, _rules: &Rules<'_>) {
        spec_defaults::drop_disabled(ensure(ensure(object, "template"), "spec"), None);
    }

    fn prepare_update(&self, new: &mut Value, old: &Value, _part: Part, _rules: &Rules<'_>) {
        if let Some(spec) = get_mut(new, "template").and_then(|template| get_mut(template, "spec")) {
            spec_defaults::drop_disabled(spec, at(old, &["template", "spec"]));
        }
    }

    fn counts_generations(&self) -> bool {
        true
    }

    fn validate_create(&self, object: &Value, errors: &mut FieldErrors) {
        template::validate(errors, &Path::new("template"), &object["template"]);
    }

    fn validate_update(&self, new: &Value, _old: &Value, _part: Part, errors: &mut FieldErrors) {
        template::validate(errors, &Path::new("template"), &new["template"]);
    }

    fn warnings(&self, new: &Value, old: Option<&Value>) -> Vec<String> {
        let mut found = Vec::new();
        if old.is_none_or(|old| old["template"] != new["template"]) {
            warnings::of_template(&mut found, &Path::new("template"), &new["template"]);
        }
        found
    }

    fn columns(&self) -> &'static [Column] {
        COLUMNS
    }

    fn row(&self, object: &Value, _now: Timestamp) -> Vec<Value> {
        let [containers, images] = cells::containers(at(object, &["template", "spec"]));
        let labels = at(object, &["template", "metadata"]).and_then(|metadata| get(metadata, "labels"));
        vec![cells::name(object), containers, images, cells::labels(labels.and_then(Value::as_object))]
    }
}
