//! `Ingress` of `networking.k8s.io/v1`.

mod validate;

use super::common::load_balancer;
use jiff::Timestamp;
use serde_json::Value;

use super::common::cells::{self, column};
use super::common::walk::{get, list, text};
use crate::field::{FieldErrors, Path};
use crate::kind::{Column, Kind, KindInfo, Part, Scope, Subresource};

/// The kind's rules.
pub struct Ingress;

static INFO: KindInfo = KindInfo {
    group: "networking.k8s.io",
    version: "v1",
    kind: "Ingress",
    plural: "ingresses",
    singular: "ingress",
    short_names: &["ing"],
    categories: &[],
    scope: Scope::Namespaced,
    verbs: &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
    subresources: &[Subresource {
        name: "status",
        kind: "Ingress",
        group: "",
        version: "",
        verbs: &["get", "patch", "update"],
    }],
    store_prefix: "ingress",
};

static COLUMNS: &[Column] = &[
    cells::NAME,
    column("Class", "string", "Who serves it."),
    column("Hosts", "string", "Hosts of the rules."),
    column("Address", "string", "Where it is reached."),
    column("Ports", "string", "Ports it listens on."),
    cells::AGE,
];

impl Kind for Ingress {
    fn info(&self) -> &'static KindInfo {
        &INFO
    }

    fn counts_generations(&self) -> bool {
        true
    }

    fn columns(&self) -> &'static [Column] {
        COLUMNS
    }

    fn row(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        let spec = &object["spec"];
        let class = get(spec, "ingressClassName").and_then(Value::as_str).unwrap_or(cells::NONE);
        let rules = list(spec, "rules");
        // So many hosts are shown, and how many rules there are besides: also those without a host.
        let named = |rule: &Value| !text(rule, "host").is_empty();
        let shown: Vec<usize> = (0..rules.len()).filter(|at| named(&rules[*at])).take(HOSTS_MAX).collect();
        let hosts: Vec<&str> = shown.iter().map(|at| text(&rules[*at], "host")).collect();
        let more = shown.len() == HOSTS_MAX && shown.last().is_some_and(|last| last + 1 < rules.len());
        let hosts = match hosts.as_slice() {
            [] => "*".to_owned(),
            hosts if more => format!("{} + {} more...", hosts.join(","), rules.len() - HOSTS_MAX),
            hosts => hosts.join(","),
        };
        let ports = if list(spec, "tls").is_empty() { "80" } else { "80, 443" };
        vec![
            cells::name(object),
            class.into(),
            hosts.into(),
            load_balancer::addresses(&object["status"]["loadBalancer"]).into(),
            ports.into(),
            cells::age(object, now),
        ]
    }

    fn validate_create(&self, object: &Value, errors: &mut FieldErrors) {
        validate::spec(object, errors);
        validate::class_annotation(object, errors);
    }

    fn validate_update(&self, new: &Value, _old: &Value, part: Part, errors: &mut FieldErrors) {
        if part == Part::Status {
            let path = Path::new("status");
            load_balancer::validate(
                errors,
                &path.child("loadBalancer"),
                &new["status"]["loadBalancer"],
                false,
            );
        } else {
            validate::spec(new, errors);
        }
    }

    fn warnings(&self, new: &Value, old: Option<&Value>) -> Vec<String> {
        let annotation = "kubernetes.io/ingress.class";
        let classed = get(&new["spec"], "ingressClassName").is_some();
        if old.is_some() || classed || get(&new["metadata"]["annotations"], annotation).is_none() {
            return Vec::new();
        }
        vec![format!("annotation {annotation:?} is deprecated, please use 'spec.ingressClassName' instead")]
    }
}

/// So many hosts are shown in a table.
const HOSTS_MAX: usize = 3;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::kinds::common::testing::faults;

    #[test]
    fn backends_and_paths_are_checked() {
        let path = |path: Value| json!({"spec": {"rules": [{"http": {"paths": [path]}}]}});
        let backend = json!({"service": {"name": "s", "port": {"number": 80}}});
        assert!(
            faults(&Ingress, path(json!({"path": "/", "pathType": "Prefix", "backend": backend}))).is_empty()
        );
        assert_eq!(
            faults(&Ingress, path(json!({"path": "a//b/..", "pathType": "Exact", "backend": {}}))),
            [
                "spec.rules[0].http.paths[0].path: Invalid value: \"a//b/..\": must be an absolute path",
                "spec.rules[0].http.paths[0].path: Invalid value: \"a//b/..\": must not contain '//'",
                "spec.rules[0].http.paths[0].path: Invalid value: \"a//b/..\": cannot end with '/..'",
                "spec.rules[0].http.paths[0].backend: Invalid value: \"\": resource or service backend is required",
            ]
        );
        assert_eq!(
            faults(&Ingress, json!({"spec": {}})),
            ["spec: Invalid value: null: either `defaultBackend` or `rules` must be specified"]
        );
    }

    #[test]
    fn many_hosts_are_shortened() {
        let hosts: Vec<Value> = (0..5).map(|at| json!({"host": format!("h{at}")})).collect();
        let row = Ingress
            .row(&json!({"metadata": {"annotations": {"kubernetes.io/ingress.class": "x"}}, "spec": {"rules": hosts, "tls": [{}]}}), Timestamp::UNIX_EPOCH);
        assert_eq!(row[2], "h0,h1,h2 + 2 more...");
        assert_eq!(row[1], cells::NONE, "the annotation of old is no class here");
        assert_eq!(row[4], "80, 443");
    }

    #[test]
    fn the_old_annotation_is_told_of_new_ingresses_without_a_class() {
        let annotated = |spec: Value| json!({"metadata": {"annotations": {"kubernetes.io/ingress.class": "x"}}, "spec": spec});
        let plain = annotated(json!({}));
        assert_eq!(
            Ingress.warnings(&plain, None),
            [
                "annotation \"kubernetes.io/ingress.class\" is deprecated, please use 'spec.ingressClassName' instead"
            ]
        );
        assert!(Ingress.warnings(&plain, Some(&plain)).is_empty());
        assert!(Ingress.warnings(&annotated(json!({"ingressClassName": "x"})), None).is_empty());
    }

    #[test]
    fn resources_behind_paths_are_named() {
        let given =
            json!({"spec": {"defaultBackend": {"resource": {"apiGroup": "A", "kind": "", "name": "a/b"}}}});
        let found = faults(&Ingress, given);
        assert!(
            found[0].starts_with("spec.defaultBackend.resource.apiGroup: Invalid value: \"A\": a lowercase")
        );
        assert_eq!(
            found[1..],
            [
                "spec.defaultBackend.resource.kind: Required value: kind is required",
                "spec.defaultBackend.resource.name: Invalid value: \"a/b\": may not contain '/'",
            ]
        );
    }
}
