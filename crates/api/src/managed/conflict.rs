//! 409 for fields that belong to others.

use std::collections::BTreeMap;

use serde_json::json;

use super::entries::{Entry, Operation};
use super::path::show_path;
use super::set::FieldSet;
use crate::status::{Reason, Status};

/// Fields that an apply would change, by who owns them.
#[derive(Debug, Default)]
pub struct Conflicts(pub Vec<(Entry, FieldSet)>);

impl Conflicts {
    /// The answer to the client.
    pub fn into_status(mut self) -> Status {
        self.0.sort_by_cached_key(|(entry, _)| entry.identifier());
        let mut causes = Vec::new();
        let mut places: BTreeMap<String, (String, Vec<String>)> = BTreeMap::new();
        for (entry, fields) in &self.0 {
            let manager = show_manager(entry);
            let (_, list) = places.entry(entry.identifier()).or_insert_with(|| (manager.clone(), Vec::new()));
            fields.each(&mut Vec::new(), &mut |path| {
                let place = show_path(path.iter().copied());
                causes.push(json!({
                    "reason": "FieldManagerConflict",
                    "message": format!("conflict with {manager}"),
                    "field": place,
                }));
                list.push(place);
            });
        }
        let message = if let ([_], Some((manager, list))) = (causes.as_slice(), places.values().next()) {
            format!("Apply failed with 1 conflict: conflict with {manager}: {}", list.concat())
        } else {
            let parts: Vec<String> = places
                .values()
                .map(|(manager, list)| format!("conflicts with {manager}:\n- {}", list.join("\n- ")))
                .collect();
            format!("Apply failed with {} conflicts: {}", causes.len(), parts.join("\n"))
        };
        Status::new(409, Reason::Conflict, message).with_details(json!({"causes": causes}))
    }
}

/// `"kubectl" with subresource "status" using apps/v1`.
fn show_manager(entry: &Entry) -> String {
    let mut text = format!("{:?}", entry.manager);
    if !entry.subresource.is_empty() {
        text.push_str(&format!(" with subresource {:?}", entry.subresource));
    }
    if entry.operation == Operation::Update {
        text.push_str(&format!(" using {}", entry.api_version));
    }
    text
}
