//! A make-believe kubelet: everything it tells the API, and nothing it would do to the machine.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use cox_api::PatchKind;
use cox_client::{Client, DeleteOptions, Key, Next, Queue, Reader, Result, Scope, SharedInformers};
use cox_env::Env;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Node, Pod};
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::Mutant;
use crate::machines::Machines;

/// As upstream's `nodeStatusUpdateFrequency` and the lease's renewal.
const BEAT: Duration = Duration::from_secs(10);
/// The longest start, life of a Job's pod, and end, in milliseconds.
const START_MS_MAX: u64 = 3_000;
const WORK_MS_MAX: u64 = 15_000;
const END_MS_MAX: u64 = 3_000;
/// How many of a hundred pods of Jobs fail.
const FAILING: u64 = 12;

/// What a kubelet knows of one pod.
#[derive(Default)]
struct Known {
    name: String,
    starts: Option<Duration>,
    ends: Option<Duration>,
    stops: Option<Duration>,
    address: Option<String>,
    fails: bool,
}

/// A kubelet.
pub(crate) struct Kubelet {
    pub(crate) env: Env,
    pub(crate) client: Client,
    pub(crate) node: String,
    pub(crate) number: usize,
    pub(crate) machines: Machines,
    pub(crate) mutant: Option<Mutant>,
}

struct Shell {
    kubelet: Kubelet,
    pods: Reader<Pod>,
    known: Mutex<BTreeMap<String, Known>>,
}

impl Kubelet {
    /// Starts it; it ends with its [`Env`]. What was running before on this machine isn't any more.
    pub(crate) fn start(self) {
        let env = self.env.clone();
        let informers = SharedInformers::new(self.client.clone(), env.clone());
        let all = self.mutant == Some(Mutant::RunsOthersPods) && self.number == 0;
        let scope = if all { Scope::everything() } else { Scope::on_node(&self.node) };
        let pods = informers.scoped::<Pod>(scope);
        let shell = Arc::new(Shell { kubelet: self, pods, known: Mutex::default() });
        env.spawn(shell.clone().beat());
        env.spawn(shell.work());
    }
}

impl Shell {
    /// Registers the node and renews its lease; what fails is tried again at the next beat.
    async fn beat(self: Arc<Self>) {
        loop {
            let _ = self.report().await;
            let _ = self.renew().await;
            self.kubelet.env.sleep(BEAT).await;
        }
    }

    async fn report(&self) -> Result<()> {
        let (client, node) = (&self.kubelet.client, &self.kubelet.node);
        let now = self.kubelet.env.now_rfc3339();
        let known = match client.find::<Node>("", node).await? {
            Some(known) => known,
            None => {
                let new = json!({"metadata": {"name": node, "labels": {"kubernetes.io/hostname": node}}});
                client.create::<Node>(&object(new)).await?
            }
        };
        let conditions =
            known.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
        if conditions.iter().any(|condition| condition.type_ == "Ready" && condition.status == "True") {
            return Ok(());
        }
        let room = json!({"cpu": "8", "memory": "16Gi", "pods": "110"});
        let patch = json!({"status": {"capacity": room, "allocatable": room, "conditions": [
            {"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "kubelet is posting ready status",
                "lastHeartbeatTime": now, "lastTransitionTime": now}]}});
        client.patch_status::<Node>("", node, PatchKind::Strategic, patch).await?;
        Ok(())
    }

    async fn renew(&self) -> Result<()> {
        let (client, node) = (&self.kubelet.client, &self.kubelet.node);
        let spec = json!({"holderIdentity": node, "leaseDurationSeconds": 40, "renewTime": self.kubelet.env.now_micro()});
        if client.find::<Lease>("kube-node-lease", node).await?.is_some() {
            let patch = json!({"spec": spec});
            client.patch::<Lease>("kube-node-lease", node, PatchKind::Merge, patch).await?;
        } else {
            let lease = json!({"metadata": {"name": node, "namespace": "kube-node-lease"}, "spec": spec});
            client.create::<Lease>(&object(lease)).await?;
        }
        Ok(())
    }

    async fn work(self: Arc<Self>) {
        let queue = Queue::<Key>::new(self.kubelet.env.clone(), "kubelet");
        let changed = queue.clone();
        self.pods.on_change(move |change| changed.add(Key::of(&**change.latest())));
        queue
            .run(8, move |key| {
                let shell = self.clone();
                async move { shell.sync(&key).await }
            })
            .await;
    }

    fn due(&self, slot: &mut Option<Duration>, ms_max: u64) -> Option<Duration> {
        let now = self.kubelet.env.elapsed();
        let due = *slot
            .get_or_insert_with(|| now + Duration::from_millis(50 + self.kubelet.env.chance().below(ms_max)));
        (due > now).then(|| due - now)
    }

    async fn sync(&self, key: &Key) -> Result<Next> {
        let pod = self.pods.at(key);
        let uid = pod.as_ref().and_then(|pod| pod.metadata.uid.clone()).unwrap_or_default();
        if let Some(left) = self.clear(&key.name, &uid) {
            return Ok(Next::After(left));
        }
        let Some(pod) = pod else { return Ok(Next::Done) };
        if pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()).is_none_or(str::is_empty) {
            return Ok(Next::Done);
        }
        let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or_default();
        let over = matches!(phase, "Succeeded" | "Failed");
        if pod.metadata.deletion_timestamp.is_some() {
            return self.end(&pod, &uid, over).await;
        }
        if over {
            return Ok(Next::Done);
        }
        let once = pod.spec.as_ref().and_then(|spec| spec.restart_policy.as_deref()) != Some("Always");
        enum Step {
            Wait(Duration),
            Run(String),
            Finish(bool),
        }
        let step = {
            let mut known = self.known.lock();
            let known = known.entry(uid.clone()).or_default();
            known.name = key.name.to_string();
            if known.address.is_none() {
                match self.due(&mut known.starts, START_MS_MAX) {
                    Some(left) if self.kubelet.mutant != Some(Mutant::ReadyUnstarted) => Step::Wait(left),
                    _ => {
                        let address = self.kubelet.machines.address(&self.kubelet.node, self.kubelet.number);
                        known.address = Some(address.clone());
                        known.fails = once && self.kubelet.env.chance().below(100) < FAILING;
                        if self.kubelet.mutant != Some(Mutant::ReadyUnstarted) {
                            self.kubelet.machines.start(&uid, &key.name, &self.kubelet.node);
                        }
                        Step::Run(address)
                    }
                }
            } else {
                let address = known.address.clone().unwrap_or_default();
                let told = is_ready(&pod)
                    && pod.status.as_ref().and_then(|status| status.pod_ip.as_ref()) == Some(&address);
                if !told {
                    Step::Run(address)
                } else if !once {
                    return Ok(Next::Done);
                } else {
                    match self.due(&mut known.ends, WORK_MS_MAX) {
                        Some(left) => Step::Wait(left),
                        None => Step::Finish(known.fails),
                    }
                }
            }
        };
        match step {
            Step::Wait(left) => Ok(Next::After(left)),
            Step::Run(address) => {
                let told = self.tell(&pod, "Running", Some(&address)).await;
                // The informer brings the pod here again, for what comes next.
                told.map(|()| Next::Done)
            }
            Step::Finish(fails) => {
                self.kubelet.machines.stop(&uid);
                let told = self.tell(&pod, if fails { "Failed" } else { "Succeeded" }, None).await;
                told.map(|()| Next::Done)
            }
        }
    }

    /// Ends pods of this name that the API no longer has; how long that still takes.
    fn clear(&self, name: &str, but: &str) -> Option<Duration> {
        let mut known = self.known.lock();
        let gone: Vec<String> = known
            .iter()
            .filter(|(uid, known)| known.name == name && *uid != but)
            .map(|(uid, _)| uid.clone())
            .collect();
        let mut wait = None;
        for uid in gone {
            let left = known.get_mut(&uid).and_then(|gone| self.due(&mut gone.stops, END_MS_MAX));
            if left.is_none() {
                self.kubelet.machines.stop(&uid);
                known.remove(&uid);
            }
            wait = wait.max(left);
        }
        wait
    }

    async fn end(&self, pod: &Pod, uid: &str, over: bool) -> Result<Next> {
        let left = {
            let mut known = self.known.lock();
            let known = known.entry(uid.to_owned()).or_default();
            self.due(&mut known.stops, END_MS_MAX)
        };
        if let Some(left) = left {
            return Ok(Next::After(left));
        }
        self.kubelet.machines.stop(uid);
        if !over {
            self.tell(pod, "Failed", None).await?;
        }
        let held = pod.metadata.finalizers.as_ref().is_some_and(|finalizers| !finalizers.is_empty());
        if held && pod.metadata.deletion_grace_period_seconds == Some(0) {
            // What is left waits for somebody's finalizer.
            return Ok(Next::Done);
        }
        let key = Key::of(pod);
        let options = DeleteOptions::uid(uid).grace_period_seconds(0);
        match self.kubelet.client.delete::<Pod>(&key.namespace, &key.name, &options).await {
            Err(error) if !error.is_not_found() && !error.is_conflict() => Err(error),
            _ => Ok(Next::Done),
        }
    }

    async fn tell(&self, pod: &Pod, phase: &str, address: Option<&str>) -> Result<()> {
        let now = self.kubelet.env.now_rfc3339();
        let running = phase == "Running";
        let flag = if running { "True" } else { "False" };
        let conditions: Vec<Value> = ["Initialized", "ContainersReady", "Ready"]
            .iter()
            .map(|name| json!({"type": name, "status": flag, "lastTransitionTime": now}))
            .collect();
        let state = if running {
            json!({"running": {"startedAt": now}})
        } else {
            json!({"running": null, "terminated": {"exitCode": i32::from(phase == "Failed"), "finishedAt": now}})
        };
        let mut status = json!({"phase": phase, "conditions": conditions, "containerStatuses": [
            {"name": "c", "image": "i", "imageID": "i", "ready": running, "restartCount": 0, "state": state}]});
        if let Some(address) = address {
            status["podIP"] = address.into();
            // The list is merged by address: what it was before goes.
            status["podIPs"] = json!([{"ip": address}, {"$patch": "replace"}]);
            status["startTime"] = now.into();
        }
        let patch = json!({"metadata": {"uid": pod.metadata.uid}, "status": status});
        let key = Key::of(pod);
        let client = &self.kubelet.client;
        match client.patch_status::<Pod>(&key.namespace, &key.name, PatchKind::Strategic, patch).await {
            Err(error) if !error.is_not_found() && !error.is_conflict() => Err(error),
            _ => Ok(()),
        }
    }
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    conditions.iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

/// An object made by this crate.
pub(crate) fn object<T: cox_client::Kind>(value: Value) -> T {
    serde_json::from_value(value).expect("what is written here fits its type")
}
