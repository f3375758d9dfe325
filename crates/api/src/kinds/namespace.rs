//! `Namespace` of `v1`.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::common::cells::{self, column};
use super::common::check;
use super::common::walk::{default_text, ensure, get, keep, list, set, text, texts};
use crate::field::{FieldErrors, Path};
use crate::kind::{Column, Deletion, Kind, KindInfo, NameRule, Part, Rules, Scope, Subresource, Unowned};

/// The kind's rules.
pub struct Namespace;

static INFO: KindInfo = KindInfo {
    group: "",
    version: "v1",
    kind: "Namespace",
    plural: "namespaces",
    singular: "namespace",
    short_names: &["ns"],
    categories: &[],
    scope: Scope::Cluster,
    verbs: &["create", "delete", "get", "list", "patch", "update", "watch"],
    subresources: &[
        Subresource { name: "finalize", kind: "Namespace", group: "", version: "", verbs: &["update"] },
        Subresource {
            name: "status",
            kind: "Namespace",
            group: "",
            version: "",
            verbs: &["get", "patch", "update"],
        },
    ],
    store_prefix: "namespaces",
};

static COLUMNS: &[Column] = &[cells::NAME, column("Status", "string", "Active or Terminating."), cells::AGE];

/// The finalizer of namespaces: their content goes first.
const KUBERNETES: &str = "kubernetes";
/// The label that lets selectors name a namespace.
const NAME_LABEL: &str = "kubernetes.io/metadata.name";

impl Kind for Namespace {
    fn info(&self) -> &'static KindInfo {
        &INFO
    }

    fn name_rule(&self) -> NameRule {
        NameRule::Label
    }

    fn set_defaults(&self, object: &mut Value) {
        default_text(ensure(object, "status"), "phase", "Active");
        let name = text(&object["metadata"], "name").to_owned();
        if !name.is_empty() {
            set(ensure(ensure(object, "metadata"), "labels"), NAME_LABEL, name);
        }
    }

    fn prepare_create(&self, object: &mut Value, _rules: &Rules<'_>) {
        set(object, "status", json!({"phase": "Active"}));
        // A generated name is known only now.
        let name = text(&object["metadata"], "name").to_owned();
        set(ensure(ensure(object, "metadata"), "labels"), NAME_LABEL, name);
        let spec = ensure(object, "spec");
        if !list(spec, "finalizers").iter().any(|each| each == KUBERNETES) {
            let mut finalizers = list(spec, "finalizers").to_vec();
            finalizers.push(KUBERNETES.into());
            set(spec, "finalizers", finalizers);
        }
    }

    fn prepare_update(&self, new: &mut Value, old: &Value, part: Part, _rules: &Rules<'_>) {
        if part != Part::Status {
            keep(new, old, "status");
        }
        if part != Part::Sub("finalize") {
            keep(new, old, "spec");
        }
    }

    fn deletion(&self, _object: &Value, _grace_seconds: Option<i64>) -> Deletion {
        Deletion::Finalize
    }

    fn unowned(&self, part: Part) -> Unowned {
        match part {
            Part::Status => Unowned::Listed(&[&["spec"]]),
            _ => Unowned::Listed(&[&["status"]]),
        }
    }

    fn columns(&self) -> &'static [Column] {
        COLUMNS
    }

    fn row(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        vec![cells::name(object), text(&object["status"], "phase").into(), cells::age(object, now)]
    }

    fn selectable(&self, object: &Value) -> Vec<(&'static str, String)> {
        vec![("status.phase", text(&object["status"], "phase").to_owned())]
    }

    fn validate_create(&self, object: &Value, errors: &mut FieldErrors) {
        finalizers(object, false, errors);
    }

    fn validate_update(&self, new: &Value, _old: &Value, part: Part, errors: &mut FieldErrors) {
        match part {
            Part::Status => phase(new, errors),
            Part::Sub("finalize") => finalizers(new, true, errors),
            _ => {}
        }
    }
}

/// Checks the finalizers; `finalize` says which one is at fault, a new namespace doesn't.
fn finalizers(object: &Value, indexed: bool, errors: &mut FieldErrors) {
    let spec = Path::new("spec");
    let whole = spec.child("finalizers");
    for (at, finalizer) in texts(&object["spec"], "finalizers").enumerate() {
        let path = if indexed { whole.index(at) } else { whole };
        check::qualified(errors, &path, finalizer);
        let standard = matches!(finalizer, KUBERNETES | "orphan" | "foregroundDeletion");
        if !standard && !finalizer.contains('/') {
            let detail = "name is neither a standard finalizer name nor is it fully qualified";
            errors.invalid(&path, &finalizer.into(), detail);
        }
    }
}

fn phase(object: &Value, errors: &mut FieldErrors) {
    let going = get(&object["metadata"], "deletionTimestamp").is_some();
    let (wanted, negation) = if going { ("Terminating", "not ") } else { ("Active", "") };
    let phase = text(&object["status"], "phase");
    if phase != wanted {
        let detail = format!("may only be '{wanted}' if `deletionTimestamp` is {negation}empty");
        let status = Path::new("status");
        errors.invalid(&status.child("Phase"), &phase.into(), detail);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::common::testing::{changed, faults, made, update_faults};

    #[test]
    fn content_goes_first() {
        let namespace =
            made(&Namespace, json!({"metadata": {"name": "a"}, "spec": {"finalizers": ["x.io/y"]}}));
        assert_eq!(namespace["spec"]["finalizers"], json!(["x.io/y", "kubernetes"]));
        assert_eq!(namespace["metadata"]["labels"][NAME_LABEL], "a");
        assert_eq!(namespace["status"]["phase"], "Active");
        let kept = changed(&Namespace, &namespace, Part::Main, |new| new["spec"]["finalizers"] = json!([]));
        assert_eq!(kept["spec"], namespace["spec"]);
        let freed = changed(&Namespace, &namespace, Part::Sub("finalize"), |new| {
            new["spec"]["finalizers"] = json!([]);
        });
        assert!(list(&freed["spec"], "finalizers").is_empty());
    }

    #[test]
    fn finalizers_are_qualified() {
        let detail =
            "Invalid value: \"x\": name is neither a standard finalizer name nor is it fully qualified";
        let given = json!({"spec": {"finalizers": ["x"]}});
        assert_eq!(faults(&Namespace, given), [format!("spec.finalizers: {detail}")]);
        let finalized = update_faults(&Namespace, json!({}), Part::Sub("finalize"), |new| {
            new["spec"]["finalizers"] = json!(["kubernetes", "x"]);
        });
        assert_eq!(finalized, [format!("spec.finalizers[1]: {detail}")]);
    }

    #[test]
    fn the_phase_follows_the_deletion() {
        let going = |new: &mut Value| new["status"]["phase"] = "Terminating".into();
        assert_eq!(
            update_faults(&Namespace, json!({}), Part::Status, going),
            [
                "status.Phase: Invalid value: \"Terminating\": may only be 'Active' if `deletionTimestamp` is empty"
            ]
        );
    }
}
