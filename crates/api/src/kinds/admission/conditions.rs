//! `matchConditions`: expressions that decide whether a webhook or policy has a say.
//! Source: <https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/#matching-requests-matchconditions>

use cox_cel::Type;
use serde_json::Value;

use super::environment::Environment;
use super::expression;
use crate::field::{FieldErrors, Path};
use crate::kinds::common::check;
use crate::kinds::common::walk::{list, text};

const CONDITIONS_MAX: usize = 64;

/// Checks the conditions of an object, which are at `path`.
pub(super) fn validate(errors: &mut FieldErrors, path: &Path<'_>, holder: &Value, params: bool) {
    let conditions = list(holder, "matchConditions");
    if conditions.len() > CONDITIONS_MAX {
        errors.too_many(path, conditions.len(), CONDITIONS_MAX);
    }
    let declared = Environment { params, authorizer: true, patches: false }.declarations(None);
    for (at, condition) in conditions.iter().enumerate() {
        let path = path.index(at);
        let source = text(condition, "expression").trim();
        if source.is_empty() {
            errors.required(&path.child("expression"), "");
        } else {
            expression::validate(errors, &path.child("expression"), source, &declared, &[Type::Bool]);
        }
        let name = text(condition, "name");
        if name.is_empty() {
            errors.required(&path.child("name"), "");
            continue;
        }
        check::qualified(errors, &path.child("name"), name);
        if conditions[..at].iter().any(|other| text(other, "name") == name) {
            errors.duplicate(&path.child("name"), &name.into());
        }
    }
}
