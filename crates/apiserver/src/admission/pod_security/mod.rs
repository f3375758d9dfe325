//! Pod security: what pods of a namespace may do, by its labels.
//! Source: <https://kubernetes.io/docs/concepts/security/pod-security-admission/>

mod baseline;
mod policy;
mod restricted;
mod words;

use std::collections::BTreeMap;

use cox_api::{FieldErrors, Status};
use serde_json::Value;

use super::{Attempt, Operation, Plugin};
use policy::{Level, Policy, Rule};

/// Existing pods that are looked at when a namespace's rules become stricter.
const PODS_MAX: usize = 3000;

pub(super) struct PodSecurity;

/// What is wrong with a pod: the check in short, and in particular.
pub(super) struct Violation {
    pub(super) reason: &'static str,
    pub(super) detail: String,
}

impl Plugin for PodSecurity {
    fn validate(
        &self,
        attempt: &Attempt<'_>,
        object: Option<&Value>,
        warnings: &mut Vec<String>,
    ) -> Result<(), Status> {
        let Some(object) = object else { return Ok(()) };
        let info = attempt.info;
        match (info.group, info.plural, attempt.subresource) {
            ("", "namespaces", "") => namespace(attempt, object, warnings),
            ("", "pods", "" | "ephemeralcontainers") => pod(attempt, object, warnings),
            _ if attempt.subresource.is_empty() => {
                if let Some(template) = template_of(info.group, info.plural, object) {
                    warn_of_template(attempt, template, warnings);
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

/// Everything that breaks a rule, in the order of the checks.
fn evaluate(rule: Rule, pod: &Value) -> Vec<Violation> {
    let mut violations = Vec::new();
    if rule.level == Level::Privileged {
        return violations;
    }
    let restricted = rule.level == Level::Restricted;
    baseline::check(rule.minor, restricted, pod, &mut violations);
    if restricted {
        restricted::check(rule.minor, pod, &mut violations);
    }
    violations
}

fn shown(violations: &[Violation]) -> String {
    let texts: Vec<String> =
        violations.iter().map(|one| format!("{} ({})", one.reason, one.detail)).collect();
    texts.join(", ")
}

fn policy_of(attempt: &Attempt<'_>) -> Policy {
    attempt.server.db().get("namespaces", "", attempt.namespace).map_or_else(Policy::default, |namespace| {
        let labels = &namespace.header().labels;
        Policy::of(|key| labels.get(key).map(|value| value.to_string()), &mut FieldErrors::new())
    })
}

fn pod(attempt: &Attempt<'_>, pod: &Value, warnings: &mut Vec<String>) -> Result<(), Status> {
    if attempt.operation == Operation::Update {
        // A change that has nothing to do with security isn't looked at.
        let same = attempt.old.is_some_and(|old| {
            old["spec"] == pod["spec"] && security_annotations(old) == security_annotations(pod)
        });
        if same {
            return Ok(());
        }
    }
    let policy = policy_of(attempt);
    let violations = evaluate(policy.enforce, pod);
    if !violations.is_empty() {
        return Err(attempt.forbidden(&format!(
            "violates PodSecurity \"{}\": {}",
            policy.enforce,
            shown(&violations)
        )));
    }
    warn(policy.warn, pod, warnings);
    Ok(())
}

fn warn(rule: Rule, pod: &Value, warnings: &mut Vec<String>) {
    let violations = evaluate(rule, pod);
    if !violations.is_empty() {
        warnings.push(format!("would violate PodSecurity \"{rule}\": {}", shown(&violations)));
    }
}

fn security_annotations(pod: &Value) -> BTreeMap<String, Value> {
    pod["metadata"]["annotations"]
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(key, _)| key.contains("apparmor.security.beta.kubernetes.io") || key.contains("seccomp"))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

/// The pods that a kind will make.
fn template_of<'v>(group: &str, plural: &str, object: &'v Value) -> Option<&'v Value> {
    let pointer = match (group, plural) {
        ("apps", "deployments" | "replicasets" | "statefulsets" | "daemonsets")
        | ("batch", "jobs")
        | ("", "replicationcontrollers") => "/spec/template",
        ("batch", "cronjobs") => "/spec/jobTemplate/spec/template",
        ("", "podtemplates") => "/template",
        _ => return None,
    };
    object.pointer(pointer)
}

fn warn_of_template(attempt: &Attempt<'_>, template: &Value, warnings: &mut Vec<String>) {
    let before = attempt.old.and_then(|old| template_of(attempt.info.group, attempt.info.plural, old));
    if before.is_some_and(|before| before["spec"] == template["spec"]) {
        return;
    }
    warn(policy_of(attempt).warn, template, warnings);
}

fn namespace(attempt: &Attempt<'_>, object: &Value, warnings: &mut Vec<String>) -> Result<(), Status> {
    let label = |object: &Value, key: &str| object["metadata"]["labels"][key].as_str().map(str::to_owned);
    let mut errors = FieldErrors::new();
    let new = Policy::of(|key| label(object, key), &mut errors);
    let mut ignored = FieldErrors::new();
    let old = attempt.old.map(|old| Policy::of(|key| label(old, key), &mut ignored));
    if !errors.is_empty() {
        // What was wrong before may stay so.
        if old.is_some_and(|old| !ignored.is_empty() && old == new) {
            return Ok(());
        }
        return Err(Status::invalid("", "Namespace", &attempt.name, &errors.0));
    }
    let Some(old) = old else { return Ok(()) };
    if new.enforce == old.enforce || new.enforce.level == Level::Privileged {
        return Ok(());
    }
    if new.enforce.minor == old.enforce.minor && new.enforce.level < old.enforce.level {
        return Ok(());
    }
    let mut by_reasons: Vec<(String, Vec<String>)> = Vec::new();
    for pod in attempt.server.db().list("pods", Some(&attempt.name)).into_iter().take(PODS_MAX) {
        let violations = evaluate(new.enforce, &pod.value());
        if violations.is_empty() {
            continue;
        }
        let reasons: Vec<&str> = violations.iter().map(|one| one.reason).collect();
        let reasons = reasons.join(", ");
        match by_reasons.iter_mut().find(|(known, _)| *known == reasons) {
            Some((_, pods)) => pods.push(pod.name().to_owned()),
            None => by_reasons.push((reasons, vec![pod.name().to_owned()])),
        }
    }
    if by_reasons.is_empty() {
        return Ok(());
    }
    warnings.push(format!(
        "existing pods in namespace {:?} violate the new PodSecurity enforce level \"{}\"",
        attempt.name, new.enforce
    ));
    for (reasons, pods) in by_reasons {
        let who = match pods.as_slice() {
            [one] => one.clone(),
            [first, _] => format!("{first} (and 1 other pod)"),
            [first, rest @ ..] => format!("{first} (and {} other pods)", rest.len()),
            [] => continue,
        };
        warnings.push(format!("{who}: {reasons}"));
    }
    Ok(())
}
