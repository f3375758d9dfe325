//! What is served: the plain lists, and all of it at once (aggregated).
//! Source: <https://kubernetes.io/docs/concepts/overview/kubernetes-api/#discovery-api>

use std::sync::OnceLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cox_api::{KindInfo, Scope, kinds};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::definitions::Definitions;

/// Groups in upstream's order; those that aren't listed come last.
const ORDER: &[&str] = &[
    "apiregistration.k8s.io",
    "apps",
    "events.k8s.io",
    "authentication.k8s.io",
    "authorization.k8s.io",
    "autoscaling",
    "batch",
    "certificates.k8s.io",
    "networking.k8s.io",
    "policy",
    "rbac.authorization.k8s.io",
    "storage.k8s.io",
    "admissionregistration.k8s.io",
    "apiextensions.k8s.io",
    "scheduling.k8s.io",
    "coordination.k8s.io",
    "node.k8s.io",
    "discovery.k8s.io",
    "resource.k8s.io",
    "flowcontrol.apiserver.k8s.io",
];

/// Every resource that the server has by itself.
fn own() -> &'static [&'static KindInfo] {
    static ALL: OnceLock<Vec<&'static KindInfo>> = OnceLock::new();
    ALL.get_or_init(|| {
        let mut all: Vec<&'static KindInfo> = kinds::ALL.iter().map(|kind| kind.info()).collect();
        all.extend(kinds::without_objects::ALL);
        all.sort_by_key(|info| info.plural);
        all
    })
}

/// Every resource that is served. Definitions come after what the server has by itself; their groups are others.
fn all(definitions: &Definitions) -> Vec<&'static KindInfo> {
    own().iter().copied().chain(definitions.infos()).collect()
}

/// The groups that are served, the core group apart, each with its versions, the preferred one first.
fn groups(definitions: &Definitions) -> Vec<(&'static str, Vec<&'static str>)> {
    let mut groups: Vec<(&str, Vec<&str>)> = Vec::new();
    for info in all(definitions).iter().filter(|info| !info.group.is_empty()) {
        match groups.iter_mut().find(|(group, _)| *group == info.group) {
            Some((_, versions)) if versions.contains(&info.version) => {}
            Some((_, versions)) => versions.push(info.version),
            None => groups.push((info.group, vec![info.version])),
        }
    }
    for (_, versions) in &mut groups {
        versions.sort_by_key(|version| std::cmp::Reverse(priority(version)));
    }
    let place = |group: &str| ORDER.iter().position(|known| *known == group).unwrap_or(ORDER.len());
    groups.sort_by(|a, b| place(a.0).cmp(&place(b.0)).then_with(|| a.0.cmp(b.0)));
    groups
}

/// What makes one version preferred to another: v10 to v2, these to v11beta2, this to v12alpha1, and all of them to
/// other words, of which those that come first in the alphabet are preferred.
/// Source: <https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definition-versioning/#version-priority>
fn priority(version: &str) -> (u8, u32, u32, std::cmp::Reverse<&str>) {
    let number = |text: &str| {
        let plain =
            !text.is_empty() && !text.starts_with('0') && text.bytes().all(|byte| byte.is_ascii_digit());
        if plain { text.parse::<u32>().ok() } else { None }
    };
    let last = std::cmp::Reverse(version);
    let Some(rest) = version.strip_prefix('v') else { return (0, 0, 0, last) };
    if let Some(major) = number(rest) {
        return (3, major, 0, last);
    }
    for (word, rank) in [("beta", 2), ("alpha", 1)] {
        if let Some((major, minor)) = rest.split_once(word)
            && let (Some(major), Some(minor)) = (number(major), number(minor))
        {
            return (rank, major, minor, last);
        }
    }
    (0, 0, 0, last)
}

/// `/api`.
pub fn api_versions(address: &str) -> Value {
    json!({"kind": "APIVersions", "versions": ["v1"],
        "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": address}]})
}

fn group_value(group: &str, versions: &[&str]) -> Value {
    let of = |version: &str| json!({"groupVersion": format!("{group}/{version}"), "version": version});
    let all: Vec<Value> = versions.iter().map(|version| of(version)).collect();
    json!({"name": group, "versions": all, "preferredVersion": of(versions[0])})
}

/// `/apis`.
pub fn group_list(definitions: &Definitions) -> Value {
    let groups: Vec<Value> =
        groups(definitions).iter().map(|(group, versions)| group_value(group, versions)).collect();
    json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
}

/// `/apis/GROUP`.
pub fn group(definitions: &Definitions, group: &str) -> Option<Value> {
    let groups = groups(definitions);
    let (group, versions) = groups.iter().find(|(known, _)| *known == group)?;
    let mut value = group_value(group, versions);
    value["kind"] = "APIGroup".into();
    value["apiVersion"] = "v1".into();
    Some(value)
}

/// Whether a group is one of the server's own; the others are definitions', whose paths are answered as plainly as
/// those of nobody.
pub fn is_own_group(group: &str) -> bool {
    own().iter().any(|info| info.group == group)
}

/// `/api/v1` and `/apis/GROUP/VERSION`.
pub fn resource_list(definitions: &Definitions, group: &str, version: &str) -> Option<Value> {
    let mut resources: Vec<Value> = Vec::new();
    for info in all(definitions).iter().filter(|info| info.group == group && info.version == version) {
        let namespaced = info.scope == Scope::Namespaced;
        let mut resource = json!({"name": info.plural, "singularName": info.singular, "namespaced": namespaced,
            "kind": info.kind, "verbs": info.verbs});
        put_list(&mut resource, "shortNames", info.short_names);
        put_list(&mut resource, "categories", info.categories);
        if !info.store_prefix.is_empty() {
            resource["storageVersionHash"] = storage_hash(definitions, info).into();
        }
        resources.push(resource);
        for sub in info.subresources {
            let mut resource = json!({"name": format!("{}/{}", info.plural, sub.name), "singularName": "",
                "namespaced": namespaced, "kind": sub.kind, "verbs": sub.verbs});
            for (key, text) in [("group", sub.group), ("version", sub.version)] {
                if !text.is_empty() {
                    resource[key] = text.into();
                }
            }
            resources.push(resource);
        }
    }
    if resources.is_empty() {
        return None;
    }
    let group_version = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
    let mut list = json!({"kind": "APIResourceList", "groupVersion": group_version, "resources": resources});
    if !group.is_empty() {
        list["apiVersion"] = "v1".into();
    }
    Some(list)
}

fn put_list(value: &mut Value, key: &str, words: &[&str]) {
    if !words.is_empty() {
        value[key] = json!(words);
    }
}

/// The hash of the version that objects are stored in.
fn storage_hash(definitions: &Definitions, info: &KindInfo) -> String {
    let stored = kinds::by_kind(info.group, info.version, info.kind)
        .or_else(|| definitions.by_kind(info.group, info.version, info.kind))
        .and_then(|kind| kind.stored_as())
        .map_or(info, |kind| kind.info());
    let name = format!("{}/{}/{}", stored.group, stored.version, stored.kind);
    STANDARD.encode(&Sha256::digest(name)[..8])
}

/// Everything at once: the core group (`/api`), or all others (`/apis`).
pub fn aggregated(definitions: &Definitions, core: bool) -> Value {
    let groups = if core { vec![("", vec!["v1"])] } else { groups(definitions) };
    let items: Vec<Value> = groups
        .iter()
        .map(|(group, versions)| {
            let versions: Vec<Value> = versions
                .iter()
                .map(|version| {
                    json!({"version": version, "resources": aggregated_resources(definitions, group, version),
                        "freshness": "Current"})
                })
                .collect();
            let mut metadata = Map::new();
            if !group.is_empty() {
                metadata.insert("name".into(), (*group).into());
            }
            json!({"metadata": metadata, "versions": versions})
        })
        .collect();
    json!({"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {},
        "items": items})
}

fn aggregated_resources(definitions: &Definitions, group: &str, version: &str) -> Vec<Value> {
    let mut resources = Vec::new();
    for info in all(definitions).iter().filter(|info| info.group == group && info.version == version) {
        let scope = if info.scope == Scope::Namespaced { "Namespaced" } else { "Cluster" };
        let mut resource = json!({"resource": info.plural,
            "responseKind": {"group": "", "version": "", "kind": info.kind}, "scope": scope,
            "singularResource": info.singular, "verbs": info.verbs});
        put_list(&mut resource, "shortNames", info.short_names);
        put_list(&mut resource, "categories", info.categories);
        let subs: Vec<Value> = info
            .subresources
            .iter()
            .map(|sub| {
                json!({"subresource": sub.name, "verbs": sub.verbs,
                    "responseKind": {"group": sub.group, "version": sub.version, "kind": sub.kind}})
            })
            .collect();
        if !subs.is_empty() {
            resource["subresources"] = Value::Array(subs);
        }
        resources.push(resource);
    }
    resources
}

/// The tag of a document.
pub fn etag(bytes: &[u8]) -> String {
    let digest: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02X}")).collect();
    format!("\"{digest}\"")
}

#[cfg(test)]
mod tests {
    use super::priority;

    #[test]
    fn versions_are_preferred_as_documented() {
        let documented =
            ["v10", "v2", "v1", "v11beta2", "v10beta3", "v3beta1", "v12alpha1", "v11alpha2", "foo1", "foo10"];
        let mut versions = documented;
        versions.sort_unstable();
        versions.sort_by_key(|version| std::cmp::Reverse(priority(version)));
        assert_eq!(versions, documented);
    }
}
