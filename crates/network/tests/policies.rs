//! Who may connect to whom.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};

use cox_network::{
    Allow, Fabric, FabricConfig, NetId, Netns, NodeNetConfig, NodeNetwork, Peer, PodNetwork, PodPolicy,
    Policies, Ports, Protocol,
};
use cox_sys::netlink::Nft;
use support::*;

fn tcp(first: u16, last: u16) -> Ports {
    Ports::Range { protocol: Protocol::Tcp, first, last }
}

fn allow(peer: Peer, ports: Ports) -> Allow {
    Allow::Connections { peer, ports }
}

fn group(name: &str) -> Peer {
    Peer::Group(name.into())
}

fn block(cidr: &str, except: &[&str]) -> Peer {
    Peer::Block {
        cidr: cidr.parse().unwrap(),
        except: except.iter().map(|text| text.parse().unwrap()).collect(),
    }
}

fn ingress<const N: usize>(allowed: [Allow; N]) -> PodPolicy {
    PodPolicy { ingress: Some(allowed.into()), egress: None }
}

fn egress<const N: usize>(allowed: [Allow; N]) -> PodPolicy {
    PodPolicy { ingress: None, egress: Some(allowed.into()) }
}

fn policies(pods: impl IntoIterator<Item = (&'static str, PodPolicy)>) -> Policies {
    Policies {
        pods: pods.into_iter().map(|(owner, policy)| (owner.to_owned(), policy)).collect(),
        ..Policies::default()
    }
}

/// Whether a connection comes about, where that is expected: it may take as long as a busy machine needs.
fn reaches(from: &PodNetwork, to: &PodNetwork, port: u16) -> bool {
    ask(&from.netns_path, to.ip, port).is_ok()
}

/// Whether none comes about, where that is expected.
fn is_cut_off(from: &PodNetwork, to: &PodNetwork, port: u16) -> bool {
    ask_briefly(&from.netns_path, to.ip, port).is_err()
}

#[test]
fn an_isolated_pod_takes_what_is_allowed_and_replies() {
    world(|| async {
        let dir = tempfile::tempdir().unwrap();
        let network = NodeNetwork::start(config(dir.path())).await.unwrap();
        let (web, friend, other) = (
            attach(&network, "web").await,
            attach(&network, "friend").await,
            attach(&network, "other").await,
        );
        for port in [80, 81, 443] {
            serve(&web.netns_path, port, "web");
        }
        serve(&other.netns_path, 80, "other");
        let echo = inside(&web.netns_path, || TcpListener::bind((Ipv4Addr::UNSPECIFIED, 7)).unwrap());
        std::thread::spawn(move || {
            let (mut stream, _) = echo.accept().unwrap();
            let mut byte = [0];
            while stream.read_exact(&mut byte).is_ok() {
                stream.write_all(&byte).unwrap();
            }
        });
        // Before anything is said everything is open.
        let mut open = inside(&other.netns_path, || TcpStream::connect((web.ip, 7)).unwrap());
        let echoes = |open: &mut TcpStream| {
            open.write_all(b"x").unwrap();
            open.set_read_timeout(Some(PATIENCE)).unwrap();
            open.read_exact(&mut [0]).is_ok()
        };
        assert!(echoes(&mut open));

        let applied = network.apply_policies(policies([("web", ingress([]))])).await.unwrap();
        assert!(applied.full);
        assert!(is_cut_off(&friend, &web, 80) && is_cut_off(&other, &web, 80));
        assert!(echoes(&mut open), "what was let through goes on");
        // Its own connections and their replies, itself, and the node.
        assert!(reaches(&web, &other, 80) && reaches(&web, &web, 80));
        assert_eq!(ask_here(SocketAddr::new(web.ip, 80), PATIENCE).unwrap().0, "web");

        // One peer, one port and a range; rules add up.
        let mut some = policies([(
            "web",
            ingress([allow(group("friends"), tcp(80, 80)), allow(block("10.42.0.0/24", &[]), tcp(440, 450))]),
        )]);
        some.peers.insert("friends".into(), BTreeSet::from([friend.ip, ip("fd00::1")]));
        let applied = network.apply_policies(some.clone()).await.unwrap();
        assert!(!applied.full);
        assert!(reaches(&friend, &web, 80) && is_cut_off(&other, &web, 80));
        assert!(is_cut_off(&friend, &web, 81));
        assert!(reaches(&friend, &web, 443) && reaches(&other, &web, 443));
        // Another peer is an element, and nothing else.
        some.peers.insert("friends".into(), BTreeSet::from([friend.ip, other.ip]));
        let applied = network.apply_policies(some).await.unwrap();
        assert_eq!((applied.elements, applied.chains), (1, 0));
        assert!(reaches(&other, &web, 80));

        network.apply_policies(Policies::default()).await.unwrap();
        assert!(reaches(&other, &web, 81));
        network.close().await.unwrap();
    });
}

#[test]
fn egress_is_judged_by_the_pod_behind_a_service() {
    world(|| async {
        let dir = tempfile::tempdir().unwrap();
        let network = NodeNetwork::start(config(dir.path())).await.unwrap();
        let (web, db, client) =
            (attach(&network, "web").await, attach(&network, "db").await, attach(&network, "client").await);
        serve(&web.netns_path, 8080, "web");
        serve(&db.netns_path, 8080, "db");
        serve(&client.netns_path, 8080, "client");
        let of = |pod: &PodNetwork| vec![cox_network::Endpoint::ready(pod.ip, 8080, true)];
        let mut own = service("10.43.0.12", 80, of(&client));
        own.node_port = Some(30_080);
        network
            .apply_services(services([
                (key("web"), service("10.43.0.10", 80, of(&web))),
                (key("db"), service("10.43.0.11", 80, of(&db))),
                (key("own"), own),
            ]))
            .await
            .unwrap();
        let mut desired = policies([("client", egress([allow(group("web"), tcp(8080, 8080))]))]);
        desired.peers.insert("web".into(), BTreeSet::from([web.ip]));
        network.apply_policies(desired).await.unwrap();
        let by = |vip: &str, port| ask(&client.netns_path, ip(vip), port).unwrap().0;
        let is_cut_off_by = |vip: &str| ask_briefly(&client.netns_path, ip(vip), 80).is_err();
        assert_eq!(by("10.43.0.10", 80), "web");
        assert!(is_cut_off_by("10.43.0.11"));
        assert!(reaches(&client, &web, 8080) && is_cut_off(&client, &db, 8080));
        // Others reach it, as it isn't isolated for ingress, and it reaches itself, also by its service.
        assert!(reaches(&db, &client, 8080));
        assert_eq!(by("10.43.0.12", 80), "client");
        assert_eq!(by("10.42.0.1", 30_080), "client");
        // The address of a service is not that of a peer.
        network
            .apply_policies(policies([("client", egress([allow(block("10.43.0.0/16", &[]), Ports::All)]))]))
            .await
            .unwrap();
        assert!(is_cut_off_by("10.43.0.10"));
        // Both sides must agree.
        let both = policies([
            ("client", egress([allow(Peer::Anyone, Ports::Protocol(Protocol::Tcp))])),
            ("web", ingress([])),
        ]);
        network.apply_policies(both).await.unwrap();
        assert!(is_cut_off(&client, &web, 8080) && reaches(&client, &db, 8080));
        // Writing the services anew opens nothing.
        network.apply_services(services([])).await.unwrap();
        assert!(is_cut_off(&client, &web, 8080));
        network.close().await.unwrap();
    });
}

#[test]
fn blocks_protocols_and_ports_of_peers() {
    world(|| async {
        let dir = tempfile::tempdir().unwrap();
        let network = NodeNetwork::start(config(dir.path())).await.unwrap();
        let (web, db, client) =
            (attach(&network, "web").await, attach(&network, "db").await, attach(&network, "client").await);
        for pod in [&web, &db] {
            serve(&pod.netns_path, 80, "tcp");
            serve(&pod.netns_path, 81, "tcp");
            serve_udp(&pod.netns_path, 80, "udp");
        }
        let udp = |pod: &PodNetwork, patience| {
            // A flow of its own each time: one that was let through goes on.
            let socket = inside(&client.netns_path, || UdpSocket::bind("0.0.0.0:0").unwrap());
            socket.set_read_timeout(Some(patience)).unwrap();
            // A refusal may be told to the sender.
            socket.send_to(b"?", SocketAddr::new(pod.ip, 80)).is_ok() && socket.recv(&mut [0; 64]).is_ok()
        };
        assert!(udp(&web, PATIENCE));

        let db_alone = format!("{}/32", db.ip);
        for (name, allowed, expected) in [
            (
                "all but one",
                allow(block("10.42.0.0/24", &[&db_alone]), Ports::All),
                [true, true, true, false, false],
            ),
            (
                "a protocol",
                allow(Peer::Anyone, Ports::Protocol(Protocol::Udp)),
                [false, false, true, false, true],
            ),
            ("a range", allow(Peer::Anyone, tcp(81, 90)), [false, true, false, false, false]),
            ("named ports", Allow::Endpoints("named".into()), [true, false, false, false, true]),
            ("IPv6", allow(block("::/0", &[]), Ports::All), [false; 5]),
        ] {
            let mut desired = policies([("client", egress([allowed]))]);
            desired.endpoints.insert(
                "named".into(),
                BTreeSet::from([(web.ip, Protocol::Tcp, 80), (db.ip, Protocol::Udp, 80)]),
            );
            network.apply_policies(desired).await.unwrap();
            let tcp = |to, port, patience| {
                let to: &PodNetwork = to;
                inside(&client.netns_path, || ask_here((to.ip, port).into(), patience)).is_ok()
            };
            let patience = expected.map(|expected| if expected { PATIENCE } else { SILENCE });
            let found = [
                tcp(&web, 80, patience[0]),
                tcp(&web, 81, patience[1]),
                udp(&web, patience[2]),
                tcp(&db, 80, patience[3]),
                udp(&db, patience[4]),
            ];
            assert_eq!(found, expected, "{name}");
        }
        network.close().await.unwrap();
    });
}

#[test]
fn a_pod_is_isolated_from_its_start_and_across_restarts() {
    world(|| async {
        let dir = tempfile::tempdir().unwrap();
        let network = NodeNetwork::start(config(dir.path())).await.unwrap();
        let client = attach(&network, "client").await;
        network.apply_policies(policies([("web", ingress([]))])).await.unwrap();
        let web = attach(&network, "web").await;
        serve(&web.netns_path, 80, "web");
        assert!(is_cut_off(&client, &web, 80));
        network.close().await.unwrap();

        // Before anything is said of policies they are as they were.
        let network = NodeNetwork::start(config(dir.path())).await.unwrap();
        assert!(is_cut_off(&client, &web, 80));
        assert!(network.apply_policies(policies([("web", ingress([]))])).await.unwrap().full);
        assert!(is_cut_off(&client, &web, 80));
        // What ends leaves nothing, and the next of that name starts isolated.
        network.detach("web").await.unwrap();
        assert_eq!(kernel_state().0.iter().sum::<usize>(), 0);
        let web = attach(&network, "web").await;
        serve(&web.netns_path, 80, "web");
        assert!(is_cut_off(&client, &web, 80));
        // Groups that aren't there are refused, and change nothing.
        let bad = policies([("web", ingress([allow(group("no"), Ports::All)]))]);
        let error = network.apply_policies(bad).await.unwrap_err();
        assert_eq!(error.to_string(), "policies: there is no group no");
        assert!(is_cut_off(&client, &web, 80));
        network.close().await.unwrap();
        NodeNetwork::purge(config(dir.path())).await.unwrap();
        assert_eq!(Nft::open().unwrap().table("cox-t1-policies").unwrap(), None);
    });
}

/// How many elements each set has, and how many chains there are.
fn kernel_state() -> (Vec<usize>, usize) {
    let mut nft = Nft::open().unwrap();
    let sets = ["egress", "ingress", "itself", "peers", "endpoints"];
    let counts = sets.map(|set| nft.element_keys("cox-t1-policies", set).unwrap().len()).to_vec();
    (counts, nft.chains("cox-t1-policies").unwrap().len())
}

#[test]
fn changes_leave_the_kernel_as_a_fresh_load_would() {
    world(|| async {
        let dir = tempfile::tempdir().unwrap();
        let network = NodeNetwork::start(config(dir.path())).await.unwrap();
        network.apply_policies(Policies::default()).await.unwrap();
        let empty = kernel_state();
        let names = ["a", "b", "c", "d", "e"];
        // Pods come and go, change their rules and the members of their groups, with every step.
        let desired = |step: usize| {
            let mut desired = Policies::default();
            for (at, name) in names.iter().enumerate() {
                let sort = at + step;
                let peers = format!("peers-{}", sort % 3);
                let named = format!("named-{}", sort % 2);
                let allowed = BTreeSet::from([
                    allow(Peer::Group(peers.clone()), tcp(80, 80 + sort as u16 % 4)),
                    Allow::Endpoints(named.clone()),
                ]);
                let member = ip(&format!("10.42.0.{}", 100 + sort));
                desired.peers.entry(peers).or_default().insert(member);
                desired.endpoints.entry(named).or_default().insert((member, Protocol::Tcp, 80));
                let policy = PodPolicy {
                    ingress: (!sort.is_multiple_of(3)).then(|| allowed.clone()),
                    egress: (!sort.is_multiple_of(4)).then_some(allowed),
                };
                if !sort.is_multiple_of(5) {
                    desired.pods.insert((*name).to_owned(), policy);
                }
            }
            desired
        };
        for step in 0..20 {
            assert!(!network.apply_policies(desired(step)).await.unwrap().full);
            let name = names[step % names.len()];
            if step.is_multiple_of(2) {
                attach(&network, name).await;
            } else {
                network.detach(name).await.unwrap();
            }
        }
        let changed = kernel_state();
        network.close().await.unwrap();
        let network = NodeNetwork::start(config(dir.path())).await.unwrap();
        assert!(network.apply_policies(desired(19)).await.unwrap().full);
        assert_eq!(kernel_state(), changed);
        network.apply_policies(Policies::default()).await.unwrap();
        assert_eq!(kernel_state(), empty);
        network.close().await.unwrap();
    });
}

#[test]
fn pods_of_other_nodes_are_known_by_their_addresses() {
    world(|| async {
        let dir = tempfile::tempdir().unwrap();
        let fabric = Fabric::start(FabricConfig {
            id: "f1".parse().unwrap(),
            subnet: "10.41.0.0/24".parse().unwrap(),
            cluster_cidr: "10.42.0.0/16".parse().unwrap(),
            mtu: 1400,
            state_dir: dir.path().join("fabric"),
        })
        .await
        .unwrap();
        let mut nodes = Vec::new();
        for (name, address, pods) in
            [("n1", "10.41.0.2", "10.42.1.0/24"), ("n2", "10.41.0.3", "10.42.2.0/24")]
        {
            let id: NetId = name.parse().unwrap();
            let node = fabric.add_node(id, ip(address), pods.parse().unwrap()).await.unwrap();
            let config = NodeNetConfig {
                id: node.id.clone(),
                netns: Netns::Path(node.netns_path.clone()),
                pod_cidr: node.pod_cidr,
                node_ip: node.ip,
                state_dir: dir.path().join(name),
                ..config(dir.path())
            };
            nodes.push(NodeNetwork::start(config).await.unwrap());
        }
        let routes: BTreeMap<_, _> =
            nodes.iter().map(|n| (n.config().pod_cidr, n.config().node_ip)).collect();
        for node in &nodes {
            node.set_peer_routes(routes.clone()).await.unwrap();
        }
        let web = attach(&nodes[0], "web").await;
        let (friend, other) = (attach(&nodes[1], "friend").await, attach(&nodes[1], "other").await);
        for pod in [&web, &friend, &other] {
            serve(&pod.netns_path, 80, "pod");
        }
        for node in &nodes {
            let local = node.config().pod_cidr.contains(web.ip);
            let endpoints = vec![cox_network::Endpoint::ready(web.ip, 80, local)];
            node.apply_services(services([(key("web"), service("10.43.0.10", 80, endpoints))]))
                .await
                .unwrap();
        }
        let mut desired = policies([("web", ingress([allow(group("friends"), Ports::All)]))]);
        desired.peers.insert("friends".into(), BTreeSet::from([friend.ip]));
        nodes[0].apply_policies(desired).await.unwrap();
        assert!(reaches(&friend, &web, 80) && ask(&friend.netns_path, ip("10.43.0.10"), 80).is_ok());
        assert!(
            is_cut_off(&other, &web, 80) && ask_briefly(&other.netns_path, ip("10.43.0.10"), 80).is_err()
        );
        // The node of the pod, not another one.
        assert!(ask(&fabric.netns_path(&"n1".parse().unwrap()), web.ip, 80).is_ok());
        assert!(ask_briefly(&fabric.netns_path(&"n2".parse().unwrap()), web.ip, 80).is_err());
        // Egress is judged where the pod is.
        nodes[0]
            .apply_policies(policies([(
                "web",
                egress([allow(block("10.42.2.0/24", &[&format!("{}/32", other.ip)]), Ports::All)]),
            )]))
            .await
            .unwrap();
        assert!(reaches(&web, &friend, 80) && is_cut_off(&web, &other, 80));
        assert!(reaches(&other, &web, 80));
        for node in nodes {
            node.close().await.unwrap();
        }
    });
}
