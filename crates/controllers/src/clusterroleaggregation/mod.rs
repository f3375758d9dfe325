//! ClusterRoles that are made of others (`admin`, `edit`, `view` and what users define) get their rules.
//! Source: <https://kubernetes.io/docs/reference/access-authn-authz/rbac/#aggregated-clusterroles>

mod plan;

use std::sync::Arc;

use cox_client::{Key, Next, Queue};
use k8s_openapi::api::rbac::v1::ClusterRole;
use serde_json::json;

use crate::common::Context;

/// Upstream's name of the field manager.
const FIELD_MANAGER: &str = "clusterrole-aggregation-controller";

/// Runs the controller for as long as the component lives.
pub(crate) async fn run(context: Context) {
    let roles = context.informers.of::<ClusterRole>();
    let queue = Queue::<Key>::new(context.env.clone(), "clusterroleaggregation");
    let (all, looks) = (roles.clone(), queue.clone());
    // Any role may be, or may have been, a part of any other; changes of roles are rare.
    roles.on_change(move |_| {
        for role in all.list().iter().filter(|role| role.aggregation_rule.is_some()) {
            looks.add(Key::of(&**role));
        }
    });
    roles.synced().await;
    let shell = Arc::new((context, roles));
    queue
        .run(1, move |key| {
            let shell = shell.clone();
            async move {
                let (context, roles) = &*shell;
                let Some(role) = roles.at(&key) else { return Ok(Next::Done) };
                let Some(rules) = plan::plan(&role, &roles.list()) else { return Ok(Next::Done) };
                let applied = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
                    "metadata": {"name": key.name, "resourceVersion": role.metadata.resource_version}, "rules": rules});
                let written = context.client.apply::<ClusterRole>("", &key.name, FIELD_MANAGER, applied).await;
                match written {
                    Err(error) if error.is_not_found() => Ok(Next::Done),
                    other => other.map(|_| Next::Done),
                }
            }
        })
        .await;
}
