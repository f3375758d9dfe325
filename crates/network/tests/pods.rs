//! Pods on one node: addresses, reachability, restarts, and that nothing stays behind.

mod support;

use std::collections::BTreeSet;

use cox_network::{HostPort, NodeNetwork, Protocol};
use cox_sys::netlink::{Nft, Rtnl, netns};
use support::*;

#[test]
fn pods_reach_each_other_and_the_node() {
    world(|| async {
        let dir = tempfile::tempdir().unwrap();
        let network = NodeNetwork::start(config(dir.path())).await.unwrap();
        let a = attach(&network, "a").await;
        let b = attach(&network, "b").await;
        assert_ne!(a.ip, b.ip);
        serve(&b.netns_path, 80, "b");
        // The client's address is kept between pods.
        assert_eq!(ask(&a.netns_path, b.ip, 80).unwrap(), ("b".into(), a.ip));
        // From the node, and to the node.
        let gateway = network.config().gateway_address();
        assert_eq!(ask_here((b.ip, 80).into(), PATIENCE).unwrap(), ("b".into(), gateway));
        serve_on(std::net::TcpListener::bind((gateway, 6443)).unwrap(), "node");
        assert_eq!(ask(&a.netns_path, gateway, 6443).unwrap(), ("node".into(), a.ip));
        // Its own loopback.
        serve(&a.netns_path, 81, "a");
        assert_eq!(ask(&a.netns_path, ip("127.0.0.1"), 81).unwrap().0, "a");
        // An address of the pod CIDR that no pod has is refused by routing, sooner or later, not answered.
        assert!(ask_briefly(&a.netns_path, ip("10.42.0.250"), 80).is_err());
        network.close().await.unwrap();
        NodeNetwork::purge(config(dir.path())).await.unwrap();
    });
}

#[test]
fn asked_twice_it_is_the_same_and_detached_twice_is_fine() {
    world(|| async {
        let dir = tempfile::tempdir().unwrap();
        let network = NodeNetwork::start(config(dir.path())).await.unwrap();
        let a = attach(&network, "a").await;
        assert_eq!(attach(&network, "a").await, a);
        assert_eq!(network.list().await.unwrap(), std::slice::from_ref(&a));
        network.detach("a").await.unwrap();
        network.detach("a").await.unwrap();
        network.detach("never").await.unwrap();
        assert_eq!(network.list().await.unwrap(), []);
        // An address rests before it is used again.
        assert_ne!(attach(&network, "a").await.ip, a.ip);
        network.close().await.unwrap();
        assert!(!netns::is_pinned(&a.netns_path).unwrap());
    });
}

#[test]
fn a_restart_finds_its_pods_and_removes_the_rest() {
    world(|| async {
        let dir = tempfile::tempdir().unwrap();
        let network = NodeNetwork::start(config(dir.path())).await.unwrap();
        let a = attach(&network, "a").await;
        let b = attach(&network, "b").await;
        let c = attach(&network, "c").await;
        network.close().await.unwrap();
        // As if the machine had lost one of them.
        netns::unpin(&c.netns_path).unwrap();

        let network = NodeNetwork::start(config(dir.path())).await.unwrap();
        let live = ["a", "c", "unknown"].map(String::from).into_iter().collect::<BTreeSet<_>>();
        let found = network.reconcile(live).await.unwrap();
        assert_eq!(found.kept, std::slice::from_ref(&a));
        assert_eq!(found.lost, ["c", "unknown"]);
        assert_eq!(found.removed, ["b"]);
        assert_eq!(attach(&network, "a").await, a);
        serve(&a.netns_path, 80, "a");
        let d = attach(&network, "d").await;
        assert_eq!(ask(&d.netns_path, a.ip, 80).unwrap(), ("a".into(), d.ip));
        network.close().await.unwrap();
        assert!(!netns::is_pinned(&b.netns_path).unwrap());
        assert!(!interfaces().contains(&b.node_interface));
        assert!(!interfaces().contains(&c.node_interface));
    });
}

#[test]
fn a_used_network_is_never_given_to_another_pod() {
    world(|| async {
        let dir = tempfile::tempdir().unwrap();
        let mut config = config(dir.path());
        config.pod_cidr = "10.42.0.0/29".parse().unwrap();
        let network = NodeNetwork::start(config).await.unwrap();
        // Five addresses; ten pods come and go, each with a network nobody had.
        for round in 0..10 {
            let pod = attach(&network, &format!("p{round}")).await;
            // It fails where someone else serves already.
            serve(&pod.netns_path, 80, "x");
            network.detach(&pod.owner).await.unwrap();
        }
        let mut pods = Vec::new();
        for n in 0..5 {
            pods.push(attach(&network, &format!("q{n}")).await.ip);
        }
        assert_eq!(pods.iter().collect::<BTreeSet<_>>().len(), 5);
        let full = network
            .attach(cox_network::AttachRequest { owner: "one-more".into(), host_ports: vec![] })
            .await
            .unwrap_err();
        assert_eq!(full.to_string(), "no address left in the pod CIDR 10.42.0.0/29");
        network.detach("q0").await.unwrap();
        assert_eq!(attach(&network, "one-more").await.ip, pods[0]);
        network.close().await.unwrap();
    });
}

#[test]
fn host_ports_lead_to_the_pod() {
    world(|| async {
        let dir = tempfile::tempdir().unwrap();
        let network = NodeNetwork::start(config(dir.path())).await.unwrap();
        let port = |host_ip: Option<&str>, host_port, protocol| HostPort {
            host_ip: host_ip.map(ip),
            host_port,
            pod_port: 80,
            protocol,
        };
        let web = attach_with(&network, "web", vec![port(None, 8080, Protocol::Tcp)]).await;
        let local = attach_with(&network, "local", vec![port(Some("127.0.0.1"), 8081, Protocol::Tcp)]).await;
        let other = attach_with(&network, "other", vec![port(Some("10.42.0.1"), 8081, Protocol::Tcp)]).await;
        for pod in [&web, &local, &other] {
            serve(&pod.netns_path, 80, &pod.owner);
        }
        let gateway = ip("10.42.0.1");
        let client = attach(&network, "client").await;
        assert_eq!(ask(&client.netns_path, gateway, 8080).unwrap(), ("web".into(), client.ip));
        // The pod itself.
        assert_eq!(ask(&web.netns_path, gateway, 8080).unwrap().0, "web");
        // The node, also by its loopback address.
        assert_eq!(ask_here((gateway, 8080).into(), PATIENCE).unwrap().0, "web");
        assert_eq!(ask_here((ip("127.0.0.1"), 8080).into(), PATIENCE).unwrap().0, "web");
        assert_eq!(ask_here((ip("127.0.0.1"), 8081).into(), PATIENCE).unwrap().0, "local");
        assert_eq!(ask_here((gateway, 8081).into(), PATIENCE).unwrap().0, "other");

        let taken = network
            .attach(cox_network::AttachRequest {
                owner: "late".into(),
                host_ports: vec![port(None, 8080, Protocol::Tcp)],
            })
            .await
            .unwrap_err();
        assert_eq!(taken.to_string(), "host port 8080/TCP is already used by pod web");

        // A restart keeps them, the pod's end closes them.
        network.close().await.unwrap();
        let network = NodeNetwork::start(config(dir.path())).await.unwrap();
        assert_eq!(ask_here((gateway, 8080).into(), PATIENCE).unwrap().0, "web");
        network.detach("web").await.unwrap();
        assert!(ask_here((gateway, 8080).into(), PATIENCE).is_err());
        network.close().await.unwrap();
    });
}

#[test]
fn a_burst_of_a_hundred() {
    world(|| async {
        let dir = tempfile::tempdir().unwrap();
        let network = NodeNetwork::start(config(dir.path())).await.unwrap();
        let mut tasks = Vec::new();
        for n in 0..100 {
            let network = network.clone();
            tasks.push(tokio::spawn(async move { attach(&network, &format!("p{n}")).await }));
        }
        let mut pods = Vec::new();
        for task in tasks {
            pods.push(task.await.unwrap());
        }
        assert_eq!(pods.iter().map(|p| p.ip).collect::<BTreeSet<_>>().len(), 100);
        let (first, last) = (&pods[0], &pods[99]);
        serve(&last.netns_path, 80, "last");
        assert_eq!(ask(&first.netns_path, last.ip, 80).unwrap(), ("last".into(), first.ip));
        for pod in &pods {
            network.detach(&pod.owner).await.unwrap();
        }
        network.close().await.unwrap();
        // What is left is ready for the next.
        assert!(interfaces().len() <= 1 + 2 + 2, "{:?}", interfaces());
    });
}

#[test]
fn purge_leaves_nothing() {
    world(|| async {
        let dir = tempfile::tempdir().unwrap();
        let network = NodeNetwork::start(config(dir.path())).await.unwrap();
        let a = attach(&network, "a").await;
        network.close().await.unwrap();
        assert!(!interfaces().is_empty());
        NodeNetwork::purge(config(dir.path())).await.unwrap();
        assert_eq!(interfaces(), Vec::<String>::new());
        assert!(!a.netns_path.exists());
        assert!(!dir.path().join("net").exists());
        assert_eq!(Nft::open().unwrap().table("cox-t1").unwrap(), None);
        let routes = Rtnl::open().unwrap().routes().unwrap();
        assert_eq!(routes, []);
        // Again, with nothing there.
        NodeNetwork::purge(config(dir.path())).await.unwrap();
    });
}

#[test]
fn ipv6_and_nonsense_are_refused_by_field() {
    world(|| async {
        let dir = tempfile::tempdir().unwrap();
        let mut six = config(dir.path());
        six.pod_cidr = "fd00::/64".parse().unwrap();
        let error = NodeNetwork::start(six).await.err().unwrap().to_string();
        assert_eq!(error, "podCIDR: IPv6 is not supported yet (got fd00::)");
        let mut outside = config(dir.path());
        outside.pod_cidr = "10.50.0.0/24".parse().unwrap();
        let error = NodeNetwork::start(outside).await.err().unwrap().to_string();
        assert_eq!(error, "clusterCIDR: 10.42.0.0/16 does not contain the pod CIDR 10.50.0.0/24");
        assert_eq!(interfaces(), Vec::<String>::new());
    });
}
