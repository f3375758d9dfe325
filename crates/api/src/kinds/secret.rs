//! `Secret` of `v1`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::Value;

use super::common::cells::{self, column};
use super::common::walk::{default_text, ensure, map, map_of, remove, text};
use crate::kind::{Column, Kind, KindInfo, Scope};

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
}
