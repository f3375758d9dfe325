//! What a claim asks for, read once: classes looked up, expressions compiled.

use std::collections::BTreeMap;
use std::sync::Arc;

use cox_api::devices::Selector;
use k8s_openapi::api::resource::v1::{
    CapacityRequirements, DeviceClass, DeviceConstraint, DeviceSelector, DeviceToleration, ResourceClaim,
};

use super::inventory::Capacities;

/// How many devices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Amount {
    All,
    Exactly(usize),
}

/// An expression, and what errors call it.
#[derive(Debug)]
pub(crate) struct Named {
    pub(crate) selector: Selector,
    pub(crate) words: String,
}

/// One way to fulfil a request.
#[derive(Debug)]
pub(crate) struct Choice {
    /// `request`, or `request/choice`.
    pub(crate) name: String,
    pub(crate) class: Arc<DeviceClass>,
    pub(crate) selectors: Vec<Named>,
    pub(crate) amount: Amount,
    pub(crate) admin: bool,
    pub(crate) tolerations: Vec<DeviceToleration>,
    pub(crate) capacity: Capacities,
}

/// A claim that is to be given devices.
#[derive(Debug)]
pub(crate) struct Demand {
    pub(crate) claim: Arc<ResourceClaim>,
    /// Of each request its choices, the best one first.
    pub(crate) requests: Vec<Vec<Choice>>,
    pub(crate) constraints: Vec<DeviceConstraint>,
}

/// What a request says, with choices or without.
struct Asked<'a> {
    name: String,
    class: &'a str,
    selectors: Option<&'a Vec<DeviceSelector>>,
    mode: Option<&'a str>,
    count: Option<i64>,
    admin: bool,
    tolerations: Option<&'a Vec<DeviceToleration>>,
    capacity: Option<&'a CapacityRequirements>,
}

impl Demand {
    /// Reads a claim.
    ///
    /// # Errors
    /// Why it can't be fulfilled whatever devices there are, in words for the pod.
    pub(crate) fn new(
        claim: Arc<ResourceClaim>,
        classes: &BTreeMap<String, Arc<DeviceClass>>,
    ) -> Result<Demand, String> {
        let shown = shown(&claim);
        let devices = claim.spec.devices.clone().unwrap_or_default();
        let mut requests = Vec::new();
        for request in devices.requests.iter().flatten() {
            let exactly = request.exactly.iter().map(|exactly| Asked {
                name: request.name.clone(),
                class: &exactly.device_class_name,
                selectors: exactly.selectors.as_ref(),
                mode: exactly.allocation_mode.as_deref(),
                count: exactly.count,
                admin: exactly.admin_access == Some(true),
                tolerations: exactly.tolerations.as_ref(),
                capacity: exactly.capacity.as_ref(),
            });
            let choices = request.first_available.iter().flatten().map(|choice| Asked {
                name: format!("{}/{}", request.name, choice.name),
                class: &choice.device_class_name,
                selectors: choice.selectors.as_ref(),
                mode: choice.allocation_mode.as_deref(),
                count: choice.count,
                admin: false,
                tolerations: choice.tolerations.as_ref(),
                capacity: choice.capacity.as_ref(),
            });
            let choices: Vec<Choice> = exactly
                .chain(choices)
                .map(|asked| choice(asked, classes, &shown))
                .collect::<Result<_, _>>()?;
            if choices.is_empty() {
                return Err(format!("claim {shown}, request {}: unknown request type", request.name));
            }
            requests.push(choices);
        }
        Ok(Demand { requests, constraints: devices.constraints.unwrap_or_default(), claim })
    }
}

fn choice(
    asked: Asked<'_>,
    classes: &BTreeMap<String, Arc<DeviceClass>>,
    claim: &str,
) -> Result<Choice, String> {
    let Some(class) = classes.get(asked.class) else {
        return Err(format!("request {}: device class {} does not exist", asked.name, asked.class));
    };
    let mut selectors = compiled(class.spec.selectors.as_ref(), &format!("class {}", asked.class))?;
    selectors.extend(compiled(asked.selectors, &format!("claim {claim}"))?);
    let amount = match asked.mode {
        Some("All") => Amount::All,
        Some("ExactCount") | None => {
            Amount::Exactly(usize::try_from(asked.count.unwrap_or(1)).unwrap_or_default())
        }
        Some(other) => {
            return Err(format!("claim {claim}, request {}: unsupported count mode {other}", asked.name));
        }
    };
    let capacity = asked.capacity.and_then(|capacity| capacity.requests.as_ref()).into_iter().flatten();
    Ok(Choice {
        name: asked.name,
        class: class.clone(),
        selectors,
        amount,
        admin: asked.admin,
        tolerations: asked.tolerations.cloned().unwrap_or_default(),
        capacity: capacity
            .filter_map(|(name, amount)| Some((name.clone(), amount.0.parse().ok()?)))
            .collect(),
    })
}

fn compiled(selectors: Option<&Vec<DeviceSelector>>, of: &str) -> Result<Vec<Named>, String> {
    let all = selectors.into_iter().flatten().enumerate();
    all.map(|(at, selector)| {
        let words = format!("{of}: selector #{at}");
        let Some(cel) = &selector.cel else {
            return Err(format!("{words}: CEL expression empty (unsupported selector type?)"));
        };
        match Selector::compile(&cel.expression) {
            Ok(selector) => Ok(Named { selector, words }),
            Err(error) => Err(format!("{words}: CEL compile error: {error}")),
        }
    })
    .collect()
}

/// Namespace and name of a claim.
pub(crate) fn shown(claim: &ResourceClaim) -> String {
    let metadata = &claim.metadata;
    let text = |part: &Option<String>| part.clone().unwrap_or_default();
    format!("{}/{}", text(&metadata.namespace), text(&metadata.name))
}
