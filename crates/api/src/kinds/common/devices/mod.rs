//! What the kinds of `resource.k8s.io` share: requests for devices, what they are chosen by, and what was given.
//! Source: KEP-4381 and <https://kubernetes.io/docs/concepts/scheduling-eviction/dynamic-resource-allocation/>

mod claim;
mod config;
mod names;
mod request;
mod selector;
mod taints;

pub use claim::{RequestNames, reference, set_defaults, validate as claim};
pub use config::{allocated as allocated_config, of_class as class_config, raw};
pub use names::{bindings, key_place, node_name, pool_name, qualified, uid};
pub use selector::list as selectors;
pub use taints::{taint, toleration};

use serde_json::Value;

use crate::field::{FieldErrors, Path};

/// Most entries of `config`, of a class and of a claim.
pub const CONFIG_MAX: usize = 32;
/// Most requests of a claim, and most devices that it is given.
pub const REQUESTS_MAX: usize = 32;

/// Checks that a list is not too long; where it is, nobody looks at its entries.
pub fn few(errors: &mut FieldErrors, path: &Path<'_>, list: &[Value], most: usize) -> bool {
    if list.len() > most {
        errors.too_many(path, list.len(), most);
    }
    list.len() <= most
}

/// Names every entry of a list whose key an earlier one has.
pub fn distinct<'a>(
    errors: &mut FieldErrors,
    path: &Path<'_>,
    list: &'a [Value],
    key: impl Fn(&'a Value) -> &'a str,
) {
    for (at, each) in list.iter().enumerate() {
        if list[..at].iter().any(|earlier| key(earlier) == key(each)) {
            errors.duplicate(&path.index(at), &key(each).into());
        }
    }
}

/// Checks a list of names of requests, as constraints and configurations have them.
pub fn references(errors: &mut FieldErrors, path: &Path<'_>, object: &Value, known: &RequestNames<'_>) {
    let path = path.child("requests");
    let names = super::walk::list(object, "requests");
    if !few(errors, &path, names, REQUESTS_MAX) {
        return;
    }
    let text = |name: &'_ Value| name.as_str().unwrap_or_default().to_owned();
    for (at, name) in names.iter().enumerate() {
        reference(errors, &path.index(at), &text(name), known);
    }
    distinct(errors, &path, names, |name| name.as_str().unwrap_or_default());
}
