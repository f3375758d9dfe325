//! Endpoints of Services with a selector: the older form, for clients that don't read slices.

pub(crate) mod plan;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use cox_client::{DeleteOptions, EventType, Key, Next, Queue, Reader, Result};
use k8s_openapi::api::core::v1::{Endpoints, Pod, Service};

use crate::common::context::Context;
use crate::common::owner::uid;
use crate::common::{services, trigger};

/// Keys looked at together, as upstream's `--concurrent-endpoint-syncs`.
const WORKERS: usize = 5;

/// Runs the controller for as long as the component lives.
pub(crate) async fn run(context: Context) {
    let all_services = context.informers.of::<Service>();
    let pods = context.informers.of::<Pod>();
    let endpoints = context.informers.of::<Endpoints>();
    let queue = Queue::<Key>::new(context.env.clone(), "endpoints");
    trigger::on_itself(&all_services, &queue);
    services::on_pods(&pods, &all_services, &queue);
    let deletions = queue.clone();
    endpoints.on_change(move |change| {
        if change.new.is_none() {
            deletions.add(Key::of(&**change.latest()));
        }
    });
    for informer in [all_services.informed(), pods.informed(), endpoints.informed()] {
        informer.synced().await;
    }
    let shell = Arc::new(Shell { context, services: all_services, pods, endpoints });
    queue
        .run(WORKERS, move |key| {
            let shell = shell.clone();
            async move { shell.sync(&key).await }
        })
        .await;
}

struct Shell {
    context: Context,
    services: Reader<Service>,
    pods: Reader<Pod>,
    endpoints: Reader<Endpoints>,
}

impl Shell {
    async fn sync(&self, key: &Key) -> Result<Next> {
        let client = &self.context.client;
        let current = self.endpoints.at(key);
        let Some(service) = self.services.at(key) else {
            // The Endpoints of a Service end with it; others of that name aren't this controller's.
            let ours = current.filter(|endpoints| {
                let labels = endpoints.metadata.labels.as_ref();
                labels.is_some_and(|labels| labels.contains_key("endpoints.kubernetes.io/managed-by"))
            });
            if let Some(endpoints) = ours {
                let options = DeleteOptions::uid(uid(&*endpoints));
                match client.delete::<Endpoints>(&key.namespace, &key.name, &options).await {
                    Ok(_) => {}
                    Err(error) if error.is_not_found() || error.is_conflict() => {}
                    Err(error) => return Err(error),
                }
            }
            return Ok(Next::Done);
        };
        let Some(selector) = services::selector(&service) else { return Ok(Next::Done) };
        let pods = self.pods.selected(&key.namespace, &selector);
        let Some(wanted) = plan::plan(&service, &pods, current.as_deref()) else { return Ok(Next::Done) };
        let fresh = current.is_none();
        let written = if fresh { client.create(&wanted).await } else { client.update(&wanted).await };
        match written {
            Ok(written) => {
                self.endpoints.wait_until_seen_object(&written).await;
                Ok(Next::Done)
            }
            Err(error) if error.is_namespace_terminating() => Ok(Next::Done),
            Err(error) => {
                if !error.is_conflict() && !error.is_already_exists() {
                    let (reason, doing) = if fresh {
                        ("FailedToCreateEndpoint", "create")
                    } else {
                        ("FailedToUpdateEndpoint", "update")
                    };
                    let message = format!("Failed to {doing} endpoint {key}: {error}");
                    self.context.events.event(&wanted, EventType::Warning, reason, message);
                }
                Err(error)
            }
        }
    }
}
