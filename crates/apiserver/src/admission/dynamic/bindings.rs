//! The variables of expressions, for a request.

use std::sync::Arc;

use cox_api::Status;
use cox_api::kinds::admission::environment::{NAMESPACE, REQUEST};
use cox_cel::{Bindings, Type, Value};
use serde_json::Value as Json;

use super::authorizer;
use super::subject::{Form, Subject};
use crate::auth::Authorizer;

/// `object`, `oldObject`, `request`, `namespaceObject` and `authorizer`.
///
/// # Errors
/// 404 where the namespace isn't there.
pub(super) fn bindings(
    authorizers: &Arc<Authorizer>,
    subject: &Subject<'_>,
    form: Form,
) -> Result<Bindings, Status> {
    let attempt = subject.attempt;
    let shown = |object: Option<&Json>| match object {
        Some(object) => Value::from_json(&form.show(attempt, object), &Type::Dyn),
        None => Value::Null,
    };
    let namespace = match subject.namespace_object()? {
        Some(namespace) => Value::from_json(&namespace, &NAMESPACE),
        None => Value::Null,
    };
    Ok(Bindings::new()
        .with("object", shown(subject.object))
        .with("oldObject", shown(attempt.old))
        .with("request", Value::from_json(&subject.request(form), &REQUEST))
        .with("namespaceObject", namespace)
        .with("authorizer", authorizer::authorizer(authorizers, attempt.user))
        .with("authorizer.requestResource", authorizer::of_request(authorizers, attempt.user, subject)))
}
