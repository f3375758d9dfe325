//! What a subresource shows of an object: webhooks and policies see that, as clients do.

use cox_api::kind::ScalePaths;
use serde_json::Value;

use super::super::{Attempt, Operation};
use crate::sub::scale_of;

/// How a request is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum View {
    /// The object as it is.
    Whole,
    /// As a Scale.
    Scale,
    /// Not at all: what a Binding or an Eviction does to its pod was asked about as a Binding or an Eviction.
    Hidden,
}

impl View {
    pub(super) fn of(attempt: &Attempt<'_>) -> View {
        match (attempt.subresource, attempt.operation) {
            ("binding", Operation::Update) | ("eviction", Operation::Update | Operation::Delete) => {
                View::Hidden
            }
            ("scale", Operation::Update) => View::Scale,
            _ => View::Whole,
        }
    }
}

/// An object and what was there before, as Scales.
pub(super) fn scales(attempt: &Attempt<'_>, object: Option<&Value>) -> (Option<Value>, Option<Value>) {
    let show = |object: &Value| scale_of(attempt.kind, object).ok();
    (object.and_then(show), attempt.old.and_then(show))
}

/// Writes back what was changed in a Scale.
pub(super) fn rescale(attempt: &Attempt<'_>, object: &mut Value, scale: &Value) {
    let replicas = Value::from(scale["spec"]["replicas"].as_i64().unwrap_or(0));
    match attempt.kind.scale() {
        Some(ScalePaths::Fields(fields)) => {
            fields.spec.set(object, replicas);
        }
        _ => object["spec"]["replicas"] = replicas,
    }
}
