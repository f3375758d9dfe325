//! Follows definitions: gives them names, serves them, cleans up after them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Weak};
use std::time::Duration;

use cox_api::{Body, Request, Resource, Status, Verb};
use cox_env::Env;
use cox_store::{Event, EventKind, Interest, Watcher};
use futures::StreamExt;
use serde_json::Value;

use super::{PREFIX, cleanup, names};
use crate::server::ApiServer;
use crate::start;

/// What couldn't be done is tried again after this time.
const AGAIN: Duration = Duration::from_millis(500);

/// What is known of definitions.
pub(super) struct Keeper {
    known: BTreeMap<String, Arc<Value>>,
    /// Those to be looked at.
    due: BTreeSet<String>,
    watcher: Option<Watcher>,
}

/// Follows definitions for as long as the server lives.
pub(super) async fn keep(env: Env, server: Weak<ApiServer>, mut keeper: Keeper) {
    loop {
        // Nothing of the server is held while there is nothing to do.
        let watcher = match &mut keeper.watcher {
            Some(watcher) => watcher,
            None => {
                env.sleep(AGAIN).await;
                let Some(server) = server.upgrade() else { return };
                keeper.begin(&server).await;
                continue;
            }
        };
        let event = if keeper.due.is_empty() {
            watcher.next().await
        } else {
            tokio::select! {
                biased;
                event = watcher.next() => event,
                () = env.sleep(AGAIN) => {
                    let Some(server) = server.upgrade() else { return };
                    keeper.settle(&server).await;
                    continue;
                }
            }
        };
        let Some(server) = server.upgrade() else { return };
        match event {
            Some(Ok(event)) => {
                keeper.see(&server, &event);
                keeper.settle(&server).await;
            }
            Some(Err(cox_store::Error::Closed)) | None => return,
            // Cut off: begin anew with what is there.
            Some(Err(_)) => keeper.watcher = None,
        }
    }
}

impl Keeper {
    pub fn new() -> Keeper {
        Keeper { known: BTreeMap::new(), due: BTreeSet::new(), watcher: None }
    }

    /// Takes in everything that is there.
    pub async fn begin(&mut self, server: &ApiServer) {
        let db = server.db();
        let snapshot = db.snapshot(PREFIX);
        self.watcher = db.store().watch(PREFIX, snapshot.revision(), Interest::all(), None).ok();
        let now: BTreeMap<String, Arc<Value>> =
            snapshot.iter().map(|(_, object)| (object.name().to_owned(), object.parsed().clone())).collect();
        for (name, gone) in &self.known {
            if !now.contains_key(name) {
                forget(server, gone);
            }
        }
        self.due.extend(now.keys().cloned());
        self.known = now;
        self.settle(server).await;
    }

    fn see(&mut self, server: &ApiServer, event: &Event) {
        let name = event.object.name().to_owned();
        let value = event.object.parsed().clone();
        if event.kind == EventKind::Deleted {
            self.known.remove(&name);
            self.due.remove(&name);
            forget(server, &value);
            // Its names are free for others.
            let others =
                self.known.iter().filter(|(_, other)| other["spec"]["group"] == value["spec"]["group"]);
            self.due.extend(others.map(|(name, _)| name.clone()));
        } else {
            self.known.insert(name.clone(), value);
            self.due.insert(name);
        }
    }

    /// Brings what is due in order; what fails stays due.
    async fn settle(&mut self, server: &ApiServer) {
        self.settle_due(server).await;
        if let Err(error) = start::api_services::settle(server).await {
            tracing::warn!(%error, "APIServices of definitions");
        }
    }

    async fn settle_due(&mut self, server: &ApiServer) {
        for name in std::mem::take(&mut self.due) {
            let Some(definition) = self.known.get(&name).cloned() else { continue };
            match self.one(server, &definition).await {
                Ok(Settled { written, waits }) => {
                    if waits {
                        self.due.insert(name.clone());
                    }
                    if let Some(now) = written {
                        self.known.insert(name, Arc::new(now));
                    }
                }
                Err(status) if status.is_not_found() || status.is_conflict() => {
                    // Something newer is on its way.
                }
                Err(status) => {
                    tracing::warn!(definition = name, error = %status, "a definition can't be brought in order");
                    self.due.insert(name);
                }
            }
        }
    }

    async fn one(&self, server: &ApiServer, definition: &Value) -> Result<Settled, Status> {
        let others: Vec<&Value> = self.known.values().map(|value| &**value).collect();
        let mut now = definition.clone();
        now["status"] = names::status(definition, &others, &server.env().now_rfc3339());
        if names::is(&now["status"], "Established")
            && let Err(full) = server.definitions().serve(&now)
        {
            now["status"] = names::not_served(definition, &full.to_string(), &server.env().now_rfc3339());
        }
        let changed = now["status"] != definition["status"];
        if changed {
            write_status(server, &now).await?;
        }
        let deleted = !definition["metadata"]["deletionTimestamp"].is_null();
        // Whatever keeps its objects: the definition is looked at again.
        let gone = !deleted
            || cleanup::clean_up(server, definition).await.unwrap_or_else(|status| {
                let name = definition["metadata"]["name"].as_str();
                tracing::warn!(definition = name, error = %status, "objects can't be deleted");
                false
            });
        let waits = !gone;
        Ok(Settled { written: changed.then_some(now), waits })
    }
}

/// What became of a definition that was looked at.
struct Settled {
    /// As it is then, where it was written.
    written: Option<Value>,
    /// Whether it waits for its objects to go.
    waits: bool,
}

fn forget(server: &ApiServer, definition: &Value) {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let names = &definition["status"]["acceptedNames"];
    server.definitions().forget(&text(&definition["spec"]["group"]), &text(&names["plural"]));
}

/// The resource of definitions.
pub(super) fn resource() -> Resource {
    Resource::new("apiextensions.k8s.io", "v1", "customresourcedefinitions")
}

async fn write_status(server: &ApiServer, definition: &Value) -> Result<(), Status> {
    let name = definition["metadata"]["name"].as_str().unwrap_or_default();
    let request = Request::new(Verb::Update, resource())
        .name(name)
        .subresource("status")
        .body(Body::Json(definition.clone()));
    start::call(server, request).await.map(drop)
}
