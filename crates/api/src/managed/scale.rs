//! Owners of `spec.replicas`, as the `scale` subresource shows them and takes them back.

use serde_json::Value;

use super::entries::{Entry, read, write};
use super::set::FieldSet;

/// The version of Scale objects.
const SCALE: &str = "autoscaling/v1";
/// Where replicas stand, in the object and in its Scale.
const REPLICAS: [&str; 2] = ["spec", "replicas"];

/// Gives a Scale the owners of its object's replicas. `versions` are those in which the object has replicas
/// (`apps/v1`).
pub fn to_scale(object: &Value, scale: &mut Value, versions: &[&str]) {
    let entries = read(&object["metadata"]["managedFields"]).unwrap_or_default();
    let owners = entries
        .into_iter()
        .filter(|entry| versions.contains(&entry.api_version.as_str()) && entry.fields.has(&REPLICAS))
        .map(|entry| Entry { api_version: SCALE.to_owned(), fields: FieldSet::of_path(&REPLICAS), ..entry })
        .collect();
    write(scale, owners);
}

/// Gives an object the owners of its written Scale: who no longer owns the replicas there loses them here.
/// `api_version` is the object's.
pub fn from_scale(object: &mut Value, scale: &Value, api_version: &str, versions: &[&str]) {
    let replicas = FieldSet::of_path(&REPLICAS);
    let mut owners = read(&scale["metadata"]["managedFields"]).unwrap_or_default();
    for owner in &mut owners {
        owner.api_version = api_version.to_owned();
        owner.fields = replicas.clone();
        // Upstream gives times to what is written through the object itself.
        owner.time = None;
    }
    let mut entries = read(&object["metadata"]["managedFields"]).unwrap_or_default();
    entries.retain(|entry| versions.contains(&entry.api_version.as_str()));
    for entry in entries.iter_mut().filter(|entry| entry.fields.has(&REPLICAS)) {
        let at = owners.iter().position(|owner| {
            owner.manager == entry.manager
                && owner.operation == entry.operation
                && owner.subresource == entry.subresource
        });
        match at {
            Some(at) => drop(owners.remove(at)),
            None => entry.fields = std::mem::take(&mut entry.fields).difference(&replicas),
        }
    }
    entries.extend(owners);
    write(object, entries);
}
