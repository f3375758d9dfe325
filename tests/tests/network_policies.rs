//! Network policies between pods on two nodes.

use std::io::Write;
use std::process::Stdio;

use cox_tests::Cluster;

const PODS: &str = r#"
apiVersion: v1
kind: Pod
metadata: {name: server, labels: {app: server}}
spec:
  nodeName: node-1
  terminationGracePeriodSeconds: 0
  containers:
  - name: c
    image: busybox:1
    command: [sh, -c, 'mkdir /www; echo hello > /www/index.html; httpd -p 8081 -h /www; exec httpd -f -p 8080 -h /www']
    ports: [{name: web, containerPort: 8080}]
    readinessProbe: {httpGet: {port: web, path: /}, periodSeconds: 1, failureThreshold: 1}
---
apiVersion: v1
kind: Service
metadata: {name: server}
spec:
  selector: {app: server}
  ports: [{port: 80, targetPort: web}]
---
apiVersion: v1
kind: Pod
metadata: {name: friend, labels: {role: friend}}
spec:
  nodeName: node-2
  terminationGracePeriodSeconds: 0
  containers: [{name: c, image: 'busybox:1', command: [sleep, '10000']}]
---
apiVersion: v1
kind: Pod
metadata: {name: other}
spec:
  nodeName: node-1
  terminationGracePeriodSeconds: 0
  containers: [{name: c, image: 'busybox:1', command: [sleep, '10000']}]
"#;

const DENY_ALL: &str = r#"
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: deny-all}
spec: {podSelector: {}}
"#;

const FRIENDS: &str = r#"
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: friends}
spec:
  podSelector: {matchLabels: {app: server}}
  ingress:
  - from: [{podSelector: {matchLabels: {role: friend}}}]
    ports: [{port: web}]
"#;

const EGRESS: &str = r#"
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: egress}
spec:
  podSelector: {matchLabels: {role: friend}}
  policyTypes: [Egress]
  egress:
  - to: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: elsewhere}}}]
"#;

/// A client that says in its log whether it reached the server, from its first moment on.
const EAGER: &str = r#"
apiVersion: v1
kind: Pod
metadata: {name: eager, labels: {role: friend}}
spec:
  restartPolicy: Never
  nodeName: node-1
  containers:
  - name: c
    image: busybox:1
    command: [sh, -c, 'for i in 1 2 3; do echo try; printf "GET / HTTP/1.0\r\n\r\n" | nc -w 1 SERVER 8080 2>&1 | grep -o hello; done; true']
"#;

fn apply(cluster: &Cluster, manifest: &str) {
    let mut apply = cluster.kubectl_command(&["apply", "-f", "-"]).stdin(Stdio::piped()).spawn().unwrap();
    apply.stdin.take().unwrap().write_all(manifest.as_bytes()).unwrap();
    assert!(apply.wait().unwrap().success());
}

fn reaches(cluster: &Cluster, from: &str, address: &str, port: u16) -> bool {
    let ask = format!("printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc -w 1 {address} {port}");
    let out = cluster.kubectl_output(&["exec", from, "--", "sh", "-c", &ask]);
    String::from_utf8_lossy(&out.stdout).contains("hello")
}

/// Nobody, then some by label and by the name of a port, then egress; a pod that is made right after its policy is never
/// open; the node reaches its pod all along.
#[test]
fn policies_open_and_close_pods() {
    let mut cluster = Cluster::start(&["--nodes", "2"]);
    apply(&cluster, PODS);
    cluster.kubectl(&["wait", "--for=condition=Ready", "pod", "--all", "--timeout=60s"]);
    let ip = cluster.value(&["pod", "server"], "{.status.podIP}");
    let vip = cluster.value(&["service", "server"], "{.spec.clusterIP}");
    for client in ["friend", "other"] {
        assert!(reaches(&cluster, client, &ip, 8080) && reaches(&cluster, client, &ip, 8081));
    }

    // === nobody ===
    apply(&cluster, DENY_ALL);
    cluster.until("nobody reaches the server", 30, |cluster| {
        !reaches(cluster, "friend", &ip, 8080) && !reaches(cluster, "other", &ip, 8080)
    });
    assert!(reaches(&cluster, "server", &ip, 8080), "a pod reaches itself");

    // === friends, at one port ===
    apply(&cluster, FRIENDS);
    cluster.until("a friend reaches the server", 30, |cluster| reaches(cluster, "friend", &ip, 8080));
    cluster.until("a friend reaches it by its service", 30, |cluster| reaches(cluster, "friend", &vip, 80));
    assert!(!reaches(&cluster, "friend", &ip, 8081), "another port stays closed");
    assert!(!reaches(&cluster, "other", &ip, 8080) && !reaches(&cluster, "other", &vip, 80));
    cluster.kubectl(&["label", "pod", "other", "role=friend"]);
    cluster.until("one becomes a friend", 30, |cluster| reaches(cluster, "other", &ip, 8080));
    cluster.kubectl(&["label", "pod", "other", "role-"]);
    cluster.until("and is none any more", 30, |cluster| !reaches(cluster, "other", &ip, 8080));

    // === egress ===
    apply(&cluster, EGRESS);
    cluster.until("a friend gets out no more", 30, |cluster| {
        !reaches(cluster, "friend", &ip, 8080) && !reaches(cluster, "friend", &vip, 80)
    });
    let server = r#"{"spec": {"egress": [{"to": [{"podSelector": {"matchLabels": {"app": "server"}}}],
        "ports": [{"port": "web"}]}]}}"#;
    cluster.kubectl(&["patch", "networkpolicy", "egress", "--type=merge", "-p", server]);
    cluster.until("a friend gets to the server", 30, |cluster| {
        reaches(cluster, "friend", &ip, 8080) && reaches(cluster, "friend", &vip, 80)
    });

    // === a restart of the control plane ===
    cluster.kill();
    cluster.up();
    cluster.until("friends reach the server", 30, |cluster| reaches(cluster, "friend", &ip, 8080));
    assert!(!reaches(&cluster, "other", &ip, 8080));

    // === for people ===
    let list = cluster.kubectl(&["get", "netpol", "friends"]);
    assert!(list.contains("POD-SELECTOR") && list.contains("app=server"), "{list}");
    let described = cluster.kubectl(&["describe", "networkpolicy", "friends"]);
    for line in [
        "PodSelector:     app=server",
        "To Port: web/TCP",
        "PodSelector: role=friend",
        "Policy Types: Ingress",
    ] {
        assert!(described.contains(line), "{line} is missing:\n{described}");
    }

    // === the end of it ===
    let ready = cluster.value(&["pod", "server"], "{.status.conditions[?(@.type==\"Ready\")].status}");
    assert_eq!(ready, "True", "the node's probes were let through");
    cluster.kubectl(&["delete", "networkpolicy", "--all"]);
    cluster.until("everything is open again", 30, |cluster| {
        reaches(cluster, "other", &ip, 8080) && reaches(cluster, "friend", &ip, 8081)
    });

    // === a pod that is made right after its policy ===
    apply(&cluster, &format!("{EGRESS}---{}", EAGER.replace("SERVER", &ip)));
    cluster.until("a late pod has tried", 60, |cluster| {
        cluster.value(&["pod", "eager"], "{.status.phase}") == "Succeeded"
    });
    assert_eq!(cluster.kubectl(&["logs", "eager"]), "try\ntry\ntry\n", "a pod is isolated from its start");
    cluster.down();
}
