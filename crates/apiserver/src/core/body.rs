//! From the body of a request to a value in normal form.

use cox_api::schema::{self, Decoded, Strictness, TypeId};
use cox_api::{Body, FieldErrors, Form, Kind, Options, Path, Reason, Status, meta};
use serde_json::{Value, json};

use super::custom;
use super::yaml::{self, Yaml};

/// Media types that bodies come in.
pub const JSON: &str = "application/json";
/// YAML.
pub const YAML: &str = "application/yaml";
/// Kubernetes' protobuf.
pub const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";

/// Checks the options of a write; how strict its `fieldValidation` wants the server to be.
///
/// # Errors
/// 422.
pub fn strictness(options: &Options, kind: &str) -> Result<Strictness, Status> {
    strictness_after(FieldErrors::new(), options, kind)
}

/// The same, where something else about the options is known to be wrong already.
///
/// # Errors
/// 422.
pub fn strictness_after(
    mut errors: FieldErrors,
    options: &Options,
    kind: &str,
) -> Result<Strictness, Status> {
    if let Some(manager) = &options.field_manager {
        meta::validate_field_manager(manager, &Path::new("fieldManager"), &mut errors);
    }
    if !options.unknown_dry_run.is_empty() {
        errors.not_supported(&Path::new("dryRun"), &json!(options.unknown_dry_run), &["All"]);
    }
    let strictness = match options.field_validation.as_deref() {
        None | Some("" | "Warn") => Strictness::Warn,
        Some("Ignore") => Strictness::Ignore,
        Some("Strict") => Strictness::Strict,
        Some(other) => {
            let known = ["", "Ignore", "Strict", "Warn"];
            errors.not_supported(&Path::new("fieldValidation"), &other.into(), &known);
            Strictness::Warn
        }
    };
    if errors.is_empty() {
        return Ok(strictness);
    }
    Err(Status::invalid("meta.k8s.io", kind, "", &errors.0))
}

/// What a body is to be decoded as.
#[derive(Clone)]
pub struct Expected<'a> {
    /// The group, version and kind of the resource.
    pub group: &'a str,
    /// See above.
    pub version: &'a str,
    /// See above.
    pub kind: &'a str,
    /// What it looks like.
    pub form: Form,
}

impl<'a> Expected<'a> {
    /// An object of a kind.
    pub fn of(kind: &'a dyn Kind) -> Expected<'a> {
        let info = kind.info();
        Expected { group: info.group, version: info.version, kind: info.kind, form: kind.form() }
    }

    /// An object of a type of the table.
    pub fn of_type(group: &'a str, version: &'a str, kind: &'a str, of: TypeId) -> Expected<'a> {
        Expected { group, version, kind, form: Form::Table(of) }
    }

    fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.to_owned()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }
}

/// Decodes a body.
///
/// # Errors
/// 400 where it doesn't fit, 415 for another media type.
pub fn decode(body: Body, expected: Expected<'_>, strictness: Strictness) -> Result<Decoded, Status> {
    let of = match &expected.form {
        Form::Table(of) => *of,
        Form::Custom(schema) => return custom::decode(body, &expected, schema, strictness),
    };
    let expected = &expected;
    let mut decoded = match body {
        Body::Json(value) => {
            check_kind(&value, expected)?;
            schema::decode_value(of, value, strictness)?
        }
        Body::None => schema::decode_json(of, b"", strictness)?,
        Body::Patch(..) => return Err(Status::bad_request("a patch is not an object")),
        Body::Raw { media_type, bytes } => match essence(&media_type) {
            "" | JSON => {
                let decoded = schema::decode_json(of, &bytes, strictness)?;
                check_kind(&decoded.value, expected)?;
                decoded
            }
            YAML => {
                let read = parse_yaml(&bytes, expected.kind)?;
                check_kind(&read.value, expected)?;
                decode_yaml(of, read, strictness)?
            }
            PROTOBUF => {
                let value = cox_api::protobuf::decode_body(of, &bytes)?;
                check_kind(&value, expected)?;
                Decoded { value, warnings: Vec::new() }
            }
            _ => return Err(unsupported_media_type(&format!("{JSON}, {YAML}, {PROTOBUF}"))),
        },
    };
    if let Some(object) = decoded.value.as_object_mut() {
        object.insert("apiVersion".into(), expected.api_version().into());
        object.insert("kind".into(), expected.kind.into());
    } else if decoded.value.is_null() {
        decoded.value =
            serde_json::json!({"apiVersion": expected.api_version(), "kind": expected.kind, "metadata": {}});
    }
    Ok(decoded)
}

/// Repeated keys are told like unknown fields, and before these.
fn decode_yaml(of: TypeId, read: Yaml, strictness: Strictness) -> Result<Decoded, Status> {
    if read.repeated.is_empty() || strictness == Strictness::Ignore {
        return schema::decode_value(of, read.value, strictness);
    }
    let mut decoded = schema::decode_value(of, read.value, Strictness::Warn)?;
    let mut told = read.repeated;
    told.append(&mut decoded.warnings);
    if strictness == Strictness::Strict {
        return Err(schema::DecodeError::Strict(told).into_status(of));
    }
    Ok(Decoded { value: decoded.value, warnings: told })
}

/// Whether a body asks to forget all owners of fields, which the normal form doesn't show.
pub fn resets(body: &Body) -> bool {
    match body {
        Body::Json(value) => cox_api::managed::resets(value),
        Body::Raw { bytes, .. } => {
            memchr::memmem::find(bytes, b"\"managedFields\"").is_some()
                && serde_json::from_slice(bytes).is_ok_and(|value| cox_api::managed::resets(&value))
        }
        Body::None | Body::Patch(..) => false,
    }
}

/// A media type without its parameters.
pub fn essence(media_type: &str) -> &str {
    media_type.split(';').next().unwrap_or_default().trim()
}

/// 415.
pub fn unsupported_media_type(accepted: &str) -> Status {
    Status::new(
        415,
        Reason::UnsupportedMediaType,
        format!(
            "the body of the request was in an unknown format - accepted media types include: {accepted}"
        ),
    )
}

/// The object must say that it is of the resource's kind, or nothing.
fn check_kind(value: &Value, expected: &Expected<'_>) -> Result<(), Status> {
    let api_version = value["apiVersion"].as_str().unwrap_or_default();
    let kind = value["kind"].as_str().unwrap_or_default();
    if !kind.is_empty() && kind != expected.kind {
        let words = of_another_kind(api_version, kind, expected);
        let version = api_version.rsplit('/').next().unwrap_or_default();
        return Err(Status::bad_request(if words.starts_with("converting") {
            format!("{kind} in version {version:?} cannot be handled as a {}: {words}", expected.kind)
        } else {
            words
        }));
    }
    check_version(api_version, expected)
}

/// The object must say that it is of the resource's version, or nothing.
pub(super) fn check_version(api_version: &str, expected: &Expected<'_>) -> Result<(), Status> {
    let wanted = expected.api_version();
    if !api_version.is_empty() && api_version != wanted {
        return Err(Status::bad_request(format!(
            "the API version in the data ({api_version}) does not match the expected API version ({wanted})"
        )));
    }
    Ok(())
}

/// What upstream's decoder says of an object of another kind than the one it is to become.
fn of_another_kind(api_version: &str, kind: &str, expected: &Expected<'_>) -> String {
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    // Upstream shows Go's names: the version's package, and that of the group's internal form.
    let internal = match expected.group.split('.').next() {
        None | Some("") => "core",
        Some(word) => word,
    };
    if cox_api::schema::type_of(group, version, kind).is_some() {
        format!("converting ({version}.{kind}) to ({internal}.{}): unknown conversion", expected.kind)
    } else {
        format!(
            "no kind {kind:?} is registered for version {api_version:?} in scheme \"pkg/api/legacyscheme/scheme.go:30\""
        )
    }
}

/// What upstream's decoder says of a patched object that isn't what it was; none where it still is.
pub fn misfit(kind: &dyn Kind, patched: &Value, strictness: Strictness) -> Option<String> {
    let expected = Expected::of(kind);
    let of = match &expected.form {
        Form::Table(of) => *of,
        // Whatever it is: it is told like the object's other faults.
        Form::Custom(_) => {
            let faults = expected.form.check(patched.clone(), strictness).err()?;
            return Some(faults.to_string());
        }
    };
    let api_version = patched["apiVersion"].as_str().unwrap_or_default();
    let kind = patched["kind"].as_str().unwrap_or_default();
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    // It is decoded as what it says it is, before anybody asks whether it should be that.
    let given = schema::type_of(group, version, kind);
    let decoded = schema::check_value(given.unwrap_or(of), patched.clone(), strictness);
    if api_version.is_empty() || kind.is_empty() || given == Some(of) {
        return decoded.err().map(|error| error.to_string());
    }
    if given.is_some()
        && let Err(error) = decoded
    {
        return Some(error.to_string());
    }
    Some(of_another_kind(api_version, kind, &expected))
}

/// Reads a YAML body of a kind.
///
/// # Errors
/// 400 with the reader's words.
pub fn parse_yaml(bytes: &[u8], kind: &str) -> Result<Yaml, Status> {
    yaml::parse(bytes).map_err(|why| {
        let shown: String = bytes.iter().take(512).map(|byte| format!("{byte:02x}")).collect();
        Status::bad_request(format!(
            "the object provided is unrecognized (must be of type {kind}): yaml: {why} ({shown})"
        ))
    })
}
