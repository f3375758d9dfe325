//! The chain of authorizers: masters, nodes, roles.

use parking_lot::RwLock;

use super::node;
use super::rbac::{PolicyRule, State};
use super::{Attributes, MASTERS, User};
use crate::db::{Changes, Db, Seen};
use cox_api::Status;

/// What the authorizers said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Whether it may be done.
    pub allowed: bool,
    /// Why, in upstream's words; may be empty.
    pub reason: String,
}

/// Says who may do what. Roles and bindings are followed by their changes in the store: a change that was
/// acknowledged counts in the next decision.
pub(crate) struct Authorizer {
    db: Db,
    state: RwLock<State>,
    changes: Changes,
}

const PREFIXES: [&str; 4] = ["clusterroles", "roles", "clusterrolebindings", "rolebindings"];
/// Of each prefix: whether these are roles, and whether they have a namespace.
const FOLLOWED: [(bool, bool); 4] = [(true, false), (true, true), (false, false), (false, true)];

impl Authorizer {
    pub(crate) fn new(db: Db) -> Authorizer {
        let changes = db.changes(&PREFIXES);
        let authorizer = Authorizer { db, state: RwLock::default(), changes };
        authorizer.follow();
        authorizer
    }

    /// Takes in what has changed since the last time.
    fn follow(&self) {
        if !self.changes.pending() {
            return;
        }
        let mut state = self.state.write();
        self.changes.drain(|at, seen| {
            let (is_role, namespaced) = FOLLOWED[at];
            let (object, json) = match seen {
                Seen::Reset => return state.forget(is_role, namespaced),
                Seen::Is(object) => (object, Some(object.json())),
                Seen::Gone(object) => (object, None),
            };
            if is_role {
                state.set_role(object.namespace(), object.name(), json.as_deref());
            } else {
                state.set_binding(object.namespace(), object.name(), json.as_deref());
            }
        });
    }

    /// Decides.
    pub(crate) fn decide(&self, attributes: &Attributes<'_>) -> Decision {
        if attributes.user.is_in(MASTERS) {
            return Decision { allowed: true, reason: String::new() };
        }
        let mut reasons = Vec::new();
        if attributes.user.node_name().is_some() {
            match node::decide(&self.db, attributes) {
                node::Verdict::Allow => return Decision { allowed: true, reason: String::new() },
                node::Verdict::NoOpinion(reason) => {
                    if !reason.is_empty() {
                        reasons.push(reason);
                    }
                }
            }
        }
        self.follow();
        match self.state.read().allows(attributes) {
            Ok(reason) => Decision { allowed: true, reason },
            Err(faults) => {
                if !faults.is_empty() {
                    reasons.push(match faults.as_slice() {
                        [one] => format!("RBAC: {one}"),
                        many => format!("RBAC: [{}]", many.join(", ")),
                    });
                }
                Decision { allowed: false, reason: reasons.join("\n") }
            }
        }
    }

    /// Decides, as an error for the client.
    ///
    /// # Errors
    /// 403.
    pub(crate) fn require(&self, attributes: &Attributes<'_>) -> Result<(), Status> {
        let decision = self.decide(attributes);
        if decision.allowed { Ok(()) } else { Err(attributes.refusal(&decision.reason)) }
    }

    /// Everything a user may do in a namespace.
    pub(crate) fn rules_of(&self, user: &User, namespace: &str) -> (Vec<PolicyRule>, Vec<String>) {
        self.follow();
        self.state.read().rules_of(user, namespace)
    }

    /// The rules of a role that a binding in `namespace` refers to.
    pub(crate) fn role_rules(&self, namespace: &str, role: &super::rbac::RoleRef) -> Option<Vec<PolicyRule>> {
        self.follow();
        self.state.read().rules(namespace, role).map(|rules| rules.to_vec())
    }
}
