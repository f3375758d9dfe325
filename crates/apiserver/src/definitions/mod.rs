//! Kinds that users make: which definitions are served, and what becomes of them.
//! Source: <https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/>

mod cleanup;
mod keep;
mod names;
mod rules;
mod table;

use std::sync::Arc;

use cox_api::{FieldErrors, Form};
use serde_json::Value;

pub(crate) use table::Definitions;

use crate::core::call::Call;

use crate::error::Error;
use crate::server::ApiServer;

/// Where definitions are kept.
const PREFIX: &str = "apiextensions.k8s.io/customresourcedefinitions";

/// Takes in the definitions that are there, and follows them from now on.
pub(crate) async fn start(server: &Arc<ApiServer>) -> Result<(), Error> {
    let mut keeper = keep::Keeper::new();
    keeper.begin(server).await;
    let weak = Arc::downgrade(server);
    server.env().spawn(keep::keep(server.env().clone(), weak, keeper));
    Ok(())
}

/// What definitions say of an object besides its schema, and what is to be said of the rules of a definition.
pub(crate) fn check(call: &Call<'_>, object: &Value, old: Option<&Value>, errors: &mut FieldErrors) {
    match call.kind.form() {
        Form::Custom(_) => {
            if let Some(rules) = call.server.definitions().rules(call.info()) {
                rules.check(object, old, errors);
            }
        }
        Form::Table(_) if call.prefix() == PREFIX => rules::check_definition(object, errors),
        Form::Table(_) => {}
    }
}
