//! Reads `policy.txt` into objects.

use serde_json::{Value, json};

const POLICY: &str = include_str!("policy.txt");
const GROUP: &str = "rbac.authorization.k8s.io";

/// Every default role and binding, as objects to create: (plural, object).
pub fn default_policy() -> Vec<(&'static str, Value)> {
    let mut roles: Vec<Role> = Vec::new();
    for line in POLICY.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#')) {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["role", name, labels @ ..] => roles.push(Role::new(name, labels)),
            ["controller", name] => {
                let mut role = Role::new(&format!("system:controller:{name}"), &[]);
                role.bindings.push((role.name.clone(), vec![subject("ServiceAccount", name)]));
                roles.push(role);
            }
            words => {
                if let Some(role) = roles.last_mut() {
                    role.add(words);
                }
            }
        }
    }
    roles.into_iter().flat_map(Role::into_objects).collect()
}

struct Role {
    /// Empty for a ClusterRole.
    namespace: String,
    name: String,
    label: Option<String>,
    aggregate: Option<String>,
    rules: Vec<Value>,
    /// Name and subjects.
    bindings: Vec<(String, Vec<Value>)>,
}

impl Role {
    fn new(name: &str, labels: &[&str]) -> Role {
        // Names of cluster roles contain slashes nowhere, so a slash separates a namespace.
        let (namespace, name) = name.split_once('/').unwrap_or(("", name));
        Role {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            label: labels.iter().find_map(|label| label.strip_prefix("label=")).map(str::to_owned),
            aggregate: None,
            rules: Vec::new(),
            bindings: Vec::new(),
        }
    }

    fn add(&mut self, words: &[&str]) {
        match words {
            ["events"] => self.rules.push(
                json!({"verbs": ["create", "patch", "update"], "apiGroups": ["", "events.k8s.io"], "resources": ["events"]}),
            ),
            ["aggregate", word] => self.aggregate = Some((*word).to_owned()),
            ["bind", subjects @ ..] => {
                self.bindings.push((self.name.clone(), subjects.iter().copied().map(parse_subject).collect()));
            }
            ["bind-as", name, subjects @ ..] => {
                self.bindings.push(((*name).to_owned(), subjects.iter().copied().map(parse_subject).collect()));
            }
            [verbs, "path", urls] => {
                self.rules.push(json!({"verbs": list(verbs), "nonResourceURLs": list(urls)}));
            }
            [verbs, groups, resources, names @ ..] => {
                let mut rule =
                    json!({"verbs": list(verbs), "apiGroups": list(groups), "resources": list(resources)});
                if let [names] = names {
                    rule["resourceNames"] = list(names);
                }
                self.rules.push(rule);
            }
            _ => unreachable!("a line of policy.txt has no such form: {words:?}"),
        }
    }

    fn metadata(&self, name: &str) -> Value {
        let mut metadata = json!({"name": name, "labels": {"kubernetes.io/bootstrapping": "rbac-defaults"},
            "annotations": {"rbac.authorization.kubernetes.io/autoupdate": "true"}});
        if !self.namespace.is_empty() {
            metadata["namespace"] = self.namespace.as_str().into();
        }
        metadata
    }

    fn into_objects(self) -> Vec<(&'static str, Value)> {
        let (role_kind, roles, binding_kind, bindings) = if self.namespace.is_empty() {
            ("ClusterRole", "clusterroles", "ClusterRoleBinding", "clusterrolebindings")
        } else {
            ("Role", "roles", "RoleBinding", "rolebindings")
        };
        let api_version = format!("{GROUP}/v1");
        let mut metadata = self.metadata(&self.name);
        if let Some(label) = &self.label {
            metadata["labels"][format!("rbac.authorization.k8s.io/aggregate-to-{label}")] = "true".into();
        }
        let mut role = json!({"apiVersion": api_version, "kind": role_kind, "metadata": metadata,
            "rules": if self.aggregate.is_some() { Value::Null } else { Value::Array(self.rules.clone()) }});
        if let Some(word) = &self.aggregate {
            let label = format!("rbac.authorization.k8s.io/aggregate-to-{word}");
            role["aggregationRule"] = json!({"clusterRoleSelectors": [{"matchLabels": {label: "true"}}]});
        }
        let mut objects = vec![(roles, role)];
        for (name, subjects) in &self.bindings {
            let mut binding = json!({"apiVersion": api_version, "kind": binding_kind, "metadata": self.metadata(name),
                "roleRef": {"apiGroup": GROUP, "kind": role_kind, "name": self.name}});
            if !subjects.is_empty() {
                binding["subjects"] = Value::Array(subjects.clone());
            }
            objects.push((bindings, binding));
        }
        objects
    }
}

fn list(words: &str) -> Value {
    match words {
        "read" => json!(["get", "list", "watch"]),
        "write" => json!(["create", "delete", "deletecollection", "patch", "update"]),
        words => words.split(',').map(|word| Value::from(if word == "-" { "" } else { word })).collect(),
    }
}

fn parse_subject(text: &str) -> Value {
    let (kind, name) = text.split_once(':').expect("a subject of policy.txt is KIND:NAME");
    subject(kind, name)
}

fn subject(kind: &str, name: &str) -> Value {
    if kind == "ServiceAccount" {
        json!({"kind": kind, "name": name, "namespace": "kube-system"})
    } else {
        json!({"kind": kind, "apiGroup": GROUP, "name": name})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_reads() {
        let objects = default_policy();
        let find = |plural: &str, name: &str| {
            objects
                .iter()
                .find(|(known, object)| *known == plural && object["metadata"]["name"] == name)
                .map(|(_, object)| object.clone())
                .unwrap_or_else(|| panic!("{plural} {name}"))
        };
        assert_eq!(find("clusterroles", "cluster-admin")["rules"][0]["apiGroups"], json!(["*"]));
        assert_eq!(
            find("clusterrolebindings", "cluster-admin")["subjects"],
            json!([{"kind": "Group", "apiGroup": "rbac.authorization.k8s.io", "name": "system:masters"}])
        );
        assert_eq!(
            find("clusterrolebindings", "system:controller:job-controller")["subjects"][0]["namespace"],
            "kube-system"
        );
        assert_eq!(
            find("clusterroles", "system:aggregate-to-edit")["metadata"]["labels"]["rbac.authorization.k8s.io/aggregate-to-edit"],
            "true"
        );
        assert!(find("clusterrolebindings", "system:node").get("subjects").is_none());
        assert!(objects.iter().all(|(plural, object)| !plural.ends_with("roles")
            || object["rules"].is_null()
            || object["rules"].as_array().is_some_and(|rules| !rules.is_empty())));
    }
}
