//! What a store has to know of an object that it finds without a header: an object of a store that others write.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use cox_api::{Header, kinds};
use cox_store::Describe;
use serde_json::Value;

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

/// Which headers this version makes, as a number: stored ones of another version are made anew when they are read.
pub fn header_epoch() -> u64 {
    let mut hash = DefaultHasher::new();
    env!("CARGO_PKG_VERSION").hash(&mut hash);
    for kind in kinds::ALL {
        kind.info().store_prefix.hash(&mut hash);
        for (field, _) in kind.selectable(&Value::Null) {
            field.hash(&mut hash);
        }
    }
    hash.finish()
}
