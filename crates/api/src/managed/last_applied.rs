//! The annotation of client-side apply, and the way from there to server-side apply.
//! Source: <https://kubernetes.io/docs/reference/using-api/server-side-apply/#upgrading-from-client-side-apply-to-server-side-apply>

use serde_json::Value;

use super::Context;
use super::compare::{compare, fields_of};
use super::node::Node;
use super::set::FieldSet;
use crate::form::Form;
use crate::meta::ANNOTATIONS_BYTES_MAX;

const ANNOTATION: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// The fields that client-side apply set and that still are as it set them; none where there is no readable
/// annotation of this version.
pub fn fields(form: &Form, live: &Value, context: &Context<'_>) -> Option<FieldSet> {
    let text = live["metadata"]["annotations"][ANNOTATION].as_str()?;
    let last: Value = serde_json::from_str(text).ok()?;
    if last["apiVersion"] != context.api_version {
        return None;
    }
    let node = Node::root(form);
    let changes = compare(node, &last, live);
    let set = fields_of(node, &last);
    Some(set.difference(&changes.modified).difference(&changes.added).difference(&changes.removed))
}

/// Writes a new annotation where there is one.
pub fn renew(object: &mut Value, config: &Value) {
    let known = |object: &Value| {
        object["metadata"]["annotations"][ANNOTATION].as_str().is_some_and(|text| !text.is_empty())
    };
    if !known(object) {
        return;
    }
    let mut config = config.clone();
    if let Some(annotations) = config.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut) {
        annotations.remove(ANNOTATION);
    }
    let annotations = object["metadata"]["annotations"].as_object_mut();
    let Some(annotations) = annotations else { return };
    annotations.insert(ANNOTATION.to_owned(), format!("{config}\n").into());
    let size: usize =
        annotations.iter().map(|(key, value)| key.len() + value.as_str().map_or(0, str::len)).sum();
    if size > ANNOTATIONS_BYTES_MAX {
        annotations.remove(ANNOTATION);
    }
}
