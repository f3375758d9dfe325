//! `APIService` of `apiregistration.k8s.io/v1`: who serves a version of a group.
//! Source: <https://kubernetes.io/docs/concepts/extend-kubernetes/api-extension/apiserver-aggregation/>

use jiff::Timestamp;
use serde_json::{Value, json};

use super::common::cells::{self, column};
use super::common::check::{bad_text, messages, required};
use super::common::walk::{flag, get, int, list, set, text};
use crate::field::{FieldErrors, Path};
use crate::kind::{Column, Kind, KindInfo, NameRule, Part, Rules, Scope, Subresource};
use crate::meta;
use crate::meta::names;

/// The kind's rules.
pub struct APIService;

/// Where objects are kept, below `/registry/`.
pub const STORE_PREFIX: &str = "apiregistration.k8s.io/apiservices";

static INFO: KindInfo = KindInfo {
    group: "apiregistration.k8s.io",
    version: "v1",
    kind: "APIService",
    plural: "apiservices",
    singular: "apiservice",
    short_names: &[],
    categories: &["api-extensions"],
    scope: Scope::Cluster,
    verbs: &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
    subresources: &[Subresource {
        name: "status",
        kind: "APIService",
        group: "",
        version: "",
        verbs: &["get", "patch", "update"],
    }],
    store_prefix: STORE_PREFIX,
};

static COLUMNS: &[Column] = &[
    cells::NAME,
    column("Service", "string", "Who serves it."),
    column("Available", "string", "Whether it can be used."),
    cells::AGE,
];

const SPEC: Path<'static> = Path::new("spec");
const GROUP_PRIORITY_MAX: i64 = 20_000;
const VERSION_PRIORITY_MAX: i64 = 1_000;

impl Kind for APIService {
    fn info(&self) -> &'static KindInfo {
        &INFO
    }

    fn name_rule(&self) -> NameRule {
        NameRule::PathSegment
    }

    fn checks_metadata(&self) -> bool {
        true
    }

    fn allows_unconditional_update(&self) -> bool {
        false
    }

    fn prepare_create(&self, object: &mut Value, rules: &Rules<'_>) {
        let available = json!({"type": "Available", "status": "True", "lastTransitionTime": rules.now,
            "reason": "Local", "message": "Local APIServices are always available"});
        set(object, "status", json!({"conditions": [available]}));
    }

    fn columns(&self) -> &'static [Column] {
        COLUMNS
    }

    fn row(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        let service = get(&object["spec"], "service").map_or("Local".to_owned(), |service| {
            format!("{}/{}", text(service, "namespace"), text(service, "name"))
        });
        let conditions = list(&object["status"], "conditions").iter();
        let available = conditions.into_iter().find(|condition| text(condition, "type") == "Available");
        let available = available.map_or("Unknown".to_owned(), |condition| match text(condition, "status") {
            "True" => "True".to_owned(),
            word => format!("{word} ({})", text(condition, "reason")),
        });
        vec![cells::name(object), service.into(), available.into(), cells::age(object, now)]
    }

    fn validate_create(&self, object: &Value, errors: &mut FieldErrors) {
        let name = text(&object["metadata"], "name");
        meta::validate_create(object, &INFO, NameRule::PathSegment, errors);
        let spec = &object["spec"];
        if !name.is_empty() && name != format!("{}.{}", text(spec, "version"), text(spec, "group")) {
            let words = "must be `spec.version+\".\"+spec.group`";
            bad_text(errors, &Path::new("metadata").child("name"), name, words);
        }
        validate(spec, errors);
    }

    fn validate_update(&self, new: &Value, _old: &Value, part: Part, errors: &mut FieldErrors) {
        if part == Part::Main {
            validate(&new["spec"], errors);
        }
    }
}

fn validate(spec: &Value, errors: &mut FieldErrors) {
    let (group, version) = (text(spec, "group"), text(spec, "version"));
    if group.is_empty() && version != "v1" {
        errors.required(&SPEC.child("group"), "only v1 may have an empty group and it better be legacy kube");
    }
    if !group.is_empty() {
        messages(errors, &SPEC.child("group"), group, names::dns1123_subdomain(group));
    }
    messages(errors, &SPEC.child("version"), version, names::dns1035_label(version));
    for (key, max) in
        [("groupPriorityMinimum", GROUP_PRIORITY_MAX), ("versionPriority", VERSION_PRIORITY_MAX)]
    {
        let number = int(spec, key);
        if !(1..=max).contains(&number) {
            let words = format!("must be positive and less than {max}");
            errors.invalid(&SPEC.child(key), &number.into(), words);
        }
    }
    let Some(service) = get(spec, "service") else {
        if let Some(bundle) = get(spec, "caBundle") {
            let bytes = bundle.as_str().map_or(0, |text| text.len() / 4 * 3);
            let words = "local APIServices may not have a caBundle";
            errors.invalid_shown(&SPEC.child("caBundle"), format!("\"{bytes} bytes\""), words);
        }
        if flag(spec, "insecureSkipTLSVerify") {
            let words = "local APIServices may not have insecureSkipTLSVerify";
            errors.invalid(&SPEC.child("insecureSkipTLSVerify"), &true.into(), words);
        }
        return;
    };
    let path = SPEC.child("service");
    for key in ["namespace", "name"] {
        required(errors, &path.child(key), text(service, key));
    }
    // Not upstream's: what isn't there is refused.
    errors.forbidden(&path, "APIs of other servers are not supported by this server");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::common::testing::{faults, made};

    fn service(name: &str, spec: Value) -> Value {
        json!({"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "metadata": {"name": name}, "spec": spec})
    }

    #[test]
    fn what_is_local_is_taken_and_others_are_refused_by_name() {
        let local =
            json!({"group": "x.io", "version": "v1", "groupPriorityMinimum": 1000, "versionPriority": 15});
        let object = made(&APIService, service("v1.x.io", local.clone()));
        assert_eq!(APIService.row(&object, Timestamp::UNIX_EPOCH)[1..3], [json!("Local"), json!("True")]);
        assert!(faults(&APIService, service("v1.x.io", local.clone())).is_empty());
        assert!(faults(&APIService, service("v2.x.io", local.clone()))[0].contains("must be `spec.version"));
        let mut remote = local;
        remote["service"] = json!({"namespace": "ns", "name": "s"});
        assert_eq!(
            faults(&APIService, service("v1.x.io", remote)),
            ["spec.service: Forbidden: APIs of other servers are not supported by this server"]
        );
        assert_eq!(
            faults(&APIService, service("v1.x.io", json!({"group": "x.io", "version": "v1"}))).len(),
            2
        );
    }
}
