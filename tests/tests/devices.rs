//! Pods that need devices: from a template to a claim that is given some, and back.

use std::io::Write;
use std::process::Stdio;

use cox_tests::Cluster;

const CLASS: &str = r#"
apiVersion: resource.k8s.io/v1
kind: DeviceClass
metadata: {name: gpu}
spec: {selectors: [{cel: {expression: "device.driver == 'gpu.example.com'"}}]}
---
apiVersion: resource.k8s.io/v1
kind: ResourceClaimTemplate
metadata: {name: big}
spec:
  spec:
    devices:
      requests:
      - name: gpu
        exactly:
          deviceClassName: gpu
          selectors: [{cel: {expression: "device.attributes['gpu.example.com'].memory > 32"}}]
"#;

const SLICE: &str = r#"
apiVersion: resource.k8s.io/v1
kind: ResourceSlice
metadata: {name: gpus}
spec:
  driver: gpu.example.com
  nodeName: NODE
  pool: {name: NODE, generation: 1, resourceSliceCount: 1}
  devices:
  - {name: small, attributes: {memory: {int: 16}}}
  - {name: large, attributes: {memory: {int: 80}}}
"#;

const POD: &str = r#"
apiVersion: v1
kind: Pod
metadata: {name: NAME}
spec:
  terminationGracePeriodSeconds: 0
  resourceClaims: [{name: gpu, resourceClaimTemplateName: big}]
  containers:
  - name: c
    image: busybox:1
    command: [sleep, '10000']
    resources: {claims: [{name: gpu}]}
"#;

fn apply(cluster: &Cluster, manifest: &str) {
    let mut apply = cluster.kubectl_command(&["apply", "-f", "-"]).stdin(Stdio::piped()).spawn().unwrap();
    apply.stdin.take().unwrap().write_all(manifest.as_bytes()).unwrap();
    assert!(apply.wait().unwrap().success());
}

#[test]
fn a_pod_is_given_a_device_and_gives_it_back() {
    let mut cluster = Cluster::start(&[]);
    let node = cluster.value(&["nodes"], "{.items[0].metadata.name}");
    apply(&cluster, CLASS);
    apply(&cluster, &POD.replace("NAME", "first"));
    let scheduled = "{.status.conditions[?(@.type=='PodScheduled')].message}";
    cluster.until("the pod finds no device", 30, |cluster| {
        cluster.value(&["pod", "first"], scheduled).contains("1 cannot allocate all claims")
    });
    apply(&cluster, &SLICE.replace("NODE", &node));
    cluster.until("the pod has a node", 30, |cluster| {
        cluster.value(&["pod", "first"], "{.spec.nodeName}") == node
    });
    let claim = cluster.value(&["pod", "first"], "{.status.resourceClaimStatuses[0].resourceClaimName}");
    let given = |cluster: &Cluster, path: &str| cluster.value(&["resourceclaim", &claim], path);
    assert_eq!(given(&cluster, "{.status.allocation.devices.results[*].device}"), "large");
    assert_eq!(given(&cluster, "{.status.reservedFor[*].name}"), "first");
    assert!(cluster.kubectl(&["get", "resourceclaims"]).contains("allocated,reserved"));
    // No driver runs on the node, and it says so.
    cluster.until("the node refuses the pod", 30, |cluster| {
        let events = cluster.kubectl(&["get", "events", "--field-selector", "involvedObject.name=first"]);
        events.contains("FailedPrepareDynamicResources") && events.contains("spec.resourceClaims: gpu")
    });

    // There is one large device.
    apply(&cluster, &POD.replace("NAME", "second"));
    cluster.until("the second pod finds no device", 30, |cluster| {
        cluster.value(&["pod", "second"], scheduled).contains("1 cannot allocate all claims")
    });
    cluster.kubectl(&["delete", "pod", "first"]);
    cluster.until("the second pod has a node", 30, |cluster| {
        cluster.value(&["pod", "second"], "{.spec.nodeName}") == node
    });
    let claims = cluster.kubectl(&["get", "resourceclaims", "-o", "name"]);
    assert!(claims.lines().count() == 1 && !claims.contains(&claim), "{claims}");
}
