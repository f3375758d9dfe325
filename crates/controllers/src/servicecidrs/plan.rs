//! What a ServiceCIDR needs: a finalizer and a word that it is ready, and when it is deleted, to stay for as long as
//! addresses would be left without a block.

use std::net::IpAddr;
use std::time::Duration;

use cox_api::kinds::ip_address::{LABEL_MANAGED_BY, SERVICES_MANAGER};
use cox_api::kinds::service_cidr::Block;
use jiff::Timestamp;
use k8s_openapi::api::networking::v1::{IPAddress, ServiceCIDR};

use crate::common::owner::name;

/// Holds a ServiceCIDR whose addresses are in use.
pub(super) const FINALIZER: &str = "networking.k8s.io/service-cidr-finalizer";
/// How long a ServiceCIDR stays at least: a Service may be given one of its addresses while it is being deleted.
const GRACE: Duration = Duration::from_secs(10);

/// What the condition `Ready` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ready {
    pub status: &'static str,
    pub reason: &'static str,
    pub message: &'static str,
}

const READY: Ready = Ready { status: "True", reason: "", message: "Kubernetes Service CIDR is ready" };
const TERMINATING: Ready = Ready {
    status: "False",
    reason: "Terminating",
    message: "There are still IPAddresses referencing the ServiceCIDR, please remove them or create a new ServiceCIDR",
};

/// What is to be done, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Add the finalizer.
    Hold,
    /// Say this in the status.
    Say(Ready),
    /// Look again after this time.
    Wait(Duration),
    /// Remove the finalizer.
    Release,
}

/// What to do for one of all ServiceCIDRs.
pub(super) fn plan(
    cidr: &ServiceCIDR,
    all: &[impl AsRef<ServiceCIDR>],
    addresses: &[impl AsRef<IPAddress>],
    now: Timestamp,
) -> Vec<Step> {
    let held = cidr.metadata.finalizers.iter().flatten().any(|finalizer| finalizer == FINALIZER);
    let Some(deleted) = &cidr.metadata.deletion_timestamp else {
        let hold = (!held).then_some(Step::Hold);
        return hold.into_iter().chain(say(cidr, READY)).collect();
    };
    if !can_go(cidr, all, addresses) {
        return say(cidr, TERMINATING).into_iter().collect();
    }
    let left = GRACE.saturating_sub(now.duration_since(deleted.0).unsigned_abs());
    if now >= deleted.0 && left.is_zero() {
        return held.then_some(Step::Release).into_iter().collect();
    }
    vec![Step::Wait(left)]
}

fn say(cidr: &ServiceCIDR, ready: Ready) -> Option<Step> {
    let conditions = cidr.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let said = conditions.into_iter().find(|condition| condition.type_ == "Ready").is_some_and(|condition| {
        (condition.status.as_str(), condition.reason.as_str(), condition.message.as_str())
            == (ready.status, ready.reason, ready.message)
    });
    (!said).then_some(Step::Say(ready))
}

/// Whether every address has a block still when this ServiceCIDR is gone.
fn can_go(cidr: &ServiceCIDR, all: &[impl AsRef<ServiceCIDR>], addresses: &[impl AsRef<IPAddress>]) -> bool {
    let others: Vec<Block> =
        all.iter().map(AsRef::as_ref).filter(|other| name(*other) != name(cidr)).flat_map(blocks).collect();
    let own = blocks(cidr);
    if own.iter().all(|block| others.iter().any(|other| other.contains(*block))) {
        return true;
    }
    !addresses.iter().map(AsRef::as_ref).filter(|address| is_of_services(address)).any(|address| {
        let Ok(ip) = name(address).parse::<IpAddr>() else { return false };
        own.iter().any(|block| block.gives(ip)) && !others.iter().any(|block| block.gives(ip))
    })
}

/// The blocks of a ServiceCIDR.
pub(super) fn blocks(cidr: &ServiceCIDR) -> Vec<Block> {
    let cidrs = cidr.spec.iter().flat_map(|spec| spec.cidrs.iter().flatten());
    cidrs.filter_map(|text| Block::parse(text)).collect()
}

/// Whether an address is one that was given to a service.
pub(super) fn is_of_services(address: &IPAddress) -> bool {
    let labels = address.metadata.labels.as_ref();
    labels.and_then(|labels| labels.get(LABEL_MANAGED_BY)).is_some_and(|manager| manager == SERVICES_MANAGER)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::{Value, json};

    use super::*;
    use crate::common::testing::{at, object};

    fn cidr(name: &str, cidrs: &[&str]) -> Value {
        json!({"metadata": {"name": name, "finalizers": [FINALIZER]}, "spec": {"cidrs": cidrs}})
    }

    fn deleted(name: &str, cidrs: &[&str]) -> Value {
        let mut value = cidr(name, cidrs);
        value["metadata"]["deletionTimestamp"] = at(0).to_string().into();
        value
    }

    fn address(name: &str) -> Arc<IPAddress> {
        let labels = json!({LABEL_MANAGED_BY: SERVICES_MANAGER});
        Arc::new(object(
            json!({"metadata": {"name": name, "labels": labels}, "spec": {"parentRef": {"resource": "services", "name": "s"}}}),
        ))
    }

    fn steps(first: Value, others: &[Value], addresses: &[&str], seconds: i64) -> Vec<Step> {
        let first: Arc<ServiceCIDR> = Arc::new(object(first));
        let mut all = vec![first.clone()];
        all.extend(others.iter().map(|other| Arc::new(object(other.clone()))));
        let addresses: Vec<_> = addresses.iter().map(|name| address(name)).collect();
        plan(&first, &all, &addresses, at(seconds))
    }

    #[test]
    fn a_new_one_is_held_and_called_ready_once() {
        let mut new = cidr("a", &["10.0.0.0/24"]);
        new["metadata"]["finalizers"] = json!([]);
        assert_eq!(steps(new, &[], &[], 0), [Step::Hold, Step::Say(READY)]);
        let mut said = cidr("a", &["10.0.0.0/24"]);
        said["status"] = json!({"conditions": [{"type": "Ready", "status": "True", "reason": "",
            "message": READY.message, "lastTransitionTime": at(0).to_string()}]});
        assert_eq!(steps(said.clone(), &[], &[], 0), []);
        said["status"]["conditions"][0]["message"] = "Kubernetes default Service CIDR is ready".into();
        assert_eq!(steps(said, &[], &[], 0), [Step::Say(READY)]);
    }

    #[test]
    fn one_that_is_deleted_stays_with_its_addresses() {
        let gone = || deleted("a", &["10.0.0.0/24"]);
        let blocked = vec![Step::Say(TERMINATING)];
        let free = vec![Step::Release];
        for (others, addresses, expected) in [
            (vec![], vec![], &free),
            (vec![], vec!["10.0.0.7"], &blocked),
            // An address of another block is of no matter, nor is one that no block gives.
            (vec![], vec!["10.1.0.7", "10.0.0.0"], &free),
            (vec![cidr("b", &["10.0.0.0/16"])], vec!["10.0.0.7"], &free),
            (vec![cidr("b", &["10.0.0.0/24"])], vec!["10.0.0.7"], &free),
            (vec![cidr("b", &["10.0.0.0/28"])], vec!["10.0.0.7"], &free),
            (vec![cidr("b", &["10.0.0.0/28"])], vec!["10.0.0.7", "10.0.0.15"], &blocked),
            (vec![cidr("b", &["fd00::/64"])], vec!["10.0.0.7"], &blocked),
        ] {
            assert_eq!(&steps(gone(), &others, &addresses, 10), expected, "{others:?} {addresses:?}");
        }
        let both = deleted("a", &["10.0.0.0/24", "fd00::/112"]);
        assert_eq!(steps(both, &[cidr("b", &["10.0.0.0/24"])], &["fd00::7"], 10), blocked);
    }

    #[test]
    fn an_address_may_be_given_while_one_goes() {
        let gone = deleted("a", &["10.0.0.0/24"]);
        assert_eq!(steps(gone.clone(), &[], &[], 4), [Step::Wait(Duration::from_secs(6))]);
        assert_eq!(steps(gone, &[], &[], 10), [Step::Release]);
    }

    #[test]
    fn addresses_of_others_hold_nothing() {
        let foreign: Arc<IPAddress> = Arc::new(object(
            json!({"metadata": {"name": "10.0.0.7"}, "spec": {"parentRef": {"resource": "gateways", "name": "g"}}}),
        ));
        let gone: Arc<ServiceCIDR> = Arc::new(object(deleted("a", &["10.0.0.0/24"])));
        assert_eq!(plan(&gone, &[gone.clone()], &[foreign], at(10)), [Step::Release]);
    }
}
