use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use cox_client::fake::FakeApi;
use cox_env::Env;
use cox_network::{Allow, Peer, Policies, Ports, Protocol};
use k8s_openapi::api::core::v1::{Namespace, Pod};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::plan::plan;
use super::{Closed, Gate, InForce};

fn object<T: cox_client::Kind>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

fn pod(name: &str, node: &str, ip: &str, labels: Value) -> Value {
    let (namespace, name) = name.split_once('/').unwrap();
    json!({"metadata": {"namespace": namespace, "name": name, "uid": format!("{namespace}-{name}"), "labels": labels},
        "spec": {"nodeName": node, "containers": []}, "status": {"phase": "Running", "podIP": ip}})
}

fn ports(pod: &mut Value, ports: Value) {
    pod["spec"]["containers"] = json!([{"name": "c", "ports": ports}]);
}

/// Two namespaces; on node `n1` are `a/web`, `a/idle` and a pod of the node's network.
fn pods() -> Vec<Arc<Pod>> {
    let mut web = pod("a/web", "n1", "10.0.0.1", json!({"app": "web"}));
    ports(
        &mut web,
        json!([{"name": "http", "containerPort": 8080}, {"name": "dns", "containerPort": 53, "protocol": "UDP"}]),
    );
    let mut db = pod("a/db", "n2", "10.0.0.2", json!({"app": "db"}));
    ports(&mut db, json!([{"name": "http", "containerPort": 9090}, {"name": "dns", "containerPort": 54}]));
    let mut far = pod("b/web", "n2", "10.0.1.1", json!({"app": "web"}));
    far["spec"]["initContainers"] = json!([{"name": "s", "restartPolicy": "Always",
        "ports": [{"name": "http", "containerPort": 7070}]}, {"name": "i", "ports": [{"name": "http", "containerPort": 1}]}]);
    far["spec"]["containers"] = json!([{"name": "c"}]);
    let mut host = pod("a/host", "n1", "10.9.9.9", json!({"app": "web"}));
    host["spec"]["hostNetwork"] = json!(true);
    let mut done = pod("b/done", "n2", "10.0.1.9", json!({"app": "web"}));
    done["status"]["phase"] = json!("Succeeded");
    let idle = pod("a/idle", "n1", "10.0.0.3", json!({"app": "idle"}));
    [web, db, far, host, done, idle].map(|pod| Arc::new(object(pod))).into()
}

fn namespaces() -> Vec<Arc<Namespace>> {
    ["a", "b"]
        .map(|name| Arc::new(object(json!({"metadata": {"name": name, "labels": {"team": name}}}))))
        .into()
}

fn policy(name: &str, spec: Value) -> Arc<NetworkPolicy> {
    Arc::new(object(json!({"metadata": {"namespace": "a", "name": name}, "spec": spec})))
}

fn planned(specs: &[Value]) -> Policies {
    let policies: Vec<_> =
        specs.iter().enumerate().map(|(at, spec)| policy(&format!("p{at}"), spec.clone())).collect();
    plan(&policies, &pods(), &namespaces(), "n1")
}

/// Whether a connection of `a/web` with a peer is allowed: what the kernel decides by the rules.
fn allowed(planned: &Policies, ingress: bool, peer: &str, protocol: Protocol, port: u16) -> bool {
    let Some(pod) = planned.pods.get("a-web") else { return true };
    let Some(rules) = (if ingress { &pod.ingress } else { &pod.egress }) else { return true };
    let peer: IpAddr = peer.parse().unwrap();
    rules.iter().any(|allow| match allow {
        Allow::Endpoints(name) => planned.endpoints[name].contains(&(peer, protocol, port)),
        Allow::Connections { peer: who, ports } => {
            let fits = match who {
                Peer::Anyone => true,
                Peer::Group(name) => planned.peers[name].contains(&peer),
                Peer::Block { cidr, except } => {
                    cidr.contains(peer) && !except.iter().any(|hole| hole.contains(peer))
                }
            };
            fits && match ports {
                Ports::All => true,
                Ports::Protocol(of) => *of == protocol,
                Ports::Range { protocol: of, first, last } => {
                    *of == protocol && (*first..=*last).contains(&port)
                }
            }
        }
    })
}

const DB: &str = "10.0.0.2";
const IDLE: &str = "10.0.0.3";
const FAR: &str = "10.0.1.1";
const DONE: &str = "10.0.1.9";
const HOST: &str = "10.9.9.9";
const WORLD: &str = "192.0.2.1";
const EVERYONE: [&str; 6] = [DB, IDLE, FAR, DONE, HOST, WORLD];

#[test]
fn peers_are_who_the_selectors_and_blocks_mean() {
    for (peers, expected) in [
        (json!([]), &EVERYONE[..]),
        (json!([{"podSelector": {}}]), &[DB, IDLE]),
        (json!([{"podSelector": {"matchLabels": {"app": "db"}}}]), &[DB]),
        (json!([{"podSelector": {"matchLabels": {"app": "none"}}}]), &[]),
        (json!([{"namespaceSelector": {}}]), &[DB, IDLE, FAR]),
        (json!([{"namespaceSelector": {"matchLabels": {"team": "b"}}}]), &[FAR]),
        // Both in one peer: the pods of those namespaces. In two peers: either.
        (
            json!([{"namespaceSelector": {"matchLabels": {"team": "a"}}, "podSelector": {"matchLabels": {"app": "web"}}}]),
            &[],
        ),
        (
            json!([{"namespaceSelector": {"matchLabels": {"team": "b"}}}, {"podSelector": {"matchLabels": {"app": "db"}}}]),
            &[DB, FAR],
        ),
        (
            json!([{"namespaceSelector": {"matchExpressions": [{"key": "team", "operator": "NotIn", "values": ["a"]}]}}]),
            &[FAR],
        ),
        (json!([{"ipBlock": {"cidr": "192.0.2.0/24"}}]), &[WORLD]),
        (json!([{"ipBlock": {"cidr": "0.0.0.0/0", "except": ["10.0.0.0/8"]}}]), &[WORLD]),
        (json!([{"ipBlock": {"cidr": "::/0"}}]), &[]),
    ] {
        for (direction, field, rules) in [("Ingress", "from", "ingress"), ("Egress", "to", "egress")] {
            let spec = json!({"podSelector": {"matchLabels": {"app": "web"}}, "policyTypes": [direction],
                rules: [{field: peers}]});
            let planned = planned(&[spec]);
            let ingress = direction == "Ingress";
            let found: Vec<&str> = EVERYONE
                .into_iter()
                .filter(|peer| allowed(&planned, ingress, peer, Protocol::Tcp, 80))
                .collect();
            assert_eq!(found, expected, "{rules} {peers}");
            assert!(allowed(&planned, !ingress, WORLD, Protocol::Tcp, 80), "the other direction is open");
        }
    }
}

#[test]
fn ports_are_numbers_ranges_and_names() {
    let numbers = [53, 54, 80, 81, 8080, 9090, 7070];
    let udp = |planned: &Policies, ingress, peer, port| allowed(planned, ingress, peer, Protocol::Udp, port);
    let spec = |ports: &Value| json!({"podSelector": {}, "policyTypes": ["Ingress", "Egress"], "ingress": [{"ports": ports}], "egress": [{"ports": ports}]});
    // TCP from and to `a/db`, UDP from and to it, TCP to `b/web`.
    type Expected = (&'static [u16], &'static [u16], &'static [u16], &'static [u16], &'static [u16]);
    let table: [(Value, Expected); 5] = [
        (json!([{"protocol": "TCP", "port": 80}]), (&[80], &[80], &[], &[], &[80])),
        (json!([{"protocol": "UDP", "port": 80, "endPort": 90}]), (&[], &[], &[80, 81], &[80, 81], &[])),
        (
            json!([{"protocol": "TCP"}]),
            (
                &[53, 54, 80, 81, 8080, 9090, 7070],
                &[53, 54, 80, 81, 8080, 9090, 7070],
                &[],
                &[],
                &[53, 54, 80, 81, 8080, 9090, 7070],
            ),
        ),
        // A name is the pod's own for ingress, the peer's for egress; sidecars have ports as well.
        (json!([{"protocol": "TCP", "port": "http"}]), (&[8080], &[9090], &[], &[], &[7070])),
        (json!([{"protocol": "UDP", "port": "dns"}]), (&[], &[], &[53], &[], &[])),
    ];
    for (ports, (from, to, udp_from, udp_to, far)) in table {
        let planned = planned(&[spec(&ports)]);
        let which =
            |judge: &dyn Fn(u16) -> bool| numbers.into_iter().filter(|port| judge(*port)).collect::<Vec<_>>();
        assert_eq!(which(&|port| allowed(&planned, true, DB, Protocol::Tcp, port)), from, "{ports}");
        assert_eq!(which(&|port| allowed(&planned, false, DB, Protocol::Tcp, port)), to, "{ports}");
        assert_eq!(which(&|port| udp(&planned, true, DB, port)), udp_from, "{ports}");
        assert_eq!(which(&|port| udp(&planned, false, DB, port)), udp_to, "{ports}");
        assert_eq!(which(&|port| allowed(&planned, false, FAR, Protocol::Tcp, port)), far, "{ports}");
    }
}

#[test]
fn names_of_ports_are_those_of_the_peers_that_are_meant() {
    let named = |peers: Value| {
        let planned = planned(&[json!({"podSelector": {}, "policyTypes": ["Egress"],
            "egress": [{"to": peers, "ports": [{"protocol": "TCP", "port": "http"}]}]})]);
        [(DB, 9090), (FAR, 7070)].map(|(peer, port)| allowed(&planned, false, peer, Protocol::Tcp, port))
    };
    assert_eq!(named(json!([])), [true, true]);
    assert_eq!(named(json!([{"podSelector": {}}])), [true, false]);
    assert_eq!(
        named(json!([{"ipBlock": {"cidr": "10.0.0.0/16", "except": ["10.0.0.2/32"]}}])),
        [false, true]
    );
}

#[test]
fn policies_add_up_and_isolate_what_they_select() {
    let all = json!({"podSelector": {}, "policyTypes": ["Ingress"]});
    let one = |app: &str| {
        json!({"podSelector": {"matchLabels": {"app": "web"}}, "policyTypes": ["Ingress"],
            "ingress": [{"from": [{"podSelector": {"matchLabels": {"app": app}}}]}]})
    };
    let closed = planned(std::slice::from_ref(&all));
    let subject: Vec<&str> = closed.pods.keys().map(String::as_str).collect();
    assert_eq!(subject, ["a-idle", "a-web"], "neither other nodes' pods nor those of the node's network");
    assert!(closed.pods.values().all(|pod| pod.ingress == Some(BTreeSet::new()) && pod.egress.is_none()));
    let open = |planned: &Policies| {
        EVERYONE
            .into_iter()
            .filter(|peer| allowed(planned, true, peer, Protocol::Tcp, 80))
            .collect::<Vec<_>>()
    };
    assert_eq!(open(&planned(&[all.clone(), one("db")])), [DB]);
    assert_eq!(open(&planned(&[all.clone(), one("db"), one("idle")])), [DB, IDLE]);
    let everyone = json!({"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{}]});
    assert_eq!(open(&planned(&[all, everyone])), EVERYONE);
    // What selects nobody here is nothing to this node.
    let elsewhere =
        planned(&[json!({"podSelector": {"matchLabels": {"app": "db"}}, "policyTypes": ["Ingress"],
        "ingress": [{"from": [{"podSelector": {}}]}]})]);
    assert_eq!(elsewhere, Policies::default());
}

#[test]
fn rules_of_the_same_peers_share_a_group() {
    let of = |selector: &str| {
        json!({"podSelector": {}, "policyTypes": ["Ingress", "Egress"], "ingress": [{"from": [{selector: {}}]}],
            "egress": [{"to": [{selector: {}}]}]})
    };
    assert_eq!(planned(&[of("podSelector"), of("podSelector")]).peers.len(), 1);
    assert_eq!(planned(&[of("podSelector"), of("namespaceSelector")]).peers.len(), 2);
}

/// A gate in front of a make-believe API, with a policy that selects `a/web`, whose revision it answers with.
fn gate() -> (Gate, watch::Sender<InForce>, u64, Env) {
    let env = Env::simulated(1, "2026-01-01T00:00:00Z".parse().unwrap());
    let api = FakeApi::new(env.clone());
    api.put(&*policy(
        "web",
        json!({"podSelector": {"matchLabels": {"app": "web"}}, "policyTypes": ["Ingress"]}),
    ));
    let revision = api.one::<NetworkPolicy>("a", "web").unwrap().metadata.resource_version.unwrap();
    let (sender, in_force) = watch::channel(InForce::default());
    let gate = Gate { env: env.clone(), client: api.client(), in_force };
    (gate, sender, revision.parse().unwrap(), env)
}

#[tokio::test(start_paused = true)]
async fn a_pod_waits_until_its_policies_are_in_force() {
    let (gate, sender, revision, _env) = gate();
    let (web, idle): (Pod, Pod) = (
        object(pod("a/web", "n1", "", json!({"app": "web"}))),
        object(pod("a/idle", "n1", "", json!({"app": "idle"}))),
    );
    gate.pass(&idle).await.expect("nothing selects it");
    assert!(matches!(gate.pass(&web).await, Err(Closed::Late)));
    let uids = |uids: &[&str]| Some(uids.iter().map(|uid| (*uid).to_owned()).collect());
    for (now, opens) in [
        (InForce { revision: revision - 1, pods: uids(&["a-web"]) }, false),
        (InForce { revision, pods: uids(&["a-idle"]) }, false),
        (InForce { revision, pods: uids(&["a-idle", "a-web"]) }, true),
        // The policy is gone again.
        (InForce { revision: revision + 1, pods: None }, true),
    ] {
        sender.send_replace(now.clone());
        assert_eq!(gate.pass(&web).await.is_ok(), opens, "{now:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_waiting_pod_goes_on_at_once() {
    let (gate, sender, revision, env) = gate();
    let web: Pod = object(pod("a/web", "n1", "", json!({"app": "web"})));
    let begun = env.elapsed();
    let (passed, ()) = tokio::join!(gate.pass(&web), async {
        env.sleep(std::time::Duration::from_secs(1)).await;
        sender.send_replace(InForce { revision, pods: Some(BTreeSet::from(["a-web".to_owned()])) });
    });
    passed.unwrap();
    assert_eq!((env.elapsed() - begun).as_secs(), 1);
}
