//! Policies that refuse, warn or note.
//! Source: <https://kubernetes.io/docs/reference/access-authn-authz/validating-admission-policy/>

use std::collections::BTreeMap;
use std::sync::Arc;

use cox_api::Status;
use cox_api::kinds::admission::environment::Environment;
use cox_api::kinds::admission::expression;
use cox_cel::{Bindings, Budget, Program, RULE_LIMIT, Type, Value};
use serde_json::{Value as Json, json};

use super::super::super::{each, text};
use super::super::Notes;
use super::super::conditions::failed;
use super::super::subject::Subject;
use super::bound::{Binding, Head, Misconfigured};

const MESSAGE_BYTES_MAX: usize = 5 * 1024;
const ANNOTATION_BYTES_MAX: usize = 10 * 1024;
const FAILURE: &str = "validation.policy.admission.k8s.io/validation_failure";

/// A policy, compiled.
pub(in super::super) struct ValidatingPolicy {
    head: Head,
    validations: Vec<Validation>,
    annotations: Vec<(String, Compiled)>,
}

/// An expression; one that can't be compiled is an error when it is asked.
struct Compiled {
    source: String,
    program: Result<Program, String>,
}

struct Validation {
    condition: Compiled,
    message: String,
    message_expression: Option<Compiled>,
    reason: String,
}

/// What speaks against a request.
struct Decision {
    policy: String,
    binding: Option<Arc<Binding>>,
    message: String,
    reason: String,
}

/// What a policy finds wrong, by the index of the validation, and what it has for the audit log.
#[derive(Default)]
struct Findings {
    denied: Vec<(usize, String, String)>,
    annotations: Vec<(String, String)>,
}

impl Compiled {
    fn of(source: &str, declared: &cox_cel::Declarations, wanted: &[Type]) -> Compiled {
        Compiled { source: source.to_owned(), program: expression::compile(source, declared, wanted) }
    }

    fn evaluate(&self, bindings: &Bindings, budget: &mut Budget) -> Result<Value, String> {
        let program = self
            .program
            .as_ref()
            .map_err(|why| format!("expression '{}' resulted in error: {why}", self.source))?;
        program.evaluate(bindings, budget).map_err(|error| failed(&self.source, &error, budget))
    }
}

impl ValidatingPolicy {
    pub(in super::super) fn of(policy: &Json) -> ValidatingPolicy {
        let spec = &policy["spec"];
        let params = spec["paramKind"].is_object();
        let environment = Environment { params, authorizer: true, patches: false };
        let head = Head::of(policy, environment);
        let declared = head.declarations(environment);
        let of_messages = head.declarations(Environment { authorizer: false, ..environment });
        let validations = each(&spec["validations"]).map(|validation| {
            let message = text(&validation["messageExpression"]);
            Validation {
                condition: Compiled::of(text(&validation["expression"]), &declared, &[Type::Bool]),
                message: text(&validation["message"]).trim().to_owned(),
                message_expression: (!message.is_empty())
                    .then(|| Compiled::of(message, &of_messages, &[Type::String])),
                reason: validation["reason"].as_str().unwrap_or("Invalid").to_owned(),
            }
        });
        let annotations = each(&spec["auditAnnotations"]).map(|annotation| {
            let source = text(&annotation["valueExpression"]).trim();
            (
                text(&annotation["key"]).to_owned(),
                Compiled::of(source, &declared, &[Type::String, Type::Null]),
            )
        });
        let (validations, annotations) = (validations.collect(), annotations.collect());
        ValidatingPolicy { head, validations, annotations }
    }

    /// What is wrong with a request, for one set of parameters.
    fn find(&self, bindings: &Bindings) -> Findings {
        let mut findings = Findings::default();
        let budget = &mut Budget::new(RULE_LIMIT);
        for (at, validation) in self.validations.iter().enumerate() {
            match validation.condition.evaluate(bindings, budget) {
                Ok(Value::Bool(true)) => {}
                Ok(_) => {
                    findings.denied.push((at, validation.words(bindings, budget), validation.reason.clone()))
                }
                Err(why) if self.head.fails => findings.denied.push((at, why, String::new())),
                Err(_) => {}
            }
        }
        let budget = &mut Budget::new(RULE_LIMIT);
        for (key, value) in &self.annotations {
            match value.evaluate(bindings, budget) {
                Ok(Value::String(value)) if !value.trim().is_empty() => {
                    findings.annotations.push((key.clone(), cut(value.trim()).to_owned()));
                }
                Ok(_) => {}
                Err(why) if self.head.fails => findings.denied.push((usize::MAX, why, String::new())),
                Err(_) => {}
            }
        }
        findings
    }
}

/// A value as long as annotations may be.
fn cut(value: &str) -> &str {
    let mut end = value.len().min(ANNOTATION_BYTES_MAX);
    while !value.is_char_boundary(end) {
        end -= 1;
    }
    &value[..end]
}

impl Validation {
    /// Why a request is refused.
    fn words(&self, bindings: &Bindings, budget: &mut Budget) -> String {
        let made =
            self.message_expression.as_ref().and_then(|message| message.evaluate(bindings, budget).ok());
        let made = made.as_ref().and_then(Value::as_str).unwrap_or_default().trim();
        if !made.is_empty() && made.len() <= MESSAGE_BYTES_MAX && !made.contains('\n') {
            return made.to_owned();
        }
        if !self.message.is_empty() {
            return self.message.clone();
        }
        format!("failed expression: {}", self.condition.source.trim())
    }
}

/// Asks the policies that have a say. The words of the first that refuses are the answer.
pub(in super::super) fn validate(
    policies: &[(Arc<ValidatingPolicy>, Vec<Arc<Binding>>)],
    subject: &Subject<'_>,
    notes: &mut Notes<'_>,
) -> Result<(), Status> {
    let mut decisions = Vec::new();
    for (policy, bindings) in policies {
        one(policy, bindings, subject, notes, &mut decisions);
    }
    match decisions.into_iter().next() {
        None => Ok(()),
        Some(first) => Err(refusal(subject, &first)),
    }
}

fn one(
    policy: &ValidatingPolicy,
    bindings: &[Arc<Binding>],
    subject: &Subject<'_>,
    notes: &mut Notes<'_>,
    decisions: &mut Vec<Decision>,
) {
    let head = &policy.head;
    let misconfigured = |wrong: Misconfigured| {
        let what = if wrong.binding.is_some() { "binding" } else { "policy" };
        let message = format!("failed to configure {what}: {}", wrong.message);
        head.fails.then(|| Decision {
            policy: head.name.clone(),
            binding: wrong.binding,
            message,
            reason: String::new(),
        })
    };
    let form = match head.matching(subject) {
        Ok(Some(form)) => form,
        Ok(None) => return,
        Err(wrong) => return decisions.extend(misconfigured(wrong)),
    };
    let mut annotations: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for binding in bindings {
        let all = match head.params(binding, subject) {
            Ok(all) => all,
            Err(wrong) => {
                decisions.extend(misconfigured(wrong));
                continue;
            }
        };
        for params in &all {
            let findings = match head.invocation(subject, form, params) {
                Ok(Some(bindings)) => policy.find(&bindings),
                Ok(None) => continue,
                Err(why) if head.fails => {
                    Findings { denied: vec![(0, why, String::new())], ..Findings::default() }
                }
                Err(_) => continue,
            };
            for (key, value) in findings.annotations {
                let values = annotations.entry(key).or_default();
                if !values.contains(&value) {
                    values.push(value);
                }
            }
            for (at, message, reason) in findings.denied {
                act(head, binding, (at, message, reason), notes, decisions);
            }
        }
    }
    let annotations =
        annotations.into_iter().map(|(key, values)| (format!("{}/{key}", head.name), values.join(", ")));
    notes.annotations.extend(annotations);
}

/// Does what a binding wants to be done about something that is wrong.
fn act(
    head: &Head,
    binding: &Arc<Binding>,
    (at, message, reason): (usize, String, String),
    notes: &mut Notes<'_>,
    decisions: &mut Vec<Decision>,
) {
    let decision = || Decision {
        policy: head.name.clone(),
        binding: Some(binding.clone()),
        message: message.clone(),
        reason: reason.clone(),
    };
    // An annotation that fails is no validation: it refuses, whatever the binding says of those.
    if at == usize::MAX {
        return decisions.push(decision());
    }
    for action in &binding.actions {
        match action.as_str() {
            "Deny" => decisions.push(decision()),
            "Warn" => {
                let warning = format!(
                    "Validation failed for ValidatingAdmissionPolicy '{}' with binding '{}': {message}",
                    head.name, binding.name
                );
                notes.take(vec![warning], Vec::new());
            }
            "Audit" => {
                let failure = json!([{"message": message, "policy": binding.policy, "binding": binding.name,
                    "expressionIndex": at, "validationActions": binding.actions}]);
                notes.annotations.push((FAILURE.to_owned(), failure.to_string()));
            }
            _ => {}
        }
    }
}

/// The answer to a request that a policy refuses.
fn refusal(subject: &Subject<'_>, decision: &Decision) -> Status {
    let policy = &decision.policy;
    let with = decision
        .binding
        .as_ref()
        .map_or_else(String::new, |binding| format!(" with binding '{}'", binding.name));
    let message = format!("ValidatingAdmissionPolicy '{policy}'{with} denied request: {}", decision.message);
    let info = subject.attempt.info;
    let mut status = Status::forbidden(info.group, info.plural, subject.name, &message).to_value();
    let (reason, code) = match decision.reason.as_str() {
        "Forbidden" => ("Forbidden", 403),
        "RequestEntityTooLarge" => ("RequestEntityTooLarge", 413),
        "Unauthorized" => ("Unauthorized", 401),
        _ => ("Invalid", 422),
    };
    status["reason"] = reason.into();
    status["code"] = code.into();
    status["details"]["causes"] = json!([{"message": message}]);
    Status::from_value(&status)
}
