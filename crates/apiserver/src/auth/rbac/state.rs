//! Roles and bindings as they are now, indexed by subject, kept up to date object by object.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Deserialize;

use super::rule::PolicyRule;
use crate::auth::{Attributes, User};

#[derive(Deserialize)]
struct RoleForm {
    #[serde(default)]
    rules: Option<Vec<PolicyRule>>,
}

/// A subject of a binding.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
struct Subject {
    kind: String,
    name: String,
    #[serde(default)]
    namespace: String,
}

/// `roleRef` of a binding.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct RoleRef {
    /// `Role` or `ClusterRole`.
    pub kind: String,
    /// The role's name.
    pub name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BindingForm {
    #[serde(default)]
    subjects: Option<Vec<Subject>>,
    role_ref: RoleRef,
}

/// A binding, by where it is: an empty namespace for the whole cluster.
type Place = (String, String);

/// Roles and bindings as they are now.
#[derive(Default)]
pub struct State {
    /// By namespace (empty: cluster roles) and name.
    roles: BTreeMap<Place, Arc<Vec<PolicyRule>>>,
    bindings: BTreeMap<Place, Binding>,
    /// Subject -> bindings.
    by_subject: BTreeMap<Subject, BTreeSet<Place>>,
}

struct Binding {
    subjects: Vec<Subject>,
    role: RoleRef,
}

/// A subject in the form that bindings are indexed by: service accounts by the user name that they have.
fn subject_key(subject: &Subject) -> Subject {
    let user = |name: String| Subject { kind: "User".into(), name, namespace: String::new() };
    match subject.kind.as_str() {
        "ServiceAccount" => user(format!("system:serviceaccount:{}:{}", subject.namespace, subject.name)),
        kind => Subject { kind: kind.into(), name: subject.name.clone(), namespace: String::new() },
    }
}

impl State {
    /// A role (in a namespace) or a cluster role (an empty one) as it is now; none where it is gone.
    pub fn set_role(&mut self, namespace: &str, name: &str, json: Option<&[u8]>) {
        let place = (namespace.to_owned(), name.to_owned());
        match json.map(serde_json::from_slice::<RoleForm>) {
            Some(Ok(form)) => {
                self.roles.insert(place, Arc::new(form.rules.unwrap_or_default()));
            }
            // What can't be read grants nothing.
            Some(Err(_)) | None => {
                self.roles.remove(&place);
            }
        }
    }

    /// A binding as it is now; none where it is gone.
    pub fn set_binding(&mut self, namespace: &str, name: &str, json: Option<&[u8]>) {
        let place = (namespace.to_owned(), name.to_owned());
        if let Some(old) = self.bindings.remove(&place) {
            for subject in &old.subjects {
                let key = subject_key(subject);
                if let Some(places) = self.by_subject.get_mut(&key) {
                    places.remove(&place);
                    if places.is_empty() {
                        self.by_subject.remove(&key);
                    }
                }
            }
        }
        let Some(Ok(form)) = json.map(serde_json::from_slice::<BindingForm>) else { return };
        let mut subjects = form.subjects.unwrap_or_default();
        for subject in &mut subjects {
            if subject.kind == "ServiceAccount" && subject.namespace.is_empty() {
                subject.namespace = namespace.to_owned();
            }
            self.by_subject.entry(subject_key(subject)).or_default().insert(place.clone());
        }
        self.bindings.insert(place, Binding { subjects, role: form.role_ref });
    }

    /// Forgets every role or binding, of the cluster or of all namespaces.
    pub fn forget(&mut self, roles: bool, namespaced: bool) {
        let kept = |place: &Place| place.0.is_empty() == namespaced;
        if roles {
            self.roles.retain(|place, _| kept(place));
        } else {
            let gone: Vec<Place> = self.bindings.keys().filter(|place| !kept(place)).cloned().collect();
            for (namespace, name) in gone {
                self.set_binding(&namespace, &name, None);
            }
        }
    }

    /// The rules of a role.
    pub fn rules(&self, binding_namespace: &str, role: &RoleRef) -> Option<Arc<Vec<PolicyRule>>> {
        let namespace = if role.kind == "ClusterRole" { "" } else { binding_namespace };
        self.roles.get(&(namespace.to_owned(), role.name.clone())).cloned()
    }

    /// The bindings of a user that count in a namespace: those of the cluster first, then the namespace's.
    fn bindings_of<'a>(&'a self, user: &User, namespace: &str) -> Vec<(&'a Place, &'a Binding, String)> {
        let mut places: BTreeSet<&'a Place> = BTreeSet::new();
        let mut key = Subject { kind: "User".into(), name: user.name.clone(), namespace: String::new() };
        let mut gather = |key: &Subject| {
            for place in self.by_subject.get(key).into_iter().flatten() {
                if place.0.is_empty() || place.0 == namespace {
                    places.insert(place);
                }
            }
        };
        gather(&key);
        key.kind = "Group".into();
        for group in &user.groups {
            key.name.clone_from(group);
            gather(&key);
        }
        places
            .into_iter()
            .map(|place| {
                let binding = &self.bindings[place];
                (place, binding, describe_subject(binding, user))
            })
            .collect()
    }

    /// Why the attempt is allowed, or what stood in the way of finding out.
    pub fn allows(&self, attributes: &Attributes<'_>) -> Result<String, Vec<String>> {
        let mut faults = Vec::new();
        for (place, binding, subject) in self.bindings_of(attributes.user, attributes.namespace) {
            let (namespace, name) = place;
            match self.rules(namespace, &binding.role) {
                Some(rules) if rules.iter().any(|rule| rule.allows(attributes)) => {
                    let (kind, called) = if namespace.is_empty() {
                        ("ClusterRoleBinding", name.clone())
                    } else {
                        ("RoleBinding", format!("{name}/{namespace}"))
                    };
                    return Ok(format!(
                        "RBAC: allowed by {kind} {called:?} of {} {:?} to {subject}",
                        binding.role.kind, binding.role.name
                    ));
                }
                Some(_) => {}
                None => {
                    let kind = binding.role.kind.to_lowercase();
                    faults
                        .push(format!("{kind}.rbac.authorization.k8s.io {:?} not found", binding.role.name));
                }
            }
        }
        Err(faults)
    }

    /// Everything that a user may do in a namespace, and what couldn't be found out.
    pub fn rules_of(&self, user: &User, namespace: &str) -> (Vec<PolicyRule>, Vec<String>) {
        let (mut rules, mut faults) = (Vec::new(), Vec::new());
        for ((place, _), binding, _) in self.bindings_of(user, namespace) {
            match self.rules(place, &binding.role) {
                Some(known) => rules.extend(known.iter().cloned()),
                None => {
                    let kind = binding.role.kind.to_lowercase();
                    faults
                        .push(format!("{kind}.rbac.authorization.k8s.io {:?} not found", binding.role.name));
                }
            }
        }
        (rules, faults)
    }
}

fn describe_subject(binding: &Binding, user: &User) -> String {
    for subject in &binding.subjects {
        let fits = match subject.kind.as_str() {
            "User" => subject.name == user.name,
            "Group" => user.is_in(&subject.name),
            _ => user.as_service_account() == Some((&subject.namespace, &subject.name)),
        };
        if fits {
            return match subject.kind.as_str() {
                "ServiceAccount" => {
                    format!("ServiceAccount \"{}/{}\"", subject.name, subject.namespace)
                }
                kind => format!("{kind} {:?}", subject.name),
            };
        }
    }
    String::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> State {
        let mut state = State::default();
        state.set_role(
            "n",
            "r",
            Some(br#"{"rules":[{"verbs":["get"],"apiGroups":[""],"resources":["pods"]}]}"#),
        );
        state.set_binding(
            "n",
            "b",
            Some(br#"{"subjects":[{"kind":"ServiceAccount","name":"s","namespace":"n"}],"roleRef":{"kind":"Role","name":"r"}}"#),
        );
        state
    }

    #[test]
    fn a_binding_counts_in_its_namespace_until_it_is_gone() {
        let mut state = state();
        let user = User::service_account("n", "s", "");
        let mut attempt = Attributes::resource(&user, "get", "", "pods");
        assert_eq!(state.allows(&attempt), Err(vec![]));
        attempt.namespace = "n";
        assert_eq!(
            state.allows(&attempt).unwrap(),
            r#"RBAC: allowed by RoleBinding "b/n" of Role "r" to ServiceAccount "s/n""#
        );
        state.set_role("n", "r", None);
        assert_eq!(
            state.allows(&attempt),
            Err(vec![r#"role.rbac.authorization.k8s.io "r" not found"#.to_owned()])
        );
        state.set_binding("n", "b", None);
        assert_eq!(state.allows(&attempt), Err(vec![]));
        assert!(state.by_subject.is_empty());
    }
}
