//! The shell around the cycle: informers feed queue and snapshot, binds go out, results are told.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use cox_api::PatchKind;
use cox_client::events::reference;
use cox_client::{Change, Changes, Client, DeleteOptions, EventRecorder, EventType, Reader, SharedInformers};
use cox_env::Env;
use k8s_openapi::api::core::v1::{Namespace, Node, Pod};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::resource::v1::{DeviceClass, ResourceClaim, ResourceSlice};
use serde_json::json;
use tokio::sync::{Semaphore, mpsc};

use crate::cycle::{Memory, Unschedulable, cycle};
use crate::devices::{self, Devices, Grant, Plan};
use crate::pod::{PodInfo, is_over};
use crate::preempt;
use crate::queue::Queue;
use crate::snapshot::Snapshot;
use crate::text::{self, Claims, Preemption};

/// Binds under way at a time.
const BINDS_MAX: usize = 128;
/// Decisions in one go before other tasks get their turn.
const TURN_PODS: u32 = 16;

/// How a scheduler is set up (`KubeSchedulerConfiguration`).
#[derive(Clone, Debug)]
pub struct SchedulerConfig {
    /// Pods with this `spec.schedulerName` are ours.
    pub scheduler_name: String,
}

impl Default for SchedulerConfig {
    fn default() -> Self {
        SchedulerConfig { scheduler_name: "default-scheduler".into() }
    }
}

/// The scheduler. It ends with the task group of its [`Env`].
pub struct Scheduler {
    env: Env,
    client: Client,
    config: SchedulerConfig,
    recorder: EventRecorder,
    pods: Reader<Pod>,
    budgets: Reader<PodDisruptionBudget>,
    claims: Reader<ResourceClaim>,
    devices: Devices,
    /// Pods that wait for their claims before they wait for a node, by uid.
    held: BTreeMap<String, Arc<Pod>>,
    queue: Queue,
    snapshot: Snapshot,
    memory: Memory,
    binds: Arc<Semaphore>,
    /// Uids of pods whose binding is under way, or done and not seen in the cache yet.
    binding: BTreeSet<String>,
    bound: mpsc::Sender<Bound>,
    /// What changed since parked pods were looked at.
    news: News,
}

/// What may help pods that found no node.
#[derive(Clone, Copy, Default)]
struct News {
    /// Room, or a node that is another: it may help everybody.
    room: bool,
    /// A pod on a node: it may help whoever looks for pods.
    company: bool,
}

/// A bind has ended.
struct Bound {
    pod: Arc<PodInfo>,
    /// Claims that were promised devices, by uid.
    promised: Vec<String>,
    failed: Option<String>,
}

/// What the scheduler listens to.
struct Feeds {
    nodes: Changes<Node>,
    pods: Changes<Pod>,
    namespaces: Changes<Namespace>,
    claims: Changes<ResourceClaim>,
    classes: Changes<DeviceClass>,
    slices: Changes<ResourceSlice>,
    results: mpsc::Receiver<Bound>,
}

impl Scheduler {
    /// Starts scheduling.
    pub fn start(env: Env, client: Client, config: SchedulerConfig) {
        let informers = SharedInformers::new(client.clone(), env.clone());
        let recorder = EventRecorder::new(client.clone(), &env, &config.scheduler_name, "");
        let (bound, results) = mpsc::channel(BINDS_MAX);
        let scheduler = Scheduler {
            env: env.clone(),
            client,
            config,
            recorder,
            pods: informers.of(),
            budgets: informers.of(),
            claims: informers.of(),
            devices: Devices::default(),
            held: BTreeMap::new(),
            queue: Queue::default(),
            snapshot: Snapshot::default(),
            memory: Memory::default(),
            binds: Arc::new(Semaphore::new(BINDS_MAX)),
            binding: BTreeSet::new(),
            bound,
            news: News::default(),
        };
        env.spawn(scheduler.run(informers, results));
    }

    async fn run(mut self, informers: SharedInformers, results: mpsc::Receiver<Bound>) {
        let (nodes, namespaces) = (informers.of::<Node>(), informers.of::<Namespace>());
        let mut feeds = Feeds {
            nodes: nodes.subscribe(),
            pods: self.pods.subscribe(),
            namespaces: namespaces.subscribe(),
            claims: self.claims.subscribe(),
            classes: informers.of::<DeviceClass>().subscribe(),
            slices: informers.of::<ResourceSlice>().subscribe(),
            results,
        };
        informers.synced().await;
        let mut decided: u32 = 0;
        loop {
            // Everything that is known by now counts before the next decision.
            while let Some(change) = feeds.namespaces.try_next() {
                self.take_namespace(change);
            }
            while let Some(change) = feeds.nodes.try_next() {
                self.take_node(change);
            }
            while let Some(change) = feeds.classes.try_next() {
                self.take_class(change);
            }
            while let Some(change) = feeds.slices.try_next() {
                self.take_slice(change);
            }
            while let Some(change) = feeds.claims.try_next() {
                self.take_claim(&change);
            }
            while let Some(change) = feeds.pods.try_next() {
                self.take_pod(change);
            }
            while let Ok(result) = feeds.results.try_recv() {
                self.take_result(result);
            }
            let now = self.env.elapsed();
            self.wake(now);
            let next = self.queue.tick(now);
            if self.binds.available_permits() > 0
                && let Some(pod) = self.queue.pop()
            {
                self.schedule(pod);
                decided = decided.wrapping_add(1);
                if decided.is_multiple_of(TURN_PODS) {
                    others_turn().await;
                }
                continue;
            }
            let env = self.env.clone();
            let timer = async {
                match next {
                    Some(at) => env.sleep(at.saturating_sub(now).max(Duration::from_millis(1))).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                change = feeds.namespaces.next() => self.take_namespace(change),
                change = feeds.nodes.next() => self.take_node(change),
                change = feeds.classes.next() => self.take_class(change),
                change = feeds.slices.next() => self.take_slice(change),
                change = feeds.claims.next() => self.take_claim(&change),
                change = feeds.pods.next() => self.take_pod(change),
                Some(result) = feeds.results.recv() => self.take_result(result),
                () = timer => {}
            }
        }
    }

    /// Pods that found no node are looked at again if what changed may help them.
    fn wake(&mut self, now: Duration) {
        let news = std::mem::take(&mut self.news);
        if news.room {
            self.queue.changed(now, |_| true);
        } else if news.company {
            self.queue.changed(now, |pod| pod.class.is_none());
        }
    }

    fn take_namespace(&mut self, change: Change<Arc<Namespace>>) {
        let name = change.latest().metadata.name.clone().unwrap_or_default();
        match &change.new {
            Some(namespace) => {
                let labels = namespace.metadata.labels.clone().unwrap_or_default();
                self.snapshot.namespaces.insert(name, labels);
            }
            None => {
                self.snapshot.namespaces.remove(&name);
            }
        }
        self.news.company = true;
    }

    fn take_node(&mut self, change: Change<Arc<Node>>) {
        match (change.old, change.new) {
            (_, Some(node)) => self.news.room |= self.snapshot.set_node(&node),
            (Some(node), None) => {
                self.snapshot.remove_node(node.metadata.name.as_deref().unwrap_or_default());
                // Where pods have to be spread over what there is, less may be enough.
                self.news.company = true;
            }
            (None, None) => {}
        }
    }

    fn take_class(&mut self, change: Change<Arc<DeviceClass>>) {
        let name = change.latest().metadata.name.clone().unwrap_or_default();
        self.devices.set_class(&name, change.new);
        self.news.room = true;
    }

    fn take_slice(&mut self, change: Change<Arc<ResourceSlice>>) {
        let name = change.latest().metadata.name.clone().unwrap_or_default();
        self.devices.set_slice(&name, change.new);
        self.news.room = true;
    }

    fn take_claim(&mut self, change: &Change<Arc<ResourceClaim>>) {
        self.news.room = true;
        let namespace = &change.latest().metadata.namespace;
        let held: Vec<Arc<Pod>> =
            self.held.values().filter(|pod| pod.metadata.namespace == *namespace).cloned().collect();
        held.into_iter().for_each(|pod| self.take_waiting(pod));
    }

    /// A pod without a node waits for one, or for its claims before that. Upstream's `PreEnqueue`.
    fn take_waiting(&mut self, pod: Arc<Pod>) {
        let uid = pod.metadata.uid.clone().unwrap_or_default();
        if devices::of_pod(&pod, |name| self.claim(&pod, name)).is_err() {
            self.queue.remove(&uid);
            self.held.insert(uid, pod);
            return;
        }
        self.held.remove(&uid);
        let nominated = pod.status.as_ref().and_then(|status| status.nominated_node_name.clone());
        let info = Arc::new(PodInfo::new(pod));
        self.snapshot.nominate(&info, nominated.as_deref().filter(|node| !node.is_empty()));
        self.queue.add(info);
    }

    fn claim(&self, pod: &Pod, name: &str) -> Option<Arc<ResourceClaim>> {
        self.claims.get(pod.metadata.namespace.as_deref().unwrap_or_default(), name)
    }

    fn take_pod(&mut self, change: Change<Arc<Pod>>) {
        match (change.old, change.new) {
            (_, Some(pod)) => {
                let uid = pod.metadata.uid.as_deref().unwrap_or_default();
                let spec = pod.spec.as_ref();
                let node = spec.and_then(|spec| spec.node_name.as_deref()).unwrap_or_default();
                if !node.is_empty() {
                    self.binding.remove(uid);
                    self.held.remove(uid);
                    self.queue.remove(uid);
                    self.snapshot.set_pod(&pod);
                    self.news.room |= is_over(&pod);
                    self.news.company = true;
                    return;
                }
                let scheduler =
                    spec.and_then(|spec| spec.scheduler_name.as_deref()).unwrap_or("default-scheduler");
                let gates = spec.and_then(|spec| spec.scheduling_gates.as_ref());
                let gated = gates.is_some_and(|gates| !gates.is_empty());
                let ours = scheduler == self.config.scheduler_name;
                if !ours || is_over(&pod) || gated || pod.metadata.deletion_timestamp.is_some() {
                    self.held.remove(uid);
                    self.queue.remove(uid);
                    self.snapshot.remove_pod(uid);
                    return;
                }
                if !self.binding.contains(uid) {
                    self.take_waiting(pod);
                }
            }
            (Some(pod), None) => {
                let uid = pod.metadata.uid.as_deref().unwrap_or_default();
                self.binding.remove(uid);
                self.held.remove(uid);
                self.queue.remove(uid);
                self.snapshot.remove_pod(uid);
                self.news.room = true;
            }
            (None, None) => {}
        }
    }

    fn take_result(&mut self, bound: Bound) {
        let uid = &bound.pod.uid;
        // The cache shows them by now, or they weren't written.
        bound.promised.iter().for_each(|claim| self.devices.settle(claim));
        let seen = self.pods.by_uid(uid);
        let Some(error) = bound.failed else {
            // Stays among the bindings until the cache shows it, so that an older state starts no second try.
            if seen.is_none() {
                self.binding.remove(uid);
                self.snapshot.remove_pod(uid);
            }
            return;
        };
        self.binding.remove(uid);
        match seen {
            // The answer was lost, or somebody else was faster: the cache tells where it is.
            Some(pod) if pod.spec.as_ref().is_some_and(|spec| spec.node_name.is_some()) => {
                self.snapshot.set_pod(&pod);
            }
            Some(pod) if pod.metadata.deletion_timestamp.is_none() => {
                tracing::warn!(pod = %format!("{}/{}", bound.pod.namespace, bound.pod.name), error, "bind");
                self.snapshot.remove_pod(uid);
                self.queue.add_later(Arc::new(PodInfo::new(pod)), self.env.elapsed());
                self.news.room = true;
            }
            _ => {
                self.snapshot.remove_pod(uid);
                self.news.room = true;
            }
        }
    }

    fn schedule(&mut self, pod: Arc<PodInfo>) {
        let claims = self.claims.clone();
        let find = |name: &str| claims.get(&pod.namespace, name);
        let plan = match self.devices.plan(&pod.pod, find, || claims.list()) {
            Ok(plan) => plan,
            Err(why) => {
                let failed = Unschedulable::everywhere(self.snapshot.len(), why);
                return self.refuse(pod, &failed, None);
            }
        };
        let outcome = cycle(&pod, &self.snapshot, self.env.chance(), &mut self.memory, plan.as_ref());
        self.snapshot.advance(outcome.looked_at);
        match outcome.result {
            Ok(node) => {
                let grants = plan.map(|plan| self.promise(&plan, &node)).unwrap_or_default();
                self.queue.remove(&pod.uid);
                self.binding.insert(pod.uid.clone());
                self.snapshot.place(pod.clone(), &node);
                self.bind(pod, node, grants);
            }
            Err(failed) => self.refuse(pod, &failed, plan.as_ref()),
        }
    }

    /// What the pod's claims will be given; others can't have it from now on.
    fn promise(&mut self, plan: &Plan, node: &str) -> Vec<Grant> {
        let Some(slot) = self.snapshot.slot_of(node) else { return Vec::new() };
        let grants = plan.grants(self.snapshot.at(slot), self.env.now(), self.env.chance());
        for grant in &grants {
            if let (Some(uid), Some(allocation)) = (&grant.claim.metadata.uid, &grant.allocation) {
                self.devices.promise(uid, allocation.clone());
            }
        }
        grants
    }

    fn refuse(&mut self, pod: Arc<PodInfo>, failed: &Unschedulable, plan: Option<&Plan>) {
        self.queue.failed(&pod.uid, self.env.elapsed());
        let claims = plan.map_or(Claims::None, |plan| self.give_back(&pod, plan));
        let (preemption, nominated) = self.preempt(&pod, failed);
        let message = text::unschedulable(failed, preemption, claims);
        let about = reference(&*pod.pod);
        self.recorder.action(
            about,
            None,
            EventType::Warning,
            "FailedScheduling",
            "Scheduling",
            message.clone(),
        );
        let (env, client) = (self.env.clone(), self.client.clone());
        self.env.spawn(async move { tell_unschedulable(&env, &client, &pod, &message, nominated).await });
    }

    /// Gives back what one of the pod's claims was given on nodes where the pod can't be.
    fn give_back(&mut self, pod: &PodInfo, plan: &Plan) -> Claims {
        let Some(claim) = plan.returnable(&pod.pod, self.snapshot.nodes()) else { return Claims::Helpless };
        let client = self.client.clone();
        self.env.spawn(async move { devices::deallocate(&client, &claim).await });
        Claims::Returned
    }

    /// Makes room by sending pods of lower priority away; brings the node, or nothing to be written.
    fn preempt(&mut self, pod: &Arc<PodInfo>, failed: &Unschedulable) -> (Preemption, Option<String>) {
        if let Some(why) = preempt::not_eligible(pod, &self.snapshot) {
            return (Preemption::NotEligible(why), None);
        }
        let budgets = self.budgets.list();
        let choice = preempt::choose(pod, &mut self.snapshot, &failed.helped_by_preemption, &budgets);
        let Some(choice) = choice else { return (Preemption::Helpless, None) };
        for victim in &choice.victims {
            let (client, recorder) = (self.client.clone(), self.recorder.clone());
            let (victim, pod) = (victim.clone(), pod.clone());
            let (scheduler, node) = (self.config.scheduler_name.clone(), choice.node.clone());
            self.env
                .spawn(async move { send_away(&client, &recorder, &victim, &pod, &node, &scheduler).await });
        }
        self.snapshot.nominate(pod, Some(&choice.node));
        (Preemption::Made, Some(choice.node))
    }

    fn bind(&self, pod: Arc<PodInfo>, node: String, grants: Vec<Grant>) {
        let (client, recorder, bound, binds) =
            (self.client.clone(), self.recorder.clone(), self.bound.clone(), self.binds.clone());
        // Taken here: the loop goes on only while there is one left.
        let permit = binds.try_acquire_owned();
        let claims = self.claims.clone();
        self.env.spawn(async move {
            let bind = async {
                for grant in &grants {
                    devices::grant(&client, &claims, &pod, grant).await?;
                }
                client.bind(&pod.namespace, &pod.name, &pod.uid, &node).await
            };
            let failed = match bind.await {
                Ok(()) => {
                    let message = format!("Successfully assigned {}/{} to {node}", pod.namespace, pod.name);
                    recorder.action(
                        reference(&*pod.pod),
                        None,
                        EventType::Normal,
                        "Scheduled",
                        "Binding",
                        message,
                    );
                    None
                }
                Err(error) => {
                    for grant in &grants {
                        devices::withdraw(&client, &claims, &pod, &grant.claim).await;
                    }
                    Some(error.to_string())
                }
            };
            drop(permit);
            let promised = grants.into_iter().filter(|grant| grant.allocation.is_some());
            let promised = promised.filter_map(|grant| grant.claim.metadata.uid.clone()).collect();
            // The scheduler ends with its tasks: then nobody wants to know.
            let _ = bound.send(Bound { pod, promised, failed }).await;
        });
    }
}

/// Goes on after the tasks that are ready by now. `tokio::task::yield_now` goes on only after the runtime has looked
/// for input as well: a millisecond and more for each look while it is busy.
async fn others_turn() {
    let mut waited = false;
    std::future::poll_fn(|cx| {
        if waited {
            return Poll::Ready(());
        }
        waited = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Sends one pod away, and says for whom.
async fn send_away(
    client: &Client,
    recorder: &EventRecorder,
    victim: &PodInfo,
    pod: &PodInfo,
    node: &str,
    scheduler: &str,
) {
    if victim.terminating {
        return;
    }
    let condition = json!({"type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler",
        "message": format!("{scheduler}: preempting to accommodate a higher priority pod"),
        "observedGeneration": victim.pod.metadata.generation});
    let patch = json!({"metadata": {"uid": victim.uid}, "status": {"conditions": [condition]}});
    let told = client.patch_status::<Pod>(&victim.namespace, &victim.name, PatchKind::Strategic, patch).await;
    let gone = match told {
        Ok(_) => client
            .delete::<Pod>(&victim.namespace, &victim.name, &DeleteOptions::uid(&victim.uid))
            .await
            .map(|_| ()),
        Err(error) => Err(error),
    };
    match gone {
        Ok(()) => {
            let message = format!("Preempted by pod {} on node {node}", pod.uid);
            let by = Some(reference(&*pod.pod));
            recorder.action(
                reference(&*victim.pod),
                by,
                EventType::Normal,
                "Preempted",
                "Preempting",
                message,
            );
        }
        Err(error) if error.is_not_found() || error.is_conflict() => {}
        Err(error) => {
            tracing::warn!(pod = %format!("{}/{}", victim.namespace, victim.name), %error, "preemption");
        }
    }
}

/// Writes `PodScheduled: False` and the node that is being emptied, unless the pod says so already.
async fn tell_unschedulable(
    env: &Env,
    client: &Client,
    pod: &PodInfo,
    message: &str,
    nominated: Option<String>,
) {
    let status = pod.pod.status.as_ref();
    let known = || {
        let conditions = status.and_then(|status| status.conditions.as_ref()).into_iter().flatten();
        conditions.filter(|condition| condition.type_ == "PodScheduled")
    };
    let told =
        known().any(|condition| condition.status == "False" && condition.message.as_deref() == Some(message));
    if told && nominated.is_none() {
        return;
    }
    // Since when it is so: other words for the same don't change that.
    let since = known()
        .find(|condition| condition.status == "False")
        .and_then(|condition| condition.last_transition_time.clone());
    let since = since.map_or_else(|| env.now_rfc3339(), |since| since.0.to_string());
    let condition = json!({"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message,
        "lastTransitionTime": since,
        "observedGeneration": pod.pod.metadata.generation});
    let mut status = json!({"conditions": [condition]});
    if let Some(node) = nominated {
        status["nominatedNodeName"] = node.into();
    }
    let patch = json!({"metadata": {"uid": pod.uid}, "status": status});
    match client.patch_status::<Pod>(&pod.namespace, &pod.name, PatchKind::Strategic, patch).await {
        Ok(_) => {}
        Err(error) if error.is_not_found() || error.is_conflict() => {}
        Err(error) => {
            tracing::warn!(pod = %format!("{}/{}", pod.namespace, pod.name), %error, "PodScheduled condition")
        }
    }
}
