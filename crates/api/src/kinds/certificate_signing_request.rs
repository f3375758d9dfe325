//! `CertificateSigningRequest` of `certificates.k8s.io/v1`.

mod validate;

use crate::field::FieldErrors;
use crate::kind::human_duration;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::common::cells::{self, column};
use super::common::walk::{default, ensure, get, int_ptr, keep, list, list_mut, remove, set, text};
use crate::kind::{Column, Kind, KindInfo, NameRule, Part, Rules, Scope, Subresource, Unowned};

/// The kind's rules.
pub struct CertificateSigningRequest;

static INFO: KindInfo = KindInfo {
    group: "certificates.k8s.io",
    version: "v1",
    kind: "CertificateSigningRequest",
    plural: "certificatesigningrequests",
    singular: "certificatesigningrequest",
    short_names: &["csr"],
    categories: &[],
    scope: Scope::Cluster,
    verbs: &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
    subresources: &[
        Subresource {
            name: "approval",
            kind: "CertificateSigningRequest",
            group: "",
            version: "",
            verbs: &["get", "patch", "update"],
        },
        Subresource {
            name: "status",
            kind: "CertificateSigningRequest",
            group: "",
            version: "",
            verbs: &["get", "patch", "update"],
        },
    ],
    store_prefix: "certificatesigningrequests",
};

static COLUMNS: &[Column] = &[
    cells::NAME,
    cells::AGE,
    column("SignerName", "string", "Who is asked to sign."),
    column("Requestor", "string", "Who asks."),
    column("RequestedDuration", "string", "How long the certificate should last."),
    column("Condition", "string", "What has become of it."),
];

impl Kind for CertificateSigningRequest {
    fn info(&self) -> &'static KindInfo {
        &INFO
    }

    fn name_rule(&self) -> NameRule {
        NameRule::PathSegment
    }

    fn prepare_create(&self, object: &mut Value, rules: &Rules<'_>) {
        set(object, "status", json!({}));
        let spec = ensure(object, "spec");
        remove(spec, "extra");
        remove(spec, "uid");
        if !rules.uid.is_empty() {
            set(spec, "uid", rules.uid);
        }
        if let Some(extra) = rules.extra {
            set(spec, "extra", serde_json::json!(extra));
        }
        set(spec, "username", rules.user);
        set(spec, "groups", rules.groups.to_vec());
    }

    fn prepare_update(&self, new: &mut Value, old: &Value, part: Part, rules: &Rules<'_>) {
        keep(new, old, "spec");
        if part == Part::Main {
            keep(new, old, "status");
            return;
        }
        let was = &old["status"];
        let status = ensure(new, "status");
        let approval = part == Part::Sub("approval");
        if approval {
            keep(status, was, "certificate");
        }
        keep_decisions(status, was, approval);
        stamp(status, was, rules.now);
    }

    fn unowned(&self, part: Part) -> Unowned {
        match part {
            Part::Main => Unowned::Listed(&[&["spec"], &["status"]]),
            _ => Unowned::Listed(&[&["spec"]]),
        }
    }

    fn columns(&self) -> &'static [Column] {
        COLUMNS
    }

    fn row(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        let spec = &object["spec"];
        let duration =
            int_ptr(spec, "expirationSeconds").map_or_else(|| cells::NONE.to_owned(), human_duration);
        vec![
            cells::name(object),
            cells::age(object, now),
            text(spec, "signerName").into(),
            text(spec, "username").into(),
            duration.into(),
            condition(object).into(),
        ]
    }

    fn selectable(&self, object: &Value) -> Vec<(&'static str, String)> {
        vec![("spec.signerName", text(&object["spec"], "signerName").to_owned())]
    }

    fn validate_create(&self, object: &Value, errors: &mut FieldErrors) {
        validate::spec(object, errors);
        validate::signer_of_new(object, errors);
        validate::conditions(object, errors);
    }

    fn validate_update(&self, new: &Value, old: &Value, part: Part, errors: &mut FieldErrors) {
        validate::spec(new, errors);
        if part != Part::Main {
            validate::certificate(new, old, errors);
            validate::conditions(new, errors);
        }
        validate::decisions(new, old, part, errors);
    }
}

fn has(status: &Value, kind: &str) -> bool {
    list(status, "conditions").iter().any(|condition| text(condition, "type") == kind)
}

fn condition(object: &Value) -> String {
    let status = &object["status"];
    let mut words = vec![if has(status, "Denied") {
        "Denied"
    } else if has(status, "Approved") {
        "Approved"
    } else {
        "Pending"
    }];
    if has(status, "Failed") {
        words.push("Failed");
    }
    if !text(status, "certificate").is_empty() {
        words.push("Issued");
    }
    words.join(",")
}

/// Approvals and denials are made by `approval` alone: elsewhere those of the old object stay as they were, where
/// the new one has them at all.
fn keep_decisions(status: &mut Value, was: &Value, approval: bool) {
    if approval {
        return;
    }
    for condition in list_mut(status, "conditions") {
        if !matches!(text(condition, "type"), "Approved" | "Denied") {
            continue;
        }
        let kind = text(condition, "type").to_owned();
        if let Some(old) = list(was, "conditions").iter().find(|old| text(old, "type") == kind) {
            *condition = old.clone();
        }
    }
}

/// Fills in the times of conditions that the client left out.
fn stamp(status: &mut Value, was: &Value, now: &str) {
    for condition in list_mut(status, "conditions") {
        default(condition, "lastUpdateTime", now);
        if get(condition, "lastTransitionTime").is_none() {
            let known = list(was, "conditions")
                .iter()
                .find(|old| old["type"] == condition["type"] && old["status"] == condition["status"])
                .and_then(|old| get(old, "lastTransitionTime"))
                .cloned();
            set(condition, "lastTransitionTime", known.unwrap_or_else(|| now.into()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::common::testing::{changed, faults, made, update_faults};
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;

    fn request() -> Value {
        let pem = "-----BEGIN CERTIFICATE REQUEST-----\nAA==\n-----END CERTIFICATE REQUEST-----\n";
        json!({"spec": {"request": STANDARD.encode(pem), "signerName": "x.io/y", "usages": ["client auth"]}})
    }

    #[test]
    fn the_user_is_who_asks() {
        let mut given = request();
        given["spec"]["username"] = "other".into();
        let made = made(&CertificateSigningRequest, given);
        assert_eq!(made["spec"]["username"], "u");
        assert!(faults(&CertificateSigningRequest, request()).is_empty());
        let none = faults(&CertificateSigningRequest, json!({"spec": {}}));
        assert_eq!(
            none,
            [
                "spec.request: Invalid value: null: PEM block type must be CERTIFICATE REQUEST",
                "spec.usages: Required value",
                "spec.signerName: Required value",
            ]
        );
    }

    #[test]
    fn decisions_are_made_by_approval() {
        let approve = |new: &mut Value| {
            new["status"] = json!({"conditions": [{"type": "Approved", "status": "True"}]});
        };
        let kind = &CertificateSigningRequest;
        assert!(update_faults(kind, request(), Part::Sub("approval"), approve).is_empty());
        assert_eq!(
            update_faults(kind, request(), Part::Status, approve),
            ["status.conditions: Forbidden: updates may not add a condition of type \"Approved\""]
        );
        let approved = changed(kind, &made(kind, request()), Part::Sub("approval"), approve);
        assert_eq!(approved["status"]["conditions"][0]["lastUpdateTime"], "2026-01-01T00:00:00Z");
        assert_eq!(condition(&approved), "Approved");
    }

    #[test]
    fn signers_have_a_domain_and_a_path() {
        let label = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
        let form = "must be a fully qualified domain and path of the form 'example.com/signer-name'";
        for (signer, expected) in [
            ("example.com/a", vec![]),
            ("example.com/ns.name", vec![]),
            ("example", vec![format!("spec.signerName: Invalid value: \"example\": {form}")]),
            ("example.com/a/b", vec![format!("spec.signerName: Invalid value: \"example.com/a/b\": {form}")]),
            (
                "example/a",
                vec!["spec.signerName: Invalid value: \"example\": should be a domain with at least two segments separated by dots".to_owned()],
            ),
            (
                "exa_mple.B/a",
                vec![format!("spec.signerName: Invalid value: \"exa_mple.B\": validating label \"exa_mple\": {label}")],
            ),
        ] {
            let mut given = request();
            given["spec"]["signerName"] = signer.into();
            assert_eq!(faults(&CertificateSigningRequest, given), expected, "{signer}");
        }
    }

    #[test]
    fn whoever_approves_may_say_why_anew() {
        let mut approved = made(&CertificateSigningRequest, request());
        approved["metadata"]["resourceVersion"] = "1".into();
        approved["status"] = json!({"conditions": [{"type": "Approved", "status": "True", "reason": "A"}]});
        let check = |part: Part| {
            let new = changed(&CertificateSigningRequest, &approved, part, |new| {
                new["status"]["conditions"][0]["reason"] = "B".into();
            });
            crate::meta::check_update(&CertificateSigningRequest, &new, &approved, part).is_empty()
        };
        assert!(check(Part::Sub("approval")));
    }
}
