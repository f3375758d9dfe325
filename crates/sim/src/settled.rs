//! What has to hold once faults have stopped and time has passed.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::invariants::{is_active, is_ready, name, owner, uid};
use crate::observer::Seen;
use crate::orphans;

/// Nothing, or the first thing that is not as it has to be in the end.
pub(crate) fn unsettled(seen: &Seen) -> Option<String> {
    let nodes = seen
        .of("minions/")
        .find(|node| !is_ready(node))
        .map(|node| format!("node {} isn't ready", name(node)));
    nodes
        .or_else(|| seen.of("deployments/").find_map(|deployment| deployment_unsettled(seen, deployment)))
        .or_else(|| seen.of("replicasets/").find_map(|set| set_unsettled(seen, set)))
        .or_else(|| seen.of("statefulsets/").find_map(|set| stateful_set_unsettled(seen, set)))
        .or_else(|| seen.of("poddisruptionbudgets/").find_map(budget_unsettled))
        .or_else(|| seen.of("jobs/").find_map(|job| job_unsettled(seen, job)))
        .or_else(|| seen.of("services/specs/").find_map(|service| service_unsettled(seen, service)))
        .or_else(|| seen.of("pods/").find_map(pod_unsettled))
        .or_else(|| orphans::find(seen))
}

fn deployment_unsettled(seen: &Seen, deployment: &Value) -> Option<String> {
    let (status, wanted) = (&deployment["status"], &deployment["spec"]["replicas"]);
    let fits = status["observedGeneration"] == deployment["metadata"]["generation"]
        && ["replicas", "updatedReplicas", "readyReplicas", "availableReplicas"]
            .iter()
            .all(|field| status[*field] == *wanted);
    if !fits {
        return Some(format!("deployment {} wants {wanted} and says {status}", name(deployment)));
    }
    let image = &deployment["spec"]["template"]["spec"]["containers"][0]["image"];
    let sets: Vec<&str> =
        seen.of("replicasets/").filter(|set| owner(set) == Some(uid(deployment))).map(uid).collect();
    let pods: Vec<&Value> = seen
        .of("pods/")
        .filter(|pod| owner(pod).is_some_and(|owner| sets.contains(&owner)) && is_active(pod))
        .collect();
    let right = pods.iter().all(|pod| is_ready(pod) && pod["spec"]["containers"][0]["image"] == *image);
    (!right || Some(pods.len() as u64) != wanted.as_u64()).then(|| {
        format!(
            "deployment {} wants {wanted} of {image} and has {} pods, all right: {right}",
            name(deployment),
            pods.len()
        )
    })
}

fn set_unsettled(seen: &Seen, set: &Value) -> Option<String> {
    let pods = seen
        .of("pods/")
        .filter(|pod| owner(pod) == Some(uid(set)) && is_active(pod) && is_ready(pod))
        .count();
    let wanted = set["spec"]["replicas"].as_u64().unwrap_or(0);
    (pods as u64 != wanted)
        .then(|| format!("replica set {} wants {wanted} and has {pods} ready pods", name(set)))
}

/// Every ordinal has its pod, and it is ready.
fn stateful_set_unsettled(seen: &Seen, set: &Value) -> Option<String> {
    let wanted = set["spec"]["replicas"].as_u64().unwrap_or(0);
    let there: BTreeSet<&str> = seen
        .of("pods/")
        .filter(|pod| owner(pod) == Some(uid(set)) && is_active(pod) && is_ready(pod))
        .map(name)
        .collect();
    let right = (0..wanted).all(|ordinal| there.contains(format!("{}-{ordinal}", name(set)).as_str()));
    let told = set["status"]["readyReplicas"].as_u64() == Some(wanted);
    (!right || !told || there.len() as u64 != wanted).then(|| {
        format!("stateful set {} wants {wanted}, has {there:?} and says {}", name(set), set["status"])
    })
}

fn budget_unsettled(budget: &Value) -> Option<String> {
    let status = &budget["status"];
    let all = status["currentHealthy"] == status["expectedPods"] && status["disruptionsAllowed"] == 1;
    (!all).then(|| format!("budget {} says {status}", name(budget)))
}

fn job_unsettled(seen: &Seen, job: &Value) -> Option<String> {
    let conditions = job["status"]["conditions"].as_array();
    let complete =
        conditions.into_iter().flatten().any(|it| it["type"] == "Complete" && it["status"] == "True");
    let exact = job["status"]["succeeded"] == job["spec"]["completions"];
    let kept = seen.of("pods/").find(|pod| {
        owner(pod) == Some(uid(job))
            && pod["metadata"]["finalizers"].as_array().is_some_and(|list| !list.is_empty())
    });
    if let Some(pod) = kept {
        return Some(format!("pod {} of job {} keeps its finalizer", name(pod), name(job)));
    }
    (!complete || !exact).then(|| format!("job {} says {}", name(job), job["status"]))
}

fn service_unsettled(seen: &Seen, service: &Value) -> Option<String> {
    let selector = service["spec"]["selector"].as_object()?;
    let selected =
        |pod: &&Value| selector.iter().all(|(key, value)| pod["metadata"]["labels"][key] == *value);
    let addresses = |value: &Value| value["status"]["podIP"].as_str().map(str::to_owned);
    let ready: BTreeSet<String> = seen
        .of("pods/")
        .filter(|pod| is_active(pod) && is_ready(pod))
        .filter(selected)
        .filter_map(addresses)
        .collect();
    let slices = seen.of("endpointslices/").filter(|slice| owner(slice) == Some(uid(service)));
    let told: BTreeSet<String> = slices
        .flat_map(|slice| slice["endpoints"].as_array().into_iter().flatten())
        .filter(|endpoint| endpoint["conditions"]["ready"] == true)
        .filter_map(|endpoint| endpoint["addresses"][0].as_str().map(str::to_owned))
        .collect();
    let subsets = seen.of("services/endpoints/").filter(|endpoints| name(endpoints) == name(service));
    let old_way: BTreeSet<String> = subsets
        .flat_map(|endpoints| endpoints["subsets"].as_array().into_iter().flatten())
        .flat_map(|subset| subset["addresses"].as_array().into_iter().flatten())
        .filter_map(|address| address["ip"].as_str().map(str::to_owned))
        .collect();
    (ready != told || ready != old_way).then(|| {
        format!("service {}: ready are {ready:?}, slices say {told:?}, endpoints {old_way:?}", name(service))
    })
}

fn pod_unsettled(pod: &Value) -> Option<String> {
    (!pod["metadata"]["deletionTimestamp"].is_null())
        .then(|| format!("pod {} is still being deleted", name(pod)))
}
