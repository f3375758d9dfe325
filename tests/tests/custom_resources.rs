//! Kinds that users make: served, checked, stored, collected and deleted like any other.

use std::io::Write;
use std::process::Stdio;

use cox_tests::Cluster;

const DEFINITION: &str = r#"
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: crontabs.stable.example.com}
spec:
  group: stable.example.com
  scope: Namespaced
  names: {plural: crontabs, singular: crontab, kind: CronTab, shortNames: [ct], categories: [all]}
  versions:
  - name: v1
    served: true
    storage: true
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec:
            type: object
            description: What is wanted.
            required: [cronSpec]
            properties:
              cronSpec: {type: string, pattern: '^(\S+ ){4}\S+$'}
              image: {type: string, default: busybox}
              replicas: {type: integer, minimum: 0, default: 1}
              max: {type: integer}
            x-kubernetes-validations:
            - {rule: '!has(self.max) || self.replicas <= self.max', message: more than may be}
          status:
            type: object
            properties: {replicas: {type: integer}, selector: {type: string}}
    subresources:
      status: {}
      scale: {specReplicasPath: .spec.replicas, statusReplicasPath: .status.replicas}
    additionalPrinterColumns:
    - {name: Spec, type: string, jsonPath: .spec.cronSpec}
    - {name: Replicas, type: integer, jsonPath: .spec.replicas}
    selectableFields: [{jsonPath: .spec.image}]
"#;

/// A second version, in which objects are stored from now on.
const SECOND_VERSION: &str = r#"[
  {"op": "add", "path": "/spec/versions/-", "value": {"name": "v2", "served": true, "storage": true, "schema": {
    "openAPIV3Schema": {"type": "object", "properties": {"spec": {"type": "object", "properties": {
      "cronSpec": {"type": "string"}, "image": {"type": "string"}, "replicas": {"type": "integer"},
      "zone": {"type": "string", "default": "UTC"}}}}}}}},
  {"op": "replace", "path": "/spec/versions/0/storage", "value": false}]"#;

fn tab(name: &str, more: &str) -> String {
    format!(
        "{{apiVersion: stable.example.com/v1, kind: CronTab, metadata: {{name: {name}{more}}}, spec: {{cronSpec: '* * * * 5'}}}}"
    )
}

fn apply(cluster: &Cluster, text: &str) -> std::process::Output {
    let mut child = cluster
        .kubectl_command(&["apply", "-f", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("kubectl runs");
    child.stdin.take().expect("a pipe").write_all(text.as_bytes()).expect("kubectl reads");
    child.wait_with_output().expect("kubectl ends")
}

fn applied(cluster: &Cluster, text: &str) {
    let output = apply(cluster, text);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn define(cluster: &Cluster) {
    applied(cluster, DEFINITION);
    cluster.kubectl(&[
        "wait",
        "--for=condition=established",
        "crd/crontabs.stable.example.com",
        "--timeout=10s",
    ]);
}

fn refusal(cluster: &Cluster, args: &[&str]) -> String {
    let output = cluster.kubectl_output(args);
    assert!(!output.status.success(), "{args:?} is refused");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn clients_use_them_like_any_other() {
    let cluster = Cluster::api();
    define(&cluster);
    applied(&cluster, &tab("a", ""));
    let table = cluster.kubectl(&["get", "ct"]);
    let words: Vec<&str> = table.split_whitespace().collect();
    assert_eq!(words, ["NAME", "SPEC", "REPLICAS", "a", "*", "*", "*", "*", "5", "1"]);
    assert_eq!(cluster.value(&["ct", "a"], "{.spec.image}"), "busybox");
    assert!(cluster.kubectl(&["get", "all"]).contains("crontab.stable.example.com/a"));
    assert!(cluster.kubectl(&["explain", "ct.spec"]).contains("What is wanted."));
    assert!(cluster.kubectl(&["get", "ct", "--field-selector=spec.image=other"]).is_empty());
    // What doesn't fit is refused, and what is unknown is told.
    let patch = |patch: &str| refusal(&cluster, &["patch", "ct", "a", "--type=merge", "-p", patch]);
    assert!(patch(r#"{"spec": {"replicas": -1}}"#).contains("spec.replicas: Invalid value: -1"));
    assert!(patch(r#"{"spec": {"max": 0}}"#).contains("spec: Invalid value: more than may be"));
    assert!(patch(r#"{"spec": {"cronSpec": null}}"#).contains("spec.cronSpec: Required value"));
    let unknown = apply(&cluster, &tab("b", "}, other: {x: y"));
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("unknown field \"other\""));
    // The status is its own part, and so is the scale.
    cluster.kubectl(&["scale", "ct/a", "--replicas=3"]);
    cluster.kubectl(&[
        "patch",
        "ct",
        "a",
        "--subresource=status",
        "--type=merge",
        "-p",
        r#"{"spec": {"replicas": 9}, "status": {"replicas": 2}}"#,
    ]);
    assert_eq!(
        cluster.value(&["ct", "a"], "{.spec.replicas} {.status.replicas} {.metadata.generation}"),
        "3 2 2"
    );
    // Another version shows what is stored with its own defaults.
    cluster.kubectl(&["patch", "crd", "crontabs.stable.example.com", "--type=json", "-p", SECOND_VERSION]);
    cluster.kubectl(&["get", "--raw", "/apis/stable.example.com/v2/namespaces/default/crontabs/a"]);
    assert_eq!(
        cluster.value(&["crontabs.v2.stable.example.com", "a"], "{.apiVersion} {.spec.zone}"),
        "stable.example.com/v2 UTC"
    );
    assert_eq!(
        cluster.value(&["crontabs.v1.stable.example.com", "a"], "{.apiVersion} {.spec.zone}"),
        "stable.example.com/v1 "
    );
    assert_eq!(
        cluster.value(&["crd", "crontabs.stable.example.com"], "{.status.storedVersions}"),
        r#"["v1","v2"]"#
    );
}

#[test]
fn they_are_there_after_a_crash() {
    let mut cluster = Cluster::durable_api();
    define(&cluster);
    applied(&cluster, &tab("a", ""));
    cluster.kill();
    cluster.up();
    assert_eq!(cluster.value(&["ct", "a"], "{.spec.cronSpec}"), "* * * * 5");
    applied(&cluster, &tab("b", ""));
}

#[test]
fn they_are_collected_and_deleted() {
    let mut cluster = Cluster::control_plane();
    define(&cluster);
    cluster.kubectl(&["create", "namespace", "apart"]);
    applied(&cluster, &tab("owner", ""));
    cluster.kubectl(&["create", "configmap", "above"]);
    let owned = |kind: &str, version: &str, name: &str, uid: &str| {
        format!(", ownerReferences: [{{apiVersion: {version}, kind: {kind}, name: {name}, uid: {uid}}}]")
    };
    let uid = cluster.value(&["ct", "owner"], "{.metadata.uid}");
    let below = owned("CronTab", "stable.example.com/v1", "owner", &uid);
    applied(&cluster, &format!("{{apiVersion: v1, kind: ConfigMap, metadata: {{name: below{below}}}}}"));
    let uid = cluster.value(&["configmap", "above"], "{.metadata.uid}");
    applied(&cluster, &tab("owned", &owned("ConfigMap", "v1", "above", &uid)));
    applied(&cluster, &tab("elsewhere", ", namespace: apart"));
    let gone = |cluster: &mut Cluster, what: &[&str]| {
        let args = [&["get", "--ignore-not-found", "-o", "name"], what].concat();
        cluster.until(&format!("{what:?} is gone"), 20, |cluster| cluster.kubectl(&args).is_empty());
    };
    cluster.kubectl(&["delete", "ct", "owner"]);
    gone(&mut cluster, &["configmap", "below"]);
    cluster.kubectl(&["delete", "configmap", "above"]);
    gone(&mut cluster, &["ct", "owned"]);
    cluster.kubectl(&["delete", "namespace", "apart", "--wait=false"]);
    gone(&mut cluster, &["namespace", "apart"]);
    // A quota counts them.
    cluster.kubectl(&["create", "quota", "few", "--hard=count/crontabs.stable.example.com=1"]);
    applied(&cluster, &tab("held", ", finalizers: [example.com/hold]"));
    cluster.until("it is counted", 20, |cluster| {
        cluster.value(&["quota", "few"], "{.status.used.count/crontabs\\.stable\\.example\\.com}") == "1"
    });
    assert!(
        String::from_utf8_lossy(&apply(&cluster, &tab("more", "")).stderr).contains("exceeded quota: few")
    );
    // A definition waits for the last of its objects.
    cluster.kubectl(&["delete", "crd", "crontabs.stable.example.com", "--wait=false"]);
    cluster.until("the object is being deleted", 20, |cluster| {
        !cluster.value(&["ct", "held"], "{.metadata.deletionTimestamp}").is_empty()
    });
    let late = apply(&cluster, &tab("late", ""));
    assert!(String::from_utf8_lossy(&late.stderr).contains("terminating"));
    cluster.kubectl(&["patch", "ct", "held", "--type=merge", "-p", r#"{"metadata": {"finalizers": null}}"#]);
    gone(&mut cluster, &["crd", "crontabs.stable.example.com"]);
    assert!(refusal(&cluster, &["get", "--raw", "/apis/stable.example.com/v1"]).contains("could not find"));
    // And may come back.
    define(&cluster);
    assert!(cluster.kubectl(&["get", "ct"]).is_empty());
    applied(&cluster, &tab("again", ""));
}
