//! What is written into a claim: its devices, the parameters for their drivers, and the nodes that reach them.

use cox_env::Chance;
use k8s_openapi::api::core::v1::{NodeSelector, NodeSelectorRequirement, NodeSelectorTerm};
use k8s_openapi::api::resource::v1::{
    AllocationResult, DeviceAllocationConfiguration, DeviceAllocationResult, DeviceRequestAllocationResult,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Text;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::demand::{Choice, Demand};
use super::inventory::Nodes;
use super::search::Pick;
use crate::selector::{self, Labels};

/// What a claim is given. `picks` are those of the claim.
pub(crate) fn result(
    demand: &Demand,
    picks: &[&Pick<'_>],
    node: &str,
    labels: &Labels,
    now: jiff::Timestamp,
    chance: &Chance,
) -> AllocationResult {
    let choice = |pick: &Pick<'_>| &demand.requests[pick.request][pick.choice];
    let results = picks.iter().map(|pick| device(choice(pick), pick, chance)).collect::<Vec<_>>();
    let mut chosen: Vec<&Choice> = Vec::new();
    for pick in picks {
        if chosen.iter().all(|known| known.name != choice(pick).name) {
            chosen.push(choice(pick));
        }
    }
    let config = parameters(demand, &chosen);
    AllocationResult {
        allocation_timestamp: Some(Time(now)),
        devices: Some(DeviceAllocationResult {
            config: (!config.is_empty()).then_some(config),
            results: (!results.is_empty()).then_some(results),
        }),
        node_selector: nodes(picks, node, labels),
    }
}

fn device(choice: &Choice, pick: &Pick<'_>, chance: &Chance) -> DeviceRequestAllocationResult {
    let (driver, pool, device) = pick.device.id.clone();
    let amounts = pick
        .taken
        .as_ref()
        .map(|taken| taken.iter().map(|(name, amount)| (name.clone(), Text(amount.to_string()))).collect());
    DeviceRequestAllocationResult {
        request: choice.name.clone(),
        driver,
        pool,
        device,
        admin_access: choice.admin.then_some(true),
        tolerations: (!choice.tolerations.is_empty()).then(|| choice.tolerations.clone()),
        share_id: pick.taken.is_some().then(|| chance.uid()),
        consumed_capacity: amounts,
        ..DeviceRequestAllocationResult::default()
    }
}

/// Those of the classes, and those of the claim for the choices that were made.
fn parameters(demand: &Demand, chosen: &[&Choice]) -> Vec<DeviceAllocationConfiguration> {
    let mut config = Vec::new();
    for choice in chosen {
        for parameters in choice.class.spec.config.iter().flatten() {
            config.push(DeviceAllocationConfiguration {
                source: "FromClass".to_owned(),
                requests: Some(vec![choice.name.clone()]),
                opaque: parameters.opaque.clone(),
            });
        }
    }
    let devices = demand.claim.spec.devices.as_ref();
    for parameters in devices.and_then(|devices| devices.config.as_ref()).into_iter().flatten() {
        let requests = parameters.requests.as_deref().unwrap_or_default();
        let concerns = |name: &String| {
            chosen.iter().any(|choice| choice.name == *name || choice.name.split('/').next() == Some(name))
        };
        if requests.is_empty() || requests.iter().any(concerns) {
            config.push(DeviceAllocationConfiguration {
                source: "FromClaim".to_owned(),
                requests: parameters.requests.clone(),
                opaque: parameters.opaque.clone(),
            });
        }
    }
    config
}

/// Nodes that reach all devices; none where all nodes do.
fn nodes(picks: &[&Pick<'_>], node: &str, labels: &Labels) -> Option<NodeSelector> {
    let mut merged = NodeSelectorTerm::default();
    for pick in picks {
        match &pick.device.nodes {
            Nodes::All => {}
            Nodes::One(name) => {
                let field = NodeSelectorRequirement {
                    key: "metadata.name".to_owned(),
                    operator: "In".to_owned(),
                    values: Some(vec![name.clone()]),
                };
                let term = NodeSelectorTerm { match_fields: Some(vec![field]), match_expressions: None };
                return Some(NodeSelector { node_selector_terms: vec![term] });
            }
            Nodes::Selected(selected) => {
                let met = selected.node_selector_terms.iter().find(|term| selector::term(term, node, labels));
                let Some(met) = met else { continue };
                join(&mut merged.match_expressions, met.match_expressions.as_deref());
                join(&mut merged.match_fields, met.match_fields.as_deref());
            }
        }
    }
    (merged != NodeSelectorTerm::default()).then(|| NodeSelector { node_selector_terms: vec![merged] })
}

fn join(to: &mut Option<Vec<NodeSelectorRequirement>>, more: Option<&[NodeSelectorRequirement]>) {
    for one in more.unwrap_or_default() {
        let known = to.get_or_insert_default();
        if !known.contains(one) {
            known.push(one.clone());
        }
    }
}
