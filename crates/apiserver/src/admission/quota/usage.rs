//! What an object uses, by the resource names of quotas.

use cox_api::KindInfo;
use cox_api::quantity::{Format, Quantity};
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

/// What an object uses.
pub(super) fn of(info: &KindInfo, object: &Value) -> Amounts {
    let mut used = Amounts::new();
    let is = |plural: &str| info.group.is_empty() && info.plural == plural;
    let counted = if info.group.is_empty() {
        format!("count/{}", info.plural)
    } else {
        format!("count/{}.{}", info.plural, info.group)
    };
    used.insert(counted, ONE);
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
