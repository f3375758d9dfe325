//! Several nodes on one machine.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::net::TcpListener;

use cox_network::{
    Endpoint, Fabric, FabricConfig, FabricNode, HostPort, NetId, Netns, NodeNetConfig, NodeNetwork, Protocol,
};
use cox_sys::netlink::{Nft, Rtnl, netns};
use support::*;

fn fabric_config(dir: &std::path::Path) -> FabricConfig {
    FabricConfig {
        id: "f1".parse().unwrap(),
        subnet: "10.41.0.0/24".parse().unwrap(),
        cluster_cidr: "10.42.0.0/16".parse().unwrap(),
        mtu: 1400,
        state_dir: dir.join("fabric"),
    }
}

fn node_config(dir: &std::path::Path, node: &FabricNode) -> NodeNetConfig {
    NodeNetConfig {
        id: node.id.clone(),
        netns: Netns::Path(node.netns_path.clone()),
        pod_cidr: node.pod_cidr,
        node_ip: node.ip,
        state_dir: dir.join(node.id.as_str()),
        ..config(dir)
    }
}

fn id(text: &str) -> NetId {
    text.parse().unwrap()
}

/// Two nodes with routes to each other.
async fn two_nodes(dir: &std::path::Path, fabric: &Fabric) -> [NodeNetwork; 2] {
    let mut networks = Vec::new();
    for (name, address, pods) in [("n1", "10.41.0.2", "10.42.1.0/24"), ("n2", "10.41.0.3", "10.42.2.0/24")] {
        let node = fabric.add_node(id(name), ip(address), pods.parse().unwrap()).await.unwrap();
        networks.push(NodeNetwork::start(node_config(dir, &node)).await.unwrap());
    }
    let routes: BTreeMap<_, _> = networks.iter().map(|n| (n.config().pod_cidr, n.config().node_ip)).collect();
    for network in &networks {
        network.set_peer_routes(routes.clone()).await.unwrap();
    }
    networks.try_into().ok().unwrap()
}

#[test]
fn pods_of_two_nodes_reach_each_other_services_and_the_process() {
    world(|| async {
        let dir = tempfile::tempdir().unwrap();
        let fabric = Fabric::start(fabric_config(dir.path())).await.unwrap();
        let [one, two] = two_nodes(dir.path(), &fabric).await;
        let a = attach(&one, "a").await;
        let b = attach(&two, "b").await;
        serve(&a.netns_path, 8080, "a");
        serve(&b.netns_path, 8080, "b");
        assert_eq!(ask(&a.netns_path, b.ip, 8080).unwrap(), ("b".into(), a.ip));
        assert_eq!(ask(&b.netns_path, a.ip, 8080).unwrap(), ("a".into(), b.ip));
        // The process and pods, both ways; pods leave the cluster as their node.
        assert_eq!(ask_here((b.ip, 8080).into(), PATIENCE).unwrap(), ("b".into(), fabric.address()));
        serve_on(TcpListener::bind((fabric.address(), 6443)).unwrap(), "api");
        let seen = ask(&a.netns_path, fabric.address(), 6443).unwrap();
        assert_eq!(seen, ("api".into(), one.config().node_ip));

        // A service with an endpoint on each node and one that is the process itself.
        for network in [&one, &two] {
            let local = |pod: &cox_network::PodNetwork| {
                Endpoint::ready(pod.ip, 8080, network.config().pod_cidr.contains(pod.ip))
            };
            let mut web = service("10.43.0.10", 80, vec![local(&a), local(&b)]);
            web.node_port = Some(30_080);
            let api = service("10.43.0.1", 443, vec![Endpoint::ready(fabric.address(), 6443, false)]);
            network.apply_services(services([(key("web"), web), (key("api"), api)])).await.unwrap();
        }
        for client in [&a, &b] {
            let names: BTreeSet<String> =
                (0..40).map(|_| ask(&client.netns_path, ip("10.43.0.10"), 80).unwrap().0).collect();
            assert_eq!(names, BTreeSet::from(["a".into(), "b".into()]));
            assert_eq!(ask(&client.netns_path, ip("10.43.0.1"), 443).unwrap().0, "api");
        }
        // From the process: node ports of either node, and cluster IPs by way of one.
        for network in [&one, &two] {
            for _ in 0..10 {
                ask_here((network.config().node_ip, 30_080).into(), PATIENCE).unwrap();
            }
        }
        // From a node's own namespace.
        for _ in 0..10 {
            ask(&fabric.netns_path(&id("n1")), ip("10.43.0.10"), 80).unwrap();
        }
        fabric.route_services("10.43.0.0/16".parse().unwrap(), &id("n1")).await.unwrap();
        for _ in 0..10 {
            ask_here((ip("10.43.0.10"), 80).into(), PATIENCE).unwrap();
        }
        for network in [one, two] {
            network.close().await.unwrap();
        }
    });
}

#[test]
fn a_stopped_node_is_silent_and_comes_back() {
    world(|| async {
        let dir = tempfile::tempdir().unwrap();
        let fabric = Fabric::start(fabric_config(dir.path())).await.unwrap();
        let [one, two] = two_nodes(dir.path(), &fabric).await;
        let a = attach(&one, "a").await;
        let b = attach(&two, "b").await;
        serve(&b.netns_path, 8080, "b");
        assert!(ask(&a.netns_path, b.ip, 8080).is_ok());
        fabric.stop_node(&id("n2")).await.unwrap();
        assert!(ask_briefly(&a.netns_path, b.ip, 8080).is_err());
        fabric.start_node(&id("n2")).await.unwrap();
        assert_eq!(ask(&a.netns_path, b.ip, 8080).unwrap(), ("b".into(), a.ip));
        assert!(fabric.stop_node(&id("n9")).await.is_err());
        for network in [one, two] {
            network.close().await.unwrap();
        }
    });
}

#[test]
fn a_restart_finds_the_fabric_and_purge_leaves_nothing() {
    world(|| async {
        let dir = tempfile::tempdir().unwrap();
        let fabric = Fabric::start(fabric_config(dir.path())).await.unwrap();
        let [one, two] = two_nodes(dir.path(), &fabric).await;
        let a = attach(&one, "a").await;
        let b = attach(&two, "b").await;
        serve(&b.netns_path, 8080, "b");
        for network in [&one, &two] {
            network.close().await.unwrap();
        }

        let fabric = Fabric::start(fabric_config(dir.path())).await.unwrap();
        let names: Vec<_> = fabric.nodes().unwrap().into_iter().map(|n| n.id).collect();
        assert_eq!(names, [id("n1"), id("n2")]);
        let [one, two] = two_nodes(dir.path(), &fabric).await;
        assert_eq!(one.list().await.unwrap(), std::slice::from_ref(&a));
        assert_eq!(ask(&a.netns_path, b.ip, 8080).unwrap(), ("b".into(), a.ip));
        // A peer that is gone has no route any more.
        one.set_peer_routes(BTreeMap::new()).await.unwrap();
        let routes = inside(&fabric.netns_path(&id("n1")), || Rtnl::open().unwrap().routes().unwrap());
        assert!(routes.iter().all(|r| r.to != "10.42.2.0".parse::<std::net::Ipv4Addr>().unwrap()));
        assert!(fabric.add_node(id("n3"), ip("10.41.0.2"), "10.42.3.0/24".parse().unwrap()).await.is_err());
        assert!(fabric.add_node(id("n3"), ip("10.50.0.2"), "10.42.3.0/24".parse().unwrap()).await.is_err());

        let configs = [one.config().clone(), two.config().clone()];
        for network in [one, two] {
            network.close().await.unwrap();
        }
        for config in configs {
            NodeNetwork::purge(config).await.unwrap();
        }
        let pinned = fabric.netns_path(&id("n1"));
        Fabric::purge(fabric_config(dir.path())).await.unwrap();
        Fabric::purge(fabric_config(dir.path())).await.unwrap();
        assert_eq!(interfaces(), Vec::<String>::new());
        assert!(!netns::is_pinned(&pinned).unwrap());
        assert_eq!(Nft::open().unwrap().table("cox-fabric-f1").unwrap(), None);
        assert_eq!(Rtnl::open().unwrap().routes().unwrap(), []);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    });
}

#[test]
fn an_unfinished_slot_is_made_anew() {
    world(|| async {
        let dir = tempfile::tempdir().unwrap();
        let mut config = config(dir.path());
        config.ready_slots = 1;
        let network = NodeNetwork::start(config.clone()).await.unwrap();
        attach(&network, "a").await;
        network.close().await.unwrap();
        // As if killed after pinning, before anything else: at the offset that comes next.
        let pins = dir.path().join("net/netns");
        for n in 2..12 {
            let pin = pins.join(format!("10.42.0.{n}"));
            if !pin.exists() {
                netns::create(&pin).unwrap();
            }
        }
        let network = NodeNetwork::start(config).await.unwrap();
        let mut addresses = BTreeSet::new();
        for n in 0..20 {
            let pod = attach(&network, &format!("p{n}")).await;
            serve(&pod.netns_path, 8080, "x");
            assert!(ask_here((pod.ip, 8080).into(), PATIENCE).is_ok());
            addresses.insert(pod.ip);
        }
        assert_eq!(addresses.len(), 20);
        network.close().await.unwrap();
    });
}

#[test]
fn pods_leave_the_machine_with_its_address() {
    world(|| async {
        let dir = tempfile::tempdir().unwrap();
        // Another machine, which knows nothing of pods, nodes and their prefixes.
        let outside = dir.path().join("outside");
        netns::create(&outside).unwrap();
        connect_to(&outside, "192.0.2.1", "192.0.2.2");
        serve(&outside, 80, "outside");

        let fabric = Fabric::start(fabric_config(dir.path())).await.unwrap();
        let [one, two] = two_nodes(dir.path(), &fabric).await;
        let a = attach(&one, "a").await;
        assert_eq!(ask(&a.netns_path, ip("192.0.2.2"), 80).unwrap(), ("outside".into(), ip("192.0.2.1")));
        // An endpoint outside the cluster, behind a service.
        let far = service("10.43.0.10", 81, vec![Endpoint::ready(ip("192.0.2.2"), 80, false)]);
        one.apply_services(services([(key("far"), far)])).await.unwrap();
        assert_eq!(ask(&a.netns_path, ip("10.43.0.10"), 81).unwrap(), ("outside".into(), ip("192.0.2.1")));
        for network in [one, two] {
            network.close().await.unwrap();
        }
    });
}

#[test]
fn pods_of_a_node_in_the_process_namespace_leave_with_its_address() {
    world(|| async {
        let dir = tempfile::tempdir().unwrap();
        let outside = dir.path().join("outside");
        netns::create(&outside).unwrap();
        connect_to(&outside, "192.0.2.1", "192.0.2.2");
        serve(&outside, 80, "outside");
        let network = NodeNetwork::start(config(dir.path())).await.unwrap();
        let a = attach(&network, "a").await;
        assert_eq!(ask(&a.netns_path, ip("192.0.2.2"), 80).unwrap(), ("outside".into(), ip("192.0.2.1")));
        // From outside to a node port, and to a host port that keeps the client's address.
        serve(&a.netns_path, 8080, "a");
        let mut web = service("10.43.0.10", 80, vec![Endpoint::ready(a.ip, 8080, true)]);
        web.node_port = Some(30_080);
        network.apply_services(services([(key("web"), web)])).await.unwrap();
        let (name, seen) = ask(&outside, ip("192.0.2.1"), 30_080).unwrap();
        assert_eq!((name.as_str(), seen == ip("192.0.2.2")), ("a", false));
        let port = HostPort { host_ip: None, host_port: 8081, pod_port: 80, protocol: Protocol::Tcp };
        let b = attach_with(&network, "b", vec![port]).await;
        serve(&b.netns_path, 80, "b");
        assert_eq!(ask(&outside, ip("192.0.2.1"), 8081).unwrap(), ("b".into(), ip("192.0.2.2")));
        network.close().await.unwrap();
    });
}
