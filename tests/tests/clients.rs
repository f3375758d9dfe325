//! The same path with other clients than kubectl: the Python client and kube-rs, unmodified.

use cox_tests::Cluster;
use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::api::{
    Api, AttachParams, DeleteParams, ListParams, LogParams, Patch, PatchParams, PostParams, WatchEvent,
    WatchParams,
};
use serde_json::json;

/// The Python client's own types, its watch, exec, and every sort of patch.
#[test]
fn the_python_client() {
    let mut cluster = Cluster::start(&["--node-name", "solo"]);
    cluster.python("path.py", "the whole path");
    cluster.down();
}

/// The Python client's dynamic form, when the past that its watch goes on from is forgotten.
#[test]
fn the_python_client_starts_over_after_a_compaction() {
    Cluster::api().python("relist.py", "started over");
}

/// kube-rs, in a thread of the cluster's network namespace.
#[test]
fn kube_rs() {
    let mut cluster = Cluster::start(&["--node-name", "solo"]);
    let namespace = cluster.network_namespace();
    let kubeconfig = cluster.kubeconfig();
    let walked = std::thread::spawn(move || {
        rustix::thread::move_into_link_name_space(
            std::os::fd::AsFd::as_fd(&namespace),
            Some(rustix::thread::LinkNameSpaceType::Network),
        )
        .expect("tests of nodes need root");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let within = std::time::Duration::from_secs(120);
            tokio::time::timeout(within, walk(&kubeconfig))
                .await
                .expect("in time")
                .map_err(|error| error.to_string())
        })
    });
    if let Err(error) = walked.join().expect("no assertion failed") {
        panic!("{error}\n{}", cluster.log());
    }
    cluster.down();
}

async fn walk(kubeconfig: &std::path::Path) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let config = kube::config::Kubeconfig::read_from(kubeconfig)?;
    let config =
        kube::Config::from_custom_kubeconfig(config, &kube::config::KubeConfigOptions::default()).await?;
    let client = kube::Client::try_from(config)?;
    let maps: Api<ConfigMap> = Api::default_namespaced(client.clone());
    let deployments: Api<Deployment> = Api::default_namespaced(client.clone());
    let pods: Api<Pod> = Api::default_namespaced(client);

    let map: ConfigMap = serde_json::from_value(json!({"metadata": {"name": "rs"}, "data": {"a": "1"}}))?;
    maps.create(&PostParams::default(), &map).await?;
    let deployment: Deployment = serde_json::from_value(json!({"metadata": {"name": "rs"}, "spec": {
        "replicas": 2, "selector": {"matchLabels": {"app": "rs"}},
        "template": {"metadata": {"labels": {"app": "rs"}}, "spec": {"terminationGracePeriodSeconds": 2, "containers": [{
            "name": "c", "image": "busybox:1", "envFrom": [{"configMapRef": {"name": "rs"}}],
            "command": ["sh", "-c", "trap 'exit 0' TERM; echo started with $a; sleep 1000 & wait"]}]}}}}))?;
    deployments.create(&PostParams::default(), &deployment).await?;

    // A watch sees the pods come up.
    let params = WatchParams::default().labels("app=rs").timeout(60);
    let mut events = pods.watch(&params, "0").await?.boxed();
    let mut ready = std::collections::BTreeSet::new();
    while ready.len() < 2 {
        let Some(event) = events.try_next().await? else { return Err("the watch ended".into()) };
        let (WatchEvent::Added(pod) | WatchEvent::Modified(pod)) = event else { continue };
        let conditions = pod.status.and_then(|status| status.conditions).unwrap_or_default();
        if conditions.iter().any(|one| one.type_ == "Ready" && one.status == "True") {
            ready.insert(pod.metadata.name.unwrap_or_default());
        }
    }
    let name = ready.first().ok_or("no pod")?;
    assert_eq!(pods.logs(name, &LogParams::default()).await?, "started with 1\n");

    let mut process = pods
        .exec(name, ["sh", "-c", "cat; exit 3"], &AttachParams::default().stdin(true).stderr(false))
        .await?;
    let (mut stdin, mut stdout) = (process.stdin().ok_or("stdin")?, process.stdout().ok_or("stdout")?);
    let status = process.take_status().ok_or("status")?;
    tokio::io::AsyncWriteExt::write_all(&mut stdin, b"through\n").await?;
    tokio::io::AsyncWriteExt::shutdown(&mut stdin).await?;
    drop(stdin);
    let mut out = String::new();
    tokio::io::AsyncReadExt::read_to_string(&mut stdout, &mut out).await?;
    assert_eq!(out, "through\n");
    let status = status.await.ok_or("a status")?;
    assert_eq!(status.reason.as_deref(), Some("NonZeroExitCode"), "{status:?}");

    let three = json!({"spec": {"replicas": 3}});
    deployments.patch_scale("rs", &PatchParams::default(), &Patch::Merge(&three)).await?;
    for _ in 0..600 {
        if deployments.get_status("rs").await?.status.and_then(|status| status.ready_replicas) == Some(3) {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    assert_eq!(deployments.get_status("rs").await?.status.and_then(|status| status.ready_replicas), Some(3));

    let applied =
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "rs"}, "data": {"apply": "x"}});
    let map = maps.patch("rs", &PatchParams::apply("rs"), &Patch::Apply(&applied)).await?;
    assert_eq!(map.data.map(|data| data.len()), Some(2));
    let map = maps
        .patch("rs", &PatchParams::default(), &Patch::Strategic(json!({"data": {"strategic": "x"}})))
        .await?;
    let keys: Vec<String> = map.data.unwrap_or_default().into_keys().collect();
    assert_eq!(keys, ["a", "apply", "strategic"]);
    deployments.delete("rs", &DeleteParams::foreground()).await?;
    for _ in 0..600 {
        if pods.list(&ListParams::default().labels("app=rs")).await?.items.is_empty() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    assert!(pods.list(&ListParams::default().labels("app=rs")).await?.items.is_empty());
    maps.delete("rs", &DeleteParams::default()).await?;
    Ok(())
}
