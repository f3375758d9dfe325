//! Each address of a Service has one IPAddress that names the Service, and each IPAddress that was made for a Service
//! has a Service with that address. What is to be done where it isn't so.

use std::net::IpAddr;
use std::time::Duration;

use cox_api::kinds::ip_address::{LABEL_FAMILY, LABEL_MANAGED_BY, SERVICES_MANAGER};
use cox_api::kinds::service_cidr::Block;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::networking::v1::{IPAddress, ParentReference};

use crate::common::owner::{name, namespace};

/// How old an IPAddress without its Service must be to be removed: the Service may be about to come.
const GRACE: Duration = Duration::from_secs(60);

/// What is known of an address.
pub(super) struct View<'a> {
    pub address: IpAddr,
    /// The services that have it, by their names.
    pub holders: &'a [&'a Service],
    pub object: Option<&'a IPAddress>,
    /// The service that the object names, where there is one of that name.
    pub parent: Option<&'a Service>,
    /// The blocks of all ServiceCIDRs, whatever their state.
    pub blocks: &'a [Block],
    pub now: Timestamp,
}

/// Whom an event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum About {
    /// The service at this place of the holders.
    Holder(usize),
    Object,
}

/// What is to be done. `Make` and `Remake` name the place of the holder that the object is to name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    Nothing,
    Make(usize),
    Remake(usize),
    Remove,
    Wait(Duration),
}

/// A warning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Warning {
    pub about: About,
    pub reason: &'static str,
    pub message: String,
}

/// The addresses of a service.
pub(super) fn addresses(service: &Service) -> impl Iterator<Item = IpAddr> + '_ {
    let spec = service.spec.iter().filter(|spec| spec.type_.as_deref() != Some("ExternalName"));
    spec.flat_map(|spec| spec.cluster_ips.iter().flatten()).filter_map(|text| text.parse().ok())
}

/// The service that an IPAddress names: namespace and name; none where it names something else.
pub(super) fn service_of(object: &IPAddress) -> Option<(&str, &str)> {
    let parent = &object.spec.parent_ref;
    let core = parent.group.as_deref().unwrap_or("").is_empty();
    (core && parent.resource == "services")
        .then(|| (parent.namespace.as_deref().unwrap_or(""), parent.name.as_str()))
}

/// What is to be done, and what is to be said.
pub(super) fn plan(view: &View<'_>) -> (Act, Vec<Warning>) {
    let mut warnings = Vec::new();
    for (at, holder) in view.holders.iter().enumerate() {
        let act = of_holder(view, at, holder, &mut warnings);
        if act != Act::Nothing {
            return (act, warnings);
        }
    }
    (of_object(view, &mut warnings), warnings)
}

/// The way from a service to its object.
fn of_holder(view: &View<'_>, at: usize, holder: &Service, warnings: &mut Vec<Warning>) -> Act {
    let address = view.address;
    let family = if address.is_ipv4() { "IPv4" } else { "IPv6" };
    let mut warn = |reason, message| warnings.push(Warning { about: About::Holder(at), reason, message });
    if !view.blocks.iter().any(|block| block.gives(address)) {
        warn(
            "ClusterIPOutOfRange",
            format!(
                "Cluster IP [{family}]: {address} is not within any configured Service CIDR; please recreate service"
            ),
        );
        return Act::Nothing;
    }
    let Some(object) = view.object else {
        warn(
            "ClusterIPNotAllocated",
            format!("Cluster IP [{family}]: {address} is not allocated; repairing"),
        );
        return Act::Make(at);
    };
    if service_of(object) != Some((namespace(holder), name(holder))) {
        let Some(parent) = view.parent.filter(|_| service_of(object).is_some()) else {
            warn(
                "ClusterIPNotAllocated",
                format!(
                    "the ClusterIP [{family}]: {address} for Service {}/{} has a wrong reference; repairing",
                    namespace(holder),
                    name(holder)
                ),
            );
            return Act::Remake(at);
        };
        if addresses(parent).any(|held| held == address) {
            warn(
                "ClusterIPAlreadyAllocated",
                format!(
                    "Cluster IP [{family}]:{address} was assigned to multiple services; please recreate service"
                ),
            );
        }
        return Act::Nothing;
    }
    let label =
        |key: &str| object.metadata.labels.as_ref().and_then(|labels| labels.get(key).map(String::as_str));
    if label(LABEL_FAMILY) != Some(family) || label(LABEL_MANAGED_BY) != Some(SERVICES_MANAGER) {
        return Act::Remake(at);
    }
    Act::Nothing
}

/// The way from an object to its service.
fn of_object(view: &View<'_>, warnings: &mut Vec<Warning>) -> Act {
    let Some(object) = view.object else { return Act::Nothing };
    let labels = object.metadata.labels.as_ref();
    if labels.and_then(|labels| labels.get(LABEL_MANAGED_BY)).is_none_or(|by| by != SERVICES_MANAGER) {
        return Act::Nothing;
    }
    let address = name(object);
    let mut warn = |reason, message| warnings.push(Warning { about: About::Object, reason, message });
    let Some((namespace, service)) = service_of(object) else {
        let parent = shown(&object.spec.parent_ref);
        warn(
            "IPAddressNotAllocated",
            format!(
                "IPAddress {address} appears to have been modified, not referencing a Service {parent}: cleaning up"
            ),
        );
        return Act::Remove;
    };
    let Some(parent) = view.parent else {
        let made = object.metadata.creation_timestamp.as_ref().map_or(view.now, |time| time.0);
        let left = GRACE.saturating_sub(view.now.duration_since(made).unsigned_abs());
        if !left.is_zero() {
            return Act::Wait(left);
        }
        warn(
            "IPAddressNotAllocated",
            format!(
                "IPAddress: {address} for Service {namespace}/{service} appears to have leaked: cleaning up"
            ),
        );
        return Act::Remove;
    };
    if addresses(parent).any(|held| held == view.address) {
        return Act::Nothing;
    }
    warn(
        "IPAddressWrongReference",
        format!("IPAddress: {address} for Service {namespace}/{service} has a wrong reference; cleaning up"),
    );
    Act::Remove
}

/// As upstream's messages show a reference.
fn shown(parent: &ParentReference) -> String {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    format!(
        "&ParentReference{{Group:{},Resource:{},Namespace:{},Name:{},}}",
        text(&parent.group),
        parent.resource,
        text(&parent.namespace),
        parent.name
    )
}

#[cfg(test)]
mod tests {
    use cox_api::kinds::ip_address;
    use serde_json::{Value, json};

    use super::*;
    use crate::common::testing::{at, object};

    fn service(name: &str, address: &str) -> Service {
        object(json!({"metadata": {"namespace": "ns", "name": name}, "spec": {"clusterIPs": [address]}}))
    }

    fn of(service: &str) -> Value {
        let mut value = ip_address::of_service([10, 0, 0, 7].into(), "ns", service);
        value["metadata"]["creationTimestamp"] = at(0).to_string().into();
        value
    }

    fn foreign(managed: bool) -> Value {
        let mut value = of("x");
        value["spec"]["parentRef"] = json!({"group": "x.io", "resource": "gateways", "name": "g"});
        if !managed {
            value["metadata"]["labels"] = json!({});
        }
        value
    }

    /// All services, the address 10.0.0.7, its object, and a block.
    fn outcome(
        services: &[Service],
        object: Option<Value>,
        block: &str,
        seconds: i64,
    ) -> (Act, Vec<&'static str>) {
        let address: IpAddr = [10, 0, 0, 7].into();
        let object: Option<IPAddress> = object.map(crate::common::testing::object);
        let holders: Vec<&Service> =
            services.iter().filter(|service| addresses(service).any(|held| held == address)).collect();
        let named = object.as_ref().and_then(service_of);
        let parent = services.iter().find(|service| named == Some((namespace(*service), name(*service))));
        let (act, warnings) = plan(&View {
            address,
            holders: &holders,
            object: object.as_ref(),
            parent,
            blocks: &[Block::parse(block).unwrap()],
            now: at(seconds),
        });
        (act, warnings.into_iter().map(|warning| warning.reason).collect())
    }

    #[test]
    fn what_is_wrong_is_repaired() {
        let a = || service("a", "10.0.0.7");
        let b = || service("b", "10.0.0.7");
        let elsewhere = || service("b", "10.0.0.8");
        let mut unlabelled = of("a");
        unlabelled["metadata"]["labels"] = json!({});
        let minute = Act::Wait(Duration::from_secs(60));
        for (case, services, object, expected, reasons) in [
            ("all is well", vec![a()], Some(of("a")), Act::Nothing, vec![]),
            ("no object", vec![a()], None, Act::Make(0), vec!["ClusterIPNotAllocated"]),
            (
                "others' object",
                vec![a()],
                Some(foreign(false)),
                Act::Remake(0),
                vec!["ClusterIPNotAllocated"],
            ),
            ("of nobody", vec![a()], Some(of("x")), Act::Remake(0), vec!["ClusterIPNotAllocated"]),
            ("two have it", vec![a(), b()], Some(of("a")), Act::Nothing, vec!["ClusterIPAlreadyAllocated"]),
            (
                "of who hasn't it",
                vec![a(), elsewhere()],
                Some(of("b")),
                Act::Remove,
                vec!["IPAddressWrongReference"],
            ),
            ("no labels", vec![a()], Some(unlabelled), Act::Remake(0), vec![]),
            ("nobody has it", vec![elsewhere()], Some(of("b")), Act::Remove, vec!["IPAddressWrongReference"]),
            ("no service yet", vec![], Some(of("a")), minute, vec![]),
            ("changed", vec![], Some(foreign(true)), Act::Remove, vec!["IPAddressNotAllocated"]),
            ("others'", vec![], Some(foreign(false)), Act::Nothing, vec![]),
            ("nothing", vec![], None, Act::Nothing, vec![]),
        ] {
            assert_eq!(outcome(&services, object, "10.0.0.0/24", 0), (expected, reasons), "{case}");
        }
    }

    #[test]
    fn an_object_without_its_service_goes_after_a_minute() {
        assert_eq!(
            outcome(&[], Some(of("a")), "10.0.0.0/24", 45),
            (Act::Wait(Duration::from_secs(15)), vec![])
        );
        assert_eq!(
            outcome(&[], Some(of("a")), "10.0.0.0/24", 60),
            (Act::Remove, vec!["IPAddressNotAllocated"])
        );
    }

    #[test]
    fn an_address_of_no_block_is_only_spoken_of() {
        let services = [service("a", "10.0.0.7")];
        assert_eq!(outcome(&services, None, "10.1.0.0/24", 0), (Act::Nothing, vec!["ClusterIPOutOfRange"]));
    }
}
