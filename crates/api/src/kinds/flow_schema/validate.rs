//! Checks of a FlowSchema's spec.

use serde_json::Value;

use crate::field::{FieldErrorKind, FieldErrors, Path};
use crate::flow_control::{self, EXEMPT};
use crate::kinds::common::check;
use crate::kinds::common::walk::{flag, get, int, list, same, text, texts};
use crate::kinds::pod::internal;
use crate::meta::names;

/// The highest `matchingPrecedence`.
const PRECEDENCE_MAX: i64 = 10_000;
const VERBS: [&str; 9] =
    ["create", "delete", "deletecollection", "get", "list", "patch", "proxy", "update", "watch"];
const ALL: &str = "*";

/// Checks the spec, and that mandatory schemas have theirs.
pub fn spec(errors: &mut FieldErrors, object: &Value) {
    let (spec, name) = (&object["spec"], text(&object["metadata"], "name"));
    let path = Path::new("spec");
    precedence(errors, &path.child("matchingPrecedence"), int(spec, "matchingPrecedence"), name);
    if let Some(method) = get(spec, "distinguisherMethod") {
        let kind = text(method, "type");
        if !matches!(kind, "ByNamespace" | "ByUser") {
            let shown = Some(internal::json("FlowDistinguisherMethod", method));
            let detail = "supported values: \"ByNamespace\", \"ByUser\"";
            check::push(
                errors,
                FieldErrorKind::NotSupported,
                &path.child("distinguisherMethod.type"),
                shown,
                detail,
            );
        }
    }
    let level = text(&spec["priorityLevelConfiguration"], "name");
    let level_path = path.child("priorityLevelConfiguration.name");
    if level.is_empty() {
        errors.required(&level_path, "must reference a priority level");
    } else {
        check::subdomain(errors, &level_path, level);
    }
    let rules = path.child("rules");
    for (index, rule) in list(spec, "rules").iter().enumerate() {
        rules_with_subjects(errors, &rules.index(index), rule);
    }
    if let Some(mandatory) = flow_control::mandatory_spec(flow_control::schemas(), name)
        && !same(Some(spec), Some(mandatory))
    {
        let detail = format!("spec of '{name}' must equal the fixed value");
        errors.invalid_shown(&path, internal::json("FlowSchemaSpec", spec), detail);
    }
}

fn precedence(errors: &mut FieldErrors, path: &Path<'_>, number: i64, name: &str) {
    if number <= 0 {
        errors.invalid(path, &number.into(), "must be a positive value");
    }
    if number > PRECEDENCE_MAX {
        errors.invalid(path, &number.into(), format!("must not be greater than {PRECEDENCE_MAX}"));
    }
    if number == 1 && name != EXEMPT {
        let detail = "only the schema named 'exempt' may have matchingPrecedence 1";
        errors.invalid(path, &number.into(), detail);
    }
}

fn rules_with_subjects(errors: &mut FieldErrors, path: &Path<'_>, rule: &Value) {
    let subjects = list(rule, "subjects");
    let subjects_path = path.child("subjects");
    if subjects.is_empty() {
        errors.required(&subjects_path, "subjects must contain at least one value");
    }
    for (index, one) in subjects.iter().enumerate() {
        subject(errors, &subjects_path.index(index), one);
    }
    let (resources, paths) = (list(rule, "resourceRules"), list(rule, "nonResourceRules"));
    if resources.is_empty() && paths.is_empty() {
        errors.required(path, "at least one of resourceRules and nonResourceRules has to be non-empty");
    }
    for (index, rule) in resources.iter().enumerate() {
        resource_rule(errors, &path.child("resourceRules").index(index), rule);
    }
    for (index, rule) in paths.iter().enumerate() {
        path_rule(errors, &path.child("nonResourceRules").index(index), rule);
    }
}

/// The kinds of subjects, and the field of each, in the order of upstream's checks.
const SUBJECTS: [(&str, &str); 3] =
    [("ServiceAccount", "serviceAccount"), ("User", "user"), ("Group", "group")];

fn subject(errors: &mut FieldErrors, path: &Path<'_>, subject: &Value) {
    let kind = text(subject, "kind");
    let Some((_, own)) = SUBJECTS.iter().find(|(known, _)| *known == kind) else {
        return errors.not_supported(&path.child("kind"), &kind.into(), &["Group", "ServiceAccount", "User"]);
    };
    let own_path = path.child(own);
    match get(subject, own) {
        None => errors.required(&own_path, format!("{own} is required when subject kind is '{kind}'")),
        Some(account) if kind == "ServiceAccount" => service_account(errors, &own_path, account),
        Some(named) => check::required(errors, &own_path.child("name"), text(named, "name")),
    }
    for (other_kind, other) in SUBJECTS.iter().filter(|(known, _)| *known != kind) {
        if get(subject, other).is_some() {
            let detail = format!("{other} is forbidden when subject kind is not '{other_kind}'");
            errors.forbidden(&path.child(other), detail);
        }
    }
}

fn service_account(errors: &mut FieldErrors, path: &Path<'_>, account: &Value) {
    let (name, namespace) = (text(account, "name"), text(account, "namespace"));
    if name.is_empty() {
        errors.required(&path.child("name"), "");
    } else if name != ALL {
        check::subdomain(errors, &path.child("name"), name);
    }
    if namespace.is_empty() {
        errors.required(&path.child("namespace"), "must specify namespace for service account");
    } else {
        check::label(errors, &path.child("namespace"), namespace);
    }
}

/// `*` stands alone. Whether it is there.
fn has_all(errors: &mut FieldErrors, path: &Path<'_>, rule: &Value, key: &str, others: &str) -> bool {
    let all = texts(rule, key).any(|word| word == ALL);
    if all && list(rule, key).len() > 1 {
        let detail = format!("if '*' is present, must not specify other {others}");
        errors.invalid(&path.child(key), &rule[key], detail);
    }
    all
}

fn verbs(errors: &mut FieldErrors, path: &Path<'_>, rule: &Value) {
    let verbs = path.child("verbs");
    if list(rule, "verbs").is_empty() {
        errors.required(&verbs, "verbs must contain at least one value");
    } else if !has_all(errors, path, rule, "verbs", "verbs")
        && !texts(rule, "verbs").all(|verb| VERBS.contains(&verb))
    {
        errors.not_supported(&verbs, &rule["verbs"], &VERBS);
    }
}

fn path_rule(errors: &mut FieldErrors, path: &Path<'_>, rule: &Value) {
    verbs(errors, path, rule);
    let key = "nonResourceURLs";
    let urls = path.child(key);
    if list(rule, key).is_empty() {
        return errors.required(&urls, "nonResourceURLs must contain at least one value");
    }
    if has_all(errors, path, rule, key, "non-resource URLs") {
        return;
    }
    for (index, url) in texts(rule, key).enumerate() {
        if let Some(fault) = url_fault(url) {
            errors.invalid(&urls.index(index), &url.into(), fault);
        }
    }
}

/// What is wrong with a path of a rule. A `*` stands at its end alone, after a slash.
fn url_fault(url: &str) -> Option<&'static str> {
    let stars = url.matches(ALL).count();
    if url.is_empty() {
        Some("must not be empty")
    } else if !url.starts_with('/') {
        Some("must start with slash")
    } else if url.contains(' ') {
        Some("must not contain white-space")
    } else if url.contains("//") {
        Some("must not contain double slash")
    } else if stars > 1 || (stars == 1 && !url.ends_with("/*")) {
        Some("wildcard can only do suffix matching")
    } else {
        None
    }
}

fn resource_rule(errors: &mut FieldErrors, path: &Path<'_>, rule: &Value) {
    verbs(errors, path, rule);
    for (key, none, others) in [
        ("apiGroups", "resource rules must supply at least one api group", "api groups"),
        ("resources", "resource rules must supply at least one resource", "resources"),
    ] {
        if list(rule, key).is_empty() {
            errors.required(&path.child(key), none);
        } else {
            has_all(errors, path, rule, key, others);
        }
    }
    let key = "namespaces";
    let namespaces = path.child(key);
    if list(rule, key).is_empty() && !flag(rule, "clusterScope") {
        let detail = "resource rules that are not cluster scoped must supply at least one namespace";
        errors.required(&namespaces, detail);
    } else if !has_all(errors, path, rule, key, "namespaces") {
        for (index, namespace) in texts(rule, key).enumerate() {
            for message in names::dns1123_label(namespace) {
                let detail = format!("each member of this list must be '*' or a DNS-1123 label; {message}");
                errors.invalid(&namespaces.index(index), &namespace.into(), detail);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::FlowSchema;
    use super::*;
    use crate::kind::Part;
    use crate::kinds::common::testing::{faults, update_faults};

    fn of(spec: Value) -> Vec<String> {
        let mut spec = spec;
        if spec["priorityLevelConfiguration"].is_null() {
            spec["priorityLevelConfiguration"] = json!({"name": "l"});
        }
        faults(&FlowSchema, json!({"spec": spec}))
    }

    fn of_rule(rule: Value) -> Vec<String> {
        of(json!({"rules": [rule]}))
    }

    #[test]
    fn precedence_and_level() {
        assert!(of(json!({"matchingPrecedence": 10000})).is_empty());
        assert_eq!(
            of(
                json!({"matchingPrecedence": 1, "priorityLevelConfiguration": {}, "distinguisherMethod": {"type": "ByX"}})
            ),
            [
                "spec.matchingPrecedence: Invalid value: 1: only the schema named 'exempt' may have matchingPrecedence 1",
                "spec.distinguisherMethod.type: Unsupported value: {\"Type\":\"ByX\"}: supported values: \"ByNamespace\", \"ByUser\"",
                "spec.priorityLevelConfiguration.name: Required value: must reference a priority level",
            ]
        );
        assert_eq!(
            of(json!({"matchingPrecedence": 10001})),
            ["spec.matchingPrecedence: Invalid value: 10001: must not be greater than 10000"]
        );
        assert_eq!(
            of(json!({"matchingPrecedence": -1})),
            ["spec.matchingPrecedence: Invalid value: -1: must be a positive value"]
        );
    }

    #[test]
    fn subjects_are_of_their_kind() {
        let rule = |subject: Value| json!({"subjects": [subject], "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}]});
        let place = "spec.rules[0].subjects[0]";
        assert_eq!(
            of_rule(rule(
                json!({"kind": "User", "group": {"name": "g"}, "serviceAccount": {"name": "n", "namespace": "s"}})
            )),
            [
                format!("{place}.user: Required value: user is required when subject kind is 'User'"),
                format!(
                    "{place}.serviceAccount: Forbidden: serviceAccount is forbidden when subject kind is not 'ServiceAccount'"
                ),
                format!("{place}.group: Forbidden: group is forbidden when subject kind is not 'Group'"),
            ]
        );
        assert_eq!(
            of_rule(rule(json!({"kind": "ServiceAccount", "serviceAccount": {}}))),
            [
                format!("{place}.serviceAccount.name: Required value"),
                format!(
                    "{place}.serviceAccount.namespace: Required value: must specify namespace for service account"
                ),
            ]
        );
        assert_eq!(
            of_rule(rule(json!({"kind": "X"}))),
            [format!(
                "{place}.kind: Unsupported value: \"X\": supported values: \"Group\", \"ServiceAccount\", \"User\""
            )]
        );
    }

    #[test]
    fn rules_name_what_they_are_for() {
        assert_eq!(
            of_rule(json!({"subjects": []})),
            [
                "spec.rules[0].subjects: Required value: subjects must contain at least one value",
                "spec.rules[0]: Required value: at least one of resourceRules and nonResourceRules has to be non-empty",
            ]
        );
        let subjects = json!([{"kind": "User", "user": {"name": "u"}}]);
        let place = "spec.rules[0].resourceRules[0]";
        let rule = |rule: Value| of_rule(json!({"subjects": subjects, "resourceRules": [rule]}));
        assert_eq!(
            rule(
                json!({"verbs": ["*", "get"], "apiGroups": ["*", "x"], "resources": ["*", "y"], "namespaces": ["*", "n"]})
            ),
            [
                format!(
                    "{place}.verbs: Invalid value: [\"*\",\"get\"]: if '*' is present, must not specify other verbs"
                ),
                format!(
                    "{place}.apiGroups: Invalid value: [\"*\",\"x\"]: if '*' is present, must not specify other api groups"
                ),
                format!(
                    "{place}.resources: Invalid value: [\"*\",\"y\"]: if '*' is present, must not specify other resources"
                ),
                format!(
                    "{place}.namespaces: Invalid value: [\"*\",\"n\"]: if '*' is present, must not specify other namespaces"
                ),
            ]
        );
        assert!(
            rule(json!({"verbs": ["proxy"], "apiGroups": [""], "resources": ["pods"], "clusterScope": true}))
                .is_empty()
        );
        let found = rule(json!({"verbs": ["connect"], "apiGroups": [""], "resources": ["pods"]}));
        assert_eq!(
            found,
            [
                format!(
                    "{place}.verbs: Unsupported value: [\"connect\"]: supported values: \"create\", \"delete\", \"deletecollection\", \"get\", \"list\", \"patch\", \"proxy\", \"update\", \"watch\""
                ),
                format!(
                    "{place}.namespaces: Required value: resource rules that are not cluster scoped must supply at least one namespace"
                ),
            ]
        );
        let found =
            rule(json!({"verbs": ["get"], "apiGroups": [""], "resources": ["pods"], "namespaces": ["A"]}));
        assert!(found[0].starts_with(&format!(
            "{place}.namespaces[0]: Invalid value: \"A\": each member of this list must be '*' or a DNS-1123 label; a lowercase"
        )));
        for (url, fault) in [
            ("", Some("must not be empty")),
            ("/", None),
            ("/healthz/*", None),
            ("healthz", Some("must start with slash")),
            ("/a b", Some("must not contain white-space")),
            ("/a//b", Some("must not contain double slash")),
            ("/a*", Some("wildcard can only do suffix matching")),
            ("/*/b/*", Some("wildcard can only do suffix matching")),
        ] {
            assert_eq!(url_fault(url), fault, "{url}");
        }
    }

    #[test]
    fn mandatory_schemas_stay_as_they_are() {
        let exempt = flow_control::schemas().iter().find(|one| one.name() == "exempt").unwrap();
        let found = update_faults(&FlowSchema, exempt.object.clone(), Part::Main, |new| {
            new["spec"]["rules"][0]["nonResourceRules"][0]["nonResourceURLs"] = json!(["/"]);
        });
        assert_eq!(found.len(), 1);
        assert!(found[0].starts_with("spec: Invalid value: {\"PriorityLevelConfiguration\":{\"Name\":\"exempt\"},\"MatchingPrecedence\":1,"));
        assert!(found[0].ends_with(": spec of 'exempt' must equal the fixed value"));
        let labelled = update_faults(&FlowSchema, exempt.object.clone(), Part::Main, |new| {
            new["metadata"]["labels"] = json!({"a": "b"});
        });
        assert!(labelled.is_empty());
    }

    #[test]
    fn of_a_status_the_types_are_checked() {
        let found = update_faults(
            &FlowSchema,
            json!({"spec": {"priorityLevelConfiguration": {"name": "l"}}}),
            Part::Status,
            |new| {
                new["status"] = json!({"conditions": [{"type": "A", "status": "maybe"}, {"type": "A"}, {}]});
            },
        );
        assert_eq!(
            found,
            [
                "status.conditions[1].type: Duplicate value: \"A\"",
                "status.conditions[2].type: Required value: must not be empty",
            ]
        );
    }
}
