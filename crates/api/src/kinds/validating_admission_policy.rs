//! `ValidatingAdmissionPolicy` of `admissionregistration.k8s.io/v1`.
//! Source: <https://kubernetes.io/docs/reference/access-authn-authz/validating-admission-policy/>

use cox_cel::{Declarations, Type};
use jiff::Timestamp;
use serde_json::Value;

use super::admission::environment::Environment;
use super::admission::{self, expression, policy};
use super::common::cells::{self, column};
use super::common::walk::{get, list, text, text_ptr};
use super::common::{check, conditions, status_write};
use crate::field::{FieldErrors, Path};
use crate::kind::{Column, Kind, KindInfo, Part, Rules, Subresource};
use crate::meta::names;

/// The kind's rules.
pub struct ValidatingAdmissionPolicy;

static INFO: KindInfo = admission::info(
    "ValidatingAdmissionPolicy",
    "validatingadmissionpolicies",
    "validatingadmissionpolicy",
    &[Subresource {
        name: "status",
        kind: "ValidatingAdmissionPolicy",
        group: "",
        version: "",
        verbs: &["get", "patch", "update"],
    }],
);

static COLUMNS: &[Column] = &[
    cells::NAME,
    column("Validations", "integer", "How many validations there are."),
    column("ParamKind", "string", "The kind of the parameters."),
    cells::AGE,
];

const REASONS: [&str; 3] = ["Forbidden", "Invalid", "RequestEntityTooLarge"];
const ANNOTATIONS_MAX: usize = 20;
const ANNOTATION_BYTES_MAX: usize = 5 * 1024;

impl Kind for ValidatingAdmissionPolicy {
    fn info(&self) -> &'static KindInfo {
        &INFO
    }

    fn set_defaults(&self, object: &mut Value) {
        policy::set_defaults(object);
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

    fn prepare_update(&self, new: &mut Value, old: &Value, part: Part, _rules: &Rules<'_>) {
        if part == Part::Status {
            status_write::keep_metadata(new, old);
        }
    }

    fn columns(&self) -> &'static [Column] {
        COLUMNS
    }

    fn row(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        vec![
            cells::name(object),
            list(&object["spec"], "validations").len().into(),
            policy::show_param_kind(object),
            cells::age(object, now),
        ]
    }

    fn validate_create(&self, object: &Value, errors: &mut FieldErrors) {
        validate(object, false, errors);
    }

    fn validate_update(&self, new: &Value, old: &Value, part: Part, errors: &mut FieldErrors) {
        match part {
            Part::Status => status(&new["status"], errors),
            _ => validate(new, policy::keeps_conditions(new, old), errors),
        }
    }
}

fn validate(object: &Value, keeps_conditions: bool, errors: &mut FieldErrors) {
    let (path, spec) = (Path::new("spec"), &object["spec"]);
    policy::validate_head(errors, &path, spec, keeps_conditions);
    let environment =
        Environment { params: get(spec, "paramKind").is_some(), authorizer: true, patches: false };
    let variables = policy::validate_variables(errors, &path, spec, environment);
    let (validations, annotations) = (list(spec, "validations"), list(spec, "auditAnnotations"));
    if validations.is_empty() && annotations.is_empty() {
        for key in ["validations", "auditAnnotations"] {
            let detail = "validations or auditAnnotations must contain at least one item";
            errors.required(&path.child(key), detail);
        }
        return;
    }
    let declared = environment.declarations(variables.as_deref());
    // Messages may not ask what somebody may do.
    let of_messages = Environment { authorizer: false, ..environment }.declarations(variables.as_deref());
    for (at, each) in validations.iter().enumerate() {
        validation(errors, &path.child("validations").index(at), each, &declared, &of_messages);
    }
    let path = path.child("auditAnnotations");
    if annotations.len() > ANNOTATIONS_MAX {
        let detail = format!("must not have more than {ANNOTATIONS_MAX} auditAnnotations");
        errors.invalid(&path, &spec["auditAnnotations"], detail);
    }
    let name = text(&object["metadata"], "name");
    for (at, each) in annotations.iter().enumerate() {
        let path = path.index(at);
        annotation(errors, &path, each, name, &declared);
        if annotations[..at].iter().any(|other| text(other, "key") == text(each, "key")) {
            errors.duplicate(&path.child("key"), &text(each, "key").into());
        }
    }
}

fn validation(
    errors: &mut FieldErrors,
    path: &Path<'_>,
    each: &Value,
    declared: &Declarations,
    of_messages: &Declarations,
) {
    let source = text(each, "expression");
    if source.trim().is_empty() {
        errors.required(&path.child("expression"), "expression is not specified");
    } else {
        expression::validate(errors, &path.child("expression"), source, declared, &[Type::Bool]);
    }
    let source = text(each, "messageExpression");
    let path_of_message = path.child("messageExpression");
    if !source.is_empty() && source.trim().is_empty() {
        check::bad_text(errors, &path_of_message, source, "must be non-empty if specified");
    } else if !source.is_empty() {
        expression::validate(errors, &path_of_message, source, of_messages, &[Type::String]);
    }
    let message = text(each, "message");
    if !message.is_empty() && message.trim().is_empty() {
        check::bad_text(errors, &path.child("message"), message, "message must be non-empty if specified");
    } else if message.trim().contains(['\n', '\r']) {
        check::bad_text(errors, &path.child("message"), message, "must not contain line breaks");
    }
    if let Some(reason) = text_ptr(each, "reason") {
        check::one_of(errors, &path.child("reason"), reason, &REASONS);
    }
}

fn annotation(errors: &mut FieldErrors, path: &Path<'_>, each: &Value, name: &str, declared: &Declarations) {
    let key = text(each, "key");
    if name.is_empty() {
        check::bad_text(errors, &path.child("key"), key, "requires metadata.name be non-empty");
    } else {
        let full = format!("{name}/{key}");
        check::messages(errors, &path.child("key"), &full, names::qualified_name(&full));
    }
    let path = path.child("valueExpression");
    match text(each, "valueExpression").trim() {
        "" => errors.required(&path, "valueExpression is not specified"),
        long if long.len() > ANNOTATION_BYTES_MAX => {
            errors.required(&path, format!("must not exceed {ANNOTATION_BYTES_MAX} bytes in length"));
        }
        source => {
            let wanted = [Type::String, Type::Null];
            expression::validate(errors, &path, source, declared, &wanted);
        }
    }
}

fn status(status: &Value, errors: &mut FieldErrors) {
    let path = Path::new("status");
    let warnings = path.child("typeChecking");
    let warnings = warnings.child("expressionWarnings");
    for (at, warning) in list(&status["typeChecking"], "expressionWarnings").iter().enumerate() {
        let path = warnings.index(at);
        check::required(errors, &path.child("warning"), text(warning, "warning"));
        check::required(errors, &path.child("fieldRef"), text(warning, "fieldRef").trim());
    }
    conditions::validate(errors, &path.child("conditions"), status);
}
