//! Eviction: a deletion that asks the pod's disruption budget first.
//! Source: <https://kubernetes.io/docs/concepts/scheduling-eviction/api-eviction/>

use async_trait::async_trait;
use cox_api::schema;
use cox_api::selector::LabelSelector;
use cox_api::{
    Body, Header, Object, Options, Part, Reason, Request, Resource, Response, Status, Verb, kinds,
};
use cox_store::{Expect, Key, Txn};
use serde_json::{Value, json};

use super::Special;
use super::binding::set_condition;
use crate::admission::{Attempt, Operation};
use crate::core::body::{self, Expected};
use crate::core::call::{Call, meta};
use crate::core::create::settle_namespace;
use crate::core::update::{Changed, Owners, change};
use crate::db::WriteError;

const TRIES_MAX: u32 = 100;
const BUDGETS: &str = "poddisruptionbudgets";
/// As refusals name it.
const BUDGET: &str = "poddisruptionbudget";
/// More disrupted pods than this in one budget means that its controller doesn't keep up.
const DISRUPTED_MAX: usize = 2000;

pub(super) struct EvictionOf;

#[async_trait]
impl Special for EvictionOf {
    async fn call(&self, call: &mut Call<'_>, _: Verb, body: Body) -> Result<Response, Status> {
        let type_id = schema::type_of("policy", "v1", "Eviction")
            .ok_or_else(|| Status::internal("the schema table has no Eviction"))?;
        let expected = Expected::of_type("policy", "v1", "Eviction", type_id);
        let strictness = body::strictness(call.options, "CreateOptions")?;
        let decoded = body::decode(body, expected, strictness)?;
        call.warnings.extend(decoded.warnings);
        let mut eviction = decoded.value;
        settle_namespace(call, &mut eviction)?;
        let name = meta(&eviction, "name");
        if name != call.name {
            return Err(Status::bad_request("name in URL does not match name in Eviction object"));
        }
        let attempt = Attempt::of(call, Operation::Create, call.name.to_owned(), None);
        let admission = call.server.admission();
        admission.mutate_asked(&attempt, &mut eviction, &mut call.notes()).await?;
        admission.validate(&attempt, Some(&eviction), &mut call.notes()).await?;
        let options = &eviction["deleteOptions"];
        let dry_run =
            call.options.dry_run || options["dryRun"].as_array().is_some_and(|words| !words.is_empty());
        let pod = call.server.db().get_key(&call.key(call.name)).ok_or_else(|| call.not_found(call.name))?;
        let value = pod.value();
        if !ignores_budgets(&value)
            && let Charge::Undecided = charge(call, &value, dry_run).await?
        {
            // The answer is one of success by its code, and of failure by what it says: so it is upstream.
            let value = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
                "message": "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.",
                "code": 500});
            return Ok(Response::Value { code: 201, value });
        }
        if !dry_run {
            mark(call).await?;
        }
        delete(call, options, dry_run).await?;
        let value =
            json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201});
        Ok(Response::Value { code: 201, value })
    }
}

/// Pods that hold up nothing any more.
fn ignores_budgets(pod: &Value) -> bool {
    matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed" | "Pending"))
        || !pod["metadata"]["deletionTimestamp"].is_null()
}

fn is_ready(pod: &Value) -> bool {
    pod["status"]["conditions"]
        .as_array()
        .into_iter()
        .flatten()
        .any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
}

/// Whether the budgets let the pod go.
enum Charge {
    Allowed,
    /// More than one budget covers the pod.
    Undecided,
}

/// Takes one disruption from the budget that covers the pod.
async fn charge(call: &Call<'_>, pod: &Value, dry_run: bool) -> Result<Charge, Status> {
    for _ in 0..TRIES_MAX {
        let labels = &pod["metadata"]["labels"];
        let covering: Vec<Object> = call
            .server
            .db()
            .list(BUDGETS, Some(call.namespace))
            .into_iter()
            .filter(|budget| {
                let budget = budget.value();
                LabelSelector::of_object(&budget["spec"]["selector"])
                    .is_ok_and(|selector| !budget["spec"]["selector"].is_null() && selector.matches(labels))
            })
            .collect();
        let budget = match covering.as_slice() {
            [] => return Ok(Charge::Allowed),
            [one] => one,
            _ => return Ok(Charge::Undecided),
        };
        let mut value = budget.value();
        let status = &value["status"];
        let number = |key: &str| status[key].as_i64().unwrap_or(0);
        // A pod that doesn't count anyway may go.
        let always = value["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow";
        let enough = number("currentHealthy") >= number("desiredHealthy") && number("desiredHealthy") > 0;
        if !is_ready(pod) && (always || enough) {
            return Ok(Charge::Allowed);
        }
        check(&value)?;
        if dry_run {
            return Ok(Charge::Allowed);
        }
        let left = number("disruptionsAllowed") - 1;
        value["status"]["disruptionsAllowed"] = left.into();
        if left == 0 {
            none_left(&mut value, &call.now);
        }
        if !value["status"]["disruptedPods"].is_object() {
            value["status"]["disruptedPods"] = json!({});
        }
        value["status"]["disruptedPods"][call.name] = call.now.as_str().into();
        let kind = kinds::by_kind("policy", "v1", "PodDisruptionBudget")
            .ok_or_else(|| Status::internal("disruption budgets are not served"))?;
        let object = Object::new(&value, Header::of(&value, kind.selectable(&value)), 0);
        let key = Key::new(BUDGETS, call.namespace, budget.name());
        let txn = Txn::put(key, Expect::Revision(budget.revision()), object);
        match call.server.db().commit(txn).await {
            Ok(_) => return Ok(Charge::Allowed),
            Err(WriteError::Conflict { .. }) => continue,
            Err(error) => return Err(error.into()),
        }
    }
    Err(too_many("the budget is being changed by others", json!({})))
}

/// The last allowed disruption is taken: the budget says so at once.
fn none_left(budget: &mut Value, now: &str) {
    let mut condition = json!({"type": "DisruptionAllowed", "status": "False", "reason": "InsufficientPods",
        "message": "", "lastTransitionTime": now});
    if let generation @ Value::Number(_) = &budget["status"]["observedGeneration"] {
        condition["observedGeneration"] = generation.clone();
    }
    set_condition(budget, condition);
}

fn too_many(message: &str, details: Value) -> Status {
    Status::new(429, Reason::TooManyRequests, message).with_details(details)
}

fn check(budget: &Value) -> Result<(), Status> {
    const VIOLATES: &str = "Cannot evict pod as it would violate the pod's disruption budget.";
    let name = budget["metadata"]["name"].as_str().unwrap_or_default();
    let status = &budget["status"];
    let number = |key: &str| status[key].as_i64().unwrap_or(0);
    let cause = |message: String| json!({"causes": [{"reason": "DisruptionBudget", "message": message}]});
    if number("observedGeneration") < budget["metadata"]["generation"].as_i64().unwrap_or(0) {
        let mut details =
            cause(format!("The disruption budget {name} is still being processed by the server."));
        details["retryAfterSeconds"] = 10.into();
        return Err(too_many(VIOLATES, details));
    }
    let refuse = |why: &str| Status::forbidden("policy", BUDGET, name, why);
    if number("disruptionsAllowed") < 0 {
        return Err(refuse("pdb disruptions allowed is negative"));
    }
    if status["disruptedPods"].as_object().is_some_and(|pods| pods.len() > DISRUPTED_MAX) {
        return Err(refuse("DisruptedPods map too big - too many evictions not confirmed by PDB controller"));
    }
    if number("disruptionsAllowed") == 0 {
        return Err(too_many(
            VIOLATES,
            cause(format!(
                "The disruption budget {name} needs {} healthy pods and has {} currently",
                number("desiredHealthy"),
                number("currentHealthy")
            )),
        ));
    }
    Ok(())
}

/// Notes on the pod why it goes.
async fn mark(call: &mut Call<'_>) -> Result<(), Status> {
    let now = call.now.clone();
    change(call, Part::Status, &mut |_, old| {
        let mut pod = old.clone();
        pod["metadata"]["resourceVersion"] = "".into();
        let condition = json!({"type": "DisruptionTarget", "status": "True", "lastProbeTime": null,
            "lastTransitionTime": now, "reason": "EvictionByEvictionAPI", "message": "Eviction API: evicting"});
        set_condition(&mut pod, condition);
        Ok(Changed { object: pod, owners: Owners::Track, remade: true })
    })
    .await
    .map(|_| ())
}

async fn delete(call: &mut Call<'_>, options: &Value, dry_run: bool) -> Result<(), Status> {
    let mut request =
        Request::new(Verb::Delete, Resource::new("", "v1", "pods")).namespace(call.namespace).name(call.name);
    let mut body = if options.is_object() { options.clone() } else { json!({}) };
    if dry_run {
        body["dryRun"] = json!(["All"]);
    }
    request.options = Options::default();
    request.body = Body::Json(body);
    Box::pin(call.server.call_authorized(call.user, request)).await.map(|_| ())
}
