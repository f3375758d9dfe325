//! What a write may not bring in its metadata, and what it keeps.

use serde_json::{Map, Value};

/// The server's own entries of `metadata`, which a client can't bring along when it makes an object.
const SERVERS: [&str; 6] =
    ["uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "selfLink", "generation"];

fn metadata(object: &mut Value) -> Option<&mut Map<String, Value>> {
    object.as_object_mut()?.entry("metadata").or_insert_with(|| Value::Object(Map::new())).as_object_mut()
}

/// Before a create: drops what only the server sets. Name, generated name, uid, creation time and generation
/// are the caller's to fill in.
pub fn prepare_create(object: &mut Value) {
    if let Some(metadata) = metadata(object) {
        for key in SERVERS {
            metadata.remove(key);
        }
    }
}

/// Before an update: what the client may leave out, or can't change however it tries, is taken from the old
/// object. A different uid, deletion time or grace stays, for [`super::validate_update`] to refuse.
pub fn prepare_update(new: &mut Value, old: &Value) {
    let Some(metadata) = metadata(new) else { return };
    let kept = &old["metadata"];
    let mut keep = |key: &str, always: bool| match kept.get(key) {
        Some(value) if always || metadata.get(key).is_none_or(|now| now.is_null() || now == "") => {
            metadata.insert(key.to_owned(), value.clone());
        }
        Some(_) => {}
        None if always => {
            metadata.remove(key);
        }
        None => {}
    };
    keep("generation", true);
    keep("uid", false);
    if kept.get("creationTimestamp").is_some() {
        keep("creationTimestamp", true);
    }
    if kept.get("deletionTimestamp").is_some() {
        keep("deletionTimestamp", true);
    }
    keep("deletionGracePeriodSeconds", false);
    keep("selfLink", true);
}

/// Drops owners that are named twice, and says so: the text of a warning for the client.
pub fn drop_repeated_owners(object: &mut Value) -> Option<String> {
    let owners = object.get_mut("metadata")?.get_mut("ownerReferences")?.as_array_mut()?;
    let mut kept: Vec<Value> = Vec::with_capacity(owners.len());
    let mut repeated: Vec<String> = Vec::new();
    for owner in owners.drain(..) {
        if kept.contains(&owner) {
            repeated.push(owner["uid"].as_str().unwrap_or_default().to_owned());
        } else {
            kept.push(owner);
        }
    }
    *owners = kept;
    if repeated.is_empty() {
        return None;
    }
    Some(format!(
        ".metadata.ownerReferences contains duplicate entries; API server dedups owner references in 1.20+, and may reject such requests as early as 1.24; please fix your requests; duplicate UID(s) observed: {}",
        repeated.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn updates_keep_what_is_the_servers() {
        let old = json!({"metadata": {"name": "a", "uid": "1", "creationTimestamp": "t", "generation": 3,
            "deletionTimestamp": "d", "deletionGracePeriodSeconds": 5}});
        let mut new = json!({"metadata": {"name": "a", "creationTimestamp": "x", "generation": 9}});
        prepare_update(&mut new, &old);
        assert_eq!(new, old);
        let mut other = json!({"metadata": {"name": "a", "uid": "2", "deletionGracePeriodSeconds": 0}});
        prepare_update(&mut other, &old);
        assert_eq!(other["metadata"]["uid"], "2");
        assert_eq!(other["metadata"]["deletionGracePeriodSeconds"], 0);
    }

    #[test]
    fn creates_bring_nothing_of_the_servers() {
        let mut new =
            json!({"metadata": {"name": "a", "uid": "1", "generation": 4, "deletionTimestamp": "x"}});
        prepare_create(&mut new);
        assert_eq!(new, json!({"metadata": {"name": "a"}}));
    }

    #[test]
    fn owners_are_kept_once() {
        let owner = |uid: &str| json!({"kind": "Pod", "uid": uid});
        let mut object = json!({"metadata": {"ownerReferences": [owner("x"), owner("y"), owner("x")]}});
        let warning = drop_repeated_owners(&mut object).expect("one is repeated");
        assert!(warning.ends_with("observed: x"), "{warning}");
        assert_eq!(object["metadata"]["ownerReferences"], json!([owner("x"), owner("y")]));
        assert_eq!(drop_repeated_owners(&mut object), None);
    }
}
