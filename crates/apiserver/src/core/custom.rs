//! Bodies of custom resources: any JSON, as far as their definition lets it.

use cox_api::schema::{DecodeError, Decoded, Strictness, unrecognized_kind};
use cox_api::structural::Structural;
use cox_api::{Body, Form, Status};

use super::body::{self, Expected, JSON, YAML, check_version, unsupported_media_type};

/// Decodes a body.
///
/// # Errors
/// 400 where it doesn't fit, 415 for another media type.
pub(super) fn decode(
    body: Body,
    expected: &Expected<'_>,
    schema: &Structural,
    strictness: Strictness,
) -> Result<Decoded, Status> {
    let told = |error: DecodeError, bytes: &[u8]| match error {
        DecodeError::Strict(_) => Status::bad_request(format!(
            "{} in version {:?} cannot be handled as a {}: {error}",
            expected.kind, expected.version, expected.kind
        )),
        DecodeError::Malformed(words) => {
            let words = format!("couldn't get version/kind; json parse error: {words}");
            unrecognized_kind(expected.kind, &words, bytes)
        }
    };
    let (decoded, bytes) = match body {
        Body::Json(value) => {
            (expected.form.check(value, strictness).map_err(|error| told(error, b""))?, None)
        }
        Body::None => return Err(told(DecodeError::Malformed("unexpected end of JSON input".into()), b"")),
        Body::Patch(..) => return Err(Status::bad_request("a patch is not an object")),
        Body::Raw { media_type, bytes } => match body::essence(&media_type) {
            "" | JSON => {
                let decoded =
                    Form::parse_custom(schema, &bytes, strictness).map_err(|error| told(error, &bytes))?;
                (decoded, Some(bytes))
            }
            YAML => {
                let read = body::parse_yaml(&bytes, expected.kind)?;
                let repeated = read.repeated;
                if strictness == Strictness::Strict && !repeated.is_empty() {
                    return Err(told(DecodeError::Strict(repeated), &bytes));
                }
                let mut decoded =
                    expected.form.check(read.value, strictness).map_err(|error| told(error, &bytes))?;
                if strictness == Strictness::Warn {
                    decoded.warnings.splice(0..0, repeated);
                }
                (decoded, Some(bytes))
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
