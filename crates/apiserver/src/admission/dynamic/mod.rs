//! Admission by what users have written down: webhooks, and policies in CEL.
//! Source: <https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/>

mod authorizer;
mod bindings;
mod conditions;
mod criteria;
mod policy;
mod state;
mod subject;
mod view;
mod webhook;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use cox_api::Status;
use cox_api::kinds::admission::GROUP;
use serde_json::Value;

use super::Attempt;
use crate::db::Db;
use state::{Followed, State};
use subject::Subject;
use view::View;

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
    /// Whether they have a say already.
    begun: AtomicBool,
}

/// The way of one request through those that may change it.
pub(super) struct Mutation {
    state: Arc<State>,
    webhooks: webhook::Round,
    policies: policy::Round,
}

impl Dynamic {
    pub(super) fn new(db: &Db) -> Dynamic {
        Dynamic { followed: Followed::new(db), begun: AtomicBool::new(false) }
    }

    /// From here on they have a say. What a server makes before it serves is its own: nobody whom a webhook needs is
    /// there yet, and one that refused would have to be taken away through this server.
    pub(super) fn begin(&self) {
        self.begun.store(true, Ordering::Relaxed);
    }

    /// What is to be asked about a request; none where nobody has a say. Those who decide are beyond their own
    /// decisions: whoever locked themselves out could not undo it.
    fn concerned(&self, attempt: &Attempt<'_>) -> Option<Arc<State>> {
        let begun = self.begun.load(Ordering::Relaxed);
        if !begun || attempt.info.group == GROUP || View::of(attempt) == View::Hidden {
            return None;
        }
        let state = self.followed.current();
        (!state.is_empty()).then_some(state)
    }

    /// Begins the way of a request; none where nobody has a say.
    pub(super) fn mutation(&self, attempt: &Attempt<'_>) -> Option<Mutation> {
        let state = self.concerned(attempt)?;
        state.mutates().then(|| Mutation {
            state,
            webhooks: Default::default(),
            policies: Default::default(),
        })
    }

    /// Asks those that may refuse.
    pub(super) async fn validate(
        &self,
        attempt: &Attempt<'_>,
        object: Option<&Value>,
        notes: &mut Notes<'_>,
    ) -> Result<(), Status> {
        let Some(state) = self.concerned(attempt) else { return Ok(()) };
        if View::of(attempt) == View::Scale {
            let (scale, old) = view::scales(attempt, object);
            let attempt = Attempt { old: old.as_ref(), ..attempt.clone() };
            return ask(&state, &Subject::of(&attempt, scale.as_ref()), notes).await;
        }
        ask(&state, &Subject::of(attempt, object), notes).await
    }
}

/// Asks those that may refuse about a request as it is shown.
async fn ask(state: &State, subject: &Subject<'_>, notes: &mut Notes<'_>) -> Result<(), Status> {
    policy::validate(&state.policies, subject, notes)?;
    webhook::validate(&state.validating, subject, notes).await
}

impl Mutation {
    /// Asks those that may change the object; whether they did.
    pub(super) async fn admit(
        &mut self,
        attempt: &Attempt<'_>,
        mut object: Option<&mut Value>,
        notes: &mut Notes<'_>,
    ) -> Result<bool, Status> {
        if let (View::Scale, Some(object)) = (View::of(attempt), object.as_deref_mut()) {
            let (scale, old) = view::scales(attempt, Some(object));
            let Some(mut scale) = scale else { return Ok(false) };
            let attempt = Attempt { old: old.as_ref(), ..attempt.clone() };
            let changed = self.ask(&attempt, &mut Some(&mut scale), notes).await?;
            view::rescale(&attempt, object, &scale);
            return Ok(changed);
        }
        self.ask(attempt, &mut object, notes).await
    }

    async fn ask(
        &mut self,
        attempt: &Attempt<'_>,
        object: &mut Option<&mut Value>,
        notes: &mut Notes<'_>,
    ) -> Result<bool, Status> {
        let mut changed = false;
        if let Some(object) = object.as_deref_mut() {
            changed = policy::admit(&self.state.mutating_policies, attempt, object, &mut self.policies)?;
        }
        Ok(webhook::admit(&self.state.mutating, attempt, object, &mut self.webhooks, notes).await? || changed)
    }

    /// Before the second time around, after those built in had another look at the object.
    pub(super) fn repeat(&mut self, object: Option<&Value>) {
        self.policies.repeat(object);
        self.webhooks.repeat(object);
    }
}
