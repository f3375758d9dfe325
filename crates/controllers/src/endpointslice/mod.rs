//! EndpointSlices of Services with a selector.

pub(crate) mod plan;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use cox_client::{DeleteOptions, EventType, Key, Next, Queue, Reader, Result, Selector, revision_of};
use k8s_openapi::api::core::v1::{Node, Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;

use crate::common::context::Context;
use crate::common::owner::{name, namespace, uid};
use crate::common::{services, trigger};
use plan::{Input, MANAGED_BY, MANAGER, Plan, SERVICE_NAME};

/// Keys looked at together, as upstream's `--concurrent-service-endpoint-syncs`.
const WORKERS: usize = 5;

/// Runs the controller for as long as the component lives. `endpoints_max` as upstream's
/// `--max-endpoints-per-slice`.
pub(crate) async fn run(context: Context, endpoints_max: usize) {
    let all_services = context.informers.of::<Service>();
    let pods = context.informers.of::<Pod>();
    let slices = context.informers.of::<EndpointSlice>();
    let nodes = context.informers.of::<Node>();
    let queue = Queue::<Key>::new(context.env.clone(), "endpointslice");
    trigger::on_itself(&all_services, &queue);
    services::on_pods(&pods, &all_services, &queue);
    let slices_queue = queue.clone();
    slices.on_change(move |change| {
        let metadata = &change.latest().metadata;
        let labels = metadata.labels.as_ref();
        let service = labels.and_then(|labels| labels.get(SERVICE_NAME));
        if let Some(service) = service.filter(|_| is_ours(change.latest())) {
            slices_queue.add(Key::new(metadata.namespace.as_deref().unwrap_or(""), service));
        }
    });
    for informer in [all_services.informed(), pods.informed(), slices.informed(), nodes.informed()] {
        informer.synced().await;
    }
    let shell = Arc::new(Shell { context, services: all_services, pods, slices, nodes, endpoints_max });
    queue
        .run(WORKERS, move |key| {
            let shell = shell.clone();
            async move { shell.sync(&key).await }
        })
        .await;
}

fn is_ours(slice: &EndpointSlice) -> bool {
    slice.metadata.labels.as_ref().and_then(|labels| labels.get(MANAGED_BY)).is_some_and(|by| by == MANAGER)
}

struct Shell {
    context: Context,
    services: Reader<Service>,
    pods: Reader<Pod>,
    slices: Reader<EndpointSlice>,
    nodes: Reader<Node>,
    endpoints_max: usize,
}

impl Shell {
    async fn sync(&self, key: &Key) -> Result<Next> {
        let labels = [(SERVICE_NAME, &*key.name), (MANAGED_BY, MANAGER)];
        let labels = labels.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
        let slices = self.slices.selected(&key.namespace, &Selector::of_map(Some(&labels)));
        let Some(service) = self.services.at(key) else {
            // The garbage collector would do it as well, later.
            let plan = Plan { delete: slices, ..Plan::default() };
            return self.execute(plan).await.map(|()| Next::Done);
        };
        if service.metadata.deletion_timestamp.is_some() {
            return Ok(Next::Done);
        }
        let Some(selector) = services::selector(&service) else { return Ok(Next::Done) };
        let pods = self.pods.selected(&key.namespace, &selector);
        let input =
            Input { service: &service, pods: &pods, slices: &slices, endpoints_max: self.endpoints_max };
        let plan = plan::plan(&input, |node| self.nodes.get("", node));
        if let Err(error) = self.execute(plan).await {
            if error.is_namespace_terminating() || error.is_conflict() {
                return if error.is_conflict() { Err(error) } else { Ok(Next::Done) };
            }
            let message =
                format!("Error updating Endpoint Slices for Service {}/{}: {error}", key.namespace, key.name);
            self.context.events.event(&*service, EventType::Warning, "FailedToUpdateEndpointSlices", message);
            return Err(error);
        }
        Ok(Next::Done)
    }

    async fn execute(&self, plan: Plan) -> Result<()> {
        let client = &self.context.client;
        for slice in &plan.update {
            let written = client.update(slice).await?;
            self.slices.wait_until_seen(revision_of(&*written)).await;
        }
        for slice in &plan.create {
            let written = client.create(slice).await?;
            self.slices.wait_until_seen(revision_of(&*written)).await;
        }
        for slice in &plan.delete {
            let options = DeleteOptions::uid(uid(&**slice));
            match client.delete::<EndpointSlice>(namespace(&**slice), name(&**slice), &options).await {
                Ok(_) => self.slices.wait_until_deleted(&Key::of(&**slice), uid(&**slice)).await,
                Err(error) if error.is_not_found() || error.is_conflict() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
