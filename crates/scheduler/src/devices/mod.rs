//! Devices for pods with resource claims (structured parameters).
//! Source: KEP-4381, KEP-4816 (choices), KEP-4815 (counters), KEP-5055 (taints), KEP-5075 (shared devices) and
//! <https://kubernetes.io/docs/concepts/scheduling-eviction/dynamic-resource-allocation/>

mod capacity;
mod demand;
mod inventory;
mod result;
mod search;
#[cfg(test)]
mod tests;
mod used;
mod write;

use std::collections::BTreeMap;
use std::sync::Arc;

use cox_client::claims::{self, PodClaim, RESERVED_MAX};
use cox_env::Chance;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::resource::v1::{AllocationResult, DeviceClass, ResourceClaim, ResourceSlice};

use crate::filter::Reasons;
use crate::node::NodeInfo;
use demand::Demand;
use inventory::Inventory;
use used::Used;

pub(crate) use write::{Grant, deallocate, grant, withdraw};

/// What is known of devices, and what was promised and isn't written yet.
#[derive(Debug, Default)]
pub(crate) struct Devices {
    classes: BTreeMap<String, Arc<DeviceClass>>,
    slices: BTreeMap<String, Arc<ResourceSlice>>,
    /// Made anew when it is asked for after a change.
    inventory: Option<Arc<Inventory>>,
    /// By the uid of the claim.
    promised: BTreeMap<String, AllocationResult>,
}

impl Devices {
    pub(crate) fn set_class(&mut self, name: &str, class: Option<Arc<DeviceClass>>) {
        match class {
            Some(class) => self.classes.insert(name.to_owned(), class),
            None => self.classes.remove(name),
        };
    }

    pub(crate) fn set_slice(&mut self, name: &str, slice: Option<Arc<ResourceSlice>>) {
        self.inventory = None;
        match slice {
            Some(slice) => self.slices.insert(name.to_owned(), slice),
            None => self.slices.remove(name),
        };
    }

    /// A claim will be given this.
    pub(crate) fn promise(&mut self, uid: &str, allocation: AllocationResult) {
        self.promised.insert(uid.to_owned(), allocation);
    }

    /// The claim shows what it was given, or wasn't given it after all.
    pub(crate) fn settle(&mut self, uid: &str) {
        self.promised.remove(uid);
    }

    /// What is to be found out for each node; none where the pod needs no devices. `all` are all claims.
    ///
    /// # Errors
    /// Why the pod can't be on any node, in upstream's words.
    pub(crate) fn plan(
        &mut self,
        pod: &Pod,
        find: impl Fn(&str) -> Option<Arc<ResourceClaim>>,
        all: impl FnOnce() -> Vec<Arc<ResourceClaim>>,
    ) -> Result<Option<Plan>, String> {
        let claims = of_pod(pod, find)?;
        if claims.is_empty() {
            return Ok(None);
        }
        let mut demands = Vec::new();
        for claim in &claims {
            let users = claim.status.as_ref().and_then(|status| status.reserved_for.as_deref());
            if claims::is_allocated(claim) {
                if users.unwrap_or_default().len() >= RESERVED_MAX && !claims::is_reserved(claim, pod) {
                    return Err("resourceclaim in use".into());
                }
                continue;
            }
            if self.promised.contains_key(claim.metadata.uid.as_deref().unwrap_or_default()) {
                return Err(format!(
                    "resource claim {} is in the process of being allocated",
                    demand::shown(claim)
                ));
            }
            demands.push(Demand::new(claim.clone(), &self.classes)?);
        }
        let mut used = Used::default();
        if !demands.is_empty() {
            for claim in all() {
                let given = claim.status.as_ref().and_then(|status| status.allocation.as_ref());
                given.into_iter().for_each(|given| used.add(given));
            }
            self.promised.values().for_each(|promised| used.add(promised));
        }
        let slices = &self.slices;
        let inventory = self
            .inventory
            .get_or_insert_with(|| Arc::new(Inventory::new(&slices.values().cloned().collect::<Vec<_>>())));
        Ok(Some(Plan { claims, demands, inventory: inventory.clone(), used }))
    }
}

/// The claims of a pod, as far as it has them.
///
/// # Errors
/// What is missing.
pub(crate) fn of_pod(
    pod: &Pod,
    find: impl Fn(&str) -> Option<Arc<ResourceClaim>>,
) -> Result<Vec<Arc<ResourceClaim>>, String> {
    let mut found = Vec::new();
    for (_, known) in claims::of_pod(pod) {
        let name = match known {
            PodClaim::Unneeded => continue,
            PodClaim::Unmade => {
                let text = |part: &Option<String>| part.clone().unwrap_or_default();
                return Err(format!(
                    "waiting for resource claim controller to create the resourceclaim for pod {}/{}",
                    text(&pod.metadata.namespace),
                    text(&pod.metadata.name)
                ));
            }
            PodClaim::Named(name) | PodClaim::Made(name) => name,
        };
        let Some(claim) = find(name) else { return Err(format!("resourceclaim {name:?} not found")) };
        if claim.metadata.deletion_timestamp.is_some() {
            return Err(format!("resourceclaim {name:?} is being deleted"));
        }
        if matches!(known, PodClaim::Made(_)) && !claims::is_for(&claim, pod) {
            return Err(format!(
                "ResourceClaim {} was not created for pod (pod is not owner)",
                demand::shown(&claim)
            ));
        }
        found.push(claim);
    }
    Ok(found)
}

/// The claims of one pod, and what devices there are.
#[derive(Debug)]
pub(crate) struct Plan {
    claims: Vec<Arc<ResourceClaim>>,
    demands: Vec<Demand>,
    inventory: Arc<Inventory>,
    used: Used,
}

impl Plan {
    /// Whether the pod's claims can be fulfilled on a node.
    pub(crate) fn check(&self, node: &NodeInfo) -> Result<(), Reasons> {
        if self.claims.iter().any(|claim| !is_on(claim, node)) {
            return Err(vec!["resourceclaim not available on the node".into()]);
        }
        match search::search(&self.demands, &self.inventory, &self.used, &node.name, &node.labels) {
            Ok(Some(_)) => Ok(()),
            Ok(None) => Err(vec!["cannot allocate all claims".into()]),
            Err(why) => Err(vec![why]),
        }
    }

    /// What is to be written into the pod's claims when it goes to a node that does.
    pub(crate) fn grants(&self, node: &NodeInfo, now: jiff::Timestamp, chance: &Chance) -> Vec<Grant> {
        let found = search::search(&self.demands, &self.inventory, &self.used, &node.name, &node.labels);
        let picks = found.ok().flatten().unwrap_or_default();
        let mut grants = Vec::new();
        for claim in &self.claims {
            let at = self.demands.iter().position(|demand| Arc::ptr_eq(&demand.claim, claim));
            let allocation = at.map(|at| {
                let of: Vec<_> = picks.iter().filter(|pick| pick.claim == at).collect();
                result::result(&self.demands[at], &of, &node.name, &node.labels, now, chance)
            });
            grants.push(Grant { claim: claim.clone(), allocation });
        }
        grants
    }

    /// A claim whose devices nobody uses and that keeps the pod from some node: given back, it may be fulfilled
    /// elsewhere.
    pub(crate) fn returnable<'n>(
        &self,
        pod: &Pod,
        mut nodes: impl Iterator<Item = &'n NodeInfo>,
    ) -> Option<Arc<ResourceClaim>> {
        let idle = |claim: &&Arc<ResourceClaim>| {
            let users =
                claim.status.as_ref().and_then(|status| status.reserved_for.as_deref()).unwrap_or_default();
            users.iter().all(|user| Some(&user.uid) == pod.metadata.uid.as_ref())
        };
        let idle: Vec<&Arc<ResourceClaim>> =
            self.claims.iter().filter(|claim| claims::is_allocated(claim)).filter(idle).collect();
        nodes.find_map(|node| idle.iter().find(|claim| !is_on(claim, node)).map(|claim| (*claim).clone()))
    }
}

/// Whether a node reaches the devices that a claim was given; of one that was given none, every node does.
fn is_on(claim: &ResourceClaim, node: &NodeInfo) -> bool {
    let allocation = claim.status.as_ref().and_then(|status| status.allocation.as_ref());
    let selector = allocation.and_then(|allocation| allocation.node_selector.as_ref());
    selector.is_none_or(|selector| inventory::selects(selector, &node.name, &node.labels))
}
