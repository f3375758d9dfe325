//! Patches, as far as components use them.

use cox_api::PatchKind;
use serde_json::Value;

/// What makes entries of a list the same, where a strategic patch merges lists.
const KEYS: &[(&str, &str)] = &[("ownerReferences", "uid"), ("conditions", "type"), ("addresses", "type")];

pub(super) fn apply(kind: PatchKind, target: &mut Value, patch: Value) {
    match kind {
        PatchKind::Merge | PatchKind::Apply => merge(target, patch, false),
        PatchKind::Strategic => merge(target, patch, true),
        PatchKind::Json => {
            for step in patch.as_array().into_iter().flatten() {
                let path = step["path"].as_str().unwrap_or_default();
                let (parent, key) = path.rsplit_once('/').unwrap_or_default();
                let Some(parent) = target.pointer_mut(parent) else { continue };
                let key = key.replace("~1", "/").replace("~0", "~");
                match (step["op"].as_str().unwrap_or_default(), parent) {
                    ("add" | "replace", Value::Object(map)) => {
                        map.insert(key, step["value"].clone());
                    }
                    ("remove", Value::Object(map)) => {
                        map.remove(&key);
                    }
                    ("remove", Value::Array(list)) => {
                        if let Ok(at) = key.parse::<usize>() {
                            list.remove(at);
                        }
                    }
                    (op, _) => panic!("the make-believe server has no {op} {path}"),
                }
            }
        }
    }
}

fn merge(target: &mut Value, patch: Value, strategic: bool) {
    let Value::Object(patch) = patch else {
        *target = patch;
        return;
    };
    if !target.is_object() {
        *target = Value::Object(serde_json::Map::new());
    }
    let fields = target.as_object_mut().expect("made an object above");
    for (key, value) in patch {
        if let Some(list) = key.strip_prefix("$deleteFromPrimitiveList/") {
            if let (Some(Value::Array(held)), Value::Array(gone)) = (fields.get_mut(list), value) {
                held.retain(|entry| !gone.contains(entry));
            }
            continue;
        }
        if value.is_null() {
            fields.remove(&key);
            continue;
        }
        let list_key = KEYS.iter().find(|(list, _)| strategic && *list == key).map(|(_, by)| *by);
        match (list_key, value) {
            (Some(by), Value::Array(entries)) => {
                let held = fields.entry(key).or_insert_with(|| Value::Array(Vec::new()));
                let Value::Array(held) = held else { continue };
                for mut entry in entries {
                    let at = held.iter().position(|known| known[by] == entry[by]);
                    let delete = entry["$patch"] == "delete";
                    match (at, delete) {
                        (Some(at), true) => {
                            held.remove(at);
                        }
                        (None, true) => {}
                        (Some(at), false) => merge(&mut held[at], entry.take(), strategic),
                        (None, false) => held.push(entry),
                    }
                }
            }
            (_, value) => merge(fields.entry(key).or_insert(Value::Null), value, strategic),
        }
    }
}
