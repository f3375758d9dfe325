//! What may be written into the status of a pod.

use serde_json::Value;

use super::annotations;
use crate::field::{FieldErrors, Path};
use crate::kinds::common::check::{self, bad_text};
use crate::kinds::common::walk::{at, get, int, list, text, text_ptr};
use crate::meta::names;

/// Conditions whose names aren't checked.
const OURS: [&str; 3] = ["PodScheduled", "Ready", "Initialized"];

/// The checks.
pub fn validate(errors: &mut FieldErrors, new: &Value, old: &Value) {
    annotations::validate_update(errors, &Path::new("metadata").child("annotations"), new, old);
    let path = Path::new("status");
    let (now, was) = (&new["status"], &old["status"]);
    let place = path.child("conditions");
    for (index, condition) in list(now, "conditions").iter().enumerate() {
        let place = place.index(index);
        generation(errors, &place, condition);
        let kind = text(condition, "type");
        if !OURS.contains(&kind) {
            check::qualified(errors, &place.child("Type"), kind);
        }
    }
    nominated(errors, &path.child("nominatedNodeName"), now, was, text(&old["spec"], "nodeName"));
    generation(errors, &path, now);
    let class = text(now, "qosClass");
    if class != text(was, "qosClass") {
        bad_text(errors, &path.child("qosClass"), class, "field is immutable");
    }
    transitions(errors, &path, now, was, &old["spec"]);
    claims(errors, &path.child("resourceClaimStatuses"), now, &new["spec"]);
    for (key, of) in [("podIPs", "PodIP"), ("hostIPs", "HostIP")] {
        addresses(errors, &path.child(key), now, was, key, of);
    }
    users(errors, &path, now, &new["spec"]);
}

fn generation(errors: &mut FieldErrors, path: &Path<'_>, object: &Value) {
    let number = int(object, "observedGeneration");
    if number < 0 {
        errors.invalid(&path.child("observedGeneration"), &number.into(), "must be a non-negative integer");
    }
}

fn nominated(errors: &mut FieldErrors, path: &Path<'_>, now: &Value, was: &Value, node: &str) {
    let name = text(now, "nominatedNodeName");
    if name.is_empty() || name == text(was, "nominatedNodeName") {
        return;
    }
    check::subdomain(errors, path, name);
    if !node.is_empty() {
        errors.forbidden(path, "may not be set on pods that are already bound to a node");
    }
}

/// A container that has ended runs again only where its policy restarts it.
fn transitions(errors: &mut FieldErrors, path: &Path<'_>, now: &Value, was: &Value, spec: &Value) {
    let all_restart = ["initContainers", "containers"].iter().any(|key| {
        let rules = list(spec, key).iter().flat_map(|container| list(container, "restartPolicyRules"));
        rules.into_iter().any(|rule| text(rule, "action") == "RestartAllContainers")
    });
    for (key, containers) in [
        ("containerStatuses", Some("containers")),
        ("initContainerStatuses", Some("initContainers")),
        ("ephemeralContainerStatuses", None),
    ] {
        if all_restart && containers.is_some() {
            continue;
        }
        let path = path.child(key);
        for (index, earlier) in list(was, key).iter().enumerate() {
            let Some(ended) = at(earlier, &["state", "terminated"]) else { continue };
            let name = text(earlier, "name");
            let runs = |status: &Value| {
                text(status, "name") == name && at(status, &["state", "terminated"]).is_none()
            };
            if !list(now, key).iter().any(runs) {
                continue;
            }
            let container =
                containers.and_then(|key| list(spec, key).iter().find(|each| text(each, "name") == name));
            if !container.is_some_and(|container| restarts(container, spec, int(ended, "exitCode"))) {
                let detail = "may not be transitioned to non-terminated state";
                errors.forbidden(&path.index(index).child("state"), detail);
            }
        }
    }
}

/// Whether a container is restarted after it has ended with this code. KEP-5307.
fn restarts(container: &Value, spec: &Value, code: i64) -> bool {
    let by_policy = |policy: &str| match policy {
        "Always" => true,
        "OnFailure" => code != 0,
        _ => false,
    };
    let Some(own) = text_ptr(container, "restartPolicy") else {
        return by_policy(text(spec, "restartPolicy"));
    };
    let matched = |rule: &&Value| {
        let Some(codes) = get(rule, "exitCodes") else { return false };
        let listed = list(codes, "values").iter().any(|value| value.as_i64() == Some(code));
        match text(codes, "operator") {
            "In" => listed,
            "NotIn" => !listed,
            _ => false,
        }
    };
    match list(container, "restartPolicyRules").iter().find(matched) {
        Some(rule) => text(rule, "action").starts_with("Restart"),
        None => by_policy(own),
    }
}

fn claims(errors: &mut FieldErrors, path: &Path<'_>, now: &Value, spec: &Value) {
    let all = list(now, "resourceClaimStatuses");
    for (index, status) in all.iter().enumerate() {
        let path = path.index(index);
        let name = text(status, "name");
        if !list(spec, "resourceClaims").iter().any(|claim| text(claim, "name") == name) {
            let detail = "must match the name of an entry in `spec.resourceClaims`";
            bad_text(errors, &path.child("name"), name, detail);
        }
        if all[..index].iter().any(|earlier| text(earlier, "name") == name) {
            errors.duplicate(&path.child("name"), &name.into());
        }
        if let Some(claim) = text_ptr(status, "resourceClaimName") {
            check::subdomain(errors, &path.child("resourceClaimName"), claim);
        }
    }
}

/// Addresses are addresses, one of each family; those that were there may stay.
fn addresses(errors: &mut FieldErrors, path: &Path<'_>, now: &Value, was: &Value, key: &str, of: &str) {
    let all = list(now, key);
    if key == "hostIPs"
        && let Some(first) = all.first()
        && text(first, "ip") != text(now, "hostIP")
    {
        let path = path.index(0);
        bad_text(errors, &path.child("ip"), text(first, "ip"), "must be equal to `hostIP`");
    }
    for (index, entry) in all.iter().enumerate() {
        let ip = text(entry, "ip");
        if !list(was, key).iter().any(|earlier| text(earlier, "ip") == ip) {
            check::ip(errors, &path.index(index), ip);
        }
    }
    if all.len() < 2 {
        return;
    }
    let four = |entry: &Value| names::parse_ip(text(entry, "ip")).is_some_and(|ip| ip.is_ipv4());
    let dual = all.iter().any(four) && !all.iter().all(four);
    if !dual || all.len() > 2 {
        let shown = super::internal::json_list(of, get(now, key));
        errors.invalid_shown(path, shown, "may specify no more than one IP for each IP family");
    }
}

fn users(errors: &mut FieldErrors, path: &Path<'_>, now: &Value, spec: &Value) {
    let windows = at(spec, &["os", "name"]).is_some_and(|name| name == "windows");
    for key in ["containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses"] {
        let path = path.child(key);
        for (index, status) in list(now, key).iter().enumerate() {
            let Some(user) = at(status, &["user", "linux"]) else { continue };
            let path = path.index(index);
            let path = path.child("linux");
            if windows {
                errors.forbidden(&path, "cannot be set for a windows pod");
                continue;
            }
            let mut id = |path: &Path<'_>, id: i64| {
                if !(0..=i64::from(i32::MAX)).contains(&id) {
                    let detail = format!("must be between 0 and {}, inclusive", i32::MAX);
                    errors.invalid(path, &id.into(), detail);
                }
            };
            id(&path.child("uid"), int(user, "uid"));
            id(&path.child("gid"), int(user, "gid"));
            let groups = path.child("supplementalGroups");
            for (index, group) in list(user, "supplementalGroups").iter().enumerate() {
                id(&groups.index(index), group.as_i64().unwrap_or(0));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn faults(spec: &Value, old: &Value, new: &Value) -> Vec<String> {
        let pod = |status: &Value| json!({"metadata": {}, "spec": spec, "status": status});
        let mut errors = FieldErrors::new();
        validate(&mut errors, &pod(new), &pod(old));
        errors.0.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_has_ended_stays_so_unless_it_is_restarted() {
        let status = |state: &str, code: i64| json!({"containerStatuses": [{"name": "c", "state": {state: {"exitCode": code}}}]});
        let refusal =
            "status.containerStatuses[0].state: Forbidden: may not be transitioned to non-terminated state";
        for (policy, rules, code, refused) in [
            ("Always", json!({}), 0, false),
            ("Never", json!({}), 1, true),
            ("OnFailure", json!({}), 0, true),
            ("OnFailure", json!({}), 1, false),
            ("Never", json!({"restartPolicy": "Always"}), 0, false),
            (
                "Never",
                json!({"restartPolicy": "Never", "restartPolicyRules":
                    [{"action": "Restart", "exitCodes": {"operator": "In", "values": [42]}}]}),
                42,
                false,
            ),
        ] {
            let mut container = rules;
            container["name"] = "c".into();
            let spec = json!({"restartPolicy": policy, "containers": [container]});
            let found = faults(&spec, &status("terminated", code), &status("running", 0));
            assert_eq!(found, if refused { vec![refusal] } else { vec![] }, "{policy} {code}");
        }
    }

    #[test]
    fn addresses_are_one_of_each_family() {
        let spec = json!({});
        let ips =
            |all: &[&str]| json!({"podIPs": all.iter().map(|ip| json!({"ip": ip})).collect::<Vec<_>>()});
        assert!(faults(&spec, &json!({}), &ips(&["10.0.0.1", "fd00::1"])).is_empty());
        assert_eq!(
            faults(&spec, &json!({}), &ips(&["10.0.0.1", "10.0.0.2"])),
            [
                "status.podIPs: Invalid value: [{\"IP\":\"10.0.0.1\"},{\"IP\":\"10.0.0.2\"}]: may specify no more than one IP for each IP family"
            ]
        );
        assert_eq!(faults(&spec, &json!({}), &ips(&["x"])).len(), 1);
        assert!(faults(&spec, &ips(&["x"]), &ips(&["x"])).is_empty(), "what was there may stay");
    }
}
