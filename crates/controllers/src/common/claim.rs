//! Which children belong to a controller: adopt orphans that its selector matches, release what it doesn't match
//! any more.

use std::sync::Arc;

use cox_api::PatchKind;
use cox_client::{Error, Key, Kind, Result, Selector, revision_of};
use serde_json::json;

use super::context::Context;
use super::owner::{controller_of, controller_reference, is_controlled_by, name, namespace, uid};

/// What to do about children.
pub(crate) struct Claim<C> {
    /// Children that are held.
    pub(crate) held: Vec<Arc<C>>,
    /// Orphans to take.
    pub(crate) adopt: Vec<Arc<C>>,
    /// Children to let go.
    pub(crate) release: Vec<Arc<C>>,
}

/// Decides which of `candidates` (children in the owner's namespace) belong to `owner`.
pub(crate) fn plan<O: Kind, C: Kind>(
    owner: &O,
    selector: &Selector,
    candidates: impl IntoIterator<Item = Arc<C>>,
) -> Claim<C> {
    let mut claim = Claim { held: Vec::new(), adopt: Vec::new(), release: Vec::new() };
    let owner_ends = owner.metadata().deletion_timestamp.is_some();
    for child in candidates {
        let metadata = child.metadata();
        let matches = selector.matches(&metadata.labels);
        if is_controlled_by(metadata, owner) {
            if matches || owner_ends {
                claim.held.push(child);
            } else {
                claim.release.push(child);
            }
        } else if controller_of(metadata).is_none()
            && matches
            && !owner_ends
            && metadata.deletion_timestamp.is_none()
        {
            claim.adopt.push(child);
        }
    }
    claim
}

/// Carries a claim out; brings the children that are held now. Waits for nothing: the children come with their new
/// versions, and the caller waits for the highest of their revisions, the second part.
pub(crate) async fn execute<O: Kind, C: Kind>(
    context: &Context,
    owner: &O,
    claim: Claim<C>,
) -> Result<(Vec<Arc<C>>, u64)> {
    let mut held = claim.held;
    let mut seen = 0;
    if !claim.adopt.is_empty() {
        // The owner in the cache may be one that is gone and made anew: ask.
        let fresh = context.client.find::<O>(namespace(owner), name(owner)).await?;
        let alive = fresh
            .is_some_and(|fresh| uid(&*fresh) == uid(owner) && fresh.metadata().deletion_timestamp.is_none());
        if !alive {
            return Err(Error::Other(format!("{} {} is gone or is being deleted", O::KIND, Key::of(owner))));
        }
    }
    for child in claim.adopt {
        let patch =
            json!({"metadata": {"uid": uid(&*child), "ownerReferences": [controller_reference(owner)]}});
        let patched =
            context.client.patch::<C>(namespace(&*child), name(&*child), PatchKind::Strategic, patch).await;
        match patched {
            Ok(adopted) => {
                seen = seen.max(revision_of(&*adopted));
                held.push(adopted);
            }
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(error),
        }
    }
    for child in claim.release {
        let patch = json!({"metadata": {"uid": uid(&*child),
            "ownerReferences": [{"$patch": "delete", "uid": uid(owner)}]}});
        let patched =
            context.client.patch::<C>(namespace(&*child), name(&*child), PatchKind::Strategic, patch).await;
        match patched {
            Ok(released) => seen = seen.max(revision_of(&*released)),
            // Gone, or replaced by another of the same name: nothing to let go.
            Err(error) if error.is_not_found() || error.is_invalid() => {}
            Err(error) => return Err(error),
        }
    }
    Ok((held, seen))
}
