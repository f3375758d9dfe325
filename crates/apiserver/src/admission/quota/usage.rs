//! What an object uses, by the resource names of quotas.

use cox_api::quantity::{Format, Quantity};
use cox_api::{KindInfo, devices};
use serde_json::Value;

use super::super::{each, text};
use super::{Amounts, pods};

/// Kinds that can be counted by their bare name.
const COUNTED: [&str; 7] = [
    "configmaps",
    "persistentvolumeclaims",
    "pods",
    "replicationcontrollers",
    "resourcequotas",
    "secrets",
    "services",
];

const ONE: Quantity = Quantity::new(1, Format::DecimalSi);

/// A map of amounts; what can't be read is left out.
pub(super) fn amounts(value: &Value) -> Amounts {
    value
        .as_object()
        .into_iter()
        .flatten()
        .filter_map(|(key, value)| Some((key.clone(), text(value).parse().ok()?)))
        .collect()
}

/// Whether objects of a kind can use a resource at all.
pub(super) fn counts(info: &KindInfo, resource: &str) -> bool {
    let is = |plural: &str| info.group.is_empty() && info.plural == plural;
    if resource == counted(info) {
        return true;
    }
    if is("pods") {
        let plain = resource
            .strip_prefix("requests.")
            .or_else(|| resource.strip_prefix("limits."))
            .unwrap_or(resource);
        return matches!(plain, "pods" | "cpu" | "memory" | "ephemeral-storage")
            || plain.starts_with("hugepages-")
            || resource.starts_with("requests.") && plain.contains('/');
    }
    if is("services") && matches!(resource, "services.nodeports" | "services.loadbalancers") {
        return true;
    }
    if is("persistentvolumeclaims")
        && (resource == "requests.storage" || resource.contains(".storageclass.storage.k8s.io/"))
    {
        return true;
    }
    if is_device_claim(info) {
        return resource.ends_with(devices::QUOTA_SUFFIX);
    }
    info.group.is_empty() && COUNTED.contains(&info.plural) && resource == info.plural
}

fn is_device_claim(info: &KindInfo) -> bool {
    (info.group, info.plural) == ("resource.k8s.io", "resourceclaims")
}

/// The name under which objects of a kind are counted.
fn counted(info: &KindInfo) -> String {
    if info.group.is_empty() {
        format!("count/{}", info.plural)
    } else {
        format!("count/{}.{}", info.plural, info.group)
    }
}

/// What an object uses.
pub(super) fn of(info: &KindInfo, object: &Value) -> Amounts {
    let mut used = Amounts::new();
    let is = |plural: &str| info.group.is_empty() && info.plural == plural;
    used.insert(counted(info), ONE);
    if is("pods") {
        pods::usage(object, &mut used);
        return used;
    }
    if info.group.is_empty() && COUNTED.contains(&info.plural) {
        used.insert(info.plural.to_owned(), ONE);
    }
    if is("services") {
        service(object, &mut used);
    }
    if is("persistentvolumeclaims") {
        claim(object, &mut used);
    }
    if is_device_claim(info) {
        for (class, count) in devices::most_by_class(object) {
            used.insert(class + devices::QUOTA_SUFFIX, Quantity::new(count, Format::DecimalSi));
        }
    }
    used
}

fn service(service: &Value, used: &mut Amounts) {
    let ports = each(&service["spec"]["ports"]).count();
    let ports = Quantity::new(i64::try_from(ports).unwrap_or(i64::MAX), Format::DecimalSi);
    match text(&service["spec"]["type"]) {
        "NodePort" => {
            used.insert("services.nodeports".into(), ports);
        }
        "LoadBalancer" => {
            used.insert("services.loadbalancers".into(), ONE);
            if service["spec"]["allocateLoadBalancerNodePorts"] != false {
                used.insert("services.nodeports".into(), ports);
            }
        }
        _ => {}
    }
}

fn claim(claim: &Value, used: &mut Amounts) {
    let class = text(&claim["spec"]["storageClassName"]);
    let per_class = |what: &str| format!("{class}.storageclass.storage.k8s.io/{what}");
    if !class.is_empty() {
        used.insert(per_class("persistentvolumeclaims"), ONE);
    }
    let asked = text(&claim["spec"]["resources"]["requests"]["storage"]).parse::<Quantity>();
    if let Ok(asked) = asked {
        used.insert("requests.storage".into(), asked);
        if !class.is_empty() {
            used.insert(per_class("requests.storage"), asked);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cox_api::kinds::by_kind;

    #[test]
    fn kinds_use_their_own_resources() {
        for (group, version, kind, resource, expected) in [
            ("", "v1", "Pod", "cpu", true),
            ("", "v1", "Pod", "limits.memory", true),
            ("", "v1", "Pod", "requests.example.com/gpu", true),
            ("", "v1", "Pod", "requests.storage", false),
            ("", "v1", "Pod", "services", false),
            ("", "v1", "Pod", "count/pods", true),
            ("", "v1", "Service", "services.nodeports", true),
            ("", "v1", "Service", "pods", false),
            ("", "v1", "PersistentVolumeClaim", "gold.storageclass.storage.k8s.io/requests.storage", true),
            ("apps", "v1", "Deployment", "count/deployments.apps", true),
            ("apps", "v1", "Deployment", "deployments", false),
            ("resource.k8s.io", "v1", "ResourceClaim", "count/resourceclaims.resource.k8s.io", true),
            ("resource.k8s.io", "v1", "ResourceClaim", "gpu.deviceclass.resource.k8s.io/devices", true),
            ("resource.k8s.io", "v1", "ResourceClaim", "requests.cpu", false),
            ("", "v1", "PersistentVolumeClaim", "gpu.deviceclass.resource.k8s.io/devices", false),
        ] {
            let info = by_kind(group, version, kind).map(cox_api::Kind::info).expect("a kind that is served");
            assert_eq!(counts(info, resource), expected, "{kind} {resource}");
        }
    }
}
