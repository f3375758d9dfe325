//! What goes on beside the requests: objects that change are taken in, seats are divided anew, and the objects that
//! every cluster has are looked after.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use cox_api::{Body, PatchKind, Request, Resource, Verb};
use cox_env::Env;
use cox_store::{Error, Interest};
use futures::StreamExt;
use futures::stream::select_all;
use serde_json::{Value, json};

use super::keep::{self, GROUP, LEVELS, SCHEMAS};
use super::read::Condition;
use crate::server::ApiServer;
use crate::start;

/// How conditions are recorded.
const MANAGER: &str = "api-priority-and-fairness-config-consumer-v1";
/// How often seats are divided anew. Upstream's is the same.
const REBALANCE_EVERY: Duration = Duration::from_secs(10);
/// How often the built-in objects are looked at. Upstream's is the same.
const KEEP_EVERY: Duration = Duration::from_secs(60);
/// After a write that failed.
const RETRY: Duration = Duration::from_secs(1);
/// Nobody's status is written more often in a minute: others may write it too, and see it another way.
const WRITES_A_MINUTE_MAX: usize = 6;
const MINUTE: Duration = Duration::from_secs(60);

/// Takes in what is there; the conditions that aren't written yet.
pub(crate) fn adopt(server: &ApiServer) {
    read(server);
}

fn read(server: &ApiServer) -> Vec<Condition> {
    let all = |prefix| -> Vec<Value> {
        server.db().list(prefix, None).iter().map(|object| object.value()).collect()
    };
    server.service().flow.adopt(&all(LEVELS), &all(SCHEMAS))
}

/// Starts what goes on; it ends with the server.
pub(crate) fn start(server: &Arc<ApiServer>) {
    let env = server.env();
    env.spawn(follow(Arc::downgrade(server)));
    env.spawn(rebalance(env.clone(), Arc::downgrade(server)));
    env.spawn(keep(env.clone(), Arc::downgrade(server)));
}

async fn rebalance(env: Env, server: Weak<ApiServer>) {
    loop {
        env.sleep(REBALANCE_EVERY).await;
        let Some(server) = server.upgrade() else { return };
        server.service().flow.rebalance();
    }
}

async fn keep(env: Env, server: Weak<ApiServer>) {
    loop {
        env.sleep(KEEP_EVERY).await;
        let Some(server) = server.upgrade() else { return };
        if let Err((what, status)) = keep::ensure(&server).await {
            tracing::warn!(what, %status, "an object of flow control");
        }
    }
}

/// Goes by the objects as they change.
async fn follow(server: Weak<ApiServer>) {
    let mut writes = Writes::default();
    loop {
        let Some(up) = server.upgrade() else { return };
        let env = up.env().clone();
        let revision = up.db().revision();
        let watchers =
            [LEVELS, SCHEMAS].map(|prefix| up.db().store().watch(prefix, revision, Interest::all(), None));
        let mut changes = match watchers {
            [Ok(levels), Ok(schemas)] => select_all([levels, schemas]),
            [Err(Error::Closed), _] | [_, Err(Error::Closed)] => return,
            _ => {
                drop(up);
                env.sleep(RETRY).await;
                continue;
            }
        };
        drop(up);
        loop {
            let Some(up) = server.upgrade() else { return };
            let wait = writes.write(&up, read(&up)).await;
            drop(up);
            let event = match wait {
                None => changes.next().await,
                Some(time) => tokio::select! {
                    biased;
                    event = changes.next() => event,
                    () = env.sleep(time) => continue,
                },
            };
            match event {
                Some(Ok(_)) => {}
                None | Some(Err(Error::Closed)) => return,
                // Too slow, or too old: it begins anew.
                Some(Err(_)) => break,
            }
        }
    }
}

/// Writes of conditions, and when they were.
#[derive(Default)]
struct Writes(BTreeMap<String, Vec<Duration>>);

impl Writes {
    /// Whether the status of a schema may be written now.
    fn may(&mut self, now: Duration, schema: &str) -> bool {
        self.0.retain(|_, times| {
            times.retain(|time| now.saturating_sub(*time) < MINUTE);
            !times.is_empty()
        });
        let times = self.0.entry(schema.to_owned()).or_default();
        let may = times.len() < WRITES_A_MINUTE_MAX;
        if may {
            times.push(now);
        }
        may
    }

    /// Writes conditions. After which time what couldn't be written is to be tried again.
    async fn write(&mut self, server: &ApiServer, conditions: Vec<Condition>) -> Option<Duration> {
        let mut again = None;
        for condition in conditions {
            let now = server.env().elapsed();
            if !self.may(now, &condition.schema) {
                again = Some(MINUTE);
                continue;
            }
            let status = json!({"conditions": [{"type": "Dangling", "status": condition.status(),
                "reason": condition.reason(), "message": condition.message,
                "lastTransitionTime": server.env().now_rfc3339()}]});
            let applied = json!({"apiVersion": format!("{GROUP}/v1"), "kind": "FlowSchema",
                "metadata": {"name": condition.schema}, "status": status});
            let mut request = Request::new(Verb::Patch, Resource::new(GROUP, "v1", SCHEMAS))
                .name(&condition.schema)
                .subresource("status")
                .body(Body::Patch(PatchKind::Apply, applied));
            request.options.force = Some(true);
            request.options.field_manager = Some(MANAGER.into());
            match start::call(server, request).await {
                Ok(_) => {}
                // It was deleted meanwhile.
                Err(status) if status.code() == 404 => {}
                Err(status) => {
                    tracing::debug!(schema = condition.schema, %status, "the condition of a FlowSchema");
                    again = again.or(Some(RETRY));
                }
            }
        }
        again
    }
}
