//! What really runs where: the truth that kubelets report of.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;

/// The containers of all machines. Cloning shares them.
#[derive(Clone, Default)]
pub(crate) struct Machines(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// Pod uid to node.
    running: BTreeMap<String, String>,
    /// The name that a running pod goes by, to its uid.
    names: BTreeMap<String, String>,
    addresses: BTreeMap<String, u32>,
    violation: Option<String>,
}

impl Machines {
    /// Starts a pod's containers. At most one pod of a name runs at a time: that is what a StatefulSet promises.
    pub(crate) fn start(&self, uid: &str, name: &str, node: &str) {
        let mut state = self.0.lock();
        if let Some(other) = state.names.insert(name.to_owned(), uid.to_owned())
            && other != uid
            && let Some(on) = state.running.get(&other).cloned()
        {
            state.violation.get_or_insert(format!("two pods called {name} run, on {on} and on {node}"));
        }
        match state.running.insert(uid.to_owned(), node.to_owned()) {
            Some(other) if other != node => {
                state.violation.get_or_insert(format!("pod {uid} runs on {other} and on {node}"));
            }
            _ => {}
        }
    }

    /// Ends them.
    pub(crate) fn stop(&self, uid: &str) {
        self.0.lock().running.remove(uid);
    }

    /// A machine lost its power.
    pub(crate) fn power_off(&self, node: &str) {
        self.0.lock().running.retain(|_, on| on != node);
    }

    /// Where a pod runs.
    pub(crate) fn node_of(&self, uid: &str) -> Option<String> {
        self.0.lock().running.get(uid).cloned()
    }

    /// An address that no pod had before.
    pub(crate) fn address(&self, node: &str, number: usize) -> String {
        let mut state = self.0.lock();
        let next = state.addresses.entry(node.to_owned()).or_insert(1);
        *next += 1;
        format!("10.{}.{}.{}", 100 + number, *next / 250, 1 + *next % 250)
    }

    /// What went wrong, if anything did.
    pub(crate) fn violation(&self) -> Option<String> {
        self.0.lock().violation.clone()
    }
}
