//! Merging a configuration into an object as server-side apply does, where nobody keeps account of who owns what:
//! mutating policies do that.
//! Source: <https://kubernetes.io/docs/reference/access-authn-authz/mutating-admission-policy/>

use serde_json::Value;

use super::merge::merge;
use super::node::{Node, entries, items};
use super::typed::faults;
use crate::form::Form;

/// An object of a type with everything that a configuration says. Lists, maps and objects that have one owner can't be
/// set: whoever means to add to one would take away what is there.
///
/// # Errors
/// In upstream's words.
pub fn overlay(form: &Form, live: &Value, config: &Value) -> Result<Value, String> {
    let node = Node::root(form);
    if let Some(faults) = faults(node, config) {
        return Err(format!("failed to convert patch object to typed object: {faults}"));
    }
    let mut atomics = Vec::new();
    find(node, config, &mut String::new(), &mut atomics);
    if !atomics.is_empty() {
        let atomics = atomics.join(", ");
        return Err(format!(
            "invalid ApplyConfiguration: may not mutate atomic arrays, maps or structs: {atomics}"
        ));
    }
    Ok(merge(node, live, config))
}

/// The paths of what a configuration sets as a whole.
fn find(node: Node<'_>, value: &Value, path: &mut String, atomics: &mut Vec<String>) {
    let length = path.len();
    match node.resolved(value) {
        Node::Atomic(_) if value.is_array() || value.is_object() => atomics.push(path.clone()),
        node @ (Node::Object(_) | Node::Struct(..) | Node::Map(_)) => {
            for (key, value) in entries(value) {
                path.push('.');
                path.push_str(key);
                find(node.below(key).0, value, path, atomics);
                path.truncate(length);
            }
        }
        Node::List(element, _) => {
            for (at, value) in items(value).iter().enumerate() {
                path.push_str(&format!("[{at}]"));
                find(Node::of_elem(element), value, path, atomics);
                path.truncate(length);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::schema;

    #[test]
    fn lists_with_keys_are_merged_and_atomic_ones_are_refused() {
        let pod = &Form::Table(schema::type_of("", "v1", "Pod").unwrap());
        let live = json!({"metadata": {"name": "p", "labels": {"a": "1"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
        let config = json!({"metadata": {"labels": {"b": "2"}}, "spec": {"containers": [{"name": "c", "tty": true}, {"name": "d"}]}});
        assert_eq!(
            overlay(pod, &live, &config).unwrap(),
            json!({"metadata": {"name": "p", "labels": {"a": "1", "b": "2"}},
                "spec": {"containers": [{"name": "c", "image": "i", "tty": true}, {"name": "d"}]}})
        );
        let atomic = json!({"spec": {"containers": [{"name": "c", "command": ["sh"]}]}});
        assert_eq!(
            overlay(pod, &live, &atomic).unwrap_err(),
            "invalid ApplyConfiguration: may not mutate atomic arrays, maps or structs: .spec.containers[0].command"
        );
        let unknown = json!({"spec": {"wrong": 1}});
        assert!(
            overlay(pod, &live, &unknown)
                .unwrap_err()
                .starts_with("failed to convert patch object to typed object: ")
        );
    }
}
