//! The informers of a process, and one informer without types.

use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::sync::{Arc, Weak};

use cox_api::{Object, Resource};
use cox_env::{Env, Latest, Task};
use parking_lot::{Mutex, RwLock};

use super::changes::Mailbox;
use super::reflector;
use super::state::State;
use super::{Reader, Scope};
use crate::client::Client;
use crate::kind::{Key, Kind, resource_of};

/// The informers of a process: the first to ask for a kind starts it, all others share it.
#[derive(Clone)]
pub struct SharedInformers {
    client: Client,
    env: Env,
    known: Arc<Mutex<BTreeMap<(Resource, Scope), Running>>>,
}

/// An informer, and what keeps it in step.
struct Running {
    informed: Informed,
    task: Task<()>,
}

impl SharedInformers {
    /// No informers yet. They end with `env`'s task group.
    pub fn new(client: Client, env: Env) -> SharedInformers {
        SharedInformers { client, env, known: Arc::default() }
    }

    /// The informer of every object of a kind.
    pub fn of<T: Kind>(&self) -> Reader<T> {
        self.scoped(Scope::everything())
    }

    /// The informer of some objects of a kind.
    pub fn scoped<T: Kind>(&self, scope: Scope) -> Reader<T> {
        Reader { informed: self.resource(resource_of::<T>(), scope), kind: PhantomData }
    }

    /// The informer of a resource whose type isn't known here.
    pub fn resource(&self, resource: Resource, scope: Scope) -> Informed {
        let mut known = self.known.lock();
        if let Some(running) = known.get(&(resource.clone(), scope.clone())) {
            return running.informed.clone();
        }
        let informed = Informed(Arc::new(Inner {
            resource: resource.clone(),
            state: RwLock::default(),
            watchers: Mutex::default(),
            progress: Latest::new(Progress::default()),
        }));
        let run = reflector::run(informed.clone(), scope.clone(), self.client.clone(), self.env.clone());
        let task = self.env.spawn(run);
        known.insert((resource, scope), Running { informed: informed.clone(), task });
        informed
    }

    /// Ends the informer of a resource that is no longer served: what it held is gone for its watchers.
    pub fn forget(&self, resource: &Resource, scope: &Scope) {
        let running = self.known.lock().remove(&(resource.clone(), scope.clone()));
        if let Some(running) = running {
            running.task.abort();
            running.informed.0.replace(Vec::new());
        }
    }

    /// Waits until every informer asked for so far has seen its first list.
    pub async fn synced(&self) {
        let known: Vec<Informed> =
            self.known.lock().values().map(|running| running.informed.clone()).collect();
        for informed in known {
            informed.synced().await;
        }
    }
}

#[derive(Clone, Copy, Default)]
pub(super) struct Progress {
    pub(super) synced: bool,
    pub(super) revision: u64,
}

pub(super) type Handler = Box<dyn Fn(Option<&Object>, Option<&Object>) + Send + Sync>;

#[derive(Default)]
pub(super) struct Watchers {
    pub(super) handlers: Vec<Handler>,
    pub(super) mailboxes: Vec<Weak<Mailbox>>,
}

pub(super) struct Inner {
    pub(super) resource: Resource,
    pub(super) state: RwLock<State>,
    /// Locked while a change is put in and told, so that a new watcher misses nothing and gets nothing twice.
    pub(super) watchers: Mutex<Watchers>,
    pub(super) progress: Latest<Progress>,
}

/// One informer, without types. Cloning shares it.
#[derive(Clone)]
pub struct Informed(pub(super) Arc<Inner>);

impl Informed {
    /// The resource it is about.
    pub fn resource(&self) -> &Resource {
        &self.0.resource
    }

    /// An object by place.
    pub fn get(&self, namespace: &str, name: &str) -> Option<Object> {
        self.0.state.read().get(&Key::new(namespace, name)).cloned()
    }

    /// An object by uid.
    pub fn by_uid(&self, uid: &str) -> Option<Object> {
        self.0.state.read().by_uid(uid).cloned()
    }

    /// Every object, in the store's order.
    pub fn list(&self) -> Vec<Object> {
        self.0.state.read().all().cloned().collect()
    }

    /// The objects of a namespace.
    pub fn in_namespace(&self, namespace: &str) -> Vec<Object> {
        self.0.state.read().in_namespace(namespace).cloned().collect()
    }

    /// Objects with an owner reference to this uid.
    pub fn owned_by(&self, uid: &str) -> Vec<Object> {
        self.0.state.read().owned_by(uid).cloned().collect()
    }

    /// Objects whose `spec.nodeName` is this.
    pub fn on_node(&self, node: &str) -> Vec<Object> {
        self.0.state.read().on_node(node).cloned().collect()
    }

    /// How many objects there are.
    pub fn len(&self) -> usize {
        self.0.state.read().len()
    }

    /// Whether there is no object.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the first list has been seen.
    pub fn is_synced(&self) -> bool {
        self.0.progress.get().synced
    }

    /// The revision seen so far.
    pub fn revision(&self) -> u64 {
        self.0.progress.get().revision
    }

    /// Waits until the first list has been seen.
    pub async fn synced(&self) {
        self.0.progress.wait_for(|progress| progress.synced).await;
    }

    /// Waits until the cache holds whatever was written up to `revision` (of an object in its scope). A write's
    /// own revision, awaited, makes sure that the next look sees it.
    pub async fn wait_until_seen(&self, revision: u64) {
        self.0.progress.wait_for(|progress| progress.synced && progress.revision >= revision).await;
    }

    /// Waits until an object (or its absence) is as wanted.
    pub async fn wait_for(&self, key: &Key, mut wanted: impl FnMut(Option<&Object>) -> bool) {
        self.0.progress.wait_for(|_| wanted(self.0.state.read().get(key))).await;
    }

    /// Calls `handler` for every object that is there (as appeared) and for every change from now on, in order,
    /// on the informer's task: it must be quick (put a key in a queue) and must not add handlers itself.
    pub fn on_change(&self, handler: impl Fn(Option<&Object>, Option<&Object>) + Send + Sync + 'static) {
        let mut watchers = self.0.watchers.lock();
        let present: Vec<Object> = self.list();
        for object in &present {
            handler(None, Some(object));
        }
        watchers.handlers.push(Box::new(handler));
    }

    pub(super) fn subscribe(&self) -> Arc<Mailbox> {
        let mailbox = Arc::new(Mailbox::default());
        let mut watchers = self.0.watchers.lock();
        for object in self.list() {
            mailbox.put(Key::new(object.namespace(), object.name()), None, Some(&object));
        }
        watchers.mailboxes.push(Arc::downgrade(&mailbox));
        mailbox
    }
}

// === impl Inner: the writing side ===

impl Inner {
    /// Puts in one object and tells the watchers. An older version than the one held is ignored.
    pub(super) fn upsert(&self, object: Object) {
        let mut watchers = self.watchers.lock();
        let key = Key::new(object.namespace(), object.name());
        let old = {
            let mut state = self.state.write();
            if state.get(&key).is_some_and(|held| held.revision() > object.revision()) {
                return;
            }
            state.insert(object.clone())
        };
        watchers.tell_replaced(&key, old.as_ref(), &object);
    }

    /// Takes out one object; `last` is its last state, where the server sent it.
    pub(super) fn remove(&self, key: &Key, last: Option<Object>) {
        let mut watchers = self.watchers.lock();
        let old = self.state.write().remove(key);
        // The last state counts only for what was known: others never appeared.
        if let Some(old) = old {
            let last = last.filter(|last| last.uid() == old.uid()).unwrap_or(old);
            watchers.tell(key, Some(&last), None);
        }
    }

    /// Replaces everything by a list and tells the watchers the difference.
    pub(super) fn replace(&self, objects: Vec<Object>) {
        let mut watchers = self.watchers.lock();
        let fresh: std::collections::BTreeSet<Key> =
            objects.iter().map(|object| Key::new(object.namespace(), object.name())).collect();
        let gone: Vec<Key> = self.state.read().keys().filter(|key| !fresh.contains(*key)).cloned().collect();
        for key in gone {
            let old = self.state.write().remove(&key);
            watchers.tell(&key, old.as_ref(), None);
        }
        for object in objects {
            let key = Key::new(object.namespace(), object.name());
            let old = self.state.write().insert(object.clone());
            let same = old
                .as_ref()
                .is_some_and(|old| old.revision() == object.revision() && old.uid() == object.uid());
            if !same {
                watchers.tell_replaced(&key, old.as_ref(), &object);
            }
        }
    }

    pub(super) fn reached(&self, revision: u64, synced: bool) {
        self.progress.modify(|progress| {
            progress.revision = revision;
            progress.synced |= synced;
        });
    }
}

impl Watchers {
    fn tell_replaced(&mut self, key: &Key, old: Option<&Object>, new: &Object) {
        match old {
            Some(old) if old.uid() != new.uid() => {
                self.tell(key, Some(old), None);
                self.tell(key, None, Some(new));
            }
            old => self.tell(key, old, Some(new)),
        }
    }

    fn tell(&mut self, key: &Key, old: Option<&Object>, new: Option<&Object>) {
        for handler in &self.handlers {
            handler(old, new);
        }
        self.mailboxes.retain(|mailbox| match mailbox.upgrade() {
            Some(mailbox) => {
                mailbox.put(key.clone(), old, new);
                true
            }
            None => false,
        });
    }
}
