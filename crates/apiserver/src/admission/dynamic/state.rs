//! The webhooks and policies that are there, compiled once for each version of their objects.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::RwLock;
use serde_json::Value;

use super::super::{each, text};
use super::policy::{Binding, MutatingPolicy, ValidatingPolicy};
use super::webhook::Webhook;
use crate::db::{Changes, Db, Seen};

const PREFIXES: [&str; 6] = [
    "mutatingwebhookconfigurations",
    "validatingwebhookconfigurations",
    "validatingadmissionpolicies",
    "validatingadmissionpolicybindings",
    "mutatingadmissionpolicies",
    "mutatingadmissionpolicybindings",
];

/// Follows the objects of the group.
pub(super) struct Followed {
    changes: Changes,
    state: RwLock<Arc<State>>,
}

/// What there is, in the order in which it is asked: by the names of objects.
#[derive(Clone, Default)]
pub(super) struct State {
    configurations: [BTreeMap<String, Vec<Arc<Webhook>>>; 2],
    known_policies: BTreeMap<String, Arc<ValidatingPolicy>>,
    known_bindings: BTreeMap<String, Arc<Binding>>,
    known_mutating: BTreeMap<String, Arc<MutatingPolicy>>,
    known_mutating_bindings: BTreeMap<String, Arc<Binding>>,
    /// Mutating webhooks.
    pub mutating: Vec<Arc<Webhook>>,
    /// Validating webhooks.
    pub validating: Vec<Arc<Webhook>>,
    /// Validating policies in force, with what puts them in force.
    pub policies: Vec<(Arc<ValidatingPolicy>, Vec<Arc<Binding>>)>,
    /// Mutating policies in force.
    pub mutating_policies: Vec<(Arc<MutatingPolicy>, Vec<Arc<Binding>>)>,
}

impl Followed {
    pub(super) fn new(db: &Db) -> Followed {
        Followed { changes: db.changes(&PREFIXES), state: RwLock::default() }
    }

    /// What there is now: a change that was acknowledged counts in the next request.
    pub(super) fn current(&self) -> Arc<State> {
        if self.changes.pending() {
            let mut state = self.state.write();
            let mut next = State::clone(&state);
            self.changes.drain(|at, seen| next.take(at, &seen));
            next.arrange();
            *state = Arc::new(next);
        }
        self.state.read().clone()
    }
}

impl State {
    /// Whether nobody has a say in anything.
    pub(super) fn is_empty(&self) -> bool {
        !self.mutates() && self.validating.is_empty() && self.policies.is_empty()
    }

    /// Whether anybody may change things.
    pub(super) fn mutates(&self) -> bool {
        !self.mutating.is_empty() || !self.mutating_policies.is_empty()
    }

    /// Puts what is known in order.
    fn arrange(&mut self) {
        self.mutating = self.configurations[0].values().flatten().cloned().collect();
        self.validating = self.configurations[1].values().flatten().cloned().collect();
        self.policies = in_force(&self.known_policies, &self.known_bindings);
        self.mutating_policies = in_force(&self.known_mutating, &self.known_mutating_bindings);
    }

    fn take(&mut self, at: usize, seen: &Seen<'_>) {
        match at {
            0 | 1 => follow(&mut self.configurations[at], seen, webhooks),
            2 => follow(&mut self.known_policies, seen, |policy| Arc::new(ValidatingPolicy::of(policy))),
            3 => follow(&mut self.known_bindings, seen, |binding| Arc::new(Binding::of(binding))),
            4 => follow(&mut self.known_mutating, seen, |policy| Arc::new(MutatingPolicy::of(policy))),
            _ => follow(&mut self.known_mutating_bindings, seen, |binding| Arc::new(Binding::of(binding))),
        }
    }
}

fn follow<T>(known: &mut BTreeMap<String, T>, seen: &Seen<'_>, make: impl Fn(&Value) -> T) {
    match seen {
        Seen::Reset => known.clear(),
        Seen::Gone(object) => {
            known.remove(object.name());
        }
        Seen::Is(object) => {
            known.insert(object.name().to_owned(), make(&object.value()));
        }
    }
}

/// Policies with their bindings, where they have any.
fn in_force<P>(
    policies: &BTreeMap<String, Arc<P>>,
    bindings: &BTreeMap<String, Arc<Binding>>,
) -> Vec<(Arc<P>, Vec<Arc<Binding>>)> {
    let with_bindings = policies.iter().map(|(name, policy)| {
        let own = bindings.values().filter(|binding| binding.policy == *name).cloned();
        (policy.clone(), own.collect::<Vec<_>>())
    });
    with_bindings.filter(|(_, bindings)| !bindings.is_empty()).collect()
}

fn webhooks(configuration: &Value) -> Vec<Arc<Webhook>> {
    let name = text(&configuration["metadata"]["name"]);
    each(&configuration["webhooks"]).map(|hook| Arc::new(Webhook::of(name, hook))).collect()
}
