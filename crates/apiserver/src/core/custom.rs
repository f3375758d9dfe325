//! Bodies of custom resources: any JSON, as far as their definition lets it.

use cox_api::schema::{self, DecodeError, Decoded, Strictness, unrecognized_kind};
use cox_api::structural::Structural;
use cox_api::{Body, Status, form};

use super::body::{self, Expected, JSON, YAML, check_version, unsupported_media_type};

/// Decodes a body.
///
/// # Errors
/// 400 where it doesn't fit, 415 for another media type.
pub(super) fn decode(
    body: Body,
    expected: &Expected<'_>,
    structural: &Structural,
    strictness: Strictness,
) -> Result<Decoded, Status> {
    let malformed = |words: &str, bytes: &[u8]| {
        let words = format!("couldn't get version/kind; json parse error: {words}");
        unrecognized_kind(expected.kind, &words, bytes)
    };
    let told = |error: DecodeError| {
        Status::bad_request(format!(
            "{} in version {:?} cannot be handled as a {}: {error}",
            expected.kind, expected.version, expected.kind
        ))
    };
    let check = |value, repeated| form::check_custom(structural, value, repeated, strictness).map_err(told);
    let (decoded, bytes) = match body {
        Body::Json(value) => (check(value, Vec::new())?, None),
        Body::None => return Err(malformed("unexpected end of JSON input", b"")),
        Body::Patch(..) => return Err(Status::bad_request("a patch is not an object")),
        Body::Raw { media_type, bytes } => match body::essence(&media_type) {
            "" | JSON => {
                let (value, repeated) =
                    schema::read_json_strictly(&bytes).map_err(|words| malformed(&words, &bytes))?;
                (check(value, repeated)?, Some(bytes))
            }
            YAML => {
                let read = body::parse_yaml(&bytes, expected.kind)?;
                (check(read.value, read.repeated)?, Some(bytes))
            }
            _ => return Err(unsupported_media_type(&format!("{JSON}, {YAML}"))),
        },
    };
    let text = |key: &str| decoded.value[key].as_str().unwrap_or_default();
    let shown = || match &bytes {
        Some(bytes) => bytes.to_vec(),
        None => decoded.value.to_string().into_bytes(),
    };
    if !decoded.value.is_object() || text("kind").is_empty() {
        let bytes = shown();
        let words = format!("Object 'Kind' is missing in '{}'", String::from_utf8_lossy(&bytes));
        return Err(unrecognized_kind(expected.kind, &words, &bytes));
    }
    check_version(text("apiVersion"), expected)?;
    Ok(decoded)
}
