//! Prints how long the network of a node takes for what pods and services ask of it, in network and mount
//! namespaces of its own that vanish with it. Needs root: `cargo run --release -p cox-network --example measure`.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::time::{Duration, Instant};

use cox_network::{
    AttachRequest, Endpoint, Netns, NodeNetConfig, NodeNetwork, Protocol, Result, ServicePort,
    ServicePortKey, TrafficPolicy,
};
use cox_sys::netlink::netns;

const SERVICES: u32 = 2_000;
const ENDPOINTS: u32 = 5;
const BURST: usize = 100;
const SINGLE: usize = 50;

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    netns::enter_new_with_mounts()?;
    let dir = tempfile::tempdir()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        pods(dir.path(), 8).await?;
        pods(dir.path(), 0).await?;
        services(dir.path()).await
    })?;
    Ok(())
}

fn config(dir: &Path, ready_slots: usize) -> NodeNetConfig {
    let parse = |text: &str| text.parse().expect("a constant prefix");
    NodeNetConfig {
        id: cox_network::NetId::derive("measure"),
        netns: Netns::Host,
        pod_cidr: parse("10.42.0.0/20"),
        cluster_cidr: parse("10.42.0.0/16"),
        service_cidr: parse("10.43.0.0/16"),
        node_ip: IpAddr::V4(Ipv4Addr::new(10, 42, 0, 1)),
        mtu: 1400,
        state_dir: dir.join("net"),
        ready_slots,
    }
}

fn request(owner: String) -> AttachRequest {
    AttachRequest { owner, host_ports: Vec::new() }
}

fn show(what: &str, mut times: Vec<Duration>) {
    times.sort();
    let at = |share: usize| times[(times.len() - 1) * share / 100];
    println!("{what}: p50 {:.2?}, p99 {:.2?} ({} times)", at(50), at(99), times.len());
}

async fn pods(dir: &Path, ready_slots: usize) -> Result<()> {
    let begin = Instant::now();
    let network = NodeNetwork::start(config(dir, ready_slots)).await?;
    println!("--- {ready_slots} pod networks ready ahead of need; start {:.2?}", begin.elapsed());
    let (mut attaches, mut detaches) = (Vec::new(), Vec::new());
    for n in 0..SINGLE {
        if ready_slots > 0 {
            // One pod at a time, the pool full each time.
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
        let begin = Instant::now();
        network.attach(request(format!("p{n}"))).await?;
        attaches.push(begin.elapsed());
    }
    for n in 0..SINGLE {
        let begin = Instant::now();
        network.detach(&format!("p{n}")).await?;
        detaches.push(begin.elapsed());
    }
    show("attach, one at a time", attaches);
    show("detach", detaches);

    let begin = Instant::now();
    let tasks: Vec<_> = (0..BURST)
        .map(|n| {
            let network = network.clone();
            tokio::spawn(async move {
                network.attach(request(format!("b{n}"))).await?;
                Result::Ok(begin.elapsed())
            })
        })
        .collect();
    let mut times = Vec::new();
    for task in tasks {
        times.push(task.await.expect("the task was not cancelled")?);
    }
    println!("{BURST} attaches at once: {:.2?} until the last", begin.elapsed());
    show("  each, from the start of the burst", times);
    let begin = Instant::now();
    for n in 0..BURST {
        network.detach(&format!("b{n}")).await?;
    }
    let answered = begin.elapsed();
    network.close().await?;
    println!("{BURST} detaches: {answered:.2?}, all gone after {:.2?}", begin.elapsed());
    let begin = Instant::now();
    NodeNetwork::purge(config(dir, ready_slots)).await?;
    println!("purge: {:.2?}", begin.elapsed());
    Ok(())
}

async fn services(dir: &Path) -> Result<()> {
    println!("--- {SERVICES} services with {ENDPOINTS} endpoints each");
    let network = NodeNetwork::start(config(dir, 0)).await?;
    let mut desired: BTreeMap<ServicePortKey, ServicePort> =
        (0..SERVICES).map(|n| (key(n), service(n))).collect();
    let begin = Instant::now();
    let applied = network.apply_services(desired.clone()).await?;
    println!("load: {:.2?}, {} elements in one transaction", begin.elapsed(), applied.elements);

    let mut times = Vec::new();
    for n in 0..100 {
        let changed = desired.get_mut(&key(n * 7)).expect("it was made above");
        changed.endpoints[2] = Endpoint::ready(Ipv4Addr::from_bits(0x0a2a_f000 + n).into(), 8080, false);
        let wanted = desired.clone();
        let begin = Instant::now();
        network.apply_services(wanted).await?;
        times.push(begin.elapsed());
    }
    show("one endpoint replaced", times);
    let mut times = Vec::new();
    for n in 0..100 {
        let changed = desired.get_mut(&key(n * 3)).expect("it was made above");
        if n % 2 == 0 {
            changed.endpoints.pop();
        } else {
            changed.endpoints.push(Endpoint::ready(Ipv4Addr::from_bits(0x0a2a_f800 + n).into(), 8080, false));
        }
        let wanted = desired.clone();
        let begin = Instant::now();
        network.apply_services(wanted).await?;
        times.push(begin.elapsed());
    }
    show("one endpoint more or less", times);
    let begin = Instant::now();
    network.apply_services(desired).await?;
    println!("nothing changed: {:.2?}", begin.elapsed());
    let begin = Instant::now();
    network.apply_services(BTreeMap::new()).await?;
    println!("all removed: {:.2?}", begin.elapsed());
    network.close().await?;
    NodeNetwork::purge(config(dir, 0)).await
}

fn key(n: u32) -> ServicePortKey {
    ServicePortKey {
        namespace: "default".into(),
        name: format!("service-{n:05}"),
        port: "http".into(),
        protocol: Protocol::Tcp,
    }
}

fn service(n: u32) -> ServicePort {
    let endpoint = |e: u32| {
        let address = Ipv4Addr::from_bits(0x0a2a_1000 + n * ENDPOINTS + e);
        Endpoint::ready(IpAddr::V4(address), 8080, false)
    };
    ServicePort {
        cluster_ips: vec![IpAddr::V4(Ipv4Addr::from_bits(0x0a2b_0100 + n))],
        port: 80,
        node_port: None,
        external_ips: Vec::new(),
        load_balancer_ips: Vec::new(),
        load_balancer_source_ranges: Vec::new(),
        client_ip_affinity: None,
        internal_traffic_policy: TrafficPolicy::Cluster,
        external_traffic_policy: TrafficPolicy::Cluster,
        endpoints: (0..ENDPOINTS).map(endpoint).collect(),
    }
}
