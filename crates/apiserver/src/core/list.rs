//! Reading: one object, or many.
//! Source: <https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-versions>

use std::ops::Bound;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cox_api::selector::{FieldSelector, LabelSelector};
use cox_api::{FieldErrors, Header, Listing, Options, Path, Reason, Response, Scope, Status};
use cox_store::Error;
use serde::Serialize;
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

/// The version of continue tokens.
const TOKEN_VERSION: &str = "meta.k8s.io/v1";

/// What stands in a continue token.
#[derive(Serialize)]
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
    let not_with_continue = "resourceVersionMatch is forbidden when continue is provided";
    if watch {
        let initial = options.send_initial_events.is_some();
        if initial && matching != "NotOlderThan" {
            let detail = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan";
            errors.forbidden(&path, detail);
        }
        if !matching.is_empty() {
            if !initial {
                let detail =
                    "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided";
                errors.forbidden(&path, detail);
            }
            if matching != "NotOlderThan" {
                errors.not_supported(&path, &matching.into(), &["NotOlderThan"]);
            }
        }
        // A watch that starts from nothing, or from anything, is one with initial events.
        let from_any = matches!(version, "" | "0") && !initial;
        if continued && (from_any || !matching.is_empty()) {
            errors.forbidden(&path, not_with_continue);
        }
    } else {
        if !matching.is_empty() {
            if version.is_empty() {
                errors
                    .forbidden(&path, "resourceVersionMatch is forbidden unless resourceVersion is provided");
            }
            if continued {
                errors.forbidden(&path, not_with_continue);
            }
            if !matches!(matching, "Exact" | "NotOlderThan") {
                errors.not_supported(&path, &matching.into(), &["Exact", "NotOlderThan", ""]);
            }
            if matching == "Exact" && version == "0" {
                let detail = "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"";
                errors.forbidden(&path, detail);
            }
        }
        if options.send_initial_events.is_some() {
            errors.forbidden(&Path::new("sendInitialEvents"), "sendInitialEvents is forbidden for list");
        }
    }
    if errors.is_empty() { Ok(()) } else { Err(Status::invalid("meta.k8s.io", "ListOptions", "", &errors.0)) }
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
    let namespace =
        (call.info().scope == Scope::Namespaced && !call.namespace.is_empty()).then_some(call.namespace);
    let bound = start.as_deref().map_or(Bound::Unbounded, Bound::Included);
    // Any version will do: that is answered from memory, as a whole, as upstream does.
    let whole = version == "0" && options.resource_version_match.as_deref() != Some("Exact");
    let limit = options
        .limit
        .filter(|_| !whole)
        .map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
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
        v: TOKEN_VERSION.into(),
        rv: i64::try_from(revision).unwrap_or(i64::MAX),
        start: start.to_owned(),
    };
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(&token).unwrap_or_default())
}

/// Reads a continue token, with the words of upstream's storage for what is wrong with it.
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
    let value = cox_api::schema::read_json(&bytes).map_err(|error| refuse(error.to_string()))?;
    let token = token_of(&value).map_err(refuse)?;
    if token.v != TOKEN_VERSION {
        return Err(refuse(format!("server does not recognize this encoded version {}", token.v)));
    }
    if token.rv == 0 {
        return Err(refuse(format!("incorrect encoded start resourceVersion (version {TOKEN_VERSION})")));
    }
    if token.start.is_empty() {
        return Err(refuse(format!("encoded start key empty (version {TOKEN_VERSION})")));
    }
    // A start that climbs out of the collection is none.
    let inside = token.start.strip_prefix('/').unwrap_or(&token.start);
    if inside.split('/').any(|step| matches!(step, "" | "." | "..")) {
        return Err(refuse(token.start));
    }
    Ok(token)
}

/// The fields of a token; what isn't there is nothing, as Go's decoder has it.
fn token_of(value: &Value) -> Result<Token, String> {
    let form = |value: &Value| match value {
        Value::Array(_) => "array",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::Object(_) => "object",
        _ => "string",
    };
    if !(value.is_object() || value.is_null()) {
        return Err(format!(
            "json: cannot unmarshal {} into Go value of type storage.continueToken",
            form(value)
        ));
    }
    let misfit = |key: &str, of: &str| {
        let given = &value[key];
        format!(
            "json: cannot unmarshal {} into Go struct field continueToken.{key} of type {of}",
            form(given)
        )
    };
    let text = |key: &str| match &value[key] {
        Value::Null => Ok(String::new()),
        Value::String(text) => Ok(text.clone()),
        _ => Err(misfit(key, "string")),
    };
    let rv = match &value["rv"] {
        Value::Null => 0,
        number => number.as_i64().ok_or_else(|| misfit("rv", "int64"))?,
    };
    Ok(Token { v: text("v")?, rv, start: text("start")? })
}

/// 410 with a token that goes on without consistency.
fn expired_token(start: &str) -> Status {
    let token = Token { v: TOKEN_VERSION.into(), rv: -1, start: start.to_owned() };
    let token = URL_SAFE_NO_PAD.encode(serde_json::to_vec(&token).unwrap_or_default());
    let message = "The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter, or use the continue token in this response to retrieve the remainder of the results. Continuing with the provided token results in an inconsistent list - objects that were created, modified, or deleted between the time the first chunk was returned and now may show up in the list.";
    Status::expired(message).with_continue(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(status: Result<(), Status>) -> String {
        status.err().map(|status| status.message().to_owned()).unwrap_or_default()
    }

    #[test]
    fn options_that_do_not_go_together() {
        let text = |text: &str| Some(text.to_owned());
        let watch_match = "resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided";
        let unsupported =
            "resourceVersionMatch: Unsupported value: \"Exact\": supported values: \"NotOlderThan\"";
        for (options, watch, expected) in [
            (
                Options { continue_token: text("x"), ..Options::default() },
                true,
                "resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden when continue is provided".to_owned(),
            ),
            (
                Options { continue_token: text("x"), resource_version: text("7"), ..Options::default() },
                true,
                String::new(),
            ),
            (
                Options { resource_version_match: text("Exact"), ..Options::default() },
                true,
                format!("[{watch_match}, {unsupported}]"),
            ),
            (Options { resource_version_match: text("NotOlderThan"), ..Options::default() }, true, watch_match.to_owned()),
            (
                Options { send_initial_events: Some(true), resource_version_match: text("Exact"), ..Options::default() },
                true,
                format!("[resourceVersionMatch: Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan, {unsupported}]"),
            ),
            (
                Options { send_initial_events: Some(true), resource_version_match: text("Exact"), ..Options::default() },
                false,
                "[resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided, sendInitialEvents: Forbidden: sendInitialEvents is forbidden for list]".to_owned(),
            ),
        ] {
            let expected = if expected.is_empty() { expected } else { format!("ListOptions.meta.k8s.io \"\" is invalid: {expected}") };
            assert_eq!(messages(check_options(&options, watch)), expected, "{options:?}");
        }
    }

    #[test]
    fn tokens_are_read_as_go_does() {
        let version = r#"{"v":"meta.k8s.io/v1","#;
        for (token, expected) in [
            (r#"{"v":"v2"}"#.to_owned(), "server does not recognize this encoded version v2"),
            ("null".to_owned(), "server does not recognize this encoded version "),
            (
                format!("{version}\"start\":\"a\"}}"),
                "incorrect encoded start resourceVersion (version meta.k8s.io/v1)",
            ),
            (format!("{version}\"rv\":1}}"), "encoded start key empty (version meta.k8s.io/v1)"),
            (format!("{version}\"rv\":1,\"start\":\"../a\"}}"), "../a"),
            (
                r#"{"v":1}"#.to_owned(),
                "json: cannot unmarshal number into Go struct field continueToken.v of type string",
            ),
            (r#"[]"#.to_owned(), "json: cannot unmarshal array into Go value of type storage.continueToken"),
            (r#"x"#.to_owned(), "invalid character 'x' looking for beginning of value"),
        ] {
            let text = URL_SAFE_NO_PAD.encode(&token);
            let expected = format!("invalid continue token: continue key is not valid: {expected}");
            assert_eq!(messages(decode_token(&text).map(drop)), expected, "{token}");
        }
        let good = decode_token(&encode_token(7, "n/a")).ok();
        assert_eq!(good.map(|token| (token.rv, token.start)), Some((7, "n/a".to_owned())));
    }
}
