//! The whole path, from kubectl to containers on two nodes.

use cox_tests::{Cluster, Leftovers};

fn example(name: &str) -> String {
    format!("{}/../examples/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// Rolls out the example, reaches it through its service, changes it, loses a node, loses the control plane, and
/// leaves nothing behind.
#[test]
fn a_web_app_on_two_nodes() {
    let mut cluster = Cluster::start(&["--nodes", "2"]);
    let dir = cluster.dir().to_owned();
    let before = {
        // The nodes' own cgroups are there already; what counts is what is left at the end.
        Leftovers::of(std::path::Path::new("/nonexistent-directory"))
    };
    cluster.build_image("busybox:2");

    // === rollout ===
    cluster.kubectl(&["apply", "-f", &example("web.yaml")]);
    cluster.kubectl(&["rollout", "status", "deployment/web", "--timeout=60s"]);
    let nodes = cluster.value(&["pods", "-l", "app=web"], "{.items[*].spec.nodeName}");
    assert!(nodes.contains("node-1") && nodes.contains("node-2"), "pods are spread: {nodes}");
    let first = cluster.value(&["pods", "-l", "app=web"], "{.items[0].metadata.name}");
    assert!(
        cluster.kubectl(&["logs", &first]).starts_with("hello from web-"),
        "the config map is in the environment"
    );

    // === service ===
    cluster.kubectl(&["run", "client", "--image=busybox:1", "--restart=Never", "--", "sleep", "1000"]);
    cluster.kubectl(&["wait", "--for=condition=Ready", "pod/client", "--timeout=30s"]);
    let ip = cluster.value(&["service", "web"], "{.spec.clusterIP}");
    let ask = format!("printf 'GET /pod HTTP/1.0\\r\\n\\r\\n' | nc -w 3 {ip} 80 | tail -n 1");
    let mut seen = std::collections::BTreeSet::new();
    cluster.until("both nodes answer through the service", 30, |cluster| {
        let out = cluster.kubectl_output(&["exec", "client", "--", "sh", "-c", &ask]);
        let name = String::from_utf8_lossy(&out.stdout).trim().to_owned();
        if name.starts_with("web-") {
            seen.insert(cluster.value(&["pod", &name], "{.spec.nodeName}"));
        }
        seen.len() == 2
    });
    let index = cluster.kubectl(&["exec", &first, "--", "cat", "/config/index.html"]);
    assert!(index.contains("hello from the config map"));

    // === the same through the API server ===
    let raw = |cluster: &Cluster, path: &str| cluster.kubectl(&["get", "--raw", path]);
    let by_number = raw(&cluster, "/api/v1/namespaces/default/services/web:80/proxy/pod");
    assert!(by_number.starts_with("web-"), "a pod answers: {by_number}");
    let own = raw(&cluster, &format!("/api/v1/namespaces/default/pods/{first}/proxy/pod"));
    assert_eq!(own.trim(), first, "the pod that was meant answers");
    let page = raw(&cluster, "/api/v1/namespaces/default/services/http:web:http/proxy/");
    assert!(page.contains("hello from the config map"), "{page}");
    assert_eq!(raw(&cluster, "/api/v1/nodes/node-2/proxy/healthz"), "ok");
    let refused =
        cluster.kubectl_output(&["get", "--raw", "/api/v1/namespaces/default/services/web:81/proxy/"]);
    let refused = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(refused.contains("no service port 81 found for service \"web\""), "{refused}");

    // === exec and exit codes ===
    let out = cluster.kubectl_output(&["exec", &first, "--", "sh", "-c", "echo out; echo err >&2; exit 7"]);
    assert_eq!((out.status.code(), String::from_utf8_lossy(&out.stdout).as_ref()), (Some(7), "out\n"));

    // === roll, undo, scale ===
    cluster.kubectl(&["set", "image", "deployment/web", "web=busybox:2"]);
    let mut least = usize::MAX;
    cluster.until("the rollout ends", 90, |cluster| {
        let ready = cluster.value(&["deployment", "web"], "{.status.readyReplicas} {.status.updatedReplicas} {.status.replicas} {.metadata.generation} {.status.observedGeneration}");
        let numbers: Vec<usize> = ready.split(' ').map(|number| number.parse().unwrap_or(0)).collect();
        least = least.min(numbers[0]);
        numbers[0] == 3 && numbers[1] == 3 && numbers[2] == 3 && numbers[3] == numbers[4]
    });
    assert!(least >= 3, "maxUnavailable is 0, but only {least} were ready");
    let images = cluster.value(&["pods", "-l", "app=web"], "{.items[*].spec.containers[0].image}");
    assert!(images.contains("busybox:2"), "{images}");
    cluster.kubectl(&["rollout", "undo", "deployment/web"]);
    cluster.kubectl(&["rollout", "status", "deployment/web", "--timeout=90s"]);
    cluster.kubectl(&["scale", "deployment/web", "--replicas=4"]);
    cluster.kubectl(&["rollout", "status", "deployment/web", "--timeout=60s"]);

    // === the control plane is killed ===
    let pids = |cluster: &Cluster| {
        cluster.value(&["pods", "-l", "app=web"], "{.items[*].status.containerStatuses[0].containerID}")
    };
    let running = pids(&cluster);
    for round in 0..5 {
        let name = format!("acknowledged-{round}");
        cluster.kubectl(&["create", "configmap", &name, "--from-literal=a=b"]);
        cluster.kill();
        let supervisors = Leftovers::of(&dir).supervisors();
        assert!(supervisors >= 5, "pods outlive the control plane, but {supervisors} supervisors run");
        cluster.up();
        assert_eq!(cluster.value(&["configmap", &name], "{.data.a}"), "b", "what was acknowledged is there");
    }
    cluster.kubectl(&["rollout", "status", "deployment/web", "--timeout=60s"]);
    assert_eq!(pids(&cluster), running, "the same containers run on");

    // === a node fails ===
    cluster.cox(&["node", "stop", "node-2"]);
    cluster.until("all pods of the app are ready on node-1", 120, |cluster| {
        let ready =
            cluster.value(&["deployment", "web"], "{.status.readyReplicas}/{.status.unavailableReplicas}");
        let list = cluster.kubectl_output(&[
            "get",
            "pods",
            "-l",
            "app=web",
            "--field-selector",
            "spec.nodeName=node-1",
            "--no-headers",
        ]);
        let text = String::from_utf8_lossy(&list.stdout).into_owned();
        ready == "4/"
            && text.lines().filter(|line| line.contains("1/1") && line.contains("Running")).count() == 4
    });
    cluster.cox(&["node", "start", "node-2"]);
    cluster.kubectl(&["wait", "--for=condition=Ready", "node/node-2", "--timeout=60s"]);

    // === deletion ===
    cluster.kubectl(&["delete", "-f", &example("web.yaml"), "--timeout=60s"]);
    cluster.kubectl(&["delete", "pod", "client", "--grace-period=1", "--timeout=60s"]);
    cluster.until("every pod of the app is collected", 60, |cluster| {
        cluster.value(&["pods,replicasets"], "{.items[*].metadata.name}").is_empty()
    });
    cluster.down();
    let left = Leftovers::of(&dir).since(&before);
    assert!(left.is_empty(), "left behind: {left:#?}");
}

/// A Job whose second pod fails once completes; its pods go with it.
#[test]
fn a_job_completes_and_is_collected() {
    let mut cluster = Cluster::start(&["--node-name", "solo"]);
    let tries = std::path::Path::new("/run/cox-example-job");
    let _ = std::fs::remove_dir_all(tries);
    cluster.kubectl(&["apply", "-f", &example("job.yaml")]);
    cluster.kubectl(&["wait", "--for=condition=Complete", "job/three", "--timeout=60s"]);
    let counts = cluster.value(&["job", "three"], "{.status.succeeded} {.status.failed}");
    assert_eq!(counts, "3 1");
    cluster.kubectl(&["delete", "job", "three", "--timeout=30s"]);
    cluster.until("its pods are collected", 30, |cluster| {
        cluster.value(&["pods"], "{.items[*].metadata.name}").is_empty()
    });
    let _ = std::fs::remove_dir_all(tries);
    cluster.down();
}

/// Logs can be followed; a pod's restarts, limits and probes show in its status.
#[test]
fn a_pod_lives_as_its_spec_says() {
    let mut cluster = Cluster::start(&["--node-name", "solo"]);
    let pod = r#"{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {
        "terminationGracePeriodSeconds": 1,
        "initContainers": [{"name": "first", "image": "busybox:1", "command": ["sh", "-c", "echo from-init > /shared/file"],
            "volumeMounts": [{"name": "shared", "mountPath": "/shared"}]}],
        "containers": [{"name": "c", "image": "busybox:1",
            "command": ["sh", "-c", "cat /shared/file; echo line-1; sleep 1; echo line-2; [ -e /shared/again ] && sleep 1000; touch /shared/again; exit 3"],
            "resources": {"limits": {"memory": "32Mi", "cpu": "100m"}},
            "readinessProbe": {"exec": {"command": ["test", "-e", "/shared/again"]}, "periodSeconds": 1},
            "volumeMounts": [{"name": "shared", "mountPath": "/shared"}]}],
        "volumes": [{"name": "shared", "emptyDir": {}}]}}"#;
    let file = cluster.dir().join("pod.json");
    std::fs::write(&file, pod).expect("a file");
    cluster.kubectl(&["apply", "-f", &file.to_string_lossy()]);
    cluster.kubectl(&["wait", "--for=condition=Initialized", "pod/p", "--timeout=30s"]);
    cluster.until("the container starts", 30, |cluster| {
        !cluster.value(&["pod", "p"], "{.status.containerStatuses[0].containerID}").is_empty()
    });
    let followed = cluster.kubectl(&["logs", "-f", "p", "-c", "c"]);
    assert!(followed.contains("line-2"), "{followed}");
    cluster.kubectl(&["wait", "--for=condition=Ready", "pod/p", "--timeout=60s"]);
    let status = cluster.value(&["pod", "p"], "{.status.containerStatuses[0].restartCount} {.status.containerStatuses[0].lastState.terminated.exitCode} {.status.qosClass}");
    assert_eq!(status, "1 3 Burstable");
    let previous = cluster.kubectl(&["logs", "p", "--previous"]);
    assert!(previous.starts_with("from-init\nline-1\n"), "{previous}");
    let limit = cluster.kubectl(&[
        "exec",
        "p",
        "--",
        "sh",
        "-c",
        "cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max 2>/dev/null | head -n 1",
    ]);
    assert!(limit.trim().is_empty() || limit.trim() == "33554432", "{limit}");
    let events = cluster.kubectl(&[
        "get",
        "events",
        "--field-selector",
        "involvedObject.name=p",
        "-o",
        "jsonpath={.items[*].reason}",
    ]);
    for reason in ["Scheduled", "Pulled", "Created", "Started"] {
        assert!(events.contains(reason), "{events}");
    }
    cluster.kubectl(&["delete", "pod", "p", "--timeout=30s"]);
    cluster.down();
}
