//! What a store has to know of an object that it finds without a header: an object of a store that others write.

use std::sync::Arc;

use cox_api::{Header, kinds};
use cox_store::Describe;

/// Makes headers by the rules of the kind that is stored under a key.
pub fn describe() -> Describe {
    Arc::new(|key, value| {
        let path = key.strip_prefix("/registry/").unwrap_or(key);
        let kind = kinds::ALL.iter().find(|kind| {
            kind.stored_as().is_none()
                && path.strip_prefix(kind.info().store_prefix).is_some_and(|rest| rest.starts_with('/'))
        });
        let fields = kind.map(|kind| kind.selectable(value)).unwrap_or_default();
        Header::of(value, fields)
    })
}
