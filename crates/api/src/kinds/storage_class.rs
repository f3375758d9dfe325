//! `StorageClass` of `storage.k8s.io/v1`.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::Value;

use super::common::cells::{self, column};
use super::common::node_labels;
use super::common::walk::{default, flag, get, list, map, text, texts};
use super::common::{check, provisioner};
use crate::field::{FieldErrors, Path};
use crate::kind::{Column, Kind, KindInfo, Part, Scope};

/// The kind's rules.
pub struct StorageClass;

static INFO: KindInfo = KindInfo {
    group: "storage.k8s.io",
    version: "v1",
    kind: "StorageClass",
    plural: "storageclasses",
    singular: "storageclass",
    short_names: &["sc"],
    categories: &[],
    scope: Scope::Cluster,
    verbs: &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
    subresources: &[],
    store_prefix: "storageclasses",
};

static COLUMNS: &[Column] = &[
    cells::NAME,
    column("Provisioner", "string", "Who makes volumes of the class."),
    column("ReclaimPolicy", "string", "What happens to released volumes."),
    column("VolumeBindingMode", "string", "When volumes are bound."),
    column("AllowVolumeExpansion", "boolean", "Whether claims may grow."),
    cells::AGE,
];

impl Kind for StorageClass {
    fn info(&self) -> &'static KindInfo {
        &INFO
    }

    fn set_defaults(&self, object: &mut Value) {
        default(object, "reclaimPolicy", "Delete");
        default(object, "volumeBindingMode", "Immediate");
    }

    fn columns(&self) -> &'static [Column] {
        COLUMNS
    }

    fn row(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        let annotations = &object["metadata"]["annotations"];
        let is_default = [
            "storageclass.kubernetes.io/is-default-class",
            "storageclass.beta.kubernetes.io/is-default-class",
        ]
        .into_iter()
        .any(|key| text(annotations, key) == "true");
        let suffix = if is_default { " (default)" } else { "" };
        vec![
            format!("{}{suffix}", text(&object["metadata"], "name")).into(),
            text(object, "provisioner").into(),
            text(object, "reclaimPolicy").into(),
            text(object, "volumeBindingMode").into(),
            flag(object, "allowVolumeExpansion").into(),
            cells::age(object, now),
        ]
    }

    fn validate_create(&self, object: &Value, errors: &mut FieldErrors) {
        validate(object, errors);
    }

    fn validate_update(&self, new: &Value, old: &Value, _part: Part, errors: &mut FieldErrors) {
        for key in ["parameters", "provisioner", "reclaimPolicy", "volumeBindingMode"] {
            check::immutable(errors, &Path::new(key), get(new, key), get(old, key), Value::to_string);
        }
        topologies(new, errors);
    }

    fn warnings(&self, new: &Value, _old: Option<&Value>) -> Vec<String> {
        let mut warnings = Vec::new();
        let root = Path::new("allowedTopologies");
        for (at, term) in list(new, "allowedTopologies").iter().enumerate() {
            let path = root.index(at);
            let path = path.child("matchLabelExpressions");
            for (at, expression) in list(term, "matchLabelExpressions").iter().enumerate() {
                if let Some(words) = node_labels::old(text(expression, "key")) {
                    warnings.push(format!("{}: {words}", path.index(at).child("key")));
                }
            }
        }
        warnings
    }
}

fn validate(object: &Value, errors: &mut FieldErrors) {
    provisioner::name(errors, &Path::new("provisioner"), text(object, "provisioner"));
    provisioner::parameters(errors, &Path::new("parameters"), map(object, "parameters"));
    let policy = text(object, "reclaimPolicy");
    if !policy.is_empty() {
        check::one_of(errors, &Path::new("reclaimPolicy"), policy, &["Delete", "Retain"]);
    }
    let mode = text(object, "volumeBindingMode");
    let modes = &["Immediate", "WaitForFirstConsumer"];
    check::required_one_of(errors, &Path::new("volumeBindingMode"), mode, modes);
    topologies(object, errors);
}

fn topologies(object: &Value, errors: &mut FieldErrors) {
    let root = Path::new("allowedTopologies");
    let terms = list(object, "allowedTopologies");
    // What a term says: each key with its values, whatever their order.
    let meaning = |term: &Value| -> BTreeMap<String, BTreeSet<String>> {
        let values = |each: &Value| texts(each, "values").map(str::to_owned).collect();
        let each = list(term, "matchLabelExpressions").iter();
        each.map(|each| (text(each, "key").to_owned(), values(each))).collect()
    };
    for (at, term) in terms.iter().enumerate() {
        let said = meaning(term);
        let before = terms[..at].iter().filter(|earlier| meaning(earlier) == said).count();
        // Upstream compares with as many empty terms as there are terms, too.
        let twice = before + if said.is_empty() { terms.len() } else { 0 };
        let path = root.index(at);
        let path = path.child("matchLabelExpressions");
        let expressions = list(term, "matchLabelExpressions");
        for (at, expression) in expressions.iter().enumerate() {
            let path = path.index(at);
            let key = text(expression, "key");
            let values = list(expression, "values");
            if values.is_empty() {
                errors.required(&path.child("values"), "");
            }
            for (at, value) in values.iter().enumerate() {
                if values[..at].contains(value) {
                    errors.duplicate(&path.child("values").index(at), value);
                }
            }
            check::qualified(errors, &path.child("key"), key);
            if expressions[..at].iter().any(|earlier| text(earlier, "key") == key) {
                errors.duplicate(&path.child("key"), &key.into());
            }
        }
        for _ in 0..twice {
            errors.duplicate(&path, &"".into());
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::kinds::common::testing::{faults, update_faults};

    #[test]
    fn classes_stay() {
        let class = json!({"provisioner": "x.io/p"});
        assert!(faults(&StorageClass, class.clone()).is_empty());
        assert_eq!(
            update_faults(&StorageClass, class, Part::Main, |new| new["reclaimPolicy"] = "Retain".into()),
            ["reclaimPolicy: Invalid value: \"Retain\": field is immutable"]
        );
        let marked = json!({"metadata": {"name": "a", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}}});
        assert_eq!(StorageClass.row(&marked, Timestamp::UNIX_EPOCH)[0], "a (default)");
    }

    #[test]
    fn topologies_differ_and_say_something() {
        let class = |terms: Value| json!({"provisioner": "x.io/p", "allowedTopologies": terms});
        let term =
            |key: &str, values: Value| json!({"matchLabelExpressions": [{"key": key, "values": values}]});
        for (terms, expected) in [
            (json!([term("a", json!(["1", "2"])), term("a", json!(["1"]))]), vec![]),
            (
                json!([term("a", json!(["1", "2"])), term("a", json!(["2", "1"]))]),
                vec!["allowedTopologies[1].matchLabelExpressions: Duplicate value: \"\""],
            ),
            (json!([{}]), vec!["allowedTopologies[0].matchLabelExpressions: Duplicate value: \"\""]),
            (
                json!([term("a", json!(["1", "1"]))]),
                vec!["allowedTopologies[0].matchLabelExpressions[0].values[1]: Duplicate value: \"1\""],
            ),
        ] {
            assert_eq!(faults(&StorageClass, class(terms.clone())), expected, "{terms}");
        }
        let old = class(json!([term("failure-domain.beta.kubernetes.io/zone", json!(["z"]))]));
        assert_eq!(
            StorageClass.warnings(&old, None),
            [
                "allowedTopologies[0].matchLabelExpressions[0].key: deprecated since v1.17; use \"topology.kubernetes.io/zone\" instead"
            ]
        );
    }
}
