//! Who owns which field (`metadata.managedFields`), and server-side apply.
//! Source: <https://kubernetes.io/docs/reference/using-api/server-side-apply/>; the rules are those of
//! `structured-merge-diff` over the schema table.
//!
//! Every write goes through here: [`track`] for creates, updates and patches, [`apply`] for applied
//! configurations. Both work on objects in normal form, before the kind prepares and validates them.

mod apply;
mod compare;
mod conflict;
mod entries;
mod last_applied;
mod merge;
mod node;
mod overlay;
mod path;
pub mod scale;
mod set;
#[cfg(test)]
mod tests;
mod track;
mod typed;
mod unowned;

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::{Map, Value};

pub use apply::apply;
pub use overlay::overlay;
pub use set::{FieldSet, FieldSetError};
pub use track::{resets, settle, track};

use crate::form::Form;
use crate::kind::Unowned;
use crate::meta::FIELD_MANAGER_BYTES_MAX;
use crate::schema::{self, TypeId};

/// An object of one version in the form of another one, with its type; none where there is no such version.
pub type Convert<'a> = &'a dyn Fn(&str, &Value) -> Option<(Form, Value)>;

/// What a write is.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// Who writes: see [`manager_name`].
    pub manager: &'a str,
    /// Whether an apply takes fields from their owners.
    pub force: bool,
    /// The version of the request, as in `apps/v1`.
    pub api_version: &'a str,
    /// As in `status`; empty for the object itself.
    pub subresource: &'a str,
    /// Now, as `metav1.Time`.
    pub now: &'a str,
    /// What the write can't change (`Kind::unowned`).
    pub unowned: Unowned,
    /// Whether the client asked to forget all owners ([`resets`]), which the normal form doesn't show.
    pub reset: bool,
    /// For kinds with several versions: entries of another version are compared in that version. Without it
    /// entries of other versions are dropped.
    pub convert: Option<Convert<'a>>,
}

/// The name of a manager: the parameter `fieldManager`, or the printable start of the user agent.
pub fn manager_name(field_manager: &str, user_agent: &str) -> String {
    if !field_manager.is_empty() {
        return field_manager.to_owned();
    }
    let mut name = String::new();
    for letter in user_agent.split('/').next().unwrap_or_default().chars() {
        if letter.is_control() || (letter.is_whitespace() && letter != ' ') {
            continue;
        }
        if name.len() + letter.len_utf8() > FIELD_MANAGER_BYTES_MAX {
            break;
        }
        name.push(letter);
    }
    name
}

/// A new object before anything is set: what upstream's encoder always writes.
fn zero(form: &Form) -> Arc<Value> {
    static ZEROS: Mutex<BTreeMap<TypeId, Arc<Value>>> = Mutex::new(BTreeMap::new());
    let Form::Table(type_id) = form else {
        return Arc::new(Value::Object(Map::new()));
    };
    let mut zeros = ZEROS.lock();
    zeros
        .entry(*type_id)
        .or_insert_with(|| {
            let mut value = Value::Object(Map::new());
            schema::normalize(*type_id, &mut value);
            Arc::new(value)
        })
        .clone()
}
