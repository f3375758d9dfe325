//! The API server as a service: its audit log, and its end by SIGTERM while clients hold on to it.

use std::process::Stdio;
use std::time::{Duration, Instant};

use cox_tests::Cluster;
use serde_json::Value;

const POLICY: &str = "apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- {level: None, nonResourceURLs: ['*']}
- {level: RequestResponse, resources: [{group: '', resources: [configmaps]}]}
- {level: Metadata}
";

#[test]
fn the_audit_log_has_everything_up_to_the_end_and_the_end_waits_for_nobody_in_vain() {
    let dir = tempfile::tempdir().expect("a directory");
    let (log, policy) = (dir.path().join("log/audit.log"), dir.path().join("policy.yaml"));
    std::fs::write(&policy, POLICY).expect("it can be written");
    let text = |path: &std::path::Path| path.to_str().expect("a path").to_owned();
    let (log_flag, policy_flag) = (text(&log), text(&policy));
    let mut cluster =
        Cluster::api_with(&["--audit-log-path", &log_flag, "--audit-policy-file", &policy_flag]);
    cluster.kubectl(&["create", "configmap", "told", "--from-literal=k=v"]);
    cluster.kubectl(&["create", "secret", "generic", "untold", "--from-literal=password=hunter2"]);
    let watching = cluster.kubectl_command(&["get", "configmaps", "-w"]).stdout(Stdio::piped()).spawn();
    let mut watching = watching.expect("kubectl starts");
    let events = || -> Vec<Value> {
        let text = std::fs::read_to_string(&log).unwrap_or_default();
        let whole = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
        whole.map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
    };
    let of_watch = |event: &Value, stage: &str| {
        let ours = event["userAgent"].as_str().unwrap_or_default().starts_with("kubectl");
        ours && event["verb"] == "watch" && event["stage"] == stage && event["responseStatus"]["code"] == 200
    };
    cluster.until("the watch", 30, |_| events().iter().any(|event| of_watch(event, "ResponseStarted")));

    let began = Instant::now();
    let status = cluster.terminate();
    let took = began.elapsed();
    assert!(status.success(), "{status}: {}", cluster.log());
    assert!(
        took < Duration::from_secs(8),
        "{took:?}: requests under way have ten seconds, a watch needs none"
    );
    // It watches again by itself, and finds nobody.
    let _ = watching.kill();
    let _ = watching.wait();

    let events = events();
    assert_eq!(events.iter().filter(|event| of_watch(event, "ResponseComplete")).count(), 1);
    let created = |resource: &str, name: &str| -> &Value {
        let mut found = events.iter().filter(|event| {
            event["verb"] == "create"
                && event["objectRef"]["resource"] == resource
                && event["objectRef"]["name"] == name
                && event["user"]["username"] == "admin"
        });
        found.next().unwrap_or_else(|| panic!("no {resource} {name} in {events:#?}"))
    };
    let map = created("configmaps", "told");
    assert_eq!(
        (&map["requestObject"]["data"]["k"], &map["responseStatus"]["code"]),
        (&"v".into(), &201.into())
    );
    let secret = created("secrets", "untold");
    assert_eq!(secret["level"], "Metadata");
    assert!(
        !std::fs::read_to_string(&log).expect("the log").contains("aHVudGVyMg"),
        "a secret's content is no news"
    );
}

#[test]
fn the_end_is_announced_for_a_while_and_who_asks_twice_does_not_wait() {
    let mut cluster = Cluster::api_with(&["--shutdown-delay-duration", "600"]);
    cluster.tell_to_end();
    cluster.until("/readyz to fail", 30, |cluster| {
        !cluster.kubectl_output(&["get", "--raw", "/readyz"]).status.success()
    });
    let ready = cluster.kubectl_output(&["get", "--raw", "/readyz"]);
    assert!(
        String::from_utf8_lossy(&ready.stderr).contains("[-]shutdown failed: reason withheld"),
        "{ready:?}"
    );
    assert_eq!(cluster.kubectl(&["get", "--raw", "/livez"]), "ok");
    cluster.kubectl(&["create", "configmap", "served-as-before"]);
    let began = Instant::now();
    let status = cluster.terminate();
    assert!(
        !status.success() && began.elapsed() < Duration::from_secs(20),
        "{status}, {:?}",
        began.elapsed()
    );
}
