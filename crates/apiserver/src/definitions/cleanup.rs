//! A definition that is deleted takes its objects with it.

use cox_api::kinds::custom_resource_definition::CLEANUP;
use cox_api::{Body, PatchKind, Request, Resource, Status, Verb};
use serde_json::{Value, json};

use super::keep::resource;
use crate::core::call::finalizers;
use crate::server::ApiServer;
use crate::start;

/// Deletes the objects of a definition; when there are none left, lets it go. Whether that is so.
///
/// # Errors
/// Where objects can't be deleted.
pub(super) async fn clean_up(server: &ApiServer, definition: &Value) -> Result<bool, Status> {
    let mut left = finalizers(definition);
    if !left.iter().any(|finalizer| finalizer == CLEANUP) {
        return Ok(true);
    }
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let group = text(&definition["spec"]["group"]);
    let plural = text(&definition["status"]["acceptedNames"]["plural"]);
    let served = definition["spec"]["versions"].as_array().into_iter().flatten();
    let served = served.into_iter().find(|version| version["served"] == true);
    let prefix = format!("{group}/{plural}");
    if let Some(version) = served
        && server.definitions().find(&group, &text(&version["name"]), &plural).is_some()
    {
        let resource = Resource::new(&group, &text(&version["name"]), &plural);
        for object in server.db().list(&prefix, None) {
            let mut request = Request::new(Verb::Delete, resource.clone()).name(object.name());
            if !object.namespace().is_empty() {
                request = request.namespace(object.namespace());
            }
            match start::call(server, request).await {
                Ok(_) => {}
                Err(status) if status.is_not_found() => {}
                Err(status) => return Err(status),
            }
        }
    }
    if !server.db().list(&prefix, None).is_empty() {
        return Ok(false);
    }
    left.retain(|finalizer| finalizer != CLEANUP);
    let patch = json!({"metadata": {"finalizers": left}});
    let name = text(&definition["metadata"]["name"]);
    let request =
        Request::new(Verb::Patch, resource()).name(&name).body(Body::Patch(PatchKind::Merge, patch));
    start::call(server, request).await.map(|_| true)
}
