//! `MutatingAdmissionPolicy` of `admissionregistration.k8s.io/v1` (KEP-3962).
//! Source: <https://kubernetes.io/docs/reference/access-authn-authz/mutating-admission-policy/>

use cox_cel::{Declarations, Type};
use jiff::Timestamp;
use serde_json::Value;

use super::admission::environment::Environment;
use super::admission::{self, expression, policy};
use super::common::cells::{self, column};
use super::common::check;
use super::common::walk::{default_text, ensure, get, list, text, texts};
use crate::field::{FieldErrors, Path};
use crate::kind::{Column, Kind, KindInfo, Part};

/// The kind's rules.
pub struct MutatingAdmissionPolicy;

static INFO: KindInfo =
    admission::info("MutatingAdmissionPolicy", "mutatingadmissionpolicies", "mutatingadmissionpolicy", &[]);

static COLUMNS: &[Column] = &[
    cells::NAME,
    column("Mutations", "integer", "How many mutations there are."),
    column("ParamKind", "string", "The kind of the parameters."),
    cells::AGE,
];

impl Kind for MutatingAdmissionPolicy {
    fn info(&self) -> &'static KindInfo {
        &INFO
    }

    fn set_defaults(&self, object: &mut Value) {
        policy::set_defaults(object);
        default_text(ensure(object, "spec"), "reinvocationPolicy", "Never");
    }

    fn repeats_metadata_checks(&self) -> bool {
        false
    }

    fn counts_generations(&self) -> bool {
        true
    }

    fn allows_unconditional_update(&self) -> bool {
        false
    }

    fn columns(&self) -> &'static [Column] {
        COLUMNS
    }

    fn row(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        vec![
            cells::name(object),
            list(&object["spec"], "mutations").len().into(),
            policy::show_param_kind(object),
            cells::age(object, now),
        ]
    }

    fn validate_create(&self, object: &Value, errors: &mut FieldErrors) {
        validate(object, false, errors);
    }

    fn validate_update(&self, new: &Value, old: &Value, _part: Part, errors: &mut FieldErrors) {
        validate(new, policy::keeps_conditions(new, old), errors);
    }
}

fn validate(object: &Value, keeps_conditions: bool, errors: &mut FieldErrors) {
    let (path, spec) = (Path::new("spec"), &object["spec"]);
    policy::validate_head(errors, &path, spec, keeps_conditions);
    let rules = path.child("matchConstraints");
    let rules = rules.child("resourceRules");
    for (at, rule) in list(&spec["matchConstraints"], "resourceRules").iter().enumerate() {
        // Only what is made or changed can be made otherwise.
        for (index, operation) in texts(rule, "operations").enumerate() {
            let path = rules.index(at);
            let path = path.child("operations");
            check::one_of(errors, &path.index(index), operation, &["CREATE", "UPDATE"]);
        }
    }
    let environment =
        Environment { params: get(spec, "paramKind").is_some(), authorizer: true, patches: true };
    let variables = policy::validate_variables(errors, &path, spec, environment);
    let declared = environment.declarations(variables.as_deref());
    let mutations = list(spec, "mutations");
    if mutations.is_empty() {
        errors.required(&path.child("mutations"), "mutations must contain at least one item");
    }
    for (at, each) in mutations.iter().enumerate() {
        mutation(errors, &path.child("mutations").index(at), each, &declared);
    }
    let policy = text(spec, "reinvocationPolicy");
    check::required_one_of(errors, &path.child("reinvocationPolicy"), policy, &["IfNeeded", "Never"]);
}

fn mutation(errors: &mut FieldErrors, path: &Path<'_>, each: &Value, declared: &Declarations) {
    let (apply, patch) = ("applyConfiguration", "jsonPatch");
    let (kind, own, other) = match text(each, "patchType") {
        "" => return errors.required(&path.child("patchType"), ""),
        "ApplyConfiguration" => ("ApplyConfiguration", apply, patch),
        "JSONPatch" => ("JSONPatch", patch, apply),
        other => {
            return errors.not_supported(
                &path.child("patchType"),
                &other.into(),
                &["ApplyConfiguration", "JSONPatch"],
            );
        }
    };
    match get(each, own) {
        None => errors.required(&path.child(own), format!("must be specified when patchType is {kind}")),
        Some(holder) => {
            let path = path.child(own);
            let path = path.child("expression");
            match text(holder, "expression").trim() {
                "" => errors.required(&path, "expression is not specified"),
                source => drop(expression::validate(errors, &path, source, declared, &[wanted(kind)])),
            }
        }
    }
    if get(each, other).is_some() {
        let detail = format!("must not be specified when patchType is {kind}");
        check::bad_text(errors, &path.child(other), &format!("{{{other}}}"), detail);
    }
}

/// What the expression of a mutation must be.
pub fn wanted(patch_type: &str) -> Type {
    match patch_type {
        "ApplyConfiguration" => Type::object("Object", []),
        _ => Type::list(Type::object("JSONPatch", [])),
    }
}
