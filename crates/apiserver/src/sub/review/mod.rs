//! Questions about who somebody is and what they may do.
//! Source: <https://kubernetes.io/docs/reference/access-authn-authz/authorization/#checking-api-access>

mod access;
mod identity;
mod rules;

pub(super) use access::{AccessReviews, Who};
pub(super) use identity::{ComponentStatuses, SelfSubjectReviews, TokenReviews};
pub(super) use rules::RulesReviews;

use cox_api::schema;
use cox_api::{Body, KindInfo, Status};
use serde_json::Value;

use super::Asked;
use crate::core::body::{self, Expected};

/// The body of a review.
fn decode(
    info: &'static KindInfo,
    asked: &Asked<'_>,
    body: Body,
    warnings: &mut Vec<String>,
) -> Result<Value, Status> {
    if asked.verb != cox_api::Verb::Create {
        return Err(Status::method_not_allowed("", "", ""));
    }
    let type_id = schema::type_of(info.group, info.version, info.kind)
        .ok_or_else(|| Status::internal(format!("the schema table has no {}", info.kind)))?;
    let expected = Expected::of_type(info.group, info.version, info.kind, type_id);
    let strictness = body::strictness(asked.options, "CreateOptions")?;
    let decoded = body::decode(body, expected, strictness)?;
    warnings.extend(decoded.warnings);
    Ok(decoded.value)
}
