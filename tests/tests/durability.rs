//! `kill -9` of the API server under writers, over HTTPS: what was acknowledged is there, nothing is half there, and
//! no revision is given twice. `COX_KILLS` says how many times: 10 in CI; before a
//! release `COX_KILLS=100 cargo test -p cox-tests --test durability`, which takes some minutes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use cox_tests::Cluster;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, DeleteParams, ListParams, PostParams};
use serde_json::json;

const WRITERS: u64 = 8;
/// Bytes that belong together: they fill several pages.
const FILLER_BYTES: usize = 20_000;

/// What is known of an object that one writer alone writes.
#[derive(Clone, Debug, Default)]
struct Known {
    /// The number that was acknowledged last; none where its deletion was, or nothing.
    number: Option<u64>,
    /// What was asked for and not answered: a number, or the deletion.
    asked: Option<Option<u64>>,
}

/// What a writer found out in one life of the server.
#[derive(Default)]
struct Report {
    known: BTreeMap<String, Known>,
    revisions: Vec<u64>,
}

fn config_map(name: &str, number: u64) -> ConfigMap {
    let filler = format!("{number:016}").repeat(FILLER_BYTES / 16);
    let value = json!({"metadata": {"name": name, "labels": {"number": number.to_string()}},
        "data": {"filler": filler, "number": number.to_string()}});
    serde_json::from_value(value).expect("a ConfigMap")
}

/// The number of an object, all of which says the same.
fn number_of(map: &ConfigMap) -> u64 {
    let data = map.data.as_ref().expect("its data");
    let number: u64 = data["number"].parse().expect("a number");
    let whole = config_map("", number);
    assert_eq!(map.data, whole.data, "half of {:?} is there", map.metadata.name);
    assert_eq!(map.metadata.labels, whole.metadata.labels, "half of {:?} is there", map.metadata.name);
    number
}

fn revision_of(map: &ConfigMap) -> u64 {
    map.metadata.resource_version.as_ref().and_then(|text| text.parse().ok()).expect("a resourceVersion")
}

async fn api(kubeconfig: &std::path::Path) -> Api<ConfigMap> {
    let config = kube::config::Kubeconfig::read_from(kubeconfig).expect("a kubeconfig");
    let options = kube::config::KubeConfigOptions::default();
    let config = kube::Config::from_custom_kubeconfig(config, &options).await.expect("a configuration");
    Api::default_namespaced(kube::Client::try_from(config).expect("a client"))
}

/// Runs in a thread of the cluster's network namespace.
fn inside<T: Send + 'static>(
    cluster: &Cluster,
    work: impl AsyncFnOnce(Api<ConfigMap>) -> T + Send + 'static,
) -> JoinHandle<T> {
    let namespace = cluster.network_namespace();
    let kubeconfig = cluster.kubeconfig();
    std::thread::spawn(move || {
        rustix::thread::move_into_link_name_space(
            std::os::fd::AsFd::as_fd(&namespace),
            Some(rustix::thread::LinkNameSpaceType::Network),
        )
        .expect("tests of clusters need root");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async { work(api(&kubeconfig).await).await })
    })
}

/// Writes its own objects, new numbers all the time, until the server doesn't answer.
async fn write(
    api: Api<ConfigMap>,
    writer: u64,
    mut report: Report,
    next: Arc<AtomicU64>,
    over: Arc<AtomicBool>,
) -> Report {
    for step in 0u64.. {
        let name = format!("w{writer}-{}", step % 3);
        let known = report.known.entry(name.clone()).or_default();
        let number = next.fetch_add(1, Ordering::Relaxed);
        let deletes = known.number.is_some() && step % 7 == 6;
        known.asked = Some((!deletes).then_some(number));
        let map = config_map(&name, number);
        let answer = if deletes {
            api.delete(&name, &DeleteParams::default()).await.map(|_| None)
        } else if known.number.is_some() {
            api.replace(&name, &PostParams::default(), &map).await.map(Some)
        } else {
            api.create(&PostParams::default(), &map).await.map(Some)
        };
        match answer {
            Ok(written) => {
                if let Some(written) = &written {
                    assert_eq!(number_of(written), number);
                    report.revisions.push(revision_of(written));
                }
                known.number = written.map(|_| number);
                known.asked = None;
            }
            // An answer of the server that isn't one of a crash would be a fault of its own.
            Err(kube::Error::Api(status)) => panic!("{name}: {status:?}"),
            Err(error) => {
                assert!(over.load(Ordering::Relaxed), "{name}: {error:?} before the kill");
                break;
            }
        }
    }
    report
}

#[test]
fn kill_9_loses_nothing_that_was_acknowledged() {
    let kills: u64 = std::env::var("COX_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(10);
    let started = Instant::now();
    let mut cluster = Cluster::durable_api();
    let next = Arc::new(AtomicU64::new(0));
    let mut known: Vec<BTreeMap<String, Known>> = vec![BTreeMap::new(); WRITERS as usize];
    let mut revisions = BTreeSet::new();
    let mut unanswered_done = 0;
    for round in 0..kills {
        let over = Arc::new(AtomicBool::new(false));
        let before = revisions.last().copied().unwrap_or(0);
        let writers: Vec<JoinHandle<Report>> = (0..WRITERS)
            .map(|writer| {
                let (next, over) = (next.clone(), over.clone());
                let report = Report { known: known[writer as usize].clone(), ..Report::default() };
                inside(&cluster, async move |api| write(api, writer, report, next, over).await)
            })
            .collect();
        // The time of the kill is what is tried out: soon after the start, and in full swing.
        std::thread::sleep(Duration::from_millis(50 + round * 97 % 400));
        over.store(true, Ordering::Relaxed);
        cluster.kill();
        for (writer, report) in writers.into_iter().enumerate() {
            let report = report.join().expect("no assertion failed");
            known[writer] = report.known;
            for revision in report.revisions {
                assert!(revision > before, "round {round}: {revision} after {before} in a life before");
                assert!(revisions.insert(revision), "round {round}: {revision} was given twice");
            }
        }
        cluster.up();
        let list = inside(&cluster, async |api| api.list(&ListParams::default()).await.expect("a list"));
        let list = list.join().expect("listed");
        let there: BTreeMap<String, (u64, u64)> = list
            .items
            .iter()
            .filter(|map| map.metadata.name.as_ref().is_some_and(|name| name.starts_with('w')))
            .map(|map| (map.metadata.name.clone().unwrap_or_default(), (number_of(map), revision_of(map))))
            .collect();
        let now: u64 =
            list.metadata.resource_version.as_ref().and_then(|text| text.parse().ok()).expect("a revision");
        let highest = revisions.last().copied().unwrap_or(0);
        assert!(now >= highest, "round {round}: {highest} was acknowledged, and the store is at {now}");
        for (name, known) in known.iter_mut().flatten() {
            let found = there.get(name).map(|(number, _)| *number);
            let (answered, asked) = (known.number, known.asked.take());
            assert!(
                found == answered || asked == Some(found),
                "round {round}: {name} is {found:?}; {answered:?} was acknowledged, {asked:?} asked for"
            );
            if found != answered {
                unanswered_done += 1;
                // Its revision was given, though nobody heard of it.
                revisions.extend(there.get(name).map(|(_, revision)| *revision));
            }
            known.number = found;
        }
        assert!(
            there.keys().all(|name| known.iter().any(|known| known.contains_key(name))),
            "nobody else writes"
        );
    }
    println!(
        "{kills} kills in {:.1?}: {} writes acknowledged, {unanswered_done} done without an answer",
        started.elapsed(),
        revisions.len()
    );
    assert!(revisions.len() as u64 > kills * 5, "only {} writes in all", revisions.len());
    cluster.down();
}
