//! `Secret` of `v1`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::Value;

use super::common::cells::{self, column};
use super::common::check;
use super::common::config_data;
use super::common::walk::{default_text, ensure, get, keep, map, map_of, remove, text};
use crate::field::{FieldErrors, Path};
use crate::kind::{Column, Kind, KindInfo, Part, Rules, Scope};
use crate::meta::names;
use crate::schema;

/// The kind's rules.
pub struct Secret;

static INFO: KindInfo = KindInfo {
    group: "",
    version: "v1",
    kind: "Secret",
    plural: "secrets",
    singular: "secret",
    short_names: &[],
    categories: &[],
    scope: Scope::Namespaced,
    verbs: &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
    subresources: &[],
    store_prefix: "secrets",
};

static COLUMNS: &[Column] = &[
    cells::NAME,
    column("Type", "string", "What the keys mean."),
    column("Data", "string", "Number of keys."),
    cells::AGE,
];

impl Kind for Secret {
    fn info(&self) -> &'static KindInfo {
        &INFO
    }

    fn set_defaults(&self, object: &mut Value) {
        default_text(object, "type", "Opaque");
        // Plain texts are a way in only: they become data.
        if let Some(Value::Object(plain)) = remove(object, "stringData")
            && !plain.is_empty()
        {
            let data = map_of(ensure(object, "data"));
            for (key, value) in plain {
                data.insert(key, STANDARD.encode(value.as_str().unwrap_or_default()).into());
            }
        }
    }

    fn columns(&self) -> &'static [Column] {
        COLUMNS
    }

    fn row(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        vec![
            cells::name(object),
            text(object, "type").into(),
            map(object, "data").len().into(),
            cells::age(object, now),
        ]
    }

    fn selectable(&self, object: &Value) -> Vec<(&'static str, String)> {
        vec![("type", text(object, "type").to_owned())]
    }

    fn validate_create(&self, object: &Value, errors: &mut FieldErrors) {
        validate(object, errors);
    }

    fn validate_update(&self, new: &Value, old: &Value, _part: Part, errors: &mut FieldErrors) {
        check::immutable(errors, &Path::new("type"), get(new, "type"), get(old, "type"), Value::to_string);
        config_data::keep_immutable(new, old, &["data"], errors);
        validate(new, errors);
    }

    fn prepare_update(&self, new: &mut Value, old: &Value, _part: Part, _rules: &Rules<'_>) {
        if text(new, "type").is_empty() {
            keep(new, old, "type");
        }
    }

    fn warnings(&self, new: &Value, _old: Option<&Value>) -> Vec<String> {
        if text(new, "type") != "kubernetes.io/tls" {
            return Vec::new();
        }
        let has_pem = |key: &str| {
            let bytes = STANDARD.decode(text(&new["data"], key)).unwrap_or_default();
            String::from_utf8_lossy(&bytes).contains("-----BEGIN ")
        };
        let lacking =
            [("tls.crt", "certificate"), ("tls.key", "key")].into_iter().find(|(key, _)| !has_pem(key));
        let warning = lacking.map(|(_, what)| format!("tls: failed to find any PEM data in {what} input"));
        warning.into_iter().collect()
    }
}

/// Keys that each type of secret must have.
const REQUIRED: [(&str, &[&str]); 5] = [
    ("kubernetes.io/dockercfg", &[".dockercfg"]),
    ("kubernetes.io/dockerconfigjson", &[".dockerconfigjson"]),
    ("kubernetes.io/basic-auth", &["username", "password"]),
    ("kubernetes.io/ssh-auth", &["ssh-privatekey"]),
    ("kubernetes.io/tls", &["tls.crt", "tls.key"]),
];
const ACCOUNT: &str = "kubernetes.io/service-account.name";

fn validate(object: &Value, errors: &mut FieldErrors) {
    let data = map(object, "data");
    let path = Path::new("data");
    for key in data.keys() {
        check::messages(errors, &path.key(key), key, names::config_key(key));
    }
    if config_data::bytes(data) > config_data::BYTES_MAX {
        errors.too_long(&path, config_data::BYTES_MAX);
    }
    let kind = text(object, "type");
    if kind == "kubernetes.io/service-account-token"
        && text(&object["metadata"]["annotations"], ACCOUNT).is_empty()
    {
        let metadata = Path::new("metadata");
        errors.required(&metadata.child("annotations").key(ACCOUNT), "");
    }
    let required = REQUIRED.iter().find(|(known, _)| *known == kind).map_or(&[][..], |(_, keys)| keys);
    let missing = |key: &&&str| match data.get(**key).and_then(Value::as_str) {
        None => true,
        Some(value) => **key == "ssh-privatekey" && value.is_empty(),
    };
    // Either half of a basic authentication will do.
    if kind != "kubernetes.io/basic-auth" || required.iter().all(|key| missing(&key)) {
        for key in required.iter().filter(missing) {
            errors.required(&path.key(key), "");
        }
    }
    if kind.starts_with("kubernetes.io/dockerc") {
        for key in required.iter().filter(|key| !missing(key)) {
            let bytes = STANDARD.decode(data[*key].as_str().unwrap_or_default()).unwrap_or_default();
            let fault = match schema::read_json(&bytes) {
                Err(error) => error.to_string(),
                Ok(Value::Object(_) | Value::Null) => continue,
                Ok(other) => {
                    let kind = match other {
                        Value::Array(_) => "array",
                        Value::Bool(_) => "bool",
                        Value::Number(_) => "number",
                        _ => "string",
                    };
                    format!("json: cannot unmarshal {kind} into Go value of type map[string]interface {{}}")
                }
            };
            errors.invalid(&path.key(key), &"<secret contents redacted>".into(), fault);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::kinds::common::testing::{faults, made, update_faults};

    #[test]
    fn plain_texts_become_data() {
        let secret = made(&Secret, json!({"data": {"k": "dg=="}, "stringData": {"k": "w", "s": "p"}}));
        assert_eq!(secret["data"], json!({"k": "dw==", "s": "cA=="}));
        assert_eq!(secret["type"], "Opaque");
        assert!(secret.get("stringData").is_none());
    }

    #[test]
    fn types_require_their_keys() {
        for (kind, data, expected) in [
            ("kubernetes.io/tls", json!({"tls.crt": ""}), vec!["data[tls.key]: Required value"]),
            (
                "kubernetes.io/basic-auth",
                json!({}),
                vec!["data[username]: Required value", "data[password]: Required value"],
            ),
            ("kubernetes.io/basic-auth", json!({"password": ""}), vec![]),
            (
                "kubernetes.io/ssh-auth",
                json!({"ssh-privatekey": ""}),
                vec!["data[ssh-privatekey]: Required value"],
            ),
            (
                "kubernetes.io/dockerconfigjson",
                json!({".dockerconfigjson": "ew=="}),
                vec![
                    "data[.dockerconfigjson]: Invalid value: \"<secret contents redacted>\": unexpected end of JSON input",
                ],
            ),
            (
                "kubernetes.io/dockercfg",
                json!({".dockercfg": "W10="}),
                vec![
                    "data[.dockercfg]: Invalid value: \"<secret contents redacted>\": json: cannot unmarshal array into Go value of type map[string]interface {}",
                ],
            ),
            ("kubernetes.io/dockercfg", json!({".dockercfg": "bnVsbA=="}), vec![]),
            ("x.io/mine", json!({}), vec![]),
        ] {
            assert_eq!(faults(&Secret, json!({"type": kind, "data": data})), expected, "{kind}");
        }
        let update = update_faults(&Secret, json!({}), Part::Main, |new| new["type"] = "x.io/y".into());
        assert_eq!(update, ["type: Invalid value: \"x.io/y\": field is immutable"]);
    }
}
