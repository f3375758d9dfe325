//! Addresses and ports are given once.

use std::collections::BTreeSet;

use cox_apiserver::ServiceRange;
use serde_json::{Value, json};

use crate::support::World;

fn service(name: &str) -> Value {
    json!({"metadata": {"name": name}, "spec": {"type": "NodePort", "ports": [{"port": 80}]}})
}

fn held(service: &Value) -> (String, u64) {
    let spec = &service["spec"];
    (spec["clusterIP"].as_str().unwrap().to_owned(), spec["ports"][0]["nodePort"].as_u64().unwrap())
}

#[tokio::test]
async fn nobody_shares_even_in_a_crowd_and_after_a_restart() {
    let world = World::new().await;
    let names: Vec<String> = (0..100).map(|at| format!("s{at}")).collect();
    let made =
        futures::future::join_all(names.iter().map(|name| world.create("services", "n", service(name))))
            .await;
    let mut known: BTreeSet<(String, u64)> = BTreeSet::new();
    let (mut addresses, mut ports) = (BTreeSet::new(), BTreeSet::new());
    for service in &made {
        let (address, port) = held(service.as_ref().unwrap());
        assert!(addresses.insert(address.clone()), "{address} twice");
        assert!(ports.insert(port), "{port} twice");
        known.insert((address, port));
    }
    let world = world.restarted().await;
    let (address, port) = known.first().unwrap().clone();
    let mut same = service("again");
    same["spec"]["clusterIP"] = address.as_str().into();
    let refused = world.create("services", "n", same).await.unwrap_err();
    assert!(refused.message().contains("provided IP is already allocated"), "{refused}");
    let mut same = service("again");
    same["spec"]["ports"][0]["nodePort"] = port.into();
    let refused = world.create("services", "n", same).await.unwrap_err();
    assert!(refused.message().contains("provided port is already allocated"), "{refused}");
}

#[tokio::test]
async fn what_is_given_back_can_be_given_again() {
    let world = World::with(|config| {
        config.service_range = ServiceRange::parse("10.9.0.0/29").unwrap();
        config.node_ports = 30_000..=30_003;
    })
    .await;
    // Six addresses, one of them the API server's; four ports.
    for at in 0..4 {
        world.create("services", "n", service(&format!("s{at}"))).await.unwrap();
    }
    let full = world.create("services", "n", service("more")).await.unwrap_err();
    assert!(full.message().contains("range is full"), "{full}");
    // The refused one held an address for a moment only.
    let plain = json!({"metadata": {"name": "plain"}, "spec": {"ports": [{"port": 80}]}});
    world.create("services", "n", plain).await.unwrap();
    world.delete("services", "n", "s0", json!({})).await.unwrap();
    let again = world.create("services", "n", service("more")).await.unwrap();
    world.merge("services", "n", "more", json!({"spec": {"type": "ClusterIP"}})).await.unwrap();
    let kept = world.get("services", "n", "more").await.unwrap();
    assert_eq!(kept["spec"]["clusterIP"], again["spec"]["clusterIP"]);
    assert!(kept["spec"]["ports"][0].get("nodePort").is_none());
    world.merge("services", "n", "plain", json!({"spec": {"type": "NodePort"}})).await.unwrap();
}

#[tokio::test]
async fn a_port_of_two_protocols_has_one_number_on_nodes() {
    let world = World::new().await;
    let dns = |node_ports: [u64; 2]| {
        json!({"metadata": {"name": "dns"}, "spec": {"type": "NodePort", "ports": [
            {"name": "t", "port": 53, "nodePort": node_ports[0]},
            {"name": "u", "port": 53, "protocol": "UDP", "nodePort": node_ports[1]}]}})
    };
    for asked in [[0, 0], [0, 30_053], [30_053, 0]] {
        let made = world.create("services", "n", dns(asked)).await.unwrap();
        let ports = &made["spec"]["ports"];
        assert_eq!(ports[0]["nodePort"], ports[1]["nodePort"], "{asked:?}");
        let wanted = asked.into_iter().max().unwrap();
        assert!(wanted == 0 || ports[0]["nodePort"] == wanted, "{asked:?}");
        world.delete("services", "n", "dns", json!({})).await.unwrap();
    }
    // Ports of other numbers don't share one.
    let mut other = dns([30_053, 30_053]);
    other["spec"]["ports"][1]["port"] = 54.into();
    let refused = world.create("services", "n", other).await.unwrap_err();
    assert!(
        refused
            .message()
            .ends_with("spec.ports[1].nodePort: Invalid value: 30053: provided port is already allocated"),
        "{refused}"
    );
    // What was refused holds nothing.
    world.create("services", "n", dns([30_053, 30_053])).await.unwrap();
}

#[tokio::test]
async fn a_port_for_questions_of_health_that_cannot_be_had() {
    let world = World::new().await;
    let balanced = |number: u64| {
        json!({"metadata": {"name": "b"}, "spec": {"type": "LoadBalancer", "externalTrafficPolicy": "Local",
            "healthCheckNodePort": number, "ports": [{"port": 80}]}})
    };
    let refused = world.create("services", "n", balanced(80)).await.unwrap_err();
    assert_eq!(
        refused.message(),
        "Internal error occurred: failed to allocate requested HealthCheck NodePort 80: provided port is not in the valid range. The range of valid ports is 30000-32767"
    );
    let made = world.create("services", "n", balanced(30_080)).await.unwrap();
    assert_eq!(made["spec"]["healthCheckNodePort"], 30_080);
}
