//! What an update of a pod may change: images, a shorter deadline, more tolerations, fewer gates; while gates
//! are there, which nodes it wants, more narrowly.

use serde_json::Value;

use super::{annotations, diff, internal, placement, spec, spec_defaults};
use crate::field::{FieldErrors, Path};
use crate::kinds::common::check::bad_text;
use crate::kinds::common::walk::{
    at, ensure, get, get_mut, int_ptr, keep, list, map, remove, same, set, text,
};

const WORDS: &str = "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";

/// Before the checks.
pub fn prepare(new: &mut Value, old: &Value) {
    if let Some(pods) = get_mut(new, "spec") {
        spec_defaults::drop_disabled(pods, get(old, "spec"));
        spec_defaults::account_alias(pods);
    }
}

/// The checks.
pub fn validate(errors: &mut FieldErrors, new: &Value, old: &Value) {
    spec::validate_pod(errors, new);
    annotations::validate_update(errors, &Path::new("metadata").child("annotations"), new, old);
    let (now, before) = (&new["spec"], &old["spec"]);
    let path = Path::new("spec");
    for key in ["containers", "initContainers"] {
        if !images(errors, &path.child(key), list(now, key), list(before, key)) {
            return;
        }
    }
    if !deadline(errors, &path.child("activeDeadlineSeconds"), now, before) {
        return;
    }
    tolerations(errors, &path.child("tolerations"), now, before);
    gates(errors, &path.child("schedulingGates"), now, before);
    if same(Some(now), Some(before)) {
        return;
    }
    let munged = munge(errors, &path, now, before);
    if !same(Some(&munged), Some(before)) {
        let diff = diff::lines(&internal::pretty("PodSpec", before), &internal::pretty("PodSpec", &munged));
        errors.forbidden(&path, format!("{WORDS}\n{diff}"));
    }
}

/// The new spec with everything that may change as it was: what still differs may not.
fn munge(errors: &mut FieldErrors, path: &Path<'_>, now: &Value, before: &Value) -> Value {
    let mut munged = now.clone();
    for key in ["containers", "initContainers"] {
        for (container, old) in
            crate::kinds::common::walk::list_mut(&mut munged, key).iter_mut().zip(list(before, key))
        {
            keep(container, old, "image");
        }
    }
    for key in ["activeDeadlineSeconds", "schedulingGates", "tolerations"] {
        keep(&mut munged, before, key);
    }
    let grace = |spec: &Value| int_ptr(spec, "terminationGracePeriodSeconds");
    if grace(before).is_some_and(|seconds| seconds < 0) && grace(now) == Some(1) {
        keep(&mut munged, before, "terminationGracePeriodSeconds");
    }
    if !list(before, "schedulingGates").is_empty() {
        node_selector(errors, &path.child("nodeSelector"), now, before);
        keep(&mut munged, before, "nodeSelector");
        let affinity = path.child("affinity");
        let (wanted, was) =
            (at(now, &["affinity", "nodeAffinity"]), at(before, &["affinity", "nodeAffinity"]));
        if !same(wanted, was) {
            node_affinity(errors, &affinity.child("nodeAffinity"), wanted, was);
            restore_node_affinity(&mut munged, before, was);
        }
    }
    munged
}

fn restore_node_affinity(munged: &mut Value, before: &Value, was: Option<&Value>) {
    match was {
        Some(was) => set(ensure(munged, "affinity"), "nodeAffinity", was.clone()),
        None => {
            let Some(affinity) = get_mut(munged, "affinity") else { return };
            remove(affinity, "nodeAffinity");
            if get(before, "affinity").is_none() && affinity.as_object().is_some_and(|rest| rest.is_empty()) {
                remove(munged, "affinity");
            }
        }
    }
}

fn images(errors: &mut FieldErrors, path: &Path<'_>, now: &[Value], before: &[Value]) -> bool {
    if now.len() != before.len() {
        errors.forbidden(path, "pod updates may not add or remove containers");
        return false;
    }
    for (index, container) in now.iter().enumerate() {
        let path = path.index(index);
        let image = text(container, "image");
        if image.is_empty() {
            errors.required(&path.child("image"), "");
        }
        if image.trim() != image {
            bad_text(errors, &path.child("image"), image, "must not have leading or trailing whitespace");
        }
    }
    true
}

/// A deadline comes or becomes shorter. Whether there is any use in further checks.
fn deadline(errors: &mut FieldErrors, path: &Path<'_>, now: &Value, before: &Value) -> bool {
    let of = |spec: &Value| int_ptr(spec, "activeDeadlineSeconds");
    match (of(now), of(before)) {
        (Some(seconds), was) => {
            if !spec::deadline(errors, path, seconds, 0) {
                return false;
            }
            if was.is_some_and(|was| was < seconds) {
                errors.invalid(path, &seconds.into(), "must be less than or equal to previous value");
                return false;
            }
        }
        (None, Some(_)) => {
            errors.invalid(path, &Value::Null, "must not update from a positive integer to nil value");
        }
        (None, None) => {}
    }
    true
}

fn tolerations(errors: &mut FieldErrors, path: &Path<'_>, now: &Value, before: &Value) {
    let without_seconds = |toleration: &Value| {
        let mut toleration = toleration.clone();
        remove(&mut toleration, "tolerationSeconds");
        toleration
    };
    let all: Vec<Value> = list(now, "tolerations").iter().map(without_seconds).collect();
    if list(before, "tolerations").iter().any(|old| !all.contains(&without_seconds(old))) {
        return errors
            .forbidden(path, "existing toleration can not be modified except its tolerationSeconds");
    }
    placement::tolerations(errors, path, now);
}

fn gates(errors: &mut FieldErrors, path: &Path<'_>, now: &Value, before: &Value) {
    let known = list(before, "schedulingGates");
    for (index, gate) in list(now, "schedulingGates").iter().enumerate() {
        let name = text(gate, "name");
        if !known.iter().any(|old| text(old, "name") == name) {
            let detail = format!("only deletion is allowed, but found new scheduling gate '{name}'");
            errors.forbidden(&path.index(index).child("name"), detail);
        }
    }
}

fn node_selector(errors: &mut FieldErrors, path: &Path<'_>, now: &Value, before: &Value) {
    let labels = map(now, "nodeSelector");
    if map(before, "nodeSelector").iter().any(|(key, value)| labels.get(key) != Some(value)) {
        let shown = get(now, "nodeSelector").map_or_else(|| "null".to_owned(), Value::to_string);
        let detail = "only additions to spec.nodeSelector are allowed (no mutations or deletions)";
        errors.invalid_shown(path, shown, detail);
    }
}

/// Each term may become narrower; terms don't come or go.
fn node_affinity(errors: &mut FieldErrors, path: &Path<'_>, now: Option<&Value>, before: Option<&Value>) {
    const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
    let terms = |affinity: Option<&'_ Value>| {
        affinity.and_then(|affinity| at(affinity, &[REQUIRED, "nodeSelectorTerms"])).cloned()
    };
    let (Some(was), wanted) = (terms(before), terms(now)) else { return };
    let was = was.as_array().map_or(&[][..], Vec::as_slice);
    let all = wanted.as_ref().and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let path = path.child(REQUIRED);
    let path = path.child("nodeSelectorTerms");
    if !was.is_empty() && was.len() != all.len() {
        let shown = internal::json_list("NodeSelectorTerm", wanted.as_ref());
        let detail = "no additions/deletions to non-empty NodeSelectorTerms list are allowed";
        return errors.invalid_shown(&path, shown, detail);
    }
    for (index, (term, old)) in all.iter().zip(was).enumerate() {
        if !is_narrower(term, old) {
            let shown = internal::json("NodeSelectorTerm", term);
            let detail = "only additions are allowed (no mutations or deletions)";
            errors.invalid_shown(&path.index(index), shown, detail);
        }
    }
}

fn is_narrower(term: &Value, old: &Value) -> bool {
    const KEYS: [&str; 2] = ["matchExpressions", "matchFields"];
    let was_empty = KEYS.iter().all(|key| list(old, key).is_empty());
    if was_empty && KEYS.iter().any(|key| !list(term, key).is_empty()) {
        return false;
    }
    KEYS.iter().all(|key| {
        let (now, before) = (list(term, key), list(old, key));
        now.len() >= before.len() && now.iter().zip(before).all(|(a, b)| same(Some(a), Some(b)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::pod::defaults;
    use serde_json::json;

    fn pod(change: impl Fn(&mut Value)) -> Value {
        let mut pod = json!({"metadata": {"name": "p"}, "spec": {"serviceAccountName": "default",
            "containers": [{"name": "c", "image": "img"}],
            "tolerations": [{"key": "a", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 9}]}});
        change(&mut pod["spec"]);
        defaults::pod(&mut pod);
        pod
    }

    fn faults(old: &Value, new: &Value) -> Vec<String> {
        let mut errors = FieldErrors::new();
        validate(&mut errors, new, old);
        errors.0.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_may_change_may() {
        let old = pod(|_| {});
        for new in [
            pod(|spec| spec["containers"][0]["image"] = "other".into()),
            pod(|spec| spec["activeDeadlineSeconds"] = 5.into()),
            pod(|spec| spec["tolerations"][0]["tolerationSeconds"] = 5.into()),
            pod(|spec| {
                let more = json!({"key": "b", "operator": "Exists"});
                spec["tolerations"].as_array_mut().unwrap().push(more);
            }),
        ] {
            assert_eq!(faults(&old, &new), [""; 0]);
        }
    }

    #[test]
    fn what_may_not_is_shown() {
        let old = pod(|_| {});
        let found = faults(&old, &pod(|spec| spec["hostname"] = "h".into()));
        assert_eq!(found.len(), 1);
        assert!(found[0].starts_with("spec: Forbidden: pod updates may not change fields other than"));
        assert!(found[0].contains("\n- \"Hostname\": \"\",\n+ \"Hostname\": \"h\",\n"), "{}", found[0]);
        let found = faults(&old, &pod(|spec| spec["tolerations"] = json!([])));
        assert_eq!(
            found,
            [
                "spec.tolerations: Forbidden: existing toleration can not be modified except its tolerationSeconds"
            ]
        );
    }

    #[test]
    fn gated_pods_become_narrower() {
        let gated = |labels: Value| {
            pod(|spec| {
                spec["schedulingGates"] = json!([{"name": "g"}]);
                spec["nodeSelector"] = labels.clone();
            })
        };
        let old = gated(json!({"k": "v"}));
        assert_eq!(faults(&old, &gated(json!({"k": "v", "l": "w"}))), [""; 0]);
        assert_eq!(
            faults(&old, &gated(json!({"k": "x"}))),
            [
                "spec.nodeSelector: Invalid value: {\"k\":\"x\"}: only additions to spec.nodeSelector are allowed (no mutations or deletions)"
            ]
        );
    }
}
