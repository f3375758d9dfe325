//! Forwarding of services on one node.

mod support;

use std::collections::BTreeSet;
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use cox_network::{Endpoint, NodeNetwork, PodNetwork, Protocol, ServicePortKey, TrafficPolicy};
use cox_sys::netlink::Nft;
use support::*;

const VIP: &str = "10.43.0.10";

fn local(pod: &PodNetwork) -> Endpoint {
    Endpoint::ready(pod.ip, 8080, true)
}

/// The names of the servers that answer over many connections.
fn answers(from: &PodNetwork, vip: &str, port: u16) -> BTreeSet<String> {
    (0..40).map(|_| ask(&from.netns_path, ip(vip), port).unwrap().0).collect()
}

#[test]
fn a_cluster_ip_spreads_over_its_endpoints_and_follows_them() {
    world(|| async {
        let dir = tempfile::tempdir().unwrap();
        let network = NodeNetwork::start(config(dir.path())).await.unwrap();
        let client = attach(&network, "client").await;
        let mut pods = Vec::new();
        for name in ["a", "b", "c"] {
            let pod = attach(&network, name).await;
            serve(&pod.netns_path, 8080, name);
            pods.push(pod);
        }
        let both = vec![local(&pods[0]), local(&pods[1])];
        let applied = network.apply_services(services([(key("web"), service(VIP, 80, both))])).await.unwrap();
        assert!(applied.full);
        assert_eq!(answers(&client, VIP, 80), BTreeSet::from(["a".into(), "b".into()]));
        // Pods see the client's address; the node is a client as well.
        assert_eq!(ask(&client.netns_path, ip(VIP), 80).unwrap().1, client.ip);
        assert!(["a", "b"].contains(&ask_here((ip(VIP), 80).into(), PATIENCE).unwrap().0.as_str()));

        // Another endpoint, more of them, fewer of them.
        let steps: [&[usize]; 4] = [&[1, 2], &[0, 1, 2], &[2], &[0, 1]];
        for step in steps {
            let endpoints = step.iter().map(|n| local(&pods[*n])).collect();
            let desired = services([(key("web"), service(VIP, 80, endpoints))]);
            let applied = network.apply_services(desired.clone()).await.unwrap();
            assert_eq!((applied.full, applied.changed), (false, 1));
            let expected: BTreeSet<String> = step.iter().map(|n| pods[*n].owner.clone()).collect();
            assert_eq!(answers(&client, VIP, 80), expected);
            assert_eq!(network.apply_services(desired).await.unwrap().changed, 0);
        }

        // A second service beside it, then the first one gone.
        let desired = services([
            (key("web"), service(VIP, 80, vec![local(&pods[0])])),
            (key("other"), service("10.43.0.11", 81, vec![local(&pods[2])])),
        ]);
        network.apply_services(desired).await.unwrap();
        assert_eq!(answers(&client, "10.43.0.11", 81), BTreeSet::from(["c".into()]));
        let desired = services([(key("other"), service("10.43.0.11", 81, vec![local(&pods[2])]))]);
        network.apply_services(desired).await.unwrap();
        assert!(ask_briefly(&client.netns_path, ip(VIP), 80).is_err());
        network.close().await.unwrap();
    });
}

#[test]
fn addresses_of_more_prefixes_are_as_good_as_those_of_the_first() {
    world(|| async {
        const FAR: &str = "10.44.0.10";
        let dir = tempfile::tempdir().unwrap();
        let network = NodeNetwork::start(config(dir.path())).await.unwrap();
        let pod = attach(&network, "a").await;
        let client = attach(&network, "client").await;
        serve(&pod.netns_path, 8080, "a");
        let desired = || services([(key("web"), service(FAR, 80, vec![local(&pod)]))]);
        network.apply_services(desired()).await.unwrap();
        assert_eq!(answers(&client, FAR, 80), BTreeSet::from(["a".into()]));
        let unreachable = || {
            let refused = ask_here((ip(FAR), 80).into(), SILENCE).unwrap_err();
            refused.kind() == std::io::ErrorKind::NetworkUnreachable
        };
        assert!(unreachable(), "there is no route of any kind");

        // Before and after the table is written anew, and by a process that finds it.
        let more = || BTreeSet::from(["10.44.0.0/24".parse().unwrap(), "10.43.7.0/24".parse().unwrap()]);
        assert_eq!(network.set_service_cidrs(more()).await.unwrap(), []);
        ask_here((ip(FAR), 80).into(), PATIENCE).unwrap();
        // An address that no service has leads nowhere, not even to whoever is behind the default route.
        assert!(ask_briefly(&client.netns_path, ip("10.44.0.11"), 80).is_err());
        network.close().await.unwrap();
        let network = NodeNetwork::start(config(dir.path())).await.unwrap();
        assert_eq!(network.set_service_cidrs(more()).await.unwrap(), []);
        network.apply_services(desired()).await.unwrap();
        ask_here((ip(FAR), 80).into(), PATIENCE).unwrap();
        assert_eq!(network.set_service_cidrs(BTreeSet::new()).await.unwrap(), []);
        assert!(unreachable());

        // What pods and the machine need stays theirs.
        let refused = network
            .set_service_cidrs(
                ["10.42.3.0/24", "10.0.0.0/8", "fd00::/64"].map(|cidr| cidr.parse().unwrap()).into(),
            )
            .await
            .unwrap();
        assert_eq!(refused.len(), 3, "{refused:?}");
        assert_eq!(answers(&client, FAR, 80), BTreeSet::from(["a".into()]));
        network.close().await.unwrap();
    });
}

#[test]
fn a_pod_reaches_itself_through_its_service() {
    world(|| async {
        let dir = tempfile::tempdir().unwrap();
        let network = NodeNetwork::start(config(dir.path())).await.unwrap();
        let pod = attach(&network, "a").await;
        serve(&pod.netns_path, 8080, "a");
        network.apply_services(services([(key("web"), service(VIP, 80, vec![local(&pod)]))])).await.unwrap();
        let (name, seen) = ask(&pod.netns_path, ip(VIP), 80).unwrap();
        assert_eq!(name, "a");
        assert_ne!(seen, pod.ip, "its own address would be answered inside the pod");
        network.close().await.unwrap();
    });
}

#[test]
fn without_endpoints_clients_are_refused_at_once() {
    world(|| async {
        let dir = tempfile::tempdir().unwrap();
        let network = NodeNetwork::start(config(dir.path())).await.unwrap();
        let client = attach(&network, "client").await;
        let mut web = service(VIP, 80, vec![]);
        web.node_port = Some(30_080);
        network.apply_services(services([(key("web"), web.clone())])).await.unwrap();
        let refused = std::io::ErrorKind::ConnectionRefused;
        let gateway = network.config().gateway_address();
        for (address, port) in [(ip(VIP), 80), (ip(VIP), 81), (gateway, 30_080)] {
            assert_eq!(
                ask(&client.netns_path, address, port).unwrap_err().kind(),
                refused,
                "{address}:{port}"
            );
            assert_eq!(ask_here((address, port).into(), PATIENCE).unwrap_err().kind(), refused);
        }
        // An address that no service has is silence.
        let silent = ask_briefly(&client.netns_path, ip("10.43.9.9"), 80).unwrap_err();
        assert_eq!(silent.kind(), std::io::ErrorKind::TimedOut);

        // Endpoints come, endpoints go.
        let pod = attach(&network, "a").await;
        serve(&pod.netns_path, 8080, "a");
        web.endpoints = vec![local(&pod)];
        network.apply_services(services([(key("web"), web.clone())])).await.unwrap();
        assert_eq!(ask(&client.netns_path, ip(VIP), 80).unwrap().0, "a");
        assert_eq!(ask(&client.netns_path, gateway, 30_080).unwrap().0, "a");
        web.endpoints.clear();
        network.apply_services(services([(key("web"), web)])).await.unwrap();
        assert_eq!(ask(&client.netns_path, ip(VIP), 80).unwrap_err().kind(), refused);
        network.close().await.unwrap();
    });
}

#[test]
fn node_ports_external_ips_and_policies() {
    world(|| async {
        let dir = tempfile::tempdir().unwrap();
        let network = NodeNetwork::start(config(dir.path())).await.unwrap();
        let client = attach(&network, "client").await;
        let pod = attach(&network, "a").await;
        serve(&pod.netns_path, 8080, "a");
        let gateway = network.config().gateway_address();
        let mut web = service(VIP, 80, vec![local(&pod)]);
        web.node_port = Some(30_080);
        web.external_ips = vec![ip("10.43.200.1")];
        web.load_balancer_ips = vec![ip("10.43.200.2")];
        network.apply_services(services([(key("web"), web.clone())])).await.unwrap();
        for (address, port) in [(gateway, 30_080), (ip("10.43.200.1"), 80), (ip("10.43.200.2"), 80)] {
            let (name, seen) = ask(&client.netns_path, address, port).unwrap();
            // From outside by policy Cluster the node's address is what the pod sees.
            assert_eq!((name.as_str(), seen == client.ip), ("a", false), "{address}:{port}");
        }
        assert_eq!(ask_here((ip("127.0.0.1"), 30_080).into(), PATIENCE).unwrap().0, "a");

        web.external_traffic_policy = TrafficPolicy::Local;
        network.apply_services(services([(key("web"), web.clone())])).await.unwrap();
        assert_eq!(ask(&client.netns_path, gateway, 30_080).unwrap(), ("a".into(), client.ip));

        // Source ranges let in who is in them.
        web.external_traffic_policy = TrafficPolicy::Cluster;
        web.load_balancer_source_ranges = vec!["192.0.2.0/24".parse().unwrap()];
        network.apply_services(services([(key("web"), web.clone())])).await.unwrap();
        assert!(ask_briefly(&client.netns_path, ip("10.43.200.2"), 80).is_err());
        web.load_balancer_source_ranges.push("10.42.0.0/16".parse().unwrap());
        network.apply_services(services([(key("web"), web.clone())])).await.unwrap();
        assert_eq!(ask(&client.netns_path, ip("10.43.200.2"), 80).unwrap().0, "a");

        // Endpoints on other nodes only: silence for internal policy Local.
        web.internal_traffic_policy = TrafficPolicy::Local;
        web.endpoints = vec![Endpoint::ready(ip("10.42.7.7"), 8080, false)];
        network.apply_services(services([(key("web"), web)])).await.unwrap();
        let silent = ask_briefly(&client.netns_path, ip(VIP), 80).unwrap_err();
        assert_eq!(silent.kind(), std::io::ErrorKind::TimedOut);
        network.close().await.unwrap();
    });
}

#[test]
fn a_client_stays_with_its_endpoint() {
    world(|| async {
        let dir = tempfile::tempdir().unwrap();
        let network = NodeNetwork::start(config(dir.path())).await.unwrap();
        let mut pods = Vec::new();
        for name in ["a", "b", "c", "d"] {
            let pod = attach(&network, name).await;
            serve(&pod.netns_path, 8080, name);
            pods.push(pod);
        }
        let client = attach(&network, "client").await;
        let mut web = service(VIP, 80, pods.iter().map(local).collect());
        web.client_ip_affinity = Some(Duration::from_secs(10_800));
        web.node_port = Some(30_080);
        network.apply_services(services([(key("web"), web.clone())])).await.unwrap();
        let first = answers(&client, VIP, 80);
        assert_eq!(first.len(), 1);
        assert_eq!(answers(&client, "10.42.0.1", 30_080), first, "the same by the node's port");
        // Its endpoint goes: it goes to another one, and stays there.
        let gone = first.first().unwrap();
        web.endpoints = pods.iter().filter(|p| p.owner != *gone).map(local).collect();
        network.apply_services(services([(key("web"), web)])).await.unwrap();
        let second = answers(&client, VIP, 80);
        assert_eq!(second.len(), 1);
        assert_ne!(first, second);
        network.close().await.unwrap();
    });
}

#[test]
fn a_udp_flow_moves_when_its_endpoint_goes() {
    world(|| async {
        let dir = tempfile::tempdir().unwrap();
        let network = NodeNetwork::start(config(dir.path())).await.unwrap();
        let (a, b) = (attach(&network, "a").await, attach(&network, "b").await);
        serve_udp(&a.netns_path, 8080, "a");
        serve_udp(&b.netns_path, 8080, "b");
        let client = attach(&network, "client").await;
        let socket = inside(&client.netns_path, || UdpSocket::bind("0.0.0.0:0").unwrap());
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.connect(SocketAddr::new(ip(VIP), 53)).unwrap();
        let ask = || {
            let mut buffer = [0; 64];
            socket.send(b"?").unwrap();
            let length = socket.recv(&mut buffer).unwrap();
            parse(std::str::from_utf8(&buffer[..length]).unwrap()).0
        };
        let udp = ServicePortKey { protocol: Protocol::Udp, ..key("dns") };
        network.apply_services(services([(udp.clone(), service(VIP, 53, vec![local(&a)]))])).await.unwrap();
        assert_eq!(ask(), "a");
        let applied =
            network.apply_services(services([(udp, service(VIP, 53, vec![local(&b)]))])).await.unwrap();
        assert_eq!(applied.flows_cut, 1);
        assert_eq!(ask(), "b");
        network.close().await.unwrap();
    });
}

#[test]
fn services_outlive_the_process_and_two_may_claim_one_address() {
    world(|| async {
        let dir = tempfile::tempdir().unwrap();
        let network = NodeNetwork::start(config(dir.path())).await.unwrap();
        let (a, b) = (attach(&network, "a").await, attach(&network, "b").await);
        serve(&a.netns_path, 8080, "a");
        serve(&b.netns_path, 8080, "b");
        let mut first = service(VIP, 80, vec![local(&a)]);
        first.external_ips = vec![ip("10.43.200.1")];
        let mut second = service("10.43.0.11", 80, vec![local(&b)]);
        second.external_ips = vec![ip("10.43.200.1")];
        let mut six = service("fd00::1", 80, vec![]);
        six.node_port = Some(30_080);
        let desired = services([(key("first"), first), (key("second"), second), (key("six"), six)]);
        let applied = network.apply_services(desired.clone()).await.unwrap();
        let refused: Vec<String> = applied.refused.iter().map(|(key, why)| format!("{key}: {why}")).collect();
        let expected = [
            "default/second:http/TCP: 10.43.200.1:80 is taken by another service",
            "default/six:http/TCP: spec.clusterIPs: IPv6 is not supported yet (got fd00::1)",
        ];
        assert_eq!(refused, expected);
        assert_eq!(answers(&b, "10.43.200.1", 80), BTreeSet::from(["a".into()]));
        assert_eq!(answers(&a, "10.43.0.11", 80), BTreeSet::from(["b".into()]));
        network.close().await.unwrap();

        // Before anything is said of services they are as they were.
        let network = NodeNetwork::start(config(dir.path())).await.unwrap();
        assert_eq!(answers(&b, VIP, 80), BTreeSet::from(["a".into()]));
        assert!(network.apply_services(desired).await.unwrap().full);
        assert_eq!(answers(&b, VIP, 80), BTreeSet::from(["a".into()]));
        network.apply_services(services([])).await.unwrap();
        assert!(ask_briefly(&b.netns_path, ip(VIP), 80).is_err());
        network.close().await.unwrap();
    });
}

/// How many elements each set has, and the names of the chains.
fn kernel_state() -> (Vec<usize>, Vec<String>) {
    let mut nft = Nft::open().unwrap();
    let sets = [
        "services",
        "service-ids",
        "node-ports",
        "node-port-ids",
        "endpoints",
        "affine-endpoints",
        "no-endpoints",
        "no-endpoints-node",
        "cluster-ips",
        "hairpin",
    ];
    let counts = sets.map(|set| nft.element_keys("cox-t1", set).unwrap().len()).to_vec();
    let mut chains = nft.chains("cox-t1").unwrap();
    chains.sort();
    (counts, chains)
}

#[test]
fn changes_leave_the_kernel_as_a_fresh_load_would() {
    world(|| async {
        let dir = tempfile::tempdir().unwrap();
        let network = NodeNetwork::start(config(dir.path())).await.unwrap();
        network.apply_services(services([])).await.unwrap();
        let empty = kernel_state();
        assert_eq!(empty.0.iter().sum::<usize>(), 0);

        // Services of all sorts, each of which changes its sort with the step.
        let desired = |step: u16| {
            services((0..24u16).filter(|n| !(n + step).is_multiple_of(7)).map(|n| {
                let sort = n + step;
                let endpoints = (0..sort % 4)
                    .map(|e| {
                        Endpoint::ready(ip(&format!("10.42.{}.{}", e % 2, 100 + n + e)), 8080, e % 2 == 0)
                    })
                    .collect();
                let mut one = service(&format!("10.43.0.{}", 10 + n), 80, endpoints);
                one.node_port = sort.is_multiple_of(2).then_some(30_000 + n);
                one.client_ip_affinity = sort.is_multiple_of(3).then_some(Duration::from_secs(60));
                if sort.is_multiple_of(5) {
                    one.external_traffic_policy = TrafficPolicy::Local;
                    one.external_ips = vec![ip(&format!("192.0.2.{n}"))];
                }
                if sort.is_multiple_of(6) {
                    one.load_balancer_ips = vec![ip(&format!("198.51.100.{n}"))];
                    one.load_balancer_source_ranges = vec!["192.0.2.0/24".parse().unwrap()];
                }
                (key(&format!("s{n:02}")), one)
            }))
        };
        for step in 0..20 {
            assert!(!network.apply_services(desired(step)).await.unwrap().full);
        }
        let changed = kernel_state();
        network.close().await.unwrap();
        let network = NodeNetwork::start(config(dir.path())).await.unwrap();
        assert!(network.apply_services(desired(19)).await.unwrap().full);
        assert_eq!(kernel_state(), changed);
        network.apply_services(services([])).await.unwrap();
        assert_eq!(kernel_state(), empty);
        network.close().await.unwrap();
    });
}
