//! What isn't simply an object: subresources with ways of their own, and resources without objects.

mod binding;
mod eviction;
mod review;
mod scale;
mod token;

pub(crate) use scale::scale_of;

use async_trait::async_trait;
use cox_api::{Body, KindInfo, Options, Response, Status, Verb};

use crate::auth::User;
use crate::core::call::Call;
use crate::server::ApiServer;

/// A subresource with a way of its own.
#[async_trait]
pub(crate) trait Special: Send + Sync {
    async fn call(&self, call: &mut Call<'_>, verb: Verb, body: Body) -> Result<Response, Status>;
}

/// Subresources with ways of their own: group, plural (`*`: any of the group), name.
pub(crate) static SPECIAL: &[(&str, &str, &str, &dyn Special)] = &[
    ("*", "*", "scale", &scale::ScaleOf),
    ("", "pods", "binding", &binding::BindingOf),
    ("", "pods", "eviction", &eviction::EvictionOf),
    ("", "serviceaccounts", "token", &token::TokenOf),
];

/// A question to a resource without objects.
pub(crate) struct Asked<'a> {
    pub server: &'a ApiServer,
    pub user: &'a User,
    pub verb: Verb,
    pub namespace: &'a str,
    pub name: &'a str,
    pub options: &'a Options,
}

/// A resource without objects.
#[async_trait]
pub(crate) trait Virtual: Send + Sync {
    fn info(&self) -> &'static KindInfo;

    async fn call(
        &self,
        asked: &Asked<'_>,
        body: Body,
        warnings: &mut Vec<String>,
    ) -> Result<Response, Status>;
}

/// Every resource without objects.
pub(crate) static VIRTUAL: &[&dyn Virtual] = &[
    &binding::Bindings,
    &review::ComponentStatuses,
    &review::SelfSubjectReviews,
    &review::TokenReviews,
    &review::AccessReviews(review::Who::Local),
    &review::AccessReviews(review::Who::Own),
    &review::AccessReviews(review::Who::Any),
    &review::RulesReviews,
];
