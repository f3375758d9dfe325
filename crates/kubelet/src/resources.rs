//! Resources: QoS classes, cgroup values, and what `resourceFieldRef` shows.
//! Sources: <https://kubernetes.io/docs/concepts/workloads/pods/pod-qos/>,
//! <https://kubernetes.io/docs/concepts/configuration/manage-resources-containers/>

use std::collections::BTreeMap;

use cox_api::quantity::Quantity;
use cox_runtime::Resources;
use k8s_openapi::api::core::v1::{Container, Pod, ResourceFieldSelector};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Text;

use crate::pod::spec;

/// CFS period, microseconds.
const PERIOD_US: u64 = 100_000;
/// The smallest quota the kernel takes, microseconds.
const QUOTA_US_MIN: i64 = 1_000;
/// The smallest weight.
const SHARES_MIN: u64 = 2;
/// The greatest weight.
const SHARES_MAX: u64 = 262_144;

/// What pods of this node may use in all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allocatable {
    /// CPU, thousandths of a core.
    pub cpu_milli: i64,
    /// Memory, bytes.
    pub memory_bytes: i64,
    /// Disk of the node's directory, bytes.
    pub ephemeral_storage_bytes: i64,
    /// Number of pods.
    pub pods: i64,
}

/// A QoS class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Qos {
    Guaranteed,
    Burstable,
    BestEffort,
}

type Amounts = Option<BTreeMap<String, Text>>;

fn amount(amounts: &Amounts, name: &str) -> Option<Quantity> {
    let text = amounts.as_ref()?.get(name)?;
    text.0.parse().ok()
}

fn limit(container: &Container, name: &str) -> Option<Quantity> {
    amount(&container.resources.as_ref()?.limits, name).filter(|quantity| !quantity.is_zero())
}

fn request(container: &Container, name: &str) -> Option<Quantity> {
    amount(&container.resources.as_ref()?.requests, name).filter(|quantity| !quantity.is_zero())
}

/// The class, as the API server has computed it, else by the rules.
pub(crate) fn qos(pod: &Pod) -> Qos {
    match pod.status.as_ref().and_then(|status| status.qos_class.as_deref()) {
        Some("Guaranteed") => return Qos::Guaranteed,
        Some("Burstable") => return Qos::Burstable,
        Some("BestEffort") => return Qos::BestEffort,
        _ => {}
    }
    let all: Vec<&Container> = spec::inits(pod).iter().chain(spec::mains(pod)).collect();
    let named =
        |container: &&Container, name| request(container, name).is_some() || limit(container, name).is_some();
    if !all.iter().any(|container| named(container, "cpu") || named(container, "memory")) {
        return Qos::BestEffort;
    }
    let exact = |container: &Container, name| {
        limit(container, name)
            .is_some_and(|limit| request(container, name).is_none_or(|request| request == limit))
    };
    if all.iter().all(|container| exact(container, "cpu") && exact(container, "memory")) {
        Qos::Guaranteed
    } else {
        Qos::Burstable
    }
}

/// The pod's cgroup below the node's root.
pub(crate) fn cgroup_parent(pod: &Pod) -> String {
    let uid = spec::uid(pod);
    match qos(pod) {
        Qos::Guaranteed => format!("kubepods/pod{uid}"),
        Qos::Burstable => format!("kubepods/burstable/pod{uid}"),
        Qos::BestEffort => format!("kubepods/besteffort/pod{uid}"),
    }
}

/// Weight of a request in thousandths of a core.
pub(crate) fn shares(milli: i64) -> u64 {
    (milli.max(0).unsigned_abs() * 1024 / 1000).clamp(SHARES_MIN, SHARES_MAX)
}

fn quota(milli: i64) -> i64 {
    (milli * PERIOD_US as i64 / 1000).max(QUOTA_US_MIN)
}

/// The limits of a container.
pub(crate) fn container(container: &Container, pids_max: Option<i64>) -> Resources {
    let cpu_request =
        request(container, "cpu").or_else(|| limit(container, "cpu")).map_or(0, |cpu| cpu.milli_value());
    Resources {
        cpu_shares: Some(shares(cpu_request)),
        cpu_quota_us: Some(limit(container, "cpu").map_or(-1, |cpu| quota(cpu.milli_value()))),
        cpu_period_us: Some(PERIOD_US),
        memory_limit_bytes: limit(container, "memory").map(|memory| memory.value()),
        pids_max,
        ..Resources::default()
    }
}

/// What a pod as a whole asks for of a resource: the greater of its init containers' and the sum of the others',
/// sidecars counted as upstream does, and the overhead.
fn pod_sum(pod: &Pod, get: impl Fn(&Container) -> i64, overhead: i64) -> i64 {
    let mut sidecars = 0;
    let mut init_max = 0;
    for init in spec::inits(pod) {
        if spec::is_sidecar(init) {
            sidecars += get(init);
            init_max = init_max.max(sidecars);
        } else {
            init_max = init_max.max(sidecars + get(init));
        }
    }
    let mains: i64 = spec::mains(pod).iter().map(&get).sum();
    init_max.max(mains + sidecars) + overhead
}

/// The limits of the pod's cgroup.
pub(crate) fn pod(pod: &Pod) -> Resources {
    let overhead = |name: &str| amount(&spec::spec(pod).overhead, name);
    let all = || spec::inits(pod).iter().chain(spec::mains(pod));
    let own = spec::spec(pod).resources.as_ref();
    let own_limit = |name: &str| own.and_then(|own| amount(&own.limits, name));
    let own_request = |name: &str| own.and_then(|own| amount(&own.requests, name));
    let milli = |quantity: Option<Quantity>| quantity.map_or(0, |quantity| quantity.milli_value());
    let bytes = |quantity: Option<Quantity>| quantity.map_or(0, |quantity| quantity.value());
    let cpu_request = own_request("cpu").map_or_else(
        || pod_sum(pod, |c| milli(request(c, "cpu").or_else(|| limit(c, "cpu"))), milli(overhead("cpu"))),
        |cpu| cpu.milli_value(),
    );
    let cpu_limit = own_limit("cpu").map(|cpu| cpu.milli_value()).or_else(|| {
        all()
            .all(|c| limit(c, "cpu").is_some())
            .then(|| pod_sum(pod, |c| milli(limit(c, "cpu")), milli(overhead("cpu"))))
    });
    let memory_limit = own_limit("memory").map(|memory| memory.value()).or_else(|| {
        all()
            .all(|c| limit(c, "memory").is_some())
            .then(|| pod_sum(pod, |c| bytes(limit(c, "memory")), bytes(overhead("memory"))))
    });
    Resources {
        cpu_shares: Some(if qos(pod) == Qos::BestEffort { SHARES_MIN } else { shares(cpu_request) }),
        cpu_quota_us: cpu_limit.map(quota),
        cpu_period_us: cpu_limit.map(|_| PERIOD_US),
        memory_limit_bytes: memory_limit,
        ..Resources::default()
    }
}

/// Preference of the out-of-memory killer.
/// Source: <https://kubernetes.io/docs/concepts/scheduling-eviction/node-pressure-eviction/#node-out-of-memory-behavior>
pub(crate) fn oom_score_adj(pod: &Pod, container: &Container, allocatable: &Allocatable) -> i32 {
    const CRITICAL: i32 = 2_000_000_000;
    if spec::spec(pod).priority.is_some_and(|priority| priority >= CRITICAL) {
        return -997;
    }
    match qos(pod) {
        Qos::Guaranteed => -997,
        Qos::BestEffort => 1000,
        Qos::Burstable => {
            let memory = request(container, "memory").map_or(0, |memory| memory.value());
            let adjust =
                1000 - (1000 * i128::from(memory) / i128::from(allocatable.memory_bytes.max(1))) as i32;
            // Above every Guaranteed pod and below every BestEffort one.
            adjust.clamp(3, 999)
        }
    }
}

/// What a `resourceFieldRef` shows; the node's allocatable stands in for an absent limit.
pub(crate) fn field(
    container: &Container,
    reference: &ResourceFieldSelector,
    allocatable: &Allocatable,
) -> Result<String, String> {
    let divisor = reference
        .divisor
        .as_ref()
        .and_then(|divisor| divisor.0.parse::<Quantity>().ok())
        .filter(|d| !d.is_zero());
    let (which, name) = reference.resource.split_once('.').unwrap_or(("", &reference.resource));
    let whole = match name {
        "cpu" => Some(allocatable.cpu_milli),
        "memory" => Some(allocatable.memory_bytes),
        "ephemeral-storage" => Some(allocatable.ephemeral_storage_bytes),
        _ if name.starts_with("hugepages-") => Some(0),
        _ => None,
    };
    let Some(whole) = whole else {
        return Err(format!("unsupported container resource : {}", reference.resource));
    };
    let asked = match which {
        "limits" => limit(container, name),
        "requests" => request(container, name).or_else(|| limit(container, name)),
        _ => return Err(format!("unsupported container resource : {}", reference.resource)),
    };
    let default = if which == "requests" { 0 } else { whole };
    // Rounded up, as upstream does.
    let shown = if name == "cpu" {
        let milli = asked.map_or(default, |quantity| quantity.milli_value());
        div_ceil(milli, divisor.map_or(1000, |divisor| divisor.milli_value()))
    } else {
        let bytes = asked.map_or(default, |quantity| quantity.value());
        div_ceil(bytes, divisor.map_or(1, |divisor| divisor.value()))
    };
    Ok(shown.to_string())
}

fn div_ceil(value: i64, by: i64) -> i64 {
    let by = by.max(1);
    value / by + i64::from(value % by > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_and_quotas_are_upstreams() {
        assert_eq!([shares(0), shares(100), shares(1000), shares(1_000_000)], [2, 102, 1024, 262_144]);
        assert_eq!([quota(1), quota(500), quota(2000)], [1000, 50_000, 200_000]);
    }

    #[test]
    fn absent_limits_are_the_nodes() {
        let allocatable =
            Allocatable { cpu_milli: 1500, memory_bytes: 1 << 30, ephemeral_storage_bytes: 1, pods: 1 };
        let reference = |resource: &str, divisor: &str| ResourceFieldSelector {
            resource: resource.into(),
            divisor: Some(Text(divisor.into())),
            ..Default::default()
        };
        let container = Container::default();
        assert_eq!(field(&container, &reference("limits.cpu", "1"), &allocatable).unwrap(), "2");
        assert_eq!(field(&container, &reference("limits.cpu", "1m"), &allocatable).unwrap(), "1500");
        assert_eq!(field(&container, &reference("limits.memory", "1Mi"), &allocatable).unwrap(), "1024");
        assert_eq!(field(&container, &reference("requests.memory", "0"), &allocatable).unwrap(), "0");
        assert!(field(&container, &reference("limits.gpu", "1"), &allocatable).is_err());
    }
}
