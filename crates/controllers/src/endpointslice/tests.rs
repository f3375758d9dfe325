use std::sync::Arc;

use k8s_openapi::api::core::v1::{Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use serde_json::{Value, json};

use super::plan::{Input, Plan, plan};
use super::run;
use crate::common::testing::{at, object, pass, pod, world};

fn service(spec: Value) -> Service {
    let mut spec = spec;
    spec["selector"] = json!({"app": "web"});
    object(json!({"metadata": {"namespace": "ns", "name": "web", "uid": "s"}, "spec": spec}))
}

fn ip(pod: &mut Pod, ip: &str) {
    let status = pod.status.as_mut().unwrap();
    status.pod_ip = Some(ip.into());
    status.pod_ips = serde_json::from_value(json!([{"ip": ip}])).unwrap();
}

fn web(name: &str, address: &str, ready: bool) -> Pod {
    let pod = pod(name).labels(&[("app", "web")]).running("n1").with(|pod| ip(pod, address));
    if ready { pod.ready_at(at(0)).build() } else { pod.build() }
}

fn planned(service: &Service, pods: Vec<Pod>, slices: &[Arc<EndpointSlice>]) -> Plan {
    let pods: Vec<Arc<Pod>> = pods.into_iter().map(Arc::new).collect();
    plan(&Input { service, pods: &pods, slices, endpoints_max: 3 }, |_| None)
}

fn shown(slice: &EndpointSlice) -> String {
    let ports: Vec<String> = slice
        .ports
        .iter()
        .flatten()
        .map(|port| format!("{}:{}", port.name.as_deref().unwrap(), port.port.unwrap()))
        .collect();
    let endpoints: Vec<String> = slice
        .endpoints
        .iter()
        .flatten()
        .map(|endpoint| {
            let conditions = endpoint.conditions.as_ref().unwrap();
            let flag = |flag: Option<bool>, letter: &str| {
                if flag == Some(true) { letter.to_owned() } else { "-".into() }
            };
            format!(
                "{}{}{}{}",
                endpoint.addresses[0],
                flag(conditions.ready, "r"),
                flag(conditions.serving, "s"),
                flag(conditions.terminating, "t")
            )
        })
        .collect();
    format!("[{}] {}", ports.join(" "), endpoints.join(" "))
}

#[test]
fn endpoints_tell_readiness_and_named_ports_part_slices() {
    let service = service(json!({"ports": [{"name": "http", "port": 80, "targetPort": "web"}]}));
    let with_port = |mut pod: Pod, port: i32| {
        pod.spec = serde_json::from_value(json!({"nodeName": "n1", "containers": [{"name": "c",
            "ports": [{"name": "web", "containerPort": port}]}]}))
        .unwrap();
        pod
    };
    let ended = pod("e").labels(&[("app", "web")]).phase("Succeeded").with(|pod| ip(pod, "10.0.0.5")).build();
    let going = |address| {
        let mut pod = web("t", address, true);
        pod.metadata.deletion_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(at(1)));
        pod
    };
    let plan = planned(
        &service,
        vec![
            with_port(web("a", "10.0.0.1", true), 8080),
            with_port(web("b", "10.0.0.2", false), 8080),
            with_port(going("10.0.0.3"), 8080),
            with_port(web("d", "10.0.0.4", true), 9090),
            with_port(ended, 8080),
            web("portless", "10.0.0.6", true),
        ],
        &[],
    );
    let slices: Vec<String> = plan.create.iter().map(shown).collect();
    assert_eq!(slices, ["[http:8080] 10.0.0.1rs- 10.0.0.2--- 10.0.0.3-st", "[http:9090] 10.0.0.4rs-"]);
}

#[test]
fn full_slices_stay_and_only_changed_ones_are_written() {
    let service = service(json!({"ports": [{"port": 80}]}));
    let pods = |names: &[&str]| -> Vec<Pod> {
        names.iter().map(|name| web(name, &format!("10.0.0.{}", name.len()), true)).collect()
    };
    let first = planned(&service, pods(&["a", "bb", "ccc", "dddd"]), &[]);
    let slices: Vec<Arc<EndpointSlice>> = first.create.into_iter().map(Arc::new).collect();
    assert_eq!(slices.iter().map(|s| s.endpoints.as_ref().unwrap().len()).collect::<Vec<_>>(), [3, 1]);
    let same = planned(&service, pods(&["a", "bb", "ccc", "dddd"]), &slices);
    assert!(same.create.is_empty() && same.update.is_empty() && same.delete.is_empty());
    let grown = planned(&service, pods(&["a", "bb", "ccc", "dddd", "eeeee"]), &slices);
    assert_eq!((grown.create.len(), grown.update.len(), grown.delete.len()), (0, 1, 0));
    let shrunk = planned(&service, pods(&["a", "bb", "ccc"]), &slices);
    assert_eq!((shrunk.create.len(), shrunk.update.len(), shrunk.delete.len()), (0, 0, 1));
    let empty = planned(&service, Vec::new(), &slices);
    assert_eq!((empty.create.len(), empty.update.len(), empty.delete.len()), (0, 1, 1));
}

#[test]
fn headless_services_know_host_names() {
    let service = service(json!({"clusterIP": "None"}));
    let named = web("a", "10.0.0.1", true);
    let mut named = named;
    let spec = named.spec.as_mut().unwrap();
    spec.hostname = Some("db-0".into());
    spec.subdomain = Some("web".into());
    let plan = planned(&service, vec![named], &[]);
    assert_eq!(plan.create[0].endpoints.as_ref().unwrap()[0].hostname.as_deref(), Some("db-0"));
    assert!(plan.create[0].metadata.labels.as_ref().unwrap().contains_key("service.kubernetes.io/headless"));
}

#[tokio::test(start_paused = true)]
async fn slices_follow_the_pods() {
    let (api, context) = world();
    api.put(&service(json!({"ports": [{"port": 80}]})));
    context.env.spawn(run(context.clone(), 100));
    pass(&context, 1).await;
    assert_eq!(shown(&api.all::<EndpointSlice>()[0]), "[] ");
    api.put(&web("a", "10.0.0.1", true));
    pass(&context, 1).await;
    let slices = api.all::<EndpointSlice>();
    assert_eq!(slices.iter().map(shown).collect::<Vec<_>>(), ["[:80] 10.0.0.1rs-"]);
    api.remove::<Service>("ns", "web");
    pass(&context, 1).await;
    assert!(api.all::<EndpointSlice>().is_empty());
}
