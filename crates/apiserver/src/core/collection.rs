//! Deleting a collection.

use cox_api::{Body, Listing, Response, Status};

use super::call::Call;
use super::delete::{DeleteOptions, remove};
use super::list;

/// Deletes what a list would show; the answer is that list.
pub(crate) async fn delete_collection(call: &mut Call<'_>, body: Body) -> Result<Response, Status> {
    // What is to be found is checked first, and how it is to be deleted then.
    list::check_options(call.options, false)?;
    list::Selection::of(call)?;
    let options = DeleteOptions::of(call, body)?;
    let listing = list::listing(call).await?;
    let mut items = Vec::with_capacity(listing.items.len());
    for object in listing.items {
        let warnings = std::mem::take(&mut call.warnings);
        let mut one = Call {
            server: call.server,
            user: call.user,

            verb: call.verb,
            kind: call.kind,
            namespace: object.namespace(),
            name: object.name(),
            subresource: "",
            options: call.options,
            now: call.now.clone(),
            warnings,
            annotations: std::mem::take(&mut call.annotations),
        };
        let removed = remove(&mut one, &options).await;
        call.warnings = one.warnings;
        call.annotations = one.annotations;
        match removed {
            Ok(_) => {}
            // Somebody else was faster.
            Err(status) if status.is_not_found() => continue,
            Err(status) => return Err(status),
        }
        items.push(object);
    }
    Ok(Response::List(Listing { items, ..listing_rest(listing.revision, listing.continue_token) }))
}

fn listing_rest(revision: u64, continue_token: Option<String>) -> Listing {
    Listing { items: Vec::new(), revision, continue_token, remaining: None }
}
