//! What policies in CEL share: parameters, constraints, variables.
//! Source: <https://kubernetes.io/docs/reference/access-authn-authz/validating-admission-policy/>

use cox_cel::Type;
use serde_json::Value;

use super::environment::Environment;
use super::{conditions, default_match_resources, expression, validate_match_resources};
use crate::field::{FieldErrors, Path};
use crate::kinds::common::walk::{default_text, get, get_mut, list, text};
use crate::kinds::common::{check, walk};
use crate::meta::names;

/// Fills in what a spec leaves out.
pub fn set_defaults(object: &mut Value) {
    let spec = walk::ensure(object, "spec");
    default_text(spec, "failurePolicy", "Fail");
    if let Some(constraints) = get_mut(spec, "matchConstraints") {
        default_match_resources(constraints);
    }
}

/// Whether an update leaves everything as it was that a match condition depends on.
pub fn keeps_conditions(new: &Value, old: &Value) -> bool {
    ["paramKind", "matchConditions"]
        .iter()
        .all(|key| walk::same(get(&new["spec"], key), get(&old["spec"], key)))
}

/// Checks what comes before validations or mutations in the spec of a policy: what its variables are.
pub fn validate_head(errors: &mut FieldErrors, path: &Path<'_>, spec: &Value, keeps_conditions: bool) {
    let policy = text(spec, "failurePolicy");
    check::required_one_of(errors, &path.child("failurePolicy"), policy, &["Fail", "Ignore"]);
    let params = get(spec, "paramKind");
    if let Some(kind) = params {
        param_kind(errors, &path.child("paramKind"), kind);
    }
    let constraints_path = path.child("matchConstraints");
    match get(spec, "matchConstraints") {
        None => errors.required(&constraints_path, ""),
        Some(constraints) => {
            validate_match_resources(errors, &constraints_path, constraints);
            if list(constraints, "resourceRules").is_empty() {
                errors.required(&constraints_path.child("resourceRules"), "");
            }
        }
    }
    if !keeps_conditions {
        conditions::validate(errors, &path.child("matchConditions"), spec, params.is_some());
    }
}

/// Checks the variables of a policy: their types, for those that compile. None where there are none.
pub fn validate_variables(
    errors: &mut FieldErrors,
    path: &Path<'_>,
    spec: &Value,
    environment: Environment,
) -> Option<Vec<(String, Type)>> {
    let variables = list(spec, "variables");
    if variables.is_empty() {
        return None;
    }
    let mut known = Vec::new();
    for (at, variable) in variables.iter().enumerate() {
        let path = path.child("variables");
        let path = path.index(at);
        let (name, source) = (text(variable, "name"), text(variable, "expression"));
        if name.trim().is_empty() {
            errors.required(&path.child("name"), "name is not specified");
        } else if !cox_cel::is_identifier(name) {
            check::bad_text(errors, &path.child("name"), name, "must be a valid CEL identifier");
        }
        if source.trim().is_empty() {
            errors.required(&path.child("expression"), "expression is not specified");
            continue;
        }
        let declared = environment.declarations(Some(&known));
        let of = expression::validate(errors, &path.child("expression"), source, &declared, &[]);
        known.push((name.to_owned(), of.unwrap_or(Type::Dyn)));
    }
    Some(known)
}

fn param_kind(errors: &mut FieldErrors, path: &Path<'_>, kind: &Value) {
    let version_path = path.child("apiVersion");
    let api_version = text(kind, "apiVersion");
    let parts: Vec<&str> = api_version.split('/').collect();
    match parts.as_slice() {
        [""] => errors.required(&version_path, ""),
        [_, _, _, ..] => {
            let detail = format!("unexpected GroupVersion string: {api_version}");
            check::bad_text(errors, &version_path, api_version, detail);
        }
        parts => {
            let (group, version) =
                if let [group, version] = parts { (*group, *version) } else { ("", parts[0]) };
            let faults = names::dns1123_subdomain(group);
            if !group.is_empty() && !faults.is_empty() {
                check::bad_text(errors, &version_path, group, faults.join(","));
            }
            let faults = names::dns1035_label(version);
            if version.is_empty() {
                check::bad_text(errors, &version_path, api_version, "version must be specified");
            } else if !faults.is_empty() {
                check::bad_text(errors, &version_path, version, faults.join(","));
            }
        }
    }
    let name = text(kind, "kind");
    let faults = names::dns1035_label(&name.to_lowercase());
    if name.is_empty() {
        errors.required(&path.child("kind"), "");
    } else if !faults.is_empty() {
        let detail = format!("may have mixed case, but should otherwise match: {}", faults.join(","));
        check::bad_text(errors, &path.child("kind"), name, detail);
    }
}

/// `v1/ConfigMap`, or `<unset>`, as a table shows the kind of parameters.
pub fn show_param_kind(object: &Value) -> Value {
    match get(&object["spec"], "paramKind") {
        None => "<unset>".into(),
        Some(kind) => format!("{}/{}", text(kind, "apiVersion"), text(kind, "kind")).into(),
    }
}
