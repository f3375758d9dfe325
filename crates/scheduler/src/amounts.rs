//! Amounts of resources, and what a pod asks for in all.
//! Source: <https://kubernetes.io/docs/concepts/workloads/pods/init-containers/#resource-sharing-within-containers>

use std::collections::BTreeMap;

use cox_api::quantity::Quantity;
use k8s_openapi::api::core::v1::{Container, Pod, PodSpec};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Text;

/// What a container that asks for nothing counts as when nodes are scored. Source: upstream's defaults.
const CPU_UNASKED_MILLI: i64 = 100;
const MEMORY_UNASKED_BYTES: i64 = 200 << 20;

/// Amounts by resource. CPU is in thousandths, everything else in whole units.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Amounts {
    pub(crate) cpu_milli: i64,
    pub(crate) memory: i64,
    pub(crate) ephemeral_storage: i64,
    pub(crate) others: BTreeMap<String, i64>,
}

impl Amounts {
    /// Reads a resource list.
    pub(crate) fn read(list: Option<&BTreeMap<String, Text>>) -> Amounts {
        let mut amounts = Amounts::default();
        for (name, text) in list.into_iter().flatten() {
            let Ok(quantity) = text.0.parse::<Quantity>() else { continue };
            match name.as_str() {
                "cpu" => amounts.cpu_milli = quantity.milli_value(),
                "memory" => amounts.memory = quantity.value(),
                "ephemeral-storage" => amounts.ephemeral_storage = quantity.value(),
                "pods" => {}
                _ => {
                    amounts.others.insert(name.clone(), quantity.value());
                }
            }
        }
        amounts
    }

    pub(crate) fn add(&mut self, other: &Amounts) {
        self.cpu_milli += other.cpu_milli;
        self.memory += other.memory;
        self.ephemeral_storage += other.ephemeral_storage;
        for (name, amount) in &other.others {
            *self.others.entry(name.clone()).or_default() += amount;
        }
    }

    pub(crate) fn subtract(&mut self, other: &Amounts) {
        self.cpu_milli -= other.cpu_milli;
        self.memory -= other.memory;
        self.ephemeral_storage -= other.ephemeral_storage;
        for (name, amount) in &other.others {
            *self.others.entry(name.clone()).or_default() -= amount;
        }
    }

    fn raise_to(&mut self, other: &Amounts) {
        self.cpu_milli = self.cpu_milli.max(other.cpu_milli);
        self.memory = self.memory.max(other.memory);
        self.ephemeral_storage = self.ephemeral_storage.max(other.ephemeral_storage);
        for (name, amount) in &other.others {
            let known = self.others.entry(name.clone()).or_default();
            *known = (*known).max(*amount);
        }
    }
}

fn of_container(container: &Container) -> Amounts {
    Amounts::read(container.resources.as_ref().and_then(|resources| resources.requests.as_ref()))
}

/// The same with what counts for a container that doesn't ask.
fn of_container_nonzero(container: &Container) -> Amounts {
    let requests = container.resources.as_ref().and_then(|resources| resources.requests.as_ref());
    let asks = |name: &str| requests.is_some_and(|requests| requests.contains_key(name));
    let mut amounts = of_container(container);
    if !asks("cpu") {
        amounts.cpu_milli = CPU_UNASKED_MILLI;
    }
    if !asks("memory") {
        amounts.memory = MEMORY_UNASKED_BYTES;
    }
    amounts
}

fn sum(spec: &PodSpec, of: impl Fn(&Container) -> Amounts) -> Amounts {
    let mut total = Amounts::default();
    for container in &spec.containers {
        total.add(&of(container));
    }
    let mut sidecars = Amounts::default();
    let mut init_max = Amounts::default();
    for init in spec.init_containers.iter().flatten() {
        let mut amounts = of(init);
        if init.restart_policy.as_deref() == Some("Always") {
            sidecars.add(&amounts);
            amounts = sidecars.clone();
        } else {
            amounts.add(&sidecars);
        }
        init_max.raise_to(&amounts);
    }
    total.add(&sidecars);
    total.raise_to(&init_max);
    total
}

/// What a pod asks for: to fit, and to be scored by.
pub(crate) fn of_pod(pod: &Pod) -> (Amounts, Amounts) {
    let Some(spec) = &pod.spec else { return Default::default() };
    let mut fit = sum(spec, of_container);
    let mut score = sum(spec, of_container_nonzero);
    // Requests of the pod as a whole count in place of its containers' (KEP-2837).
    let whole = Amounts::read(spec.resources.as_ref().and_then(|resources| resources.requests.as_ref()));
    for amounts in [&mut fit, &mut score] {
        if whole.cpu_milli > 0 {
            amounts.cpu_milli = whole.cpu_milli;
        }
        if whole.memory > 0 {
            amounts.memory = whole.memory;
        }
        amounts.add(&Amounts::read(spec.overhead.as_ref()));
    }
    (fit, score)
}
