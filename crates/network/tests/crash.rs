//! Killed at any time, the next process finds what was given away whole, and removes the rest.

mod support;

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use cox_network::{NodeNetwork, PodNetwork};
use cox_sys::netlink::netns;
use support::*;

/// Set for the process that is to be killed: its directory.
const VICTIM: &str = "COX_NETWORK_TEST_VICTIM";
const ROUNDS: usize = 12;

/// Attaches and detaches without end, and says what it was answered.
async fn victim(dir: PathBuf) {
    let network = NodeNetwork::start(config(&dir)).await.unwrap();
    network.reconcile(BTreeSet::new()).await.unwrap();
    for n in 0.. {
        let mut tasks = Vec::new();
        for m in 0..4 {
            let network = network.clone();
            tasks.push(tokio::spawn(async move { attach(&network, &format!("p{n}-{m}")).await }));
        }
        for task in tasks {
            println!("attached {}", task.await.unwrap().owner);
        }
        for m in [0, 2] {
            println!("detaching p{n}-{m}");
            network.detach(&format!("p{n}-{m}")).await.unwrap();
        }
        if n > 1 {
            for m in [1, 3] {
                println!("detaching p{}-{m}", n - 2);
                network.detach(&format!("p{}-{m}", n - 2)).await.unwrap();
            }
        }
    }
}

/// Starts a victim, kills it after it has said `lines` lines, and answers with the pods it must have left.
fn kill_after(dir: &Path, lines: usize) -> BTreeSet<String> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "killed_at_any_time", "--nocapture"])
        .env(VICTIM, dir)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut attached = BTreeSet::new();
    let said = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut heard = 0;
    for line in said {
        let line = line.unwrap();
        let Some((what, owner)) = line.split_once(' ') else { continue };
        match what {
            "attached" => attached.insert(owner.to_owned()),
            "detaching" => attached.remove(owner),
            _ => continue,
        };
        heard += 1;
        // What it says after it was killed was true before.
        if heard == lines {
            child.kill().unwrap();
        }
    }
    assert!(heard >= lines, "the victim ended by itself");
    child.wait().unwrap();
    attached
}

#[test]
fn killed_at_any_time() {
    if let Some(dir) = std::env::var_os(VICTIM) {
        // It inherits the world of the test.
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        return runtime.block_on(victim(dir.into()));
    }
    world(|| async {
        let dir = tempfile::tempdir().unwrap();
        for round in 0..ROUNDS {
            let attached = kill_after(dir.path(), 1 + 5 * round);
            let network = NodeNetwork::start(config(dir.path())).await.unwrap();
            let pods = network.list().await.unwrap();
            let owners: BTreeSet<String> = pods.iter().map(|p| p.owner.clone()).collect();
            // It may have been answered without having come to say so.
            assert!(owners.is_superset(&attached), "round {round}: {owners:?} lacks some of {attached:?}");
            for pod in &pods {
                serve(&pod.netns_path, 80, &pod.owner);
                assert_eq!(ask_here((pod.ip, 80).into(), PATIENCE).unwrap().0, pod.owner);
            }
            network.close().await.unwrap();
            assert_whole(dir.path(), &pods);
        }
        NodeNetwork::purge(config(dir.path())).await.unwrap();
        assert_eq!(interfaces(), Vec::<String>::new());
        assert!(!dir.path().join("net").exists());
    });
}

/// Nothing is there but pods, ready slots and the gateway device; each pin has its interface and the reverse.
fn assert_whole(dir: &Path, pods: &[PodNetwork]) {
    let links: BTreeSet<String> = interfaces().into_iter().filter(|name| name != "gt1").collect();
    let mut pins = BTreeSet::new();
    for entry in std::fs::read_dir(dir.join("net/netns")).unwrap() {
        let path = entry.unwrap().path();
        assert!(netns::is_pinned(&path).unwrap(), "{}", path.display());
        let address: std::net::Ipv4Addr = path.file_name().unwrap().to_str().unwrap().parse().unwrap();
        pins.insert(format!("vt1-{:x}", address.octets()[3]));
    }
    assert_eq!(links, pins);
    assert!(pods.iter().all(|p| links.contains(&p.node_interface)));
    assert!(links.len() <= pods.len() + 4, "{links:?} for {} pods", pods.len());
}
