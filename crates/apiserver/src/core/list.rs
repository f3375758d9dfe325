//! Reading: one object, or many.
//! Source: <https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-versions>

use std::ops::Bound;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cox_api::selector::{FieldSelector, LabelSelector};
use cox_api::{FieldErrors, Header, Listing, Options, Path, Reason, Response, Scope, Status};
use cox_store::Error;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::call::Call;
use crate::db::{failure, too_large_version};

/// How long a read waits for a revision that hasn't happened yet.
const WAIT_MAX: Duration = Duration::from_secs(3);

/// Which objects are wanted.
pub(crate) struct Selection {
    pub labels: LabelSelector,
    pub fields: FieldSelector,
}

impl Selection {
    /// From the options of a list.
    ///
    /// # Errors
    /// 400 for a selector that can't be read or used with the kind.
    pub(crate) fn of(call: &Call<'_>) -> Result<Selection, Status> {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let refuse = |error: cox_api::selector::SelectorError| Status::bad_request(error.to_string());
        let labels: LabelSelector = text(&call.options.label_selector).parse().map_err(refuse)?;
        let mut fields: FieldSelector = text(&call.options.field_selector).parse().map_err(refuse)?;
        fields.check(call.kind).map_err(refuse)?;
        if !call.name.is_empty() {
            // The old form `watch/.../NAME`.
            if !fields.is_everything() && fields.required("metadata.name") != Some(call.name) {
                return Err(Status::bad_request("fieldSelector metadata.name doesn't match requested name"));
            }
            fields = format!("metadata.name={}", call.name).parse().map_err(refuse)?;
        }
        Ok(Selection { labels, fields })
    }

    pub(crate) fn is_everything(&self) -> bool {
        self.labels.is_everything() && self.fields.is_everything()
    }

    pub(crate) fn matches(&self, header: &Header) -> bool {
        self.fields.matches(header) && self.labels.matches(&header.labels)
    }
}

/// One object.
pub(crate) async fn get(call: &mut Call<'_>) -> Result<Response, Status> {
    if let Some(version) = &call.options.resource_version {
        let revision = parse_version(version).map_err(|why| Status::new(500, Reason::Unknown, why))?;
        wait_for(call, revision).await?;
    }
    let key = call.key(call.name);
    let object = call.server.db().get_key(&key).ok_or_else(|| call.not_found(call.name))?;
    Ok(Response::Object { object: call.show(object), created: false })
}

/// A list.
pub(crate) async fn list(call: &mut Call<'_>) -> Result<Response, Status> {
    listing(call).await.map(Response::List)
}

/// `resourceVersion`, or what is wrong with it.
pub(crate) fn parse_version(version: &str) -> Result<u64, String> {
    if version.is_empty() {
        return Ok(0);
    }
    version.parse().map_err(|_| {
        format!(
            "resourceVersion: Invalid value: {version:?}: strconv.ParseUint: parsing {version:?}: invalid syntax"
        )
    })
}

pub(crate) async fn wait_for(call: &Call<'_>, revision: u64) -> Result<(), Status> {
    let db = call.server.db();
    if revision <= db.revision() {
        return Ok(());
    }
    match tokio::time::timeout(WAIT_MAX, db.store().wait_until(revision)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(failure(&error)),
        Err(_) => Err(too_large_version(revision, db.revision())),
    }
}

/// What stands in a continue token.
#[derive(Serialize, Deserialize)]
struct Token {
    v: String,
    rv: i64,
    start: String,
}

/// Checks the parameters of a list or watch that have to fit together.
///
/// # Errors
/// 422 in upstream's words.
pub(crate) fn check_options(options: &Options, watch: bool) -> Result<(), Status> {
    let mut errors = FieldErrors::new();
    let path = Path::new("resourceVersionMatch");
    let version = options.resource_version.as_deref().unwrap_or_default();
    let matching = options.resource_version_match.as_deref().unwrap_or_default();
    let continued = options.continue_token.is_some();
    if watch {
        match options.send_initial_events {
            Some(_) => {
                if matching != "NotOlderThan" {
                    errors.forbidden(
                        &path,
                        "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
                    );
                }
                if !matching.is_empty() && matching != "NotOlderThan" {
                    errors.not_supported(&path, &matching.into(), &["NotOlderThan"]);
                }
                if continued {
                    errors.forbidden(&path, "resourceVersionMatch is forbidden when continue is provided");
                }
            }
            None => {
                if !matching.is_empty() {
                    errors.forbidden(
                        &path,
                        "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
                    );
                } else if continued {
                    errors.forbidden(&path, "resourceVersionMatch is forbidden when continue is provided");
                }
            }
        }
    } else {
        if options.send_initial_events.is_some() {
            errors.forbidden(&Path::new("sendInitialEvents"), "sendInitialEvents is forbidden for list");
        }
        if !matching.is_empty() {
            if version.is_empty() {
                errors.forbidden(&path, "resourceVersionMatch is forbidden unless resourceVersion is provided");
            }
            if continued {
                errors.forbidden(&path, "resourceVersionMatch is forbidden when continue is provided");
            }
            if !matches!(matching, "Exact" | "NotOlderThan") {
                errors.not_supported(&path, &matching.into(), &["Exact", "NotOlderThan", ""]);
            }
            if matching == "Exact" && version == "0" {
                errors.forbidden(
                    &path,
                    "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"",
                );
            }
        }
    }
    if errors.is_empty() {
        Ok(())
    } else {
        Err(Status::invalid("meta.k8s.io", "ListOptions", "", &errors.0))
    }
}

/// What a list shows.
pub(crate) async fn listing(call: &Call<'_>) -> Result<Listing, Status> {
    let options = call.options;
    check_options(options, false)?;
    let selection = Selection::of(call)?;
    let db = call.server.db();
    let prefix = call.prefix();
    let version = options.resource_version.as_deref().unwrap_or_default();
    let asked = parse_version(version)
        .map_err(|why| Status::bad_request(format!("invalid resource version: {why}")))?;

    let mut start = None;
    let snapshot = if let Some(token) = &options.continue_token {
        let token = decode_token(token)?;
        if !matches!(version, "" | "0") {
            return Err(Status::bad_request(
                "specifying resource version is not allowed when using continue",
            ));
        }
        start = Some(token.start);
        match u64::try_from(token.rv) {
            Ok(revision) if revision > 0 => {
                db.store().snapshot_at(prefix, revision).map_err(|error| match error {
                    Error::Expired { .. } => expired_token(start.as_deref().unwrap_or_default()),
                    other => failure(&other),
                })?
            }
            // A token that gives up consistency: what is there now, from there on.
            _ => db.snapshot(prefix),
        }
    } else {
        let exact = options.resource_version_match.as_deref() == Some("Exact")
            || (asked > 0 && options.limit.is_some() && options.resource_version_match.is_none());
        wait_for(call, asked).await?;
        if exact && asked > 0 {
            db.store().snapshot_at(prefix, asked).map_err(|error| match error {
                Error::Expired { .. } => {
                    Status::expired("The provided resource version is too old and no longer available.")
                }
                other => failure(&other),
            })?
        } else {
            db.snapshot(prefix)
        }
    };
    let namespace = (call.info().scope == Scope::Namespaced && !call.namespace.is_empty())
        .then_some(call.namespace);
    let bound = start.as_deref().map_or(Bound::Unbounded, Bound::Included);
    // Any version will do: that is answered from memory, as a whole, as upstream does.
    let whole = version == "0" && options.resource_version_match.as_deref() != Some("Exact");
    let limit = options.limit.filter(|_| !whole).map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
    let everything = selection.is_everything();
    let mut items = Vec::new();
    let mut continue_token = None;
    let mut remaining = None;
    let mut objects = snapshot.range(namespace, bound);
    for (_, object) in objects.by_ref() {
        if !everything && !selection.matches(call.show_header(object).as_ref()) {
            continue;
        }
        items.push(call.show(object.clone()));
        if items.len() == limit {
            break;
        }
    }
    if items.len() == limit
        && let Some((next, _)) = objects.next()
    {
        continue_token = Some(encode_token(snapshot.revision(), next.path()));
        db.store().retain(&snapshot);
        if everything {
            remaining = Some(1 + objects.count() as u64);
        }
    }
    Ok(Listing { items, revision: snapshot.revision(), continue_token, remaining })
}

fn encode_token(revision: u64, start: &str) -> String {
    let token = Token {
        v: "meta.k8s.io/v1".into(),
        rv: i64::try_from(revision).unwrap_or(i64::MAX),
        start: start.to_owned(),
    };
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(&token).unwrap_or_default())
}

fn decode_token(text: &str) -> Result<Token, Status> {
    let refuse = |why: String| {
        Status::bad_request(format!("invalid continue token: continue key is not valid: {why}"))
    };
    // Go's decoder reports the first byte that can't stand where it is: padding is no part of this alphabet.
    if let Some(at) = text.bytes().position(|b| !(b.is_ascii_alphanumeric() || b == b'-' || b == b'_')) {
        return Err(refuse(format!("illegal base64 data at input byte {at}")));
    }
    let bytes = base64::engine::GeneralPurpose::new(
        &base64::alphabet::URL_SAFE,
        base64::engine::general_purpose::GeneralPurposeConfig::new()
            .with_decode_allow_trailing_bits(true)
            .with_encode_padding(false)
            .with_decode_padding_mode(base64::engine::DecodePaddingMode::RequireNone),
    )
    .decode(text)
    .map_err(|_| refuse(format!("illegal base64 data at input byte {}", text.len().saturating_sub(1))))?;
    let value: Value = serde_json::from_slice(&bytes).map_err(|_| {
        let first = bytes.first().copied().unwrap_or_default();
        refuse(format!("invalid character '{}' looking for beginning of value", char::from(first)))
    })?;
    let token: Token = serde_json::from_value(value)
        .map_err(|_| refuse("server version is not valid".into()))?;
    if token.v != "meta.k8s.io/v1" {
        return Err(refuse(format!("server version is not valid: {}", token.v)));
    }
    Ok(token)
}

/// 410 with a token that goes on without consistency.
fn expired_token(start: &str) -> Status {
    let token = Token { v: "meta.k8s.io/v1".into(), rv: -1, start: start.to_owned() };
    let token = URL_SAFE_NO_PAD.encode(serde_json::to_vec(&token).unwrap_or_default());
    let message = "The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter, or use the continue token in this response to retrieve the remainder of the results. Continuing with the provided token results in an inconsistent list - objects that were created, modified, or deleted between the time the first chunk was returned and now may show up in the list.";
    Status::expired(message).with_continue(token)
}
