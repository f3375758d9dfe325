use std::sync::Arc;

use k8s_openapi::api::core::v1::{Endpoints, Pod, Service};
use serde_json::json;

use super::plan::plan;
use super::run;
use crate::common::testing::{at, object, pass, pod, world};

fn service() -> Service {
    object(json!({"metadata": {"namespace": "ns", "name": "web"},
        "spec": {"selector": {"app": "web"}, "ports": [{"name": "http", "port": 80, "targetPort": 8080}]}}))
}

fn web(name: &str, ip: &str, ready: bool) -> Pod {
    let pod = pod(name).labels(&[("app", "web")]).running("n1").with(|pod| {
        pod.status.as_mut().unwrap().pod_ip = Some(ip.into());
    });
    if ready { pod.ready_at(at(0)).build() } else { pod.build() }
}

#[test]
fn addresses_by_readiness() {
    let pods: Vec<Arc<Pod>> =
        [web("a", "10.0.0.2", true), web("b", "10.0.0.1", true), web("c", "10.0.0.3", false)]
            .map(Arc::new)
            .into();
    let endpoints = plan(&service(), &pods, None).unwrap();
    let subset = &endpoints.subsets.as_ref().unwrap()[0];
    let ips = |list: &Option<Vec<k8s_openapi::api::core::v1::EndpointAddress>>| -> Vec<String> {
        list.iter().flatten().map(|address| address.ip.clone()).collect()
    };
    assert_eq!(ips(&subset.addresses), ["10.0.0.1", "10.0.0.2"]);
    assert_eq!(ips(&subset.not_ready_addresses), ["10.0.0.3"]);
    assert_eq!(subset.ports.as_ref().unwrap()[0].port, 8080);
    assert!(plan(&service(), &pods, Some(&endpoints)).is_none(), "what is right is not written again");
}

#[test]
fn too_many_addresses_are_cut_and_told() {
    let pods: Vec<Arc<Pod>> = (0..1001)
        .map(|n| Arc::new(web(&format!("p{n}"), &format!("10.0.{}.{}", n / 250, n % 250), true)))
        .collect();
    let endpoints = plan(&service(), &pods, None).unwrap();
    assert_eq!(endpoints.subsets.unwrap()[0].addresses.as_ref().unwrap().len(), 1000);
    let annotations = endpoints.metadata.annotations.unwrap();
    assert_eq!(annotations["endpoints.kubernetes.io/over-capacity"], "truncated");
}

#[tokio::test(start_paused = true)]
async fn endpoints_follow_pods_and_end_with_the_service() {
    let (api, context) = world();
    api.put(&service());
    api.put(&web("a", "10.0.0.1", false));
    context.env.spawn(run(context.clone()));
    pass(&context, 1).await;
    let subsets = api.one::<Endpoints>("ns", "web").unwrap().subsets.unwrap();
    assert!(subsets[0].addresses.is_none());
    api.put(&web("a", "10.0.0.1", true));
    pass(&context, 1).await;
    let subsets = api.one::<Endpoints>("ns", "web").unwrap().subsets.unwrap();
    assert!(subsets[0].not_ready_addresses.is_none());
    api.remove::<Service>("ns", "web");
    pass(&context, 1).await;
    assert!(api.one::<Endpoints>("ns", "web").is_none());
}
