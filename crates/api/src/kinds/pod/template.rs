//! Rules of a pod template inside another object.

use serde_json::Value;

use super::spec::{self, Options};
use super::{annotations, spec_defaults};
use crate::field::{FieldErrors, Path};
use crate::kinds::common::walk::{at, get, get_mut, list};
use crate::meta::{validate_annotations, validate_labels};

/// From the object to the spec of its template.
const SPEC: [&str; 3] = ["spec", "template", "spec"];

/// Takes away what upstream's feature gates turn off, unless the old object has it.
pub fn drop_disabled(object: &mut Value, old: Option<&Value>) {
    let spec = SPEC.iter().try_fold(object, |value, key| get_mut(value, key));
    if let Some(spec) = spec {
        spec_defaults::drop_disabled(spec, old.and_then(|old| at(old, &SPEC)));
    }
}

/// A template inside another object; `path` is the template's.
pub fn validate(errors: &mut FieldErrors, path: &Path<'_>, template: &Value) {
    let nothing = Value::Null;
    let metadata = get(template, "metadata").unwrap_or(&nothing);
    let pods = get(template, "spec").unwrap_or(&nothing);
    validate_metadata(errors, path, template);
    let place = path.child("spec");
    spec::validate(errors, &place, pods, &nothing, Options { is_pod: false });
    annotations::match_fields(errors, &place, metadata, pods);
    if !list(pods, "ephemeralContainers").is_empty() {
        let detail = "ephemeral containers not allowed in pod template";
        errors.forbidden(&place.child("ephemeralContainers"), detail);
    }
}

/// Labels and annotations of a template alone, as upstream checks them for a StatefulSet.
pub fn validate_metadata(errors: &mut FieldErrors, path: &Path<'_>, template: &Value) {
    let nothing = Value::Null;
    let metadata = get(template, "metadata").unwrap_or(&nothing);
    validate_labels(get(metadata, "labels").unwrap_or(&nothing), &path.child("labels"), errors);
    let place = path.child("annotations");
    validate_annotations(get(metadata, "annotations").unwrap_or(&nothing), &place, errors);
    annotations::validate(errors, &place, metadata, get(template, "spec").unwrap_or(&nothing));
}
