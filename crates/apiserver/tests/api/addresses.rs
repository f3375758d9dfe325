//! Services, the blocks that they get addresses from, and the objects that say who has which address.

use cox_apiserver::ServiceRange;
use serde_json::{Value, json};

use crate::support::World;

const ADDRESSES: &str = "networking.k8s.io/ipaddresses";
const CIDRS: &str = "networking.k8s.io/servicecidrs";

fn service(name: &str) -> Value {
    json!({"metadata": {"name": name}, "spec": {"ports": [{"port": 80}]}})
}

fn at(name: &str, address: &str) -> Value {
    let mut service = service(name);
    service["spec"]["clusterIP"] = address.into();
    service
}

fn address_of(service: &Value) -> String {
    service["spec"]["clusterIP"].as_str().unwrap().to_owned()
}

fn block(name: &str, cidr: &str) -> Value {
    json!({"metadata": {"name": name, "finalizers": ["x.io/held"]}, "spec": {"cidrs": [cidr]}})
}

async fn small() -> World {
    World::with(|config| config.service_range = ServiceRange::parse("10.9.0.0/30").unwrap()).await
}

#[tokio::test]
async fn the_address_of_a_service_is_an_object_that_comes_and_goes_with_it() {
    let world = World::new().await;
    let of_server = world.get(ADDRESSES, "", "10.43.0.1").await.unwrap();
    assert_eq!(of_server["spec"]["parentRef"]["name"], "kubernetes");
    let made = world.create("services", "n", service("s")).await.unwrap();
    let name = address_of(&made);
    let object = world.get(ADDRESSES, "", &name).await.unwrap();
    assert_eq!(
        object["metadata"]["labels"],
        json!({"ipaddress.kubernetes.io/ip-family": "IPv4",
            "ipaddress.kubernetes.io/managed-by": "ipallocator.k8s.io"})
    );
    assert_eq!(object["spec"], json!({"parentRef": {"resource": "services", "namespace": "n", "name": "s"}}));
    assert_eq!(object["metadata"]["managedFields"][0]["manager"], "kube-apiserver");
    assert_eq!(object["metadata"]["resourceVersion"], made["metadata"]["resourceVersion"], "one transaction");
    world.delete("services", "n", "s", json!({})).await.unwrap();
    assert!(world.get(ADDRESSES, "", &name).await.unwrap_err().is_not_found());

    // A service that needs none any more gives its address up.
    let made = world.create("services", "n", service("s")).await.unwrap();
    let name = address_of(&made);
    let external = json!({"spec": {"type": "ExternalName", "externalName": "x.io", "clusterIP": null, "clusterIPs": null}});
    world.merge("services", "n", "s", external).await.unwrap();
    assert!(world.get(ADDRESSES, "", &name).await.unwrap_err().is_not_found());
    world.merge("services", "n", "s", json!({"spec": {"type": "ClusterIP"}})).await.unwrap();
    let again = world.get("services", "n", "s").await.unwrap();
    world.get(ADDRESSES, "", &address_of(&again)).await.unwrap();
}

#[tokio::test]
async fn an_address_that_an_object_holds_is_not_given() {
    let world = small().await;
    let foreign = json!({"metadata": {"name": "10.9.0.2"},
        "spec": {"parentRef": {"group": "x.io", "resource": "gateways", "name": "g"}}});
    world.create(ADDRESSES, "", foreign).await.unwrap();
    let refused = world.create("services", "n", at("s", "10.9.0.2")).await.unwrap_err();
    assert!(
        refused.message().ends_with("failed to allocate IP 10.9.0.2: provided IP is already allocated"),
        "{refused}"
    );
    let full = world.create("services", "n", service("s")).await.unwrap_err();
    assert_eq!(full.message(), "Internal error occurred: failed to allocate a serviceIP: range is full");
    assert_eq!(full.code(), 500);
    world.delete(ADDRESSES, "", "10.9.0.2", json!({})).await.unwrap();
    world.create("services", "n", service("s")).await.unwrap();
}

#[tokio::test]
async fn an_address_whose_object_others_hold_stays_taken() {
    let world = small().await;
    world.create("services", "n", at("s", "10.9.0.2")).await.unwrap();
    world.merge(ADDRESSES, "", "10.9.0.2", json!({"metadata": {"finalizers": ["x.io/held"]}})).await.unwrap();
    world.delete("services", "n", "s", json!({})).await.unwrap();
    let held = world.get(ADDRESSES, "", "10.9.0.2").await.unwrap();
    assert!(held["metadata"]["deletionTimestamp"].is_string());
    world.create("services", "n", at("t", "10.9.0.2")).await.unwrap_err();
    world.merge(ADDRESSES, "", "10.9.0.2", json!({"metadata": {"finalizers": null}})).await.unwrap();
    world.create("services", "n", at("t", "10.9.0.2")).await.unwrap();
}

#[tokio::test]
async fn addresses_come_out_of_every_block_that_is_ready() {
    let world = small().await;
    let default = world.get(CIDRS, "", "kubernetes").await.unwrap();
    assert_eq!(default["spec"]["cidrs"], json!(["10.9.0.0/30"]));
    assert_eq!(default["status"]["conditions"][0]["status"], "True");
    world.create("services", "n", service("first")).await.unwrap();
    world.create("services", "n", service("more")).await.unwrap_err();
    world.create(CIDRS, "", block("more", "10.8.0.0/24")).await.unwrap();
    world
        .create(CIDRS, "", json!({"metadata": {"name": "six"}, "spec": {"cidrs": ["fd00::/64"]}}))
        .await
        .unwrap();
    let more = world.create("services", "n", service("more")).await.unwrap();
    assert!(address_of(&more).starts_with("10.8.0."), "{more}");
    // Out of the part that nobody gets by chance.
    world.create("services", "n", at("named", "10.8.0.2")).await.unwrap();
    let mismatch = "the provided network does not match the current range";
    for address in ["10.8.0.0", "10.8.0.255", "10.7.0.1"] {
        let refused = world.create("services", "n", at("other", address)).await.unwrap_err();
        assert!(refused.message().ends_with(mismatch), "{refused}");
    }
    let not_ready = json!({"status": {"conditions": [{"type": "Ready", "status": "False", "reason": "r",
        "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"}]}});
    world.merge(CIDRS, "", "more", not_ready).await.unwrap();
    let refused = world.create("services", "n", at("other", "10.8.0.3")).await.unwrap_err();
    assert!(refused.message().ends_with(mismatch), "{refused}");
    world.merge(CIDRS, "", "more", json!({"status": null})).await.unwrap();
    world.create("services", "n", at("other", "10.8.0.3")).await.unwrap();
    // One that goes is not used any more.
    world.delete(CIDRS, "", "more", json!({})).await.unwrap();
    let refused = world.create("services", "n", at("another", "10.8.0.4")).await.unwrap_err();
    assert!(refused.message().ends_with(mismatch), "{refused}");
}

#[tokio::test]
async fn a_store_without_objects_gets_them_at_the_start() {
    let world = World::new().await;
    let made = world.create("services", "n", at("s", "10.43.0.9")).await.unwrap();
    world.delete(ADDRESSES, "", "10.43.0.9", json!({})).await.unwrap();
    let world = world.restarted().await;
    let object = world.get(ADDRESSES, "", &address_of(&made)).await.unwrap();
    assert_eq!(object["spec"]["parentRef"]["name"], "s");
}

#[tokio::test]
async fn writes_of_an_address_and_of_its_service_meet() {
    let world = World::new().await;
    for round in 0..20 {
        let made = world.create("services", "n", at("s", "10.43.0.9")).await.unwrap();
        let label = |at: usize| json!({"metadata": {"labels": {"round": format!("{round}-{at}")}}});
        let labels = (0..5).map(|at| world.merge(ADDRESSES, "", "10.43.0.9", label(at)));
        // Neither an insisting writer of the Service nor who deletes it hears of the address.
        let mut put = made.clone();
        let spec = put["spec"].as_object_mut().unwrap();
        ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy", "internalTrafficPolicy"]
            .iter()
            .for_each(|key| drop(spec.remove(*key)));
        spec.insert("type".into(), "ExternalName".into());
        spec.insert("externalName".into(), "x.io".into());
        let gone = async {
            if round % 2 == 0 {
                world.delete("services", "n", "s", json!({})).await.unwrap();
            } else {
                world.put("services", "n", put).await.unwrap();
            }
        };
        futures::join!(futures::future::join_all(labels), gone);
        assert!(world.get(ADDRESSES, "", "10.43.0.9").await.unwrap_err().is_not_found());
        world.delete("services", "n", "s", json!({})).await.ok();
    }
    // Of a Service and somebody else who want one address, one gets it.
    for round in 0..20 {
        let name = format!("10.43.1.{}", round + 1);
        let foreign = json!({"metadata": {"name": name},
            "spec": {"parentRef": {"resource": "gateways", "name": "g"}}});
        let (object, service) = futures::join!(
            world.create(ADDRESSES, "", foreign),
            world.create("services", "n", at(&format!("r{round}"), &name))
        );
        assert_ne!(object.is_ok(), service.is_ok(), "{object:?} {service:?}");
        if let Err(refused) = service {
            assert!(refused.message().ends_with("provided IP is already allocated"), "{refused}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_every_cluster_has_comes_back() {
    let world = World::new().await;
    world.delete("services", "default", "kubernetes", json!({})).await.unwrap();
    world.delete(CIDRS, "", "kubernetes", json!({})).await.unwrap();
    world.create("services", "n", service("s")).await.unwrap_err();
    tokio::time::sleep(std::time::Duration::from_secs(11)).await;
    world.create("services", "n", service("s")).await.unwrap();
    let service = world.get("services", "default", "kubernetes").await.unwrap();
    assert_eq!(address_of(&service), "10.43.0.1");
}

#[tokio::test]
async fn a_server_starts_though_its_own_block_goes() {
    let world = World::new().await;
    let held = json!({"metadata": {"finalizers": ["x.io/held"]}});
    world.merge(CIDRS, "", "kubernetes", held).await.unwrap();
    world.delete(CIDRS, "", "kubernetes", json!({})).await.unwrap();
    world.delete("services", "default", "kubernetes", json!({})).await.unwrap();
    let world = world.restarted().await;
    assert!(world.get("services", "default", "kubernetes").await.unwrap_err().is_not_found());
}

#[tokio::test]
async fn the_prefix_of_an_address_is_its_name() {
    let world = World::new().await;
    let object = json!({"metadata": {"generateName": "10.1.1.1"},
        "spec": {"parentRef": {"resource": "services", "namespace": "n", "name": "x"}}});
    let made = world.create(ADDRESSES, "", object).await.unwrap();
    assert_eq!(made["metadata"]["name"], "10.1.1.1");
}
