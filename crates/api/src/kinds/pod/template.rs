//! Rules of a pod template inside another object.

use serde_json::Value;

use super::spec_defaults;
use crate::kinds::common::walk::{at, get_mut};

/// From the object to the spec of its template.
const SPEC: [&str; 3] = ["spec", "template", "spec"];

/// Takes away what upstream's feature gates turn off, unless the old object has it.
pub fn drop_disabled(object: &mut Value, old: Option<&Value>) {
    let spec = SPEC.iter().try_fold(object, |value, key| get_mut(value, key));
    if let Some(spec) = spec {
        spec_defaults::drop_disabled(spec, old.and_then(|old| at(old, &SPEC)));
    }
}
