//! What the two kinds of webhook configurations share.
//! Source: <https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/>

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{client_config, conditions, rules};
use crate::field::{FieldErrors, Path};
use crate::kind::Column;
use crate::kinds::common::cells::{self, column};
use crate::kinds::common::walk::{
    default, default_text, get, int_ptr, list, list_mut, text, text_ptr, texts,
};
use crate::kinds::common::{check, label_selector};
use crate::meta::names;

/// The columns of tables.
pub const COLUMNS: &[Column] =
    &[cells::NAME, column("Webhooks", "integer", "How many webhooks there are."), cells::AGE];

/// The cells of a row.
pub fn row(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![cells::name(object), list(object, "webhooks").len().into(), cells::age(object, now)]
}

const REVIEW_VERSIONS: [&str; 2] = ["v1", "v1beta1"];
const HARMLESS: [&str; 2] = ["None", "NoneOnDryRun"];
const SIDE_EFFECTS: [&str; 4] = ["None", "NoneOnDryRun", "Some", "Unknown"];
/// Seconds a webhook may be given.
const SECONDS: std::ops::RangeInclusive<i64> = 1..=30;

/// Fills in what webhooks leave out.
pub fn set_defaults(object: &mut Value, mutating: bool) {
    for hook in list_mut(object, "webhooks") {
        default_text(hook, "failurePolicy", "Fail");
        default_text(hook, "matchPolicy", "Equivalent");
        default(hook, "namespaceSelector", json!({}));
        default(hook, "objectSelector", json!({}));
        default(hook, "timeoutSeconds", 10);
        if mutating {
            default_text(hook, "reinvocationPolicy", "Never");
        }
        client_config::set_defaults(hook);
        rules::set_defaults(hook, "rules");
    }
}

/// What an update needn't fulfill, because the old object didn't.
struct Leniency {
    /// Match conditions are as they were.
    conditions: bool,
    side_effects: bool,
    review_versions: bool,
    names: bool,
    selectors: bool,
}

impl Leniency {
    const NONE: Leniency = Leniency {
        conditions: false,
        side_effects: false,
        review_versions: false,
        names: false,
        selectors: false,
    };

    fn of(new: &Value, old: &Value) -> Leniency {
        let (new, old) = (list(new, "webhooks"), list(old, "webhooks"));
        let same =
            |(new, old): (&Value, &Value)| list(new, "matchConditions") == list(old, "matchConditions");
        let known = |hook: &Value| {
            list(hook, "admissionReviewVersions").is_empty()
                || texts(hook, "admissionReviewVersions").any(|version| REVIEW_VERSIONS.contains(&version))
        };
        let mut faults = FieldErrors::new();
        for selector in
            old.iter().flat_map(|hook| [get(hook, "namespaceSelector"), get(hook, "objectSelector")])
        {
            label_selector::validate(selector, false, &Path::ROOT, &mut faults);
        }
        Leniency {
            conditions: new.len() == old.len() && new.iter().zip(old).all(same),
            side_effects: !old.iter().all(|hook| HARMLESS.contains(&text(hook, "sideEffects"))),
            review_versions: !old.iter().all(known),
            names: (0..old.len()).any(|at| repeated(old, at)),
            selectors: !faults.is_empty(),
        }
    }
}

fn repeated(hooks: &[Value], at: usize) -> bool {
    hooks[..at].iter().any(|other| text(other, "name") == text(&hooks[at], "name"))
}

/// Checks a new configuration.
pub fn validate_create(object: &Value, mutating: bool, errors: &mut FieldErrors) {
    validate(object, mutating, &Leniency::NONE, errors);
}

/// Checks a changed configuration.
pub fn validate_update(new: &Value, old: &Value, mutating: bool, errors: &mut FieldErrors) {
    validate(new, mutating, &Leniency::of(new, old), errors);
}

fn validate(object: &Value, mutating: bool, leniency: &Leniency, errors: &mut FieldErrors) {
    let hooks = list(object, "webhooks");
    let path = Path::new("webhooks");
    for (at, hook) in hooks.iter().enumerate() {
        let path = path.index(at);
        one(errors, &path, hook, mutating, leniency);
        review_versions(errors, &path.child("admissionReviewVersions"), hook, leniency);
        if !leniency.names && !text(hook, "name").is_empty() && repeated(hooks, at) {
            errors.duplicate(&path.child("name"), &hook["name"]);
        }
    }
}

fn one(errors: &mut FieldErrors, path: &Path<'_>, hook: &Value, mutating: bool, leniency: &Leniency) {
    let name = text(hook, "name");
    if name.is_empty() {
        errors.required(&path.child("name"), "");
    } else {
        check::messages(errors, &path.child("name"), name, names::fully_qualified_name(name));
    }
    rules::validate(errors, path, hook, "rules", false);
    for (key, words) in [("failurePolicy", ["Fail", "Ignore"]), ("matchPolicy", ["Equivalent", "Exact"])] {
        if let Some(word) = text_ptr(hook, key) {
            check::one_of(errors, &path.child(key), word, &words);
        }
    }
    let allowed: &[&str] = if leniency.side_effects { &SIDE_EFFECTS } else { &HARMLESS };
    match text_ptr(hook, "sideEffects") {
        None => {
            let detail = format!("must specify one of {}", allowed.join(", "));
            errors.required(&path.child("sideEffects"), detail);
        }
        Some(word) => check::one_of(errors, &path.child("sideEffects"), word, allowed),
    }
    if let Some(seconds) = int_ptr(hook, "timeoutSeconds")
        && !SECONDS.contains(&seconds)
    {
        let detail = "the timeout value must be between 1 and 30 seconds";
        errors.invalid(&path.child("timeoutSeconds"), &seconds.into(), detail);
    }
    for key in ["namespaceSelector", "objectSelector"] {
        label_selector::validate(get(hook, key), leniency.selectors, &path.child(key), errors);
    }
    if mutating && let Some(word) = text_ptr(hook, "reinvocationPolicy") {
        check::one_of(errors, &path.child("reinvocationPolicy"), word, &["IfNeeded", "Never"]);
    }
    client_config::validate(errors, &path.child("clientConfig"), &hook["clientConfig"]);
    if !leniency.conditions {
        conditions::validate(errors, &path.child("matchConditions"), hook, false);
    }
}

fn review_versions(errors: &mut FieldErrors, path: &Path<'_>, hook: &Value, leniency: &Leniency) {
    let versions: Vec<&str> = texts(hook, "admissionReviewVersions").collect();
    if versions.is_empty() {
        return errors.required(path, format!("must specify one of {}", REVIEW_VERSIONS.join(", ")));
    }
    for (at, version) in versions.iter().enumerate() {
        if versions[..at].contains(version) {
            check::bad_text(errors, &path.index(at), version, "duplicate version");
            continue;
        }
        check::messages(errors, &path.index(at), version, names::dns1035_label(version));
    }
    if !leniency.review_versions && !versions.iter().any(|version| REVIEW_VERSIONS.contains(version)) {
        let detail = format!("must include at least one of {}", REVIEW_VERSIONS.join(", "));
        errors.invalid(path, &hook["admissionReviewVersions"], detail);
    }
}
