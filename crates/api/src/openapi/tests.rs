use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::*;

fn references(value: &Value, out: &mut BTreeSet<String>) {
    match value {
        Value::Object(entries) => {
            for (key, value) in entries {
                match (key.as_str(), value) {
                    ("$ref", Value::String(text)) => {
                        out.insert(text.rsplit('/').next().unwrap_or_default().to_owned());
                    }
                    _ => references(value, out),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, out)),
        _ => {}
    }
}

#[test]
fn every_document_of_the_index_is_there_and_whole() {
    let index = v3_index(&[]);
    let paths = index["paths"].as_object().expect("paths");
    assert!(paths.contains_key("api/v1") && paths.contains_key("apis/apps/v1"));
    assert!(
        paths.contains_key("apis/authorization.k8s.io/v1"),
        "resources without objects are described too"
    );
    for (path, entry) in paths {
        let parts: Vec<&str> = path.split('/').collect();
        let (group, version) = match parts.as_slice() {
            ["api", version] => ("", *version),
            ["apis", group, version] => (*group, *version),
            other => panic!("{other:?}"),
        };
        let url = entry["serverRelativeURL"].as_str().expect("a URL");
        assert_eq!(url, format!("/openapi/v3/{path}?hash={}", hash(group, version, &[])));
        let document = v3(group, version, &[]).expect("a document");
        let known = document["components"]["schemas"].as_object().expect("schemas");
        let mut found = BTreeSet::new();
        references(&document, &mut found);
        for name in found {
            assert!(known.contains_key(&name), "{path}: {name}");
        }
        for (name, schema) in known {
            // `JSON` and its like may be anything.
            let open = name.contains(".JSON") && !name.ends_with("JSONSchemaProps");
            assert!(open || schema.get("type").or(schema.get("oneOf")).is_some(), "{path}: {name}");
        }
    }
    assert_eq!(v3("nothing", "v1", &[]), None);
}

#[test]
fn schemas_say_what_the_table_knows() {
    let document = v3("", "v1", &[]).expect("a document");
    let schemas = &document["components"]["schemas"];
    let property = |of: &str, field: &str| {
        let mut property = schemas[format!("io.k8s.api.core.v1.{of}")]["properties"][field].clone();
        if let Value::Object(property) = &mut property {
            assert!(property.remove("description").is_some(), "{of}.{field}");
        }
        property
    };
    assert_eq!(
        property("PodSpec", "containers"),
        json!({"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
            "x-kubernetes-patch-strategy": "merge", "x-kubernetes-patch-merge-key": "name",
            "items": {"allOf": [{"$ref": "#/components/schemas/io.k8s.api.core.v1.Container"}], "default": {}}})
    );
    assert_eq!(property("ContainerPort", "protocol"), json!({"type": "string", "default": "TCP"}));
    assert_eq!(
        property("Pod", "metadata"),
        json!({"default": {},
            "allOf": [{"$ref": "#/components/schemas/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"}]})
    );
    assert_eq!(property("PodSpec", "nodeSelector")["x-kubernetes-map-type"], "atomic");
    assert_eq!(property("PersistentVolumeSpec", "claimRef")["x-kubernetes-map-type"], "granular");
    assert_eq!(property("PodSpec", "volumes")["x-kubernetes-patch-strategy"], "merge,retainKeys");
    assert_eq!(schemas["io.k8s.api.core.v1.PodSpec"]["required"], json!(["containers"]));
    assert_eq!(
        schemas["io.k8s.api.core.v1.Pod"]["x-kubernetes-group-version-kind"],
        json!([{"group": "", "version": "v1", "kind": "Pod"}])
    );
}

#[test]
fn writes_take_field_validation() {
    let document = v3("apps", "v1", &[]).expect("a document");
    let item = &document["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"];
    let collection = &document["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments"];
    for operation in [&item["patch"], &item["put"], &collection["post"]] {
        let names: Vec<&str> = operation["parameters"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|parameter| parameter["name"].as_str())
            .collect();
        assert!(names.contains(&"fieldValidation"), "{names:?}");
        assert_eq!(
            operation["x-kubernetes-group-version-kind"],
            json!({"group": "apps", "version": "v1", "kind": "Deployment"})
        );
    }
    assert_eq!(item["patch"]["operationId"], "patchAppsV1NamespacedDeployment");
    assert!(item["patch"]["requestBody"]["content"]["application/apply-patch+yaml"].is_object());
    let scale = &document["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}/scale"];
    assert_eq!(scale["get"]["x-kubernetes-group-version-kind"]["kind"], "Scale");
    assert!(document["paths"]["/apis/apps/v1/deployments"]["get"].is_object());
}

#[test]
fn the_second_version_is_whole_too() {
    let document = v2();
    let known = document["definitions"].as_object().expect("definitions");
    let mut found = BTreeSet::new();
    references(&document, &mut found);
    assert!(found.iter().all(|name| known.contains_key(name)));
    assert_eq!(known["io.k8s.apimachinery.pkg.api.resource.Quantity"]["type"], "string");
    let ids: Vec<&str> = document["paths"]
        .as_object()
        .into_iter()
        .flatten()
        .flat_map(|(_, item)| item.as_object().into_iter().flatten())
        .filter_map(|(_, operation)| operation["operationId"].as_str())
        .collect();
    let different: BTreeSet<&str> = ids.iter().copied().collect();
    assert_eq!(ids.len(), different.len(), "operations have names of their own");
}
