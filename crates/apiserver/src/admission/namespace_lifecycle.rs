//! Nothing is made in a namespace that isn't there or is going, and the first namespaces stay.

use cox_api::{Scope, Status};
use serde_json::{Value, json};

use super::{Attempt, Operation, Plugin};

/// Namespaces that can't be deleted.
const IMMORTAL: [&str; 3] = ["default", "kube-system", "kube-public"];

pub(super) struct NamespaceLifecycle;

impl Plugin for NamespaceLifecycle {
    fn admit(&self, attempt: &Attempt<'_>, _: &mut Value, _: &mut Vec<String>) -> Result<(), Status> {
        check(attempt)
    }

    fn validate(
        &self,
        attempt: &Attempt<'_>,
        object: Option<&Value>,
        _: &mut Vec<String>,
    ) -> Result<(), Status> {
        if attempt.operation == Operation::Delete
            && object.is_none()
            && attempt.is("", "namespaces", "")
            && IMMORTAL.contains(&attempt.name.as_str())
        {
            return Err(Status::forbidden(
                "",
                "namespaces",
                &attempt.name,
                "this namespace may not be deleted",
            ));
        }
        Ok(())
    }
}

fn check(attempt: &Attempt<'_>) -> Result<(), Status> {
    if attempt.info.scope != Scope::Namespaced
        || attempt.operation == Operation::Delete
        || attempt.info.plural == "namespaces"
    {
        return Ok(());
    }
    let namespace = attempt.namespace;
    let Some(object) = attempt.server.db().get("namespaces", "", namespace) else {
        return Err(Status::not_found("", "namespaces", namespace));
    };
    if attempt.operation != Operation::Create {
        return Ok(());
    }
    // The header says most of it; only a namespace that may be going is decoded.
    if object.header().field("status.phase") == Some("Active") {
        return Ok(());
    }
    if object.value()["metadata"].get("deletionTimestamp").is_none() {
        return Ok(());
    }
    let why = format!("unable to create new content in namespace {namespace} because it is being terminated");
    let status = attempt.forbidden(&why);
    let mut details = status.details().cloned().unwrap_or_else(|| json!({}));
    details["causes"] = json!([{
        "reason": "NamespaceTerminating",
        "message": format!("namespace {namespace} is being terminated"),
        "field": "metadata.namespace",
    }]);
    Err(status.with_details(details))
}
