//! Finds devices on a node for all requests of all claims, or says that there are none: a search that takes the first
//! devices that do, and goes back where a later request finds none. Pure.

use std::collections::BTreeMap;

use cox_api::quantity::Quantity;
use k8s_openapi::api::resource::v1::{DeviceConstraint, DeviceTaint, DeviceToleration};

use super::capacity;
use super::demand::{Amount, Choice, Demand, shown};
use super::inventory::{Capacities, Device, Inventory, Pool, amounts};
use super::used::{Used, add};
use crate::selector::Labels;

/// Most devices that a claim is given.
const DEVICES_MAX: usize = 32;
/// Devices looked at before a search on one node is given up: it may grow with every request.
const STEPS_MAX: usize = 200_000;

/// A device for a request.
#[derive(Clone, Debug)]
pub(crate) struct Pick<'a> {
    pub(crate) claim: usize,
    pub(crate) request: usize,
    pub(crate) choice: usize,
    pub(crate) device: &'a Device,
    /// What is taken of a shared device.
    pub(crate) taken: Option<Capacities>,
    pool: usize,
}

struct Search<'a> {
    demands: &'a [Demand],
    pools: Vec<(&'a Pool, String)>,
    /// Devices that the node reaches, with their pool.
    candidates: Vec<(&'a Device, usize)>,
    used: &'a Used,
    /// By pool: what is left of its counters, before this search takes any.
    left: Vec<BTreeMap<String, Capacities>>,
    picks: Vec<Pick<'a>>,
    /// Whether a device suits a choice, by claim, request, choice and candidate.
    suits: BTreeMap<(usize, usize, usize, usize), bool>,
    steps: usize,
}

/// Devices for all demands on a node, in the order of their requests; none where there aren't enough.
///
/// # Errors
/// Where devices can't be judged, in words for the pod.
pub(crate) fn search<'a>(
    demands: &'a [Demand],
    inventory: &'a Inventory,
    used: &'a Used,
    node: &str,
    labels: &Labels,
) -> Result<Option<Vec<Pick<'a>>>, String> {
    let pools: Vec<(&Pool, String)> =
        inventory.0.iter().map(|((driver, name), pool)| (pool, format!("{driver}/{name}"))).collect();
    let mut candidates = Vec::new();
    for (at, (pool, _)) in pools.iter().enumerate() {
        let reached = pool.devices.iter().filter(|device| device.nodes.has(node, labels));
        candidates.extend(reached.map(|device| (device, at)));
    }
    let left = pools.iter().map(|(pool, _)| used.counters_left(pool)).collect();
    let mut search = Search {
        demands,
        pools,
        candidates,
        used,
        left,
        picks: Vec::new(),
        suits: BTreeMap::new(),
        steps: 0,
    };
    Ok(search.requests(0, 0)?.then_some(search.picks))
}

impl<'a> Search<'a> {
    fn choice(&self, place: (usize, usize, usize)) -> &'a Choice {
        &self.demands[place.0].requests[place.1][place.2]
    }

    /// This request and all after it.
    fn requests(&mut self, claim: usize, request: usize) -> Result<bool, String> {
        let Some(demand) = self.demands.get(claim) else { return Ok(true) };
        let Some(choices) = demand.requests.get(request) else { return self.requests(claim + 1, 0) };
        for (at, choice) in choices.iter().enumerate() {
            let mark = self.picks.len();
            let place = (claim, request, at);
            let found = match choice.amount {
                Amount::Exactly(count) => self.exactly(place, count, 0)?,
                Amount::All => self.all(place)?,
            };
            if found {
                return Ok(true);
            }
            self.picks.truncate(mark);
        }
        Ok(false)
    }

    /// So many more devices, from a candidate on, and then the rest.
    fn exactly(&mut self, place: (usize, usize, usize), count: usize, from: usize) -> Result<bool, String> {
        if count == 0 {
            return self.requests(place.0, place.1 + 1);
        }
        for at in from..self.candidates.len() {
            self.steps += 1;
            if self.steps > STEPS_MAX {
                return Err(format!("gave up after {STEPS_MAX} tries to allocate devices"));
            }
            if !self.suits(place, at)? || !self.take(place, at) {
                continue;
            }
            let next = if self.candidates[at].0.shared { at } else { at + 1 };
            if self.exactly(place, count - 1, next)? {
                return Ok(true);
            }
            self.picks.pop();
        }
        Ok(false)
    }

    /// All devices that suit, of which there has to be one, and then the rest.
    fn all(&mut self, place: (usize, usize, usize)) -> Result<bool, String> {
        let claim = &self.demands[place.0].claim;
        for (_, pool) in &self.candidates {
            let (pool, name) = &self.pools[*pool];
            if !pool.complete {
                let (claim, request) = (shown(claim), &self.choice(place).name);
                return Err(format!(
                    "claim {claim}, request {request}: asks for all devices, but resource pool {name} is currently being updated"
                ));
            }
        }
        let mark = self.picks.len();
        for at in 0..self.candidates.len() {
            if self.suits(place, at)? && !self.take(place, at) {
                return Ok(false);
            }
        }
        if self.picks.len() == mark {
            return Ok(false);
        }
        self.requests(place.0, place.1 + 1)
    }

    /// Whether a device is what the choice asks for, whoever uses it.
    fn suits(&mut self, place: (usize, usize, usize), at: usize) -> Result<bool, String> {
        let key = (place.0, place.1, place.2, at);
        if let Some(known) = self.suits.get(&key) {
            return Ok(*known);
        }
        let (device, pool) = self.candidates[at];
        let (pool, name) = &self.pools[pool];
        if let Some(why) = &pool.invalid {
            return Err(format!("pool {name} is invalid: {why}"));
        }
        let suits = judge(self.choice(place), device)?;
        self.suits.insert(key, suits);
        Ok(suits)
    }

    /// Takes a device that suits, if nobody else has it and the claim's constraints allow it.
    fn take(&mut self, place: (usize, usize, usize), at: usize) -> bool {
        let (device, pool) = self.candidates[at];
        let of_claim = self.picks.iter().filter(|pick| pick.claim == place.0);
        if of_claim.count() >= DEVICES_MAX || !self.keeps_constraints(place, device) {
            return false;
        }
        let taken = match self.available(place, device, pool) {
            Some(taken) => taken,
            None => return false,
        };
        let (claim, request, choice) = place;
        self.picks.push(Pick { claim, request, choice, device, taken, pool });
        true
    }

    /// Picks that use a device up.
    fn users(&self) -> impl Iterator<Item = &Pick<'a>> {
        self.picks.iter().filter(|pick| !self.choice((pick.claim, pick.request, pick.choice)).admin)
    }

    /// What is taken of the device where it is free: nothing of one that is given as a whole.
    fn available(
        &self,
        place: (usize, usize, usize),
        device: &Device,
        pool: usize,
    ) -> Option<Option<Capacities>> {
        let choice = self.choice(place);
        let same = |pick: &&Pick<'a>| pick.device.id == device.id;
        if choice.admin {
            let twice = self.picks.iter().filter(|pick| pick.claim == place.0).any(|pick| same(&pick));
            return (!twice).then_some(None);
        }
        let picked = self.users().any(|pick| same(&pick));
        let known = picked || self.used.has(&device.id);
        if !known && !self.has_counters(device, pool) {
            return None;
        }
        if !device.shared {
            return (!known).then_some(None);
        }
        if self.used.whole.contains(&device.id) {
            return None;
        }
        let taken = capacity::taken(device, &choice.capacity)?;
        let mut total = self.used.shares.get(&device.id).cloned().unwrap_or_default();
        for pick in self.users().filter(same) {
            add(&mut total, pick.taken.clone().unwrap_or_default());
        }
        add(&mut total, taken.clone());
        let fits =
            total.iter().all(|(name, amount)| device.capacity.get(name).is_some_and(|whole| amount <= whole));
        fits.then_some(Some(taken))
    }

    /// Whether the pool has what a device draws on it.
    fn has_counters(&self, device: &Device, pool: usize) -> bool {
        let drawn = |device: &Device, set: &str, name: &str| {
            let sets = device.published.consumes_counters.iter().flatten();
            let amount = sets
                .filter(|drawn| drawn.counter_set == set)
                .find_map(|drawn| amounts(&drawn.counters).get(name).copied());
            amount.unwrap_or(Quantity::ZERO)
        };
        let mut counted: Vec<&Device> = Vec::new();
        for pick in self.users().filter(|pick| pick.pool == pool && !self.used.has(&pick.device.id)) {
            if counted.iter().all(|known| known.id != pick.device.id) {
                counted.push(pick.device);
            }
        }
        device.published.consumes_counters.iter().flatten().all(|consumed| {
            amounts(&consumed.counters).iter().all(|(name, amount)| {
                let set = &consumed.counter_set;
                let Some(left) = self.left[pool].get(set).and_then(|set| set.get(name)) else { return false };
                let others =
                    counted.iter().fold(Quantity::ZERO, |sum, other| sum.plus(drawn(other, set, name)));
                amount.plus(others) <= *left
            })
        })
    }

    fn keeps_constraints(&self, place: (usize, usize, usize), device: &Device) -> bool {
        let demand = &self.demands[place.0];
        demand.constraints.iter().filter(|constraint| concerns(constraint, &self.choice(place).name)).all(
            |constraint| {
                let same = constraint.match_attribute.as_ref();
                let Some(attribute) = same.or(constraint.distinct_attribute.as_ref()) else { return false };
                let Some(value) = device.attribute(attribute) else { return false };
                let mut others = self.picks.iter().filter(|pick| {
                    let name = &self.choice((pick.claim, pick.request, pick.choice)).name;
                    pick.claim == place.0 && concerns(constraint, name)
                });
                others
                    .all(|pick| (pick.device.attribute(attribute).as_ref() == Some(&value)) == same.is_some())
            },
        )
    }
}

/// Whether a constraint is about a request, or one of its choices: about all where it names none.
fn concerns(constraint: &DeviceConstraint, name: &str) -> bool {
    let names = constraint.requests.as_deref().unwrap_or_default();
    let request = name.split('/').next().unwrap_or_default();
    names.is_empty() || names.iter().any(|one| one == name || one == request)
}

/// Whether a device is what a choice asks for.
fn judge(choice: &Choice, device: &Device) -> Result<bool, String> {
    // Nobody here waits for conditions of devices after a pod has got its node.
    if device.published.binding_conditions.as_ref().is_some_and(|conditions| !conditions.is_empty()) {
        return Ok(false);
    }
    for named in &choice.selectors {
        let facts = device.facts.as_ref().map_err(|error| format!("attribute {error}"))?;
        match named.selector.matches(facts) {
            Ok(true) => {}
            Ok(false) => return Ok(false),
            Err(error) => return Err(format!("{}: CEL runtime error: {error}", named.words)),
        }
    }
    let enough = choice
        .capacity
        .iter()
        .all(|(name, amount)| device.capacity.get(name).is_some_and(|whole| amount <= whole));
    let tolerated = |taint: &DeviceTaint| {
        !matches!(taint.effect.as_str(), "NoSchedule" | "NoExecute")
            || choice.tolerations.iter().any(|toleration| tolerates(toleration, taint))
    };
    Ok(enough && device.published.taints.iter().flatten().all(tolerated))
}

fn tolerates(toleration: &DeviceToleration, taint: &DeviceTaint) -> bool {
    let said = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let value = match toleration.operator.as_deref() {
        Some("Exists") => true,
        _ => said(&toleration.value) == said(&taint.value),
    };
    value
        && said(&toleration.key).is_none_or(|key| key == taint.key)
        && said(&toleration.effect).is_none_or(|effect| effect == taint.effect)
}
