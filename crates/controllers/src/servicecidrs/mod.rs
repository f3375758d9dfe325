//! Blocks of service addresses: each has a finalizer and a condition `Ready`, and one that is deleted stays until no
//! Service would be left with an address of no block.
//! Source: KEP-1880, <https://kubernetes.io/docs/reference/networking/virtual-ips/#ip-address-objects>

mod plan;

use std::net::IpAddr;
use std::sync::Arc;

use cox_api::PatchKind;
use cox_client::{EventType, Key, Next, Queue, Reader, Result, WriteOptions};
use k8s_openapi::api::networking::v1::{IPAddress, ServiceCIDR};
use serde_json::json;

use crate::common::Context;
use crate::common::owner::name;
use plan::{Ready, Step};

/// Upstream's name, under which the condition is applied.
const MANAGER: &str = "service-cidr-controller";

/// Runs the controller for as long as the component lives.
pub(crate) async fn run(context: Context) {
    let cidrs = context.informers.of::<ServiceCIDR>();
    let addresses = context.informers.of::<IPAddress>();
    let queue = Queue::<Key>::new(context.env.clone(), "servicecidrs");
    let (on_cidrs, all) = (queue.clone(), cidrs.clone());
    cidrs.on_change(move |change| {
        let changed = change.latest();
        on_cidrs.add(Key::of(&**changed));
        // What is deleted may go because another one came.
        if change.old.is_none() {
            let deleted = all.list().into_iter().filter(|cidr| cidr.metadata.deletion_timestamp.is_some());
            deleted.for_each(|cidr| on_cidrs.add(Key::of(&*cidr)));
        }
    });
    let (on_addresses, all) = (queue.clone(), cidrs.clone());
    addresses.on_change(move |change| {
        // One that comes or goes holds a ServiceCIDR or ceases to.
        if change.old.is_some() && change.new.is_some() || !plan::is_of_services(change.latest()) {
            return;
        }
        let Ok(ip) = name(&**change.latest()).parse::<IpAddr>() else { return };
        for cidr in all.list() {
            let deleted = cidr.metadata.deletion_timestamp.is_some();
            if deleted && plan::blocks(&cidr).iter().any(|block| block.gives(ip)) {
                on_addresses.add(Key::of(&*cidr));
            }
        }
    });
    cidrs.synced().await;
    addresses.synced().await;
    let shell = Arc::new((context, cidrs, addresses));
    queue
        .run(1, move |key| {
            let shell = shell.clone();
            async move { look(&shell.0, &shell.1, &shell.2, &key).await }
        })
        .await;
}

async fn look(
    context: &Context,
    cidrs: &Reader<ServiceCIDR>,
    addresses: &Reader<IPAddress>,
    key: &Key,
) -> Result<Next> {
    let Some(cidr) = cidrs.at(key) else { return Ok(Next::Done) };
    for step in plan::plan(&cidr, &cidrs.list(), &addresses.list(), context.env.now()) {
        let written = match step {
            Step::Wait(time) => return Ok(Next::After(time)),
            Step::Hold => finalizers(context, &cidr, true).await,
            Step::Release => finalizers(context, &cidr, false).await,
            Step::Say(ready) => {
                let said = say(context, key, ready).await;
                if said.is_err() && ready.status == "True" {
                    let message = "The ServiceCIDR Status can not be set to Ready=True";
                    context.events.event(&*cidr, EventType::Warning, "KubernetesServiceCIDRError", message);
                }
                said
            }
        };
        match written {
            Ok(written) => cidrs.wait_until_seen_object(&written).await,
            Err(error) if error.is_not_found() => return Ok(Next::Done),
            Err(error) => return Err(error),
        }
    }
    Ok(Next::Done)
}

/// Adds or removes the finalizer. Others may do so with theirs at the same time, which the patch leaves alone.
async fn finalizers(context: &Context, cidr: &ServiceCIDR, hold: bool) -> Result<Arc<ServiceCIDR>> {
    let field = if hold { "finalizers" } else { "$deleteFromPrimitiveList/finalizers" };
    let patch = json!({"metadata": {field: [plan::FINALIZER]}});
    context.client.patch::<ServiceCIDR>("", name(cidr), PatchKind::Strategic, patch).await
}

async fn say(context: &Context, key: &Key, ready: Ready) -> Result<Arc<ServiceCIDR>> {
    let object = json!({"apiVersion": "networking.k8s.io/v1", "kind": "ServiceCIDR",
        "metadata": {"name": key.name},
        "status": {"conditions": [{"type": "Ready", "status": ready.status, "reason": ready.reason,
            "message": ready.message, "lastTransitionTime": context.env.now_rfc3339()}]}});
    let options = WriteOptions::apply_as(MANAGER);
    context
        .client
        .patch_with::<ServiceCIDR>("", &key.name, "status", PatchKind::Apply, object, &options)
        .await
}

#[cfg(test)]
mod tests {
    use cox_api::kinds::ip_address;

    use super::*;
    use crate::common::testing::{object, pass, world};

    #[tokio::test(start_paused = true)]
    async fn one_that_is_deleted_goes_with_its_last_address() {
        let (api, context) = world();
        api.put::<ServiceCIDR>(&object(
            json!({"metadata": {"name": "more"}, "spec": {"cidrs": ["10.0.0.0/24"]}}),
        ));
        api.put::<IPAddress>(&object(ip_address::of_service([10, 0, 0, 7].into(), "ns", "s")));
        context.env.spawn(run(context.clone()));
        pass(&context, 1).await;
        let one = || api.one::<ServiceCIDR>("", "more");
        let ready = || one().unwrap().status.unwrap().conditions.unwrap()[0].clone();
        assert_eq!(one().unwrap().metadata.finalizers.unwrap(), [plan::FINALIZER]);
        assert_eq!(ready().status, "True");
        context.client.delete::<ServiceCIDR>("", "more", &Default::default()).await.unwrap();
        pass(&context, 30).await;
        assert_eq!((ready().status.as_str(), ready().reason.as_str()), ("False", "Terminating"));
        api.remove::<IPAddress>("", "10.0.0.7");
        pass(&context, 1).await;
        assert!(one().is_none());
    }
}
