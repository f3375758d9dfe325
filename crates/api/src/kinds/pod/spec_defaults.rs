//! Defaults of a pod spec wherever it stands: in a pod or in a template. What only pods get is in
//! [`super::defaults`].

use serde_json::{Value, json};

use super::quantities;
use super::volume_defaults;
use crate::kinds::common::walk::{
    default, default_int, default_text, ensure, flag_ptr, get, get_mut, list, list_mut, map_of, remove, set,
    text,
};

/// The lists of containers, in upstream's order of visiting.
pub const CONTAINER_LISTS: [&str; 3] = ["initContainers", "containers", "ephemeralContainers"];

/// Defaults of `template` (metadata and spec) below `parent`, which upstream holds by value: it is there even if
/// the client leaves it out.
pub fn template(parent: &mut Value, key: &str) {
    let template = ensure(parent, key);
    ensure(template, "metadata");
    pod_spec(ensure(template, "spec"));
}

/// Defaults of a pod spec.
pub fn pod_spec(spec: &mut Value) {
    default_text(spec, "dnsPolicy", "ClusterFirst");
    default_text(spec, "restartPolicy", "Always");
    if get(spec, "securityContext").is_none() {
        set(spec, "securityContext", json!({}));
    }
    default(spec, "terminationGracePeriodSeconds", 30);
    default_text(spec, "schedulerName", "default-scheduler");
    account_alias(spec);
    for volume in list_mut(spec, "volumes") {
        volume_defaults::volume(volume);
    }
    for key in CONTAINER_LISTS {
        for each in list_mut(spec, key) {
            container(each);
        }
    }
    if let Some(overhead) = get_mut(spec, "overhead") {
        quantities::round_up(overhead);
    }
    if let Some(resources) = get_mut(spec, "resources") {
        resource_lists(resources);
    }
}

/// `serviceAccount` is an old name of `serviceAccountName`: upstream holds one and shows both.
pub fn account_alias(spec: &mut Value) {
    if text(spec, "serviceAccountName").is_empty() {
        let old = text(spec, "serviceAccount");
        if old.is_empty() {
            return;
        }
        let old = old.to_owned();
        set(spec, "serviceAccountName", old);
    } else if text(spec, "serviceAccount") != text(spec, "serviceAccountName") {
        let name = text(spec, "serviceAccountName").to_owned();
        set(spec, "serviceAccount", name);
    }
}

fn container(container: &mut Value) {
    if text(container, "imagePullPolicy").is_empty() {
        let policy = pull_policy(text(container, "image"));
        set(container, "imagePullPolicy", policy);
    }
    default_text(container, "terminationMessagePath", "/dev/termination-log");
    default_text(container, "terminationMessagePolicy", "File");
    for port in list_mut(container, "ports") {
        default_text(port, "protocol", "TCP");
    }
    for entry in list_mut(container, "env") {
        let Some(from) = get_mut(entry, "valueFrom") else { continue };
        if let Some(field) = get_mut(from, "fieldRef") {
            default_text(field, "apiVersion", "v1");
        }
        if let Some(file) = get_mut(from, "fileKeyRef") {
            default(file, "optional", false);
        }
    }
    for key in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if let Some(each) = get_mut(container, key) {
            probe(each);
        }
    }
    if let Some(lifecycle) = get_mut(container, "lifecycle") {
        for key in ["postStart", "preStop"] {
            if let Some(http) = get_mut(lifecycle, key).and_then(|handler| get_mut(handler, "httpGet")) {
                http_get(http);
            }
        }
    }
    if let Some(resources) = get_mut(container, "resources") {
        resource_lists(resources);
    }
}

fn probe(probe: &mut Value) {
    default_int(probe, "timeoutSeconds", 1);
    default_int(probe, "periodSeconds", 10);
    default_int(probe, "successThreshold", 1);
    default_int(probe, "failureThreshold", 3);
    if let Some(http) = get_mut(probe, "httpGet") {
        http_get(http);
    }
    if let Some(grpc) = get_mut(probe, "grpc") {
        default(grpc, "service", "");
    }
}

fn http_get(http: &mut Value) {
    default_text(http, "path", "/");
    default_text(http, "scheme", "HTTP");
}

/// Upstream keeps no resource finer than a thousandth: what is finer is rounded up.
fn resource_lists(resources: &mut Value) {
    for key in ["limits", "requests"] {
        if let Some(list) = get_mut(resources, key) {
            quantities::round_up(list);
        }
    }
}

/// `Always` for images tagged `latest` (also by saying no tag and no digest), else `IfNotPresent`.
pub fn pull_policy(image: &str) -> &'static str {
    if tag_of(image) == Some("latest") { "Always" } else { "IfNotPresent" }
}

/// The tag that a reference means; none where there is a digest alone, or no valid reference.
fn tag_of(image: &str) -> Option<&str> {
    let (name, digest) = match image.split_once('@') {
        Some((name, digest)) => (name, Some(digest)),
        None => (image, None),
    };
    let last = name.rsplit('/').next().unwrap_or(name);
    let (path_end, tag) = match last.split_once(':') {
        Some((path_end, tag)) => (path_end, Some(tag)),
        None => (last, None),
    };
    let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '_' | '-');
    if path_end.is_empty() || !path_end.chars().all(legal) {
        return None;
    }
    match (tag, digest) {
        (Some(""), _) => None,
        (Some(tag), _) => Some(tag),
        (None, Some(_)) => None,
        (None, None) => Some("latest"),
    }
}

/// Takes away what upstream's default feature gates turn off, unless `old` has it already.
pub fn drop_disabled(spec: &mut Value, old: Option<&Value>) {
    if get(spec, "schedulingGroup").is_some() && old.is_none_or(|old| get(old, "schedulingGroup").is_none()) {
        remove(spec, "schedulingGroup");
    }
    for source in ["clusterTrustBundle", "podCertificate"] {
        if !old.is_some_and(|old| projections(old).any(|each| get(each, source).is_some())) {
            drop_projection(spec, source);
        }
    }
    for key in CONTAINER_LISTS {
        let had = old.is_some_and(stop_signal_in_use);
        for each in list_mut(spec, key) {
            let Some(lifecycle) = get_mut(each, "lifecycle") else { continue };
            if had || remove(lifecycle, "stopSignal").is_none() {
                continue;
            }
            if map_of(lifecycle).is_empty() {
                remove(each, "lifecycle");
            }
        }
    }
}

/// The sources of all projected volumes.
fn projections(spec: &Value) -> impl Iterator<Item = &Value> {
    list(spec, "volumes")
        .iter()
        .filter_map(|volume| get(volume, "projected"))
        .flat_map(|each| list(each, "sources"))
}

fn drop_projection(spec: &mut Value, source: &str) {
    for volume in list_mut(spec, "volumes") {
        let Some(projected) = get_mut(volume, "projected") else { continue };
        for each in list_mut(projected, "sources") {
            remove(each, source);
        }
    }
}

fn stop_signal_in_use(spec: &Value) -> bool {
    CONTAINER_LISTS.iter().any(|key| {
        list(spec, key).iter().any(|each| {
            get(each, "lifecycle").is_some_and(|lifecycle| get(lifecycle, "stopSignal").is_some())
        })
    })
}

/// Whether an init container is a sidecar or any container says that it is always restarted.
pub fn restarts_always(container: &Value) -> bool {
    text(container, "restartPolicy") == "Always"
}

/// Whether the pod shares the host's users: it does unless it says no.
pub fn host_users(spec: &Value) -> bool {
    flag_ptr(spec, "hostUsers").unwrap_or(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_decide_the_pull_policy() {
        for (image, policy) in [
            ("img", "Always"),
            ("img:latest", "Always"),
            ("img:1", "IfNotPresent"),
            ("reg:5000/img", "Always"),
            ("reg:5000/a/img:2", "IfNotPresent"),
            ("img@sha256:0000000000000000000000000000000000000000000000000000000000000000", "IfNotPresent"),
            ("", "IfNotPresent"),
        ] {
            assert_eq!(pull_policy(image), policy, "{image}");
        }
    }

    #[test]
    fn a_spec_gets_what_upstream_gives() {
        let mut object = json!({"template": {"spec": {"serviceAccount": "sa", "containers": [
            {"name": "c", "image": "i:1", "ports": [{"containerPort": 1}],
             "readinessProbe": {"httpGet": {"port": 80}, "periodSeconds": 2},
             "resources": {"limits": {"cpu": "1"}}}]}}});
        template(&mut object, "template");
        let spec = &object["template"]["spec"];
        assert_eq!(spec["serviceAccountName"], "sa");
        assert_eq!(spec["restartPolicy"], "Always");
        assert!(spec.get("enableServiceLinks").is_none(), "only pods have it");
        let container = &spec["containers"][0];
        assert_eq!(container["ports"][0]["protocol"], "TCP");
        assert_eq!(
            container["readinessProbe"],
            json!({"httpGet": {"port": 80, "path": "/", "scheme": "HTTP"}, "periodSeconds": 2,
                   "timeoutSeconds": 1, "successThreshold": 1, "failureThreshold": 3})
        );
        assert!(container["resources"].get("requests").is_none(), "only pods get them from the limits");
        let once = object.clone();
        template(&mut object, "template");
        assert_eq!(object, once);
    }

    #[test]
    fn fields_behind_closed_gates_go() {
        let mut spec = json!({"containers": [{"lifecycle": {"stopSignal": "SIGINT"}},
            {"lifecycle": {"stopSignal": "SIGINT", "preStop": {}}}], "schedulingGroup": {},
            "volumes": [{"projected": {"sources": [{"clusterTrustBundle": {}}, {"secret": {}}, {"podCertificate": {}}]}}]});
        let old = spec.clone();
        drop_disabled(&mut spec, None);
        assert_eq!(
            spec,
            json!({"containers": [{}, {"lifecycle": {"preStop": {}}}],
                "volumes": [{"projected": {"sources": [{}, {"secret": {}}, {}]}}]})
        );
        let mut kept = old.clone();
        drop_disabled(&mut kept, Some(&old));
        assert_eq!(kept, old, "what is used already stays");
    }
}
