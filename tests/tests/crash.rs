//! The control plane is killed without a word, again and again, while everything changes.

use std::collections::BTreeSet;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use cox_tests::{Cluster, kubectl};

const KILLS: usize = 20;

/// Pods that note every start of their container in a file of the machine, work for a while, and end.
fn job(notes: &str) -> String {
    format!(
        r#"{{"apiVersion": "batch/v1", "kind": "Job", "metadata": {{"name": "once"}}, "spec": {{
        "completions": 12, "parallelism": 3, "backoffLimit": 0, "template": {{"spec": {{"restartPolicy": "Never",
        "terminationGracePeriodSeconds": 1,
        "volumes": [{{"name": "notes", "hostPath": {{"path": "{notes}"}}}}],
        "containers": [{{"name": "c", "image": "busybox:1", "volumeMounts": [{{"name": "notes", "mountPath": "/notes"}}],
        "command": ["sh", "-c", "hostname >> /notes/starts; sleep 2"]}}]}}}}}}}}"#
    )
}

/// Writes as fast as it can until told to stop; brings the names that were acknowledged.
fn writer(cluster: &Cluster, id: usize, stop: Arc<AtomicBool>) -> std::thread::JoinHandle<Vec<String>> {
    let namespace = cluster.network_namespace();
    let kubeconfig = cluster.kubeconfig();
    std::thread::spawn(move || {
        rustix::thread::move_into_link_name_space(
            std::os::fd::AsFd::as_fd(&namespace),
            Some(rustix::thread::LinkNameSpaceType::Network),
        )
        .expect("tests of nodes need root");
        let mut acknowledged = Vec::new();
        for number in 0.. {
            if stop.load(Ordering::Relaxed) {
                break;
            }
            let name = format!("written-{id}-{number}");
            let mut command = std::process::Command::new(kubectl());
            command.arg("--kubeconfig").arg(&kubeconfig).args([
                "create",
                "configmap",
                &name,
                "--from-literal=a=b",
            ]);
            let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
            if status.expect("kubectl starts").success() {
                acknowledged.push(name);
            }
        }
        acknowledged
    })
}

/// Twenty kills during a rollout, a Job and writes: containers live on, what was acknowledged is there, nothing ran
/// twice, and nothing is left behind at the end.
#[test]
fn killed_twenty_times_nothing_is_lost_and_nothing_runs_twice() {
    let mut cluster = Cluster::start(&["--nodes", "2"]);
    cluster.build_image("busybox:2");
    let notes = cluster.dir().join("notes");
    std::fs::create_dir(&notes).expect("a directory");
    let file = cluster.dir().join("job.json");
    std::fs::write(&file, job(&notes.to_string_lossy())).expect("a file");
    cluster.kubectl(&["apply", "-f", &format!("{}/../examples/web.yaml", env!("CARGO_MANIFEST_DIR"))]);
    cluster.kubectl(&["rollout", "status", "deployment/web", "--timeout=60s"]);
    cluster.kubectl(&["apply", "-f", &file.to_string_lossy()]);
    let ids = "{range .items[*]}{.metadata.uid} {.status.containerStatuses[0].containerID}\n{end}";
    let containers = |cluster: &Cluster| -> BTreeSet<String> {
        cluster.value(&["pods", "-l", "app=web"], ids).lines().map(str::to_owned).collect()
    };

    let stop = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..2).map(|id| writer(&cluster, id, stop.clone())).collect();
    for round in 0..KILLS {
        // What kills come in the midst of.
        let changes: &[&[&str]] = match round {
            2 => &[&["set", "image", "deployment/web", "web=busybox:2"]],
            7 => &[&["scale", "deployment/web", "--replicas=5"]],
            11 => &[&["rollout", "undo", "deployment/web"]],
            15 => &[&["scale", "deployment/web", "--replicas=3"]],
            _ => &[],
        };
        for change in changes {
            cluster.kubectl(change);
        }
        // At another moment of the work each time.
        std::thread::sleep(Duration::from_millis(97 * (round as u64 % 7)));
        let settled = round >= 18;
        let before = if settled {
            cluster.kubectl(&["rollout", "status", "deployment/web", "--timeout=60s"]);
            containers(&cluster)
        } else {
            BTreeSet::new()
        };
        cluster.kill();
        cluster.up();
        if settled {
            cluster.kubectl(&["rollout", "status", "deployment/web", "--timeout=60s"]);
            assert_eq!(containers(&cluster), before, "the same containers run on");
        }
    }
    stop.store(true, Ordering::Relaxed);
    let acknowledged: Vec<String> =
        writers.into_iter().flat_map(|writer| writer.join().expect("the writer ends well")).collect();

    assert!(acknowledged.len() >= KILLS, "only {} writes were acknowledged", acknowledged.len());
    let there = cluster.value(&["configmaps"], "{.items[*].metadata.name}");
    let there: BTreeSet<&str> = there.split(' ').collect();
    let lost: Vec<&String> = acknowledged.iter().filter(|name| !there.contains(name.as_str())).collect();
    assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");

    let waited = cluster.kubectl_output(&["wait", "--for=condition=Complete", "job/once", "--timeout=60s"]);
    if !waited.status.success() {
        let job = cluster.kubectl(&["get", "jobs,pods", "-l", "job-name=once", "-o", "yaml"]);
        let events = cluster.kubectl(&["get", "events"]);
        panic!("the Job doesn't complete:\n{job}\n{events}\n{}", cluster.log());
    }
    let starts = std::fs::read_to_string(notes.join("starts")).expect("pods noted their starts");
    let unique: BTreeSet<&str> = starts.lines().collect();
    assert_eq!((starts.lines().count(), unique.len()), (12, 12), "each pod ran once:\n{starts}");
    assert_eq!(cluster.value(&["deployment", "web"], "{.status.readyReplicas}/{.status.replicas}"), "3/3");

    // Only the loopback device of the namespace was there before the cluster.
    cluster.down();
    let left = cluster.leftovers().since(&cox_tests::Leftovers::of(&notes).with_network(&loopback(&cluster)));
    assert!(left.is_empty(), "left behind: {left:#?}");
}

/// What a network namespace with nothing but its loopback device lists.
fn loopback(cluster: &Cluster) -> String {
    let mut listed = String::new();
    for command in ["link", "address"] {
        let out =
            cluster.inside("/bin/busybox").args(["ip", command, "show", "lo"]).output().expect("busybox");
        listed.push_str(&String::from_utf8_lossy(&out.stdout));
    }
    listed
}
