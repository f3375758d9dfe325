//! The verbs, on every kind alike.

pub(crate) mod body;
pub(crate) mod call;
pub(crate) mod collection;
pub(crate) mod create;
mod custom;
pub(crate) mod delete;
pub(crate) mod facts;
pub(crate) mod list;
pub(crate) mod managed;
pub(crate) mod patch;
pub(crate) mod update;
pub(crate) mod watch;
mod yaml;

use cox_api::{Body, Part, Response, Status, Verb};

use call::Call;

/// Does a verb on objects of a kind.
pub(crate) async fn on_objects(call: &mut Call<'_>, verb: Verb, body: Body) -> Result<Response, Status> {
    match verb {
        Verb::Get => list::get(call).await,
        Verb::List => list::list(call).await,
        Verb::Watch => watch::watch(call).await,
        Verb::Create => create::create(call, body).await,
        Verb::Update => update::put(call, Part::Main, body).await,
        Verb::Patch => patch::patch(call, Part::Main, body).await,
        Verb::Delete => delete::delete(call, body).await,
        Verb::DeleteCollection => collection::delete_collection(call, body).await,
    }
}

/// Does a verb on a subresource that is a part of the object.
pub(crate) async fn on_part(
    call: &mut Call<'_>,
    part: Part,
    verb: Verb,
    body: Body,
) -> Result<Response, Status> {
    match verb {
        Verb::Get => list::get(call).await,
        Verb::Update => update::put(call, part, body).await,
        Verb::Patch => patch::patch(call, part, body).await,
        _ => Err(Status::method_not_allowed("", "", "")),
    }
}
