//! Sees every commit at the disk, in order, before anybody else: keeps the trace and checks the invariants.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use cox_api::{Body, Request};
use cox_env::Env;
use cox_store::OpKind;
use cox_store::backend::Write;
use cox_store::backend::memory::{Fate, Fault, Faults};
use parking_lot::Mutex;
use serde_json::Value;

use crate::faults::Weather;
use crate::invariants;
use crate::machines::Machines;

/// Chance of a commit that is refused, in percent, and the slowest commit, in milliseconds.
const COMMIT_REFUSED: u64 = 1;
const COMMIT_MS_MAX: u64 = 20;

/// The observer. Cloning shares it.
#[derive(Clone)]
pub(crate) struct Observer {
    env: Env,
    weather: Weather,
    seen: Arc<Mutex<Seen>>,
}

/// Everything known from the commits so far.
pub(crate) struct Seen {
    /// By the store's key.
    pub(crate) objects: BTreeMap<String, Value>,
    pub(crate) machines: Machines,
    /// Pods whose maker never heard of them.
    pub(crate) excused: BTreeSet<String>,
    /// The last time a node failed.
    pub(crate) disturbed: Option<Duration>,
    /// When healthy pods were lost otherwise than by eviction, with their labels.
    pub(crate) lost: Vec<(Duration, Value)>,
    /// When pods got ready, by their uid.
    pub(crate) ready_since: BTreeMap<String, Duration>,
    /// When users last changed how many pods a Deployment has, by its uid.
    pub(crate) scaled: BTreeMap<String, Duration>,
    /// What owners wanted, by their uid: recent values of a number, with the time when they were replaced.
    pub(crate) wanted: BTreeMap<String, Vec<(Option<Duration>, i64)>>,
    /// Pods that were seen as succeeded, by their controller's uid.
    pub(crate) succeeded: BTreeMap<String, BTreeSet<String>>,
    pub(crate) now: Duration,
    /// Whether every commit is printed.
    tell: bool,
    hash: u64,
    revision: u64,
    violation: Option<String>,
}

impl Observer {
    pub(crate) fn new(env: Env, weather: Weather, machines: Machines, tell: bool) -> Observer {
        let seen = Seen {
            objects: BTreeMap::new(),
            machines,
            excused: BTreeSet::new(),
            disturbed: None,
            lost: Vec::new(),
            ready_since: BTreeMap::new(),
            scaled: BTreeMap::new(),
            wanted: BTreeMap::new(),
            succeeded: BTreeMap::new(),
            now: Duration::ZERO,
            tell,
            hash: 0xcbf2_9ce4_8422_2325,
            revision: 0,
            violation: None,
        };
        Observer { env, weather, seen: Arc::new(Mutex::new(seen)) }
    }

    /// The answer to a pod's creation was lost: its maker may make another.
    pub(crate) fn excuse(&self, uid: &str) {
        self.seen.lock().excused.insert(uid.to_owned());
    }

    /// A node failed.
    pub(crate) fn disturb(&self) {
        self.seen.lock().disturbed = Some(self.env.elapsed());
    }

    /// Whether a patch asks for fewer replicas than the ReplicaSet has now.
    pub(crate) fn shrinks(&self, request: &Request) -> bool {
        let Body::Patch(_, patch) = &request.body else { return false };
        let Some(wanted) = patch["spec"]["replicas"].as_i64() else { return false };
        let seen = self.seen.lock();
        let (Some(namespace), Some(name)) = (&request.namespace, &request.name) else { return false };
        let place = format!("replicasets/{namespace}/{name}");
        seen.of(&place).any(|set| set["spec"]["replicas"].as_i64().is_some_and(|held| held > wanted))
    }

    /// What was wrong first.
    pub(crate) fn violation(&self) -> Option<String> {
        let seen = self.seen.lock();
        seen.violation.clone().or_else(|| seen.machines.violation())
    }

    /// The hash and the revision so far.
    pub(crate) fn trace(&self) -> (u64, u64) {
        let seen = self.seen.lock();
        (seen.hash, seen.revision)
    }

    /// Looks at everything there is.
    pub(crate) fn look<R>(&self, at: impl FnOnce(&Seen) -> R) -> R {
        at(&self.seen.lock())
    }
}

impl Seen {
    fn take(&mut self, revision: u64, key: &str, object: Option<Value>) {
        let before = match &object {
            Some(object) => self.objects.insert(key.to_owned(), object.clone()),
            None => self.objects.remove(key),
        };
        let word = match (&before, &object) {
            (None, _) => "created",
            (Some(_), Some(_)) => "updated",
            (Some(_), None) => "deleted",
        };
        self.revision = revision;
        if self.tell {
            let brief = object.as_ref().map(invariants::brief).unwrap_or_default();
            eprintln!("{:>9.3} {revision:>5} {word} {key} {brief}", self.now.as_secs_f64());
        }
        let revision = revision.to_le_bytes();
        for byte in revision.iter().chain(key.as_bytes()).chain(word.as_bytes()) {
            self.hash = (self.hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
        let checked = invariants::check(self, key, before.as_ref(), object.as_ref());
        if let Err(what) = checked
            && self.violation.is_none()
        {
            self.violation = Some(what);
        }
    }

    /// Objects below a prefix as in `pods/`.
    pub(crate) fn of<'a>(&'a self, prefix: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
        let from = format!("/registry/{prefix}");
        self.objects
            .range(from.clone()..)
            .take_while(move |(key, _)| key.starts_with(&from))
            .map(|(_, object)| object)
    }
}

impl Faults for Observer {
    fn on(&self, batch: &[Write]) -> Fault {
        let mut fault = Fault::default();
        if self.weather.is_bad() {
            fault.before = Duration::from_millis(self.env.chance().below(COMMIT_MS_MAX));
            fault.after = Duration::from_millis(self.env.chance().below(COMMIT_MS_MAX));
            if self.env.chance().below(100) < COMMIT_REFUSED {
                fault.fate = Fate::Refused;
                return fault;
            }
        }
        let mut seen = self.seen.lock();
        seen.now = self.env.elapsed();
        for write in batch {
            for op in &write.ops {
                let object = match &op.kind {
                    OpKind::Check => continue,
                    OpKind::Put(object) => Some(object.value()),
                    OpKind::Delete => None,
                };
                seen.take(write.revision, op.key.as_str(), object);
            }
        }
        fault
    }
}
