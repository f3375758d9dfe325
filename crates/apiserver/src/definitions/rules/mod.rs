//! Rules that a definition writes about its objects, in CEL (`x-kubernetes-validations`).
//! Source: <https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#validation-rules>

mod compile;
mod evaluate;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use cox_api::field::{FieldErrorKind, FieldErrors, Path};
use cox_cel::{Program, Type};
use serde_json::Value;

/// The rules of a place and of what is below it; places without any rules are left out.
#[derive(Debug, Default)]
pub(crate) struct Rules {
    own: Vec<Rule>,
    of: Option<Type>,
    properties: BTreeMap<String, Rules>,
    items: Option<Box<Rules>>,
    additional: Option<Box<Rules>>,
    /// What tells elements apart, where they can be found again in the old list.
    keys: Vec<String>,
}

/// One rule.
#[derive(Debug)]
struct Rule {
    program: Program,
    /// Whether it looks at what was there before.
    transition: bool,
    /// Whether `oldSelf` is an optional value, and the rule holds for new values too.
    optional_old: bool,
    message: String,
    message_program: Option<Program>,
    reason: FieldErrorKind,
    /// Where the fault is told, below the place: `.spec.field`.
    field_path: String,
}

impl Rules {
    /// The rules of a schema, as far as they can be compiled.
    pub fn of(schema: &Value) -> Rules {
        let mut errors = FieldErrors::new();
        compile::compile(schema, &Path::ROOT, true, true, &mut errors)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.own.is_empty() && self.properties.is_empty() && self.items.is_none() && self.additional.is_none()
    }

    /// Checks an object; `old` is what it was before.
    pub fn check(&self, object: &Value, old: Option<&Value>, errors: &mut FieldErrors) {
        if self.is_empty() {
            return;
        }
        let blocks = |kind: FieldErrorKind| {
            matches!(
                kind,
                FieldErrorKind::NotSupported
                    | FieldErrorKind::Required
                    | FieldErrorKind::TooLong
                    | FieldErrorKind::TooMany
                    | FieldErrorKind::TypeInvalid
            )
        };
        if errors.0.iter().any(|error| blocks(error.kind)) {
            errors.invalid(
                &Path::new("<nil>"),
                &Value::Null,
                "some validation rules were not checked because the object was invalid; correct the existing errors to complete validation",
            );
            return;
        }
        evaluate::evaluate(self, object, old, errors);
    }
}

/// Checks the rules of a definition's versions.
pub(super) fn check_definition(definition: &Value, errors: &mut FieldErrors) {
    let versions: &[Value] = definition["spec"]["versions"].as_array().map_or(&[], Vec::as_slice);
    let spec = Path::new("spec");
    // Upstream tells the faults of a schema that all versions share above them.
    if versions.windows(2).all(|two| two[0]["schema"] == two[1]["schema"]) {
        if let Some(version) = versions.first() {
            let path = spec.child("validation");
            let schema = &version["schema"]["openAPIV3Schema"];
            compile::compile(schema, &path.child("openAPIV3Schema"), true, true, errors);
        }
        return;
    }
    let path = spec.child("versions");
    for (at, version) in versions.iter().enumerate() {
        let path = path.index(at);
        let path = path.child("schema");
        let schema = &version["schema"]["openAPIV3Schema"];
        compile::compile(schema, &path.child("openAPIV3Schema"), true, true, errors);
    }
}
