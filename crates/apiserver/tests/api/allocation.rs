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
    let made = futures::future::join_all(names.iter().map(|name| world.create("services", "n", service(name)))).await;
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
