//! The APIService of each group and version that this server answers for itself.

use std::collections::BTreeSet;

use cox_api::kinds::api_service::STORE_PREFIX;
use cox_api::{Request, Resource, Status, Verb};
use futures::future::try_join_all;
use serde_json::json;

use super::{call, ensure};
use crate::error::Error;
use crate::registry;
use crate::server::ApiServer;

/// Says that an APIService comes and goes by itself.
const MANAGED: &str = "kube-aggregator.kubernetes.io/automanaged";
/// Priorities of groups, as upstream has them; what isn't listed comes after these.
const GROUPS: &[(&str, i64)] = &[
    ("", 18_000),
    ("apps", 17_800),
    ("events.k8s.io", 17_750),
    ("authentication.k8s.io", 17_700),
    ("authorization.k8s.io", 17_600),
    ("autoscaling", 17_500),
    ("batch", 17_400),
    ("certificates.k8s.io", 17_300),
    ("networking.k8s.io", 17_200),
    ("policy", 17_100),
    ("rbac.authorization.k8s.io", 17_000),
    ("storage.k8s.io", 16_800),
    ("apiextensions.k8s.io", 16_700),
    ("admissionregistration.k8s.io", 16_700),
    ("scheduling.k8s.io", 16_600),
    ("coordination.k8s.io", 16_500),
    ("node.k8s.io", 16_300),
    ("discovery.k8s.io", 16_200),
    ("resource.k8s.io", 16_150),
    ("flowcontrol.apiserver.k8s.io", 16_100),
];
const OTHER_GROUP: i64 = 15_000;
const CUSTOM_GROUP: i64 = 1_000;

fn resource() -> Resource {
    Resource::new("apiregistration.k8s.io", "v1", "apiservices")
}

/// Makes what is missing, and takes away what no definition is behind any more.
///
/// # Errors
/// Where the store refuses a write.
pub(crate) async fn settle(server: &ApiServer) -> Result<(), Error> {
    let own: BTreeSet<(&str, &str)> = registry::infos()
        .map(|info| (info.group, info.version))
        // An APIService isn't asked for by itself.
        .filter(|(group, _)| *group != "apiregistration.k8s.io")
        .collect();
    let custom: BTreeSet<(&str, &str)> =
        server.definitions().infos().iter().map(|info| (info.group, info.version)).collect();
    // All at once: a start waits for one commit, not for one each.
    let mut missing = Vec::new();
    for (group, version) in &own {
        let priority = GROUPS.iter().find(|(known, _)| known == group).map_or(OTHER_GROUP, |(_, at)| *at);
        // Newer versions of a group come first.
        let number: i64 = version.trim_start_matches('v').parse().unwrap_or(0);
        let at = if number > 0 { 15 * number } else { 9 };
        missing.push(make(server, group, version, "onstart", priority, at));
    }
    for (group, version) in custom.difference(&own) {
        missing.push(make(server, group, version, "true", CUSTOM_GROUP, 100));
    }
    try_join_all(missing).await?;
    for object in server.db().list(STORE_PREFIX, None) {
        let Some((version, group)) = object.name().split_once('.') else { continue };
        let managed = object.header().labels.get(MANAGED).is_some_and(|word| **word == *"true");
        if managed && !custom.contains(&(group, version)) {
            let gone = call(server, Request::new(Verb::Delete, resource()).name(object.name())).await;
            gone.map(drop)
                .or_else(|status: Status| if status.is_not_found() { Ok(()) } else { Err(status) })
                .map_err(|source| Error::Bootstrap {
                    what: format!("APIService {}", object.name()),
                    source,
                })?;
        }
    }
    Ok(())
}

async fn make(
    server: &ApiServer,
    group: &str,
    version: &str,
    managed: &str,
    group_priority: i64,
    version_priority: i64,
) -> Result<(), Error> {
    let name = format!("{version}.{group}");
    if server.db().get(STORE_PREFIX, "", &name).is_some() {
        return Ok(());
    }
    let mut spec = json!({"version": version, "groupPriorityMinimum": group_priority,
        "versionPriority": version_priority});
    if !group.is_empty() {
        spec["group"] = group.into();
    }
    let object = json!({"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService",
        "metadata": {"name": name, "labels": {MANAGED: managed}}, "spec": spec});
    ensure(server, &resource(), "", object).await
}
