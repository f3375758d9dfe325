//! What clients are warned of: fields that do nothing any more, and what is probably a mistake.

use std::collections::BTreeMap;
use std::fmt::Display;

use serde_json::Value;

use super::annotations::{SECCOMP_CONTAINER, SECCOMP_POD};
use super::apparmor;
use super::containers::visit;
use super::quantities::{is_whole, quantity};
use crate::field::Path;
use crate::kinds::common::walk::{at, get, int, int_ptr, list, map, same, text};
use crate::kinds::common::{ip_forms, node_labels};
use crate::meta::names;

/// Annotations that do nothing any more.
const OLD_ANNOTATIONS: [(&str, &str); 3] = [
    (
        "scheduler.alpha.kubernetes.io/critical-pod",
        "non-functional in v1.16+; use the \"priorityClassName\" field instead",
    ),
    ("security.alpha.kubernetes.io/sysctls", "non-functional in v1.11+; use the \"sysctls\" field instead"),
    (
        "security.alpha.kubernetes.io/unsafe-sysctls",
        "non-functional in v1.11+; use the \"sysctls\" field instead",
    ),
];

/// Volumes whose drivers are gone or going.
const OLD_VOLUMES: [(&str, &str, &str); 9] = [
    ("photonPersistentDisk", "photonPersistentDisk", "deprecated in v1.11, non-functional in v1.16+"),
    ("gitRepo", "gitRepo", "deprecated in v1.11, and disabled by default in v1.33+"),
    ("scaleIO", "scaleIO", "deprecated in v1.16, non-functional in v1.22+"),
    ("flocker", "flocker", "deprecated in v1.22, non-functional in v1.25+"),
    ("storageos", "storageOS", "deprecated in v1.22, non-functional in v1.25+"),
    ("quobyte", "quobyte", "deprecated in v1.22, non-functional in v1.25+"),
    ("glusterfs", "glusterfs", "deprecated in v1.25, non-functional in v1.26+"),
    ("cephfs", "cephfs", "deprecated in v1.28, non-functional in v1.31+"),
    ("rbd", "rbd", "deprecated in v1.28, non-functional in v1.31+"),
];

/// Warnings for a new pod.
pub fn of_pod(pod: &Value) -> Vec<String> {
    let mut warnings = Vec::new();
    annotated_apparmor(&mut warnings, pod);
    bad_host_name(&mut warnings, pod, "the Pod's hostname");
    of_template(&mut warnings, &Path::ROOT, pod);
    warnings
}

/// Whether an object is new, or counts as another generation of itself.
pub fn has_changed(new: &Value, old: Option<&Value>) -> bool {
    let generation = |object: &Value| at(object, &["metadata", "generation"]).and_then(Value::as_i64);
    old.is_none_or(|old| generation(old) != generation(new) || !same(old.get("spec"), new.get("spec")))
}

/// Warnings for an object with a template at `spec.template`, when the spec is new.
pub fn of_owner(new: &Value, old: Option<&Value>) -> Vec<String> {
    let mut warnings = Vec::new();
    if old.is_none() {
        bad_host_name(&mut warnings, new, "Pod names and hostnames");
    }
    if has_changed(new, old)
        && let Some(template) = at(new, &["spec", "template"])
    {
        let path = Path::new("spec");
        of_template(&mut warnings, &path.child("template"), template);
    }
    warnings
}

/// Warnings for the spec of a claim, whose path is given.
pub fn of_claim(warnings: &mut Vec<String>, path: &Path<'_>, spec: &Value) {
    let mut warn = |path: &dyn Display, words: &str| warnings.push(format!("{path}: {words}"));
    claim_fractions(&mut warn, path, spec);
}

fn claim_fractions(warn: &mut Warn<'_>, path: &Path<'_>, spec: &Value) {
    let path = path.child("resources");
    for key in ["requests", "limits"] {
        if let Some(list) = at(spec, &["resources", key]) {
            fraction(warn, &path.child(key), list, "storage");
        }
    }
}

/// Names become host names, or parts of them.
pub fn bad_host_name(warnings: &mut Vec<String>, object: &Value, of: &str) {
    let faults = names::dns1123_label(object["metadata"]["name"].as_str().unwrap_or_default());
    if !faults.is_empty() {
        warnings.push(format!(
            "metadata.name: this is used in {of}, which can result in surprising behavior; a DNS label is recommended: [{}]",
            faults.join(" ")
        ));
    }
}

fn annotated_apparmor(warnings: &mut Vec<String>, pod: &Value) {
    let Some(annotations) = at(pod, &["metadata", "annotations"]) else { return };
    visit(&pod["spec"], &Path::ROOT, &mut |container, _| {
        let key = format!("{}{}", apparmor::ANNOTATION, text(container, "name"));
        if apparmor::field_of(text(annotations, &key)).is_some() {
            let words = "deprecated since v1.30; use the \"appArmorProfile\" field instead";
            warnings.push(format!("metadata.annotations[{key}]: {words}"));
        }
    });
}

/// Warnings for metadata and spec of a pod (path is the root) or template.
pub fn of_template(warnings: &mut Vec<String>, path: &Path<'_>, template: &Value) {
    let nothing = Value::Null;
    let spec = get(template, "spec").unwrap_or(&nothing);
    let metadata = get(template, "metadata").unwrap_or(&nothing);
    let place = path.child("spec");
    let mut warn = |path: &dyn Display, words: &str| warnings.push(format!("{path}: {words}"));
    selector_labels(&mut warn, &place, spec);
    spread(&mut warn, &place, spec);
    let annotations = map(metadata, "annotations");
    let annotation_path = path.child("metadata");
    let annotation_path = annotation_path.child("annotations");
    for (key, words) in OLD_ANNOTATIONS {
        if annotations.contains_key(key) {
            warn(&annotation_path.key(key), words);
        }
    }
    volumes(&mut warn, &place, spec);
    duplicates(&mut warn, &place, spec);
    if let Some(overhead) = get(spec, "overhead") {
        fractions(&mut warn, &place.child("overhead"), overhead);
    }
    if at(spec, &["securityContext", "seccompProfile"]).is_none() && annotations.contains_key(SECCOMP_POD) {
        let words = "non-functional in v1.27+; use the \"seccompProfile\" field instead";
        warn(&annotation_path.key(SECCOMP_POD), words);
    }
    let is_template = path.to_string() != "";
    visit(spec, &place, &mut |container, path| {
        if !annotations.is_empty() {
            let own = |prefix: &str| format!("{prefix}{}", text(container, "name"));
            let field = |key: &str| at(container, &["securityContext", key]).is_some();
            let key = own(SECCOMP_CONTAINER);
            if !field("seccompProfile") && annotations.contains_key(&key) {
                let words = "non-functional in v1.27+; use the \"seccompProfile\" field instead";
                warn(&annotation_path.key(&key), words);
            }
            let key = own(apparmor::ANNOTATION);
            let of_pod = at(spec, &["securityContext", "appArmorProfile"]).is_some();
            if is_template && !of_pod && !field("appArmorProfile") && annotations.contains_key(&key) {
                let words = "deprecated since v1.30; use the \"appArmorProfile\" field instead";
                warn(&annotation_path.key(&key), words);
            }
        }
        if let Some(resources) = get(container, "resources") {
            let path = path.child("resources");
            for key in ["limits", "requests"] {
                if let Some(list) = get(resources, key) {
                    fractions(&mut warn, &path.child(key), list);
                }
            }
        }
        variables(&mut warn, path, container);
    });
    ports(&mut warn, &place, spec);
    if int_ptr(spec, "terminationGracePeriodSeconds").is_some_and(|seconds| seconds < 0) {
        let words = "must be >= 0; negative values are invalid and will be treated as 1";
        warn(&place.child("terminationGracePeriodSeconds"), words);
    }
    pod_affinity(&mut warn, &place, spec);
    addresses(&mut warn, &place, spec);
}

type Warn<'a> = dyn FnMut(&dyn Display, &str) + 'a;

fn selector_labels(warn: &mut Warn<'_>, path: &Path<'_>, spec: &Value) {
    let place = path.child("nodeSelector");
    for key in map(spec, "nodeSelector").keys() {
        if let Some(words) = node_labels::old(key) {
            warn(&place.key(key), words);
        }
    }
    let Some(affinity) = at(spec, &["affinity", "nodeAffinity"]) else { return };
    let path = path.child("affinity.nodeAffinity");
    let mut term = |path: &Path<'_>, term: &Value| {
        let path = path.child("matchExpressions");
        for (index, expression) in list(term, "matchExpressions").iter().enumerate() {
            let key = text(expression, "key");
            if let Some(words) = node_labels::old(key) {
                let path = path.index(index);
                warn(&path.child("key"), &format!("{key} is {words}"));
            }
        }
    };
    if let Some(required) = get(affinity, "requiredDuringSchedulingIgnoredDuringExecution") {
        let path = path.child("requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms");
        for (index, each) in list(required, "nodeSelectorTerms").iter().enumerate() {
            term(&path.index(index), each);
        }
    }
    let preferred = "preferredDuringSchedulingIgnoredDuringExecution";
    let path = path.child(preferred);
    for (index, each) in list(affinity, preferred).iter().enumerate() {
        if let Some(preference) = get(each, "preference") {
            let path = path.index(index);
            term(&path.child("preference"), preference);
        }
    }
}

const NULL_SELECTOR: &str = "a null labelSelector results in matching no pod";

fn spread(warn: &mut Warn<'_>, path: &Path<'_>, spec: &Value) {
    let path = path.child("topologySpreadConstraints");
    for (index, constraint) in list(spec, "topologySpreadConstraints").iter().enumerate() {
        let path = path.index(index);
        let key = text(constraint, "topologyKey");
        if let Some(words) = node_labels::old(key) {
            warn(&path.child("topologyKey"), &format!("{key} is {words}"));
        }
        if get(constraint, "labelSelector").is_none() {
            warn(&path.child("labelSelector"), NULL_SELECTOR);
        }
    }
}

fn pod_affinity(warn: &mut Warn<'_>, path: &Path<'_>, spec: &Value) {
    let Some(affinity) = get(spec, "affinity") else { return };
    let path = path.child("affinity");
    for side in ["podAffinity", "podAntiAffinity"] {
        let Some(pods) = get(affinity, side) else { continue };
        let path = path.child(side);
        let required = "requiredDuringSchedulingIgnoredDuringExecution";
        let place = path.child(required);
        for (index, term) in list(pods, required).iter().enumerate() {
            if get(term, "labelSelector").is_none() {
                let place = place.index(index);
                warn(&place.child("labelSelector"), NULL_SELECTOR);
            }
        }
        let preferred = "preferredDuringSchedulingIgnoredDuringExecution";
        let place = path.child(preferred);
        for (index, weighted) in list(pods, preferred).iter().enumerate() {
            if at(weighted, &["podAffinityTerm", "labelSelector"]).is_none() {
                let place = place.index(index);
                warn(&place.child("podAffinityTerm.labelSelector"), NULL_SELECTOR);
            }
        }
    }
}

fn volumes(warn: &mut Warn<'_>, path: &Path<'_>, spec: &Value) {
    let path = path.child("volumes");
    let all = list(spec, "volumes");
    for (index, volume) in all.iter().enumerate() {
        for (key, shown, words) in OLD_VOLUMES {
            if get(volume, key).is_some() {
                warn(&path.index(index).child(shown), words);
            }
        }
        if let Some(spec) = at(volume, &["ephemeral", "volumeClaimTemplate", "spec"]) {
            let path = path.index(index);
            claim_fractions(warn, &path.child("ephemeral.volumeClaimTemplate.spec"), spec);
        }
    }
    let sources = |volume: &'_ Value| {
        at(volume, &["projected", "sources"]).and_then(Value::as_array).cloned().unwrap_or_default()
    };
    let tokens: Vec<String> = all
        .iter()
        .flat_map(sources)
        .filter_map(|source| Some(text(get(&source, "serviceAccountToken")?, "path").to_owned()))
        .collect();
    if tokens.is_empty() {
        return;
    }
    for (index, volume) in all.iter().enumerate() {
        let path = path.index(index);
        let path = path.child("projected.sources");
        for source in sources(volume) {
            for (key, shown) in
                [("configMap", "configMap"), ("secret", "secrets"), ("downwardAPI", "downwardAPI")]
            {
                let Some(from) = get(&source, key) else { continue };
                let path = path.child(shown);
                for (index, item) in list(from, "items").iter().enumerate() {
                    let file = text(item, "path");
                    if tokens.iter().any(|token| token == file) {
                        let words = format!("has duplicated path with ServiceAccountToken {file:?}");
                        warn(&path.index(index), &words);
                    }
                }
            }
        }
    }
}

fn duplicates(warn: &mut Warn<'_>, path: &Path<'_>, spec: &Value) {
    for (key, field) in [("hostAliases", "ip"), ("imagePullSecrets", "name")] {
        let path = path.child(key);
        let all = list(spec, key);
        for (index, entry) in all.iter().enumerate() {
            let value = text(entry, field);
            if all[..index].iter().any(|earlier| text(earlier, field) == value) {
                warn(&path.index(index).child(field), &format!("duplicate {field} {value:?}"));
            }
        }
    }
    let path = path.child("imagePullSecrets");
    for (index, secret) in list(spec, "imagePullSecrets").iter().enumerate() {
        if text(secret, "name").is_empty() {
            warn(&path.index(index).child("name"), "invalid empty name \"\"");
        }
    }
}

/// There are no fractions of bytes.
fn fractions(warn: &mut Warn<'_>, path: &Path<'_>, list: &Value) {
    for name in ["memory", "ephemeral-storage"] {
        fraction(warn, path, list, name);
    }
}

fn fraction(warn: &mut Warn<'_>, path: &Path<'_>, list: &Value, name: &str) {
    if let Some(value) = get(list, name)
        && !is_whole(quantity(value))
    {
        let words = format!("fractional byte value {value} is invalid, must be an integer");
        warn(&path.key(name), &words);
    }
}

fn variables(warn: &mut Warn<'_>, path: &Path<'_>, container: &Value) {
    let all = list(container, "env");
    let path = path.child("env");
    for (index, variable) in all.iter().enumerate().skip(1) {
        let name = text(variable, "name");
        if !all[..index].iter().any(|earlier| text(earlier, "name") == name) {
            continue;
        }
        let (value, reference) = (text(variable, "value"), format!("$({name})"));
        let builds_on_it =
            get(variable, "valueFrom").is_none() && value != reference && value.contains(&reference);
        if !builds_on_it {
            let words =
                format!("hides previous definition of {name:?}, which may be dropped when using apply");
            warn(&path.index(index), &words);
        }
    }
}

fn ports(warn: &mut Warn<'_>, path: &Path<'_>, spec: &Value) {
    let mut seen: BTreeMap<(i64, String), Vec<(String, Value)>> = BTreeMap::new();
    let mut found: Vec<(String, String)> = Vec::new();
    visit(spec, path, &mut |container, path| {
        let path = path.child("ports");
        for (index, port) in list(container, "ports").iter().enumerate() {
            let place = path.index(index).to_string();
            let (ip, host) = (text(port, "hostIP"), int(port, "hostPort"));
            if !ip.is_empty() && host == 0 {
                let shown = format!(
                    "{{Name:{} HostPort:0 ContainerPort:{} Protocol:{} HostIP:{ip}}}",
                    text(port, "name"),
                    int(port, "containerPort"),
                    text(port, "protocol")
                );
                found.push((place.clone(), format!("hostIP set without hostPort: {shown}")));
            }
            let key = (int(port, "containerPort"), text(port, "protocol").to_owned());
            let others = seen.entry(key).or_default();
            for (other, earlier) in others.iter() {
                let (its_ip, its_host) = (text(earlier, "hostIP"), int(earlier, "hostPort"));
                if ip == its_ip && host == its_host {
                    found.push((place.clone(), format!("duplicate port definition with {other}")));
                } else if host == 0 || its_host == 0 || host == its_host && ip.is_empty() != its_ip.is_empty()
                {
                    found.push((place.clone(), format!("overlapping port definition with {other}")));
                }
            }
            others.push((place, port.clone()));
        }
    });
    for (place, words) in found {
        warn(&place, &words);
    }
}

fn addresses(warn: &mut Warn<'_>, path: &Path<'_>, spec: &Value) {
    if let Some(config) = get(spec, "dnsConfig") {
        let path = path.child("dnsConfig.nameservers");
        for (index, server) in list(config, "nameservers").iter().filter_map(Value::as_str).enumerate() {
            odd_address(warn, &path.index(index), server);
        }
    }
    let path = path.child("hostAliases");
    for (index, alias) in list(spec, "hostAliases").iter().enumerate() {
        odd_address(warn, &path.index(index).child("ip"), text(alias, "ip"));
    }
}

/// Addresses that upstream reads, and would rather see written otherwise.
fn odd_address(warn: &mut Warn<'_>, path: &Path<'_>, ip: &str) {
    if let Some(words) = ip_forms::odd_ip(ip) {
        warn(path, &words);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn warnings_name_the_field() {
        for (spec, expected) in [
            (json!({"containers": [{"name": "c"}]}), vec![]),
            (
                json!({"volumes": [{"rbd": {}}]}),
                vec!["spec.volumes[0].rbd: deprecated in v1.28, non-functional in v1.31+"],
            ),
            (
                json!({"containers": [{"ports": [{"containerPort": 1, "protocol": "TCP"},
                    {"containerPort": 1, "protocol": "TCP"}]}]}),
                vec![
                    "spec.containers[0].ports[1]: duplicate port definition with spec.containers[0].ports[0]",
                ],
            ),
            (
                json!({"containers": [{"resources": {"requests": {"memory": "400m"}}}]}),
                vec![
                    "spec.containers[0].resources.requests[memory]: fractional byte value \"400m\" is invalid, must be an integer",
                ],
            ),
            (
                json!({"containers": [{"env": [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]}]}),
                vec![
                    "spec.containers[0].env[1]: hides previous definition of \"A\", which may be dropped when using apply",
                ],
            ),
            (
                json!({"containers": [{"env": [{"name": "A", "value": "1"}, {"name": "A", "value": "$(A)2"}]}]}),
                vec![],
            ),
            (
                json!({"nodeSelector": {"beta.kubernetes.io/os": "linux"}}),
                vec![
                    "spec.nodeSelector[beta.kubernetes.io/os]: deprecated since v1.14; use \"kubernetes.io/os\" instead",
                ],
            ),
        ] {
            assert_eq!(of_pod(&json!({"metadata": {"name": "p"}, "spec": spec})), expected);
        }
        assert_eq!(
            of_pod(&json!({"metadata": {"name": "a.b"}})),
            [
                "metadata.name: this is used in the Pod's hostname, which can result in surprising behavior; a DNS label is recommended: [must not contain dots]"
            ]
        );
    }

    #[test]
    fn claims_are_of_whole_bytes() {
        let claim = json!({"resources": {"requests": {"storage": "100m"}, "limits": {"storage": "1Gi"}}});
        let pod = json!({"metadata": {"name": "p"}, "spec": {"volumes": [{"ephemeral":
            {"volumeClaimTemplate": {"spec": claim}}}]}});
        let words = "fractional byte value \"100m\" is invalid, must be an integer";
        assert_eq!(
            of_pod(&pod),
            [format!(
                "spec.volumes[0].ephemeral.volumeClaimTemplate.spec.resources.requests[storage]: {words}"
            )]
        );
        let mut found = Vec::new();
        of_claim(&mut found, &Path::new("spec"), &claim);
        assert_eq!(found, [format!("spec.resources.requests[storage]: {words}")]);
    }

    #[test]
    fn owners_are_warned_when_their_spec_changes() {
        let owner = json!({"metadata": {"name": "o"}, "spec": {"template": {"spec":
            {"topologySpreadConstraints": [{"topologyKey": "zone"}]}}}});
        let expected = [
            "spec.template.spec.topologySpreadConstraints[0].labelSelector: a null labelSelector results in matching no pod",
        ];
        assert_eq!(of_owner(&owner, None), expected);
        assert_eq!(of_owner(&owner, Some(&owner)), [""; 0]);
    }
}
