//! Admission by what users have written down: webhooks, and policies in CEL.
//! Source: <https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/>

mod authorizer;
mod bindings;
mod conditions;
mod criteria;
mod policy;
mod state;
mod subject;
mod webhook;

use std::sync::Arc;

use cox_api::Status;
use cox_api::kinds::admission::GROUP;
use serde_json::Value;

use super::Attempt;
use crate::db::Db;
use state::{Followed, State};
use subject::Subject;
use webhook::Round;

/// What is said besides the verdict.
pub(crate) struct Notes<'a> {
    pub warnings: &'a mut Vec<String>,
    pub annotations: &'a mut Vec<(String, String)>,
}

impl Notes<'_> {
    /// Takes in what somebody says; what was said already isn't said again.
    fn take(&mut self, warnings: Vec<String>, annotations: Vec<(String, String)>) {
        for warning in warnings {
            if !self.warnings.contains(&warning) {
                self.warnings.push(warning);
            }
        }
        self.annotations.extend(annotations);
    }
}

/// Webhooks and policies.
pub(super) struct Dynamic {
    followed: Followed,
}

/// The way of one request through those that may change it.
pub(super) struct Mutation {
    state: Arc<State>,
    round: Round,
}

impl Dynamic {
    pub(super) fn new(db: &Db) -> Dynamic {
        Dynamic { followed: Followed::new(db) }
    }

    /// What is to be asked about a request; none where nobody has a say. Those who decide are beyond their own
    /// decisions: whoever locked themselves out could not undo it.
    fn concerned(&self, attempt: &Attempt<'_>) -> Option<Arc<State>> {
        if attempt.info.group == GROUP {
            return None;
        }
        let state = self.followed.current();
        (!state.is_empty()).then_some(state)
    }

    /// Begins the way of a request; none where nobody has a say.
    pub(super) fn mutation(&self, attempt: &Attempt<'_>) -> Option<Mutation> {
        let state = self.concerned(attempt)?;
        (!state.mutating.is_empty()).then(|| Mutation { state, round: Round::default() })
    }

    /// Asks those that may refuse.
    pub(super) async fn validate(
        &self,
        attempt: &Attempt<'_>,
        object: Option<&Value>,
        notes: &mut Notes<'_>,
    ) -> Result<(), Status> {
        let Some(state) = self.concerned(attempt) else { return Ok(()) };
        let subject = Subject::of(attempt, object);
        policy::validate(&state.policies, &subject, notes)?;
        webhook::validate(&state.validating, &subject, notes).await
    }
}

impl Mutation {
    /// Asks those that may change the object; whether they did.
    pub(super) async fn admit(
        &mut self,
        attempt: &Attempt<'_>,
        mut object: Option<&mut Value>,
        notes: &mut Notes<'_>,
    ) -> Result<bool, Status> {
        webhook::admit(&self.state.mutating, attempt, &mut object, &mut self.round, notes).await
    }

    /// Before the second time around, after those built in had another look at the object.
    pub(super) fn repeat(&mut self, object: Option<&Value>) {
        self.round.repeat(object);
    }
}
