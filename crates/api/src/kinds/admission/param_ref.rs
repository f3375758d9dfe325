//! `ParamRef`: which objects are the parameters of a policy.
//! Source: <https://kubernetes.io/docs/reference/access-authn-authz/validating-admission-policy/#parameter-resources>

use serde_json::Value;

use crate::field::{FieldErrors, Path};
use crate::kinds::common::walk::{get, text};
use crate::kinds::common::{check, label_selector};
use crate::meta::names;

const EXCLUSIVE: &str = "name and selector are mutually exclusive";

/// Checks it; none is fine.
pub fn validate(errors: &mut FieldErrors, path: &Path<'_>, reference: Option<&Value>) {
    let Some(reference) = reference else { return };
    let name = text(reference, "name");
    let selector = get(reference, "selector");
    if !name.is_empty() {
        check::messages(errors, &path.child("name"), name, names::path_segment(name));
        if selector.is_some() {
            errors.forbidden(&path.child("name"), EXCLUSIVE);
        }
    }
    if selector.is_some() {
        label_selector::validate(selector, false, &path.child("selector"), errors);
        if !name.is_empty() {
            errors.forbidden(&path.child("selector"), EXCLUSIVE);
        }
    }
    if name.is_empty() && selector.is_none() {
        errors.required(path, "one of name or selector must be specified");
    }
    let action = text(reference, "parameterNotFoundAction");
    check::required_one_of(errors, &path.child("parameterNotFoundAction"), action, &["Deny", "Allow"]);
}

/// As a table shows it.
pub fn show(reference: Option<&Value>) -> Value {
    let Some(reference) = reference else { return "<unset>".into() };
    match (text(reference, "namespace"), text(reference, "name")) {
        (_, "") => label_selector::show(get(reference, "selector")).into(),
        ("", name) => format!("*/{name}").into(),
        (namespace, name) => format!("{namespace}/{name}").into(),
    }
}
