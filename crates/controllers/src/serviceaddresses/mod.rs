//! Keeps the addresses of services and their IPAddress objects at one. They are written together, so that only who
//! changes such an object by hand gives this controller work.
//! Source: KEP-1880

mod plan;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use cox_api::kinds::ip_address;
use cox_api::kinds::service_cidr::Block;
use cox_client::{EventRecorder, EventType, Next, Queue, Reader, Result};
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::networking::v1::{IPAddress, ServiceCIDR};

use crate::common::Context;
use crate::common::owner::{name, namespace};
use plan::{About, Act, View, Warning};

/// The component that the events name.
const COMPONENT: &str = "ipallocator-repair-controller";

struct Shell {
    context: Context,
    events: EventRecorder,
    services: Reader<Service>,
    addresses: Reader<IPAddress>,
    cidrs: Reader<ServiceCIDR>,
}

/// What is known of an address, whole.
struct Known {
    holders: Vec<Arc<Service>>,
    object: Option<Arc<IPAddress>>,
    parent: Option<Arc<Service>>,
}

/// Runs the controller for as long as the component lives.
pub(crate) async fn run(context: Context) {
    let services = context.informers.of::<Service>();
    let addresses = context.informers.of::<IPAddress>();
    let cidrs = context.informers.of::<ServiceCIDR>();
    let queue = Queue::<IpAddr>::new(context.env.clone(), "serviceaddresses");
    let on_services = queue.clone();
    services.on_change(move |change| {
        for service in [&change.old, &change.new].into_iter().flatten() {
            plan::addresses(service).for_each(|address| on_services.add(address));
        }
    });
    let on_addresses = queue.clone();
    addresses.on_change(move |change| {
        if let Ok(address) = name(&**change.latest()).parse() {
            on_addresses.add(address);
        }
    });
    services.synced().await;
    addresses.synced().await;
    cidrs.synced().await;
    let events = EventRecorder::new(context.client.clone(), &context.env, COMPONENT, "");
    let shell = Arc::new(Shell { context, events, services, addresses, cidrs });
    queue
        .run(1, move |address| {
            let shell = shell.clone();
            async move { shell.look(address).await }
        })
        .await;
}

impl Shell {
    async fn look(&self, address: IpAddr) -> Result<Next> {
        let known = self.cached(address);
        match self.plan(address, &known) {
            (Act::Nothing, warnings) if warnings.is_empty() => return Ok(Next::Done),
            (Act::Wait(time), _) => return Ok(Next::After(time)),
            _ => {}
        }
        // The caches of services and of addresses aren't of one moment: before anything is done, what is there counts.
        let known = self.live(address, &known).await?;
        let (act, warnings) = self.plan(address, &known);
        for warning in warnings {
            self.warn(&known, warning);
        }
        match act {
            Act::Nothing => {}
            Act::Wait(time) => return Ok(Next::After(time)),
            Act::Make(at) => self.make(address, &known.holders[at]).await?,
            Act::Remake(at) => {
                self.remove(address).await?;
                self.make(address, &known.holders[at]).await?;
            }
            Act::Remove => self.remove(address).await?,
        }
        Ok(Next::Done)
    }

    fn plan(&self, address: IpAddr, known: &Known) -> (Act, Vec<Warning>) {
        let holders: Vec<&Service> = known.holders.iter().map(|service| &**service).collect();
        let cidrs = self.cidrs.list();
        let blocks: Vec<Block> = cidrs
            .iter()
            .flat_map(|cidr| cidr.spec.iter().flat_map(|spec| spec.cidrs.iter().flatten()))
            .filter_map(|text| Block::parse(text))
            .collect();
        plan::plan(&View {
            address,
            holders: &holders,
            object: known.object.as_deref(),
            parent: known.parent.as_deref(),
            blocks: &blocks,
            now: self.context.env.now(),
        })
    }

    fn cached(&self, address: IpAddr) -> Known {
        let object = self.addresses.get("", &address.to_string());
        let parent = object.as_deref().and_then(plan::service_of);
        let parent = parent.and_then(|(namespace, name)| self.services.get(namespace, name));
        let holds = |service: &Service| plan::addresses(service).any(|held| held == address);
        // Mostly the service that the object names is the only one there is.
        let holders = match &parent {
            Some(parent) if holds(parent) => vec![parent.clone()],
            _ => self.services.list().into_iter().filter(|service| holds(service)).collect(),
        };
        Known { holders, object, parent }
    }

    async fn live(&self, address: IpAddr, cached: &Known) -> Result<Known> {
        let client = &self.context.client;
        let object = client.find::<IPAddress>("", &address.to_string()).await?;
        let named = object.as_deref().and_then(plan::service_of);
        let parent = match named {
            Some((namespace, name)) => client.find::<Service>(namespace, name).await?,
            None => None,
        };
        let places: BTreeSet<(&str, &str)> =
            cached.holders.iter().map(|service| (namespace(&**service), name(&**service))).collect();
        let mut holders = Vec::new();
        for (namespace, name) in places {
            let service = client.find::<Service>(namespace, name).await?;
            holders.extend(service.filter(|service| plan::addresses(service).any(|held| held == address)));
        }
        Ok(Known { holders, object, parent })
    }

    fn warn(&self, known: &Known, warning: Warning) {
        let Warning { about, reason, message } = warning;
        match about {
            About::Holder(at) => self.events.event(&*known.holders[at], EventType::Warning, reason, message),
            About::Object => {
                if let Some(object) = &known.object {
                    self.events.event(&**object, EventType::Warning, reason, message);
                }
            }
        }
    }

    async fn make(&self, address: IpAddr, service: &Service) -> Result<()> {
        let value = ip_address::of_service(address, namespace(service), name(service));
        let object: IPAddress = serde_json::from_value(value)
            .map_err(|source| cox_client::Error::Decode { kind: "IPAddress", source })?;
        let written = self.context.client.create(&object).await?;
        self.addresses.wait_until_seen_object(&written).await;
        Ok(())
    }

    async fn remove(&self, address: IpAddr) -> Result<()> {
        let address = address.to_string();
        match self.context.client.delete::<IPAddress>("", &address, &Default::default()).await {
            Ok(_) => Ok(()),
            Err(error) if error.is_not_found() => Ok(()),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::common::testing::{events, object, pass, world};

    #[tokio::test(start_paused = true)]
    async fn what_was_removed_by_hand_comes_back_and_what_leaked_goes() {
        let (api, context) = world();
        api.put::<ServiceCIDR>(&object(
            json!({"metadata": {"name": "kubernetes"}, "spec": {"cidrs": ["10.0.0.0/24"]}}),
        ));
        api.put::<Service>(&object(
            json!({"metadata": {"namespace": "ns", "name": "s"}, "spec": {"clusterIPs": ["10.0.0.7"]}}),
        ));
        api.put::<IPAddress>(&object(ip_address::of_service([10, 0, 0, 7].into(), "ns", "s")));
        let mut leaked = ip_address::of_service([10, 0, 0, 8].into(), "ns", "gone");
        leaked["metadata"]["creationTimestamp"] = context.env.now_rfc3339().into();
        api.put::<IPAddress>(&object(leaked));
        context.env.spawn(run(context.clone()));
        pass(&context, 1).await;
        assert_eq!(events(&api), [""; 0]);
        api.remove::<IPAddress>("", "10.0.0.7");
        pass(&context, 1).await;
        let back = api.one::<IPAddress>("", "10.0.0.7").unwrap();
        assert_eq!(back.spec.parent_ref.name, "s");
        assert!(api.one::<IPAddress>("", "10.0.0.8").is_some());
        pass(&context, 60).await;
        assert!(api.one::<IPAddress>("", "10.0.0.8").is_none());
        assert_eq!(
            events(&api),
            [
                "ClusterIPNotAllocated: Cluster IP [IPv4]: 10.0.0.7 is not allocated; repairing",
                "IPAddressNotAllocated: IPAddress: 10.0.0.8 for Service ns/gone appears to have leaked: cleaning up",
            ]
        );
    }
}
