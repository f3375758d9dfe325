//! What must hold at every commit.

use std::time::Duration;

use serde_json::Value;

use crate::observer::Seen;

/// How old a view of the world may be that somebody acted on: the longest delays of calls and watches together.
const STALE_MAX: Duration = Duration::from_secs(60);
/// For so long after a node's failure missing pods are nobody's fault.
const DISTURBED_FOR: Duration = Duration::from_secs(400);

/// For so long after a user has scaled a Deployment its ReplicaSets shrink in proportion, whatever is available.
const SCALING_FOR: Duration = Duration::from_secs(20);

/// A pod that got ready so recently may be taken for one that isn't: a call's and a watch's delay.
const UNNOTICED_FOR: Duration = Duration::from_secs(2);

type Checked = Result<(), String>;

/// Checks one change against everything known.
pub(crate) fn check(seen: &mut Seen, key: &str, before: Option<&Value>, after: Option<&Value>) -> Checked {
    let prefix = key.trim_start_matches("/registry/").split('/').next().unwrap_or_default();
    match prefix {
        "deployments" => {
            if let Some(after) = after {
                if before.is_some_and(|before| replicas(before) != replicas(after)) {
                    seen.scaled.insert(uid(after).to_owned(), seen.now);
                }
                remember(seen, after);
            }
            Ok(())
        }
        "replicasets" => {
            let Some(after) = after else { return Ok(()) };
            remember(seen, after);
            let grown = before.is_none_or(|before| replicas(before) < replicas(after));
            if grown { not_too_many_wanted(seen, after) } else { Ok(()) }
        }
        "pods" => pod(seen, before, after),
        "poddisruptionbudgets" => after.map_or(Ok(()), |after| evictions_keep_budgets(seen, before, after)),
        "jobs" => job(seen, before, after),
        _ => Ok(()),
    }
}

/// What of an object tells most about it, for people.
pub(crate) fn brief(object: &Value) -> String {
    let spec = &object["spec"];
    let mut words = Vec::new();
    for (word, value) in
        [("replicas", &spec["replicas"]), ("node", &spec["nodeName"]), ("phase", &object["status"]["phase"])]
    {
        if !value.is_null() {
            words.push(format!("{word}={value}"));
        }
    }
    for field in ["replicas", "readyReplicas", "availableReplicas", "succeeded"] {
        let value = &object["status"][field];
        if !value.is_null() {
            words.push(format!("status.{field}={value}"));
        }
    }
    if object["status"]["conditions"].is_array() {
        words.push(format!("ready={}", is_ready(object)));
    }
    if !object["metadata"]["deletionTimestamp"].is_null() {
        words.push("deleting".to_owned());
    }
    words.join(" ")
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

pub(crate) fn uid(object: &Value) -> &str {
    text(object, "/metadata/uid")
}

pub(crate) fn name(object: &Value) -> &str {
    text(object, "/metadata/name")
}

/// The controlling owner's uid.
pub(crate) fn owner(object: &Value) -> Option<&str> {
    let owners = object["metadata"]["ownerReferences"].as_array()?;
    owners.iter().find(|owner| owner["controller"] == true)?["uid"].as_str()
}

pub(crate) fn is_active(pod: &Value) -> bool {
    pod["metadata"]["deletionTimestamp"].is_null()
        && !matches!(text(pod, "/status/phase"), "Succeeded" | "Failed")
}

pub(crate) fn is_ready(pod: &Value) -> bool {
    let conditions = pod["status"]["conditions"].as_array();
    conditions
        .into_iter()
        .flatten()
        .any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
}

/// What a percentage or a number means for so many replicas.
fn amount(value: &Value, replicas: i64, up: bool) -> i64 {
    match value.as_str().and_then(|text| text.strip_suffix('%')).and_then(|text| text.parse::<i64>().ok()) {
        Some(percent) if up => (replicas * percent + 99) / 100,
        Some(percent) => replicas * percent / 100,
        None => value.as_i64().unwrap_or(0),
    }
}

fn replicas(owner: &Value) -> i64 {
    owner["spec"]["replicas"].as_i64().unwrap_or(0)
}

/// At most so many pods, and at least so many ready.
fn bounds(owner: &Value) -> (i64, i64) {
    let replicas = replicas(owner);
    if owner["kind"] != "Deployment" {
        return (replicas, 0);
    }
    let rolling = &owner["spec"]["strategy"]["rollingUpdate"];
    let surge = amount(&rolling["maxSurge"], replicas, true);
    let mut unavailable = amount(&rolling["maxUnavailable"], replicas, false);
    if surge == 0 && unavailable == 0 {
        unavailable = 1;
    }
    (replicas + surge, replicas - unavailable)
}

fn remember(seen: &mut Seen, owner: &Value) {
    let (most, least) = bounds(owner);
    for (which, number) in [("most", most), ("least", least)] {
        let values = seen.wanted.entry(format!("{which} {}", uid(owner))).or_default();
        if values.last().is_some_and(|(_, last)| *last == number) {
            continue;
        }
        if let Some(last) = values.last_mut() {
            last.0 = Some(seen.now);
        }
        values.push((None, number));
    }
}

/// The values that somebody may still go by.
fn recent(seen: &Seen, which: &str, uid: &str) -> Vec<i64> {
    let values = seen.wanted.get(&format!("{which} {uid}"));
    let known =
        |until: &Option<Duration>| until.is_none_or(|until| seen.now.saturating_sub(until) <= STALE_MAX);
    values.into_iter().flatten().filter(|(until, _)| known(until)).map(|(_, number)| *number).collect()
}

fn count(seen: &Seen, owners: &[&str], wanted: impl Fn(&Value) -> bool) -> i64 {
    let of = |pod: &&Value| owner(pod).is_some_and(|owner| owners.contains(&owner));
    i64::try_from(seen.of("pods/").filter(of).filter(|pod| wanted(pod)).count()).unwrap_or(i64::MAX)
}

fn pod(seen: &mut Seen, before: Option<&Value>, after: Option<&Value>) -> Checked {
    let Some(after) = after else { return Ok(()) };
    if let Some(before) = before.filter(|before| uid(before) == uid(after)) {
        let (was, is) = (text(before, "/spec/nodeName"), text(after, "/spec/nodeName"));
        if !was.is_empty() && was != is {
            return Err(format!("pod {} was bound to {was} and then to {is:?}", name(after)));
        }
        ready_pods_run(seen, before, after)?;
        if !is_ready(before) && is_ready(after) {
            seen.ready_since.insert(uid(after).to_owned(), seen.now);
        }
    }
    if text(after, "/status/phase") == "Succeeded"
        && let Some(owner) = owner(after)
    {
        seen.succeeded.entry(owner.to_owned()).or_default().insert(uid(after).to_owned());
    }
    if before.is_some_and(|before| is_healthy(before) && !is_healthy(after)) && !evicted(after) {
        seen.lost.push((seen.now, after["metadata"]["labels"].clone()));
    }
    let Some(set) = owner(after).and_then(|owner| seen.of("replicasets/").find(|set| uid(set) == owner))
    else {
        return Ok(());
    };
    let appeared = before.is_none_or(|before| uid(before) != uid(after));
    if appeared {
        not_too_many(seen, set)?;
    } else if before.is_some_and(|before| is_active(before) && is_ready(before))
        && !after["metadata"]["deletionTimestamp"].is_null()
        && seen.ready_since.get(uid(after)).is_some_and(|at| seen.now.saturating_sub(*at) > UNNOTICED_FOR)
    {
        enough_left(seen, set)?;
    }
    Ok(())
}

/// A pod that becomes ready runs, where it was bound to.
fn ready_pods_run(seen: &Seen, before: &Value, after: &Value) -> Checked {
    if is_ready(before) || !is_ready(after) {
        return Ok(());
    }
    let node = text(after, "/spec/nodeName");
    match seen.machines.node_of(uid(after)) {
        Some(on) if on == node => Ok(()),
        on => Err(format!("pod {} is ready on {node:?} but runs on {on:?}", name(after))),
    }
}

/// An eviction that is allowed leaves as many healthy pods as the budget asks for. Pods that somebody else has just
/// taken may still count: nobody can have told the budget yet.
fn evictions_keep_budgets(seen: &Seen, before: Option<&Value>, budget: &Value) -> Checked {
    let allowed = |budget: &Value| budget["status"]["disruptedPods"].as_object().cloned().unwrap_or_default();
    let known = before.map(allowed).unwrap_or_default();
    let now = allowed(budget);
    let Some(pod) = now.keys().find(|name| !known.contains_key(*name)) else { return Ok(()) };
    let Some(selector) = budget["spec"]["selector"]["matchLabels"].as_object() else { return Ok(()) };
    if seen.disturbed.is_some() {
        return Ok(());
    }
    let covers = |labels: &Value| selector.iter().all(|(key, value)| labels[key] == *value);
    let left = seen
        .of("pods/")
        .filter(|pod| covers(&pod["metadata"]["labels"]) && is_healthy(pod) && !now.contains_key(name(pod)))
        .count();
    let recently = |at: Duration| seen.now.saturating_sub(at) <= UNNOTICED_FOR;
    let just_lost = seen.lost.iter().filter(|(at, labels)| recently(*at) && covers(labels)).count();
    let needed = budget["status"]["desiredHealthy"].as_u64().unwrap_or(0);
    if ((left + just_lost) as u64) < needed {
        return Err(format!(
            "the eviction of {pod} leaves {left} healthy pods, budget {} asks for {needed}",
            name(budget)
        ));
    }
    Ok(())
}

fn is_healthy(pod: &Value) -> bool {
    is_active(pod) && is_ready(pod)
}

fn evicted(pod: &Value) -> bool {
    let conditions = pod["status"]["conditions"].as_array();
    conditions
        .into_iter()
        .flatten()
        .any(|it| it["type"] == "DisruptionTarget" && it["reason"] == "EvictionByEvictionAPI")
}

fn excused(seen: &Seen, owners: &[&str]) -> i64 {
    count(seen, owners, |pod| is_active(pod) && seen.excused.contains(uid(pod)))
}

/// A ReplicaSet never has more pods than it wants. Pods that end don't count: replacements don't wait for them.
fn not_too_many(seen: &Seen, set: &Value) -> Checked {
    let sets = [uid(set)];
    let most = recent(seen, "most", uid(set)).into_iter().max().unwrap_or(0) + excused(seen, &sets);
    let active = count(seen, &sets, is_active);
    if active > most {
        return Err(format!("{} {} has {active} pods, allowed are {most}", text(set, "/kind"), name(set)));
    }
    Ok(())
}

/// A Deployment never wants more pods of its ReplicaSets together than its surge allows. What it wants is its own
/// doing; how many pods there are is not: those of a lost node still count, those that end don't.
fn not_too_many_wanted(seen: &Seen, set: &Value) -> Checked {
    let Some(deployment) = deployment_of(seen, set) else { return Ok(()) };
    let most = recent(seen, "most", uid(deployment)).into_iter().max().unwrap_or(0);
    let sets = seen.of("replicasets/").filter(|set| owner(set) == Some(uid(deployment)));
    let wanted: i64 = sets.map(replicas).sum();
    if wanted > most {
        return Err(format!("deployment {} wants {wanted} pods, its bounds allow {most}", name(deployment)));
    }
    Ok(())
}

fn enough_left(seen: &Seen, set: &Value) -> Checked {
    let Some(deployment) = deployment_of(seen, set) else { return Ok(()) };
    if seen.disturbed.is_some_and(|at| seen.now.saturating_sub(at) <= DISTURBED_FOR)
        || seen.scaled.get(uid(deployment)).is_some_and(|at| seen.now.saturating_sub(*at) <= SCALING_FOR)
        || !deployment["metadata"]["deletionTimestamp"].is_null()
    {
        return Ok(());
    }
    let least = recent(seen, "least", uid(deployment)).into_iter().min().unwrap_or(0);
    let ready = count(seen, &sets_of(seen, deployment), |pod| is_active(pod) && is_ready(pod));
    if ready < least {
        return Err(format!(
            "deployment {} has {ready} pods available, needed are {least}",
            name(deployment)
        ));
    }
    Ok(())
}

fn deployment_of<'a>(seen: &'a Seen, set: &Value) -> Option<&'a Value> {
    let owner = owner(set)?;
    seen.of("deployments/").find(|deployment| uid(deployment) == owner)
}

fn sets_of<'a>(seen: &'a Seen, deployment: &Value) -> Vec<&'a str> {
    seen.of("replicasets/").filter(|set| owner(set) == Some(uid(deployment))).map(uid).collect()
}

fn job(seen: &Seen, before: Option<&Value>, after: Option<&Value>) -> Checked {
    let Some(after) = after else { return Ok(()) };
    let counted = |job: &Value| job["status"]["succeeded"].as_u64().unwrap_or(0);
    let count = counted(after);
    let happened = seen.succeeded.get(uid(after)).map_or(0, |pods| pods.len() as u64);
    let wanted = after["spec"]["completions"].as_u64().unwrap_or(1);
    if count > happened || count > wanted {
        return Err(format!(
            "job {} counts {count} completions of {wanted}, there were {happened}",
            name(after)
        ));
    }
    match before.filter(|before| uid(before) == uid(after)).map(counted) {
        Some(was) if was > count => {
            Err(format!("job {} counted {was} completions and then {count}", name(after)))
        }
        _ => Ok(()),
    }
}
