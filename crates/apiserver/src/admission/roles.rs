//! Roles and bindings grant only what their writer holds.

use cox_api::Status;
use serde_json::Value;

use super::{Attempt, Operation, Plugin};
use crate::auth::check_escalation;

pub(super) struct Escalation;

impl Plugin for Escalation {
    fn validate(
        &self,
        attempt: &Attempt<'_>,
        object: Option<&Value>,
        _: &mut Vec<String>,
    ) -> Result<(), Status> {
        let Some(object) = object else { return Ok(()) };
        if attempt.info.group != "rbac.authorization.k8s.io" || attempt.operation == Operation::Delete {
            return Ok(());
        }
        check_escalation(attempt.server.authorizer(), attempt.user, attempt.info.plural, object, attempt.old)
    }
}
