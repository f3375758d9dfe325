//! What devices that are parts of one another draw on. KEP-4815.

use serde_json::Value;

use crate::field::{FieldErrors, Path};
use crate::kinds::common::check;
use crate::kinds::common::devices;
use crate::kinds::common::walk::{list, map, text};

/// Most sets of counters of a slice.
const SETS_MAX: usize = 8;
/// Most counters of a set, and most of one set that a device draws on.
const COUNTERS_MAX: usize = 32;
/// Most sets that a device draws on.
const CONSUMED_MAX: usize = 2;

/// `sharedCounters` of a slice.
pub fn shared(errors: &mut FieldErrors, path: &Path<'_>, spec: &Value) {
    sets(errors, &path.child("sharedCounters"), list(spec, "sharedCounters"), "name", SETS_MAX);
}

/// `consumesCounters` of a device.
pub fn consumed(errors: &mut FieldErrors, path: &Path<'_>, device: &Value) {
    let all = list(device, "consumesCounters");
    sets(errors, &path.child("consumesCounters"), all, "counterSet", CONSUMED_MAX);
}

fn sets(errors: &mut FieldErrors, path: &Path<'_>, sets: &[Value], key: &str, most: usize) {
    if !devices::few(errors, path, sets, most) {
        return;
    }
    for (at, set) in sets.iter().enumerate() {
        let path = path.index(at);
        match text(set, key) {
            "" => errors.required(&path.child(key), ""),
            name => check::label(errors, &path.child(key), name),
        }
        let (path, counters) = (path.child("counters"), map(set, "counters"));
        if counters.is_empty() {
            errors.required(&path, "");
        } else if counters.len() > COUNTERS_MAX {
            errors.too_many(&path, counters.len(), COUNTERS_MAX);
        } else {
            counters.keys().for_each(|name| check::label(errors, &path, name));
        }
    }
    devices::distinct(errors, path, sets, |set| text(set, key));
}
