//! Services with addresses out of a ServiceCIDR that was made later.

use std::io::Write;
use std::process::Stdio;

use cox_tests::Cluster;

const MORE: &str = r#"
apiVersion: networking.k8s.io/v1
kind: ServiceCIDR
metadata: {name: more}
spec: {cidrs: [10.99.0.0/24]}
---
apiVersion: v1
kind: Pod
metadata: {name: server, labels: {app: server}}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - name: c
    image: busybox:1
    command: [sh, -c, 'mkdir /www; echo hello > /www/index.html; exec httpd -f -p 8080 -h /www']
"#;

const SERVICE: &str = r#"
apiVersion: v1
kind: Service
metadata: {name: server}
spec:
  clusterIP: 10.99.0.10
  selector: {app: server}
  ports: [{port: 80, targetPort: 8080}]
"#;

fn apply(cluster: &Cluster, manifest: &str) {
    let mut apply = cluster.kubectl_command(&["apply", "-f", "-"]).stdin(Stdio::piped()).spawn().unwrap();
    apply.stdin.take().unwrap().write_all(manifest.as_bytes()).unwrap();
    assert!(apply.wait().unwrap().success());
}

/// Reached from a pod and from the node, which has no route to the address but that of the ServiceCIDR; and the
/// ServiceCIDR stays for as long as the Service.
#[test]
fn a_service_in_a_block_of_its_own() {
    let mut cluster = Cluster::start(&[]);
    apply(&cluster, MORE);
    cluster.kubectl(&["wait", "--for=condition=Ready", "servicecidr/more", "--timeout=30s"]);
    apply(&cluster, SERVICE);
    cluster.kubectl(&["run", "client", "--image=busybox:1", "--restart=Never", "--", "sleep", "1000"]);
    cluster.kubectl(&["wait", "--for=condition=Ready", "pod/client", "pod/server", "--timeout=60s"]);
    let ask = "printf 'GET / HTTP/1.0\\r\\n\\r\\n' | /bin/busybox nc -w 3 10.99.0.10 80";
    cluster.until("a pod reaches the service", 30, |cluster| {
        let out =
            cluster.kubectl_output(&["exec", "client", "--", "sh", "-c", &ask.replace("/bin/busybox ", "")]);
        String::from_utf8_lossy(&out.stdout).contains("hello")
    });
    cluster.until("the node reaches the service", 30, |cluster| {
        let out = cluster.inside("sh").args(["-c", ask]).output().unwrap();
        String::from_utf8_lossy(&out.stdout).contains("hello")
    });
    let address = cluster.kubectl(&["get", "ip", "10.99.0.10"]);
    assert!(address.contains("services/default/server"), "{address}");

    // === an object that was removed by hand comes back ===
    cluster.kubectl(&["delete", "ipaddress", "10.99.0.10", "--wait=false"]);
    cluster.until("the address has its object again", 30, |cluster| {
        cluster.kubectl_output(&["get", "ipaddress", "10.99.0.10"]).status.success()
    });

    // === what is in use stays ===
    cluster.kubectl(&["delete", "servicecidr", "more", "--wait=false"]);
    cluster.until("the ServiceCIDR says why it stays", 30, |cluster| {
        cluster.value(&["servicecidr", "more"], "{.status.conditions[0].reason}") == "Terminating"
    });
    let refused = cluster.kubectl_output(&[
        "create",
        "service",
        "clusterip",
        "late",
        "--clusterip=10.99.0.11",
        "--tcp=80",
    ]);
    let refused = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(refused.contains("the provided network does not match the current range"), "{refused}");
    cluster.kubectl(&["delete", "service", "server"]);
    cluster.kubectl(&["wait", "--for=delete", "servicecidr/more", "--timeout=60s"]);
    assert!(!cluster.kubectl_output(&["get", "ipaddress", "10.99.0.10"]).status.success());
}
