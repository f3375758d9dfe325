//! Schemas of types.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::prose::Prose;
use crate::schema::{Field, ListType, MapType, Shape, TypeId};

/// Which OpenAPI.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Flavor {
    /// 2.0, without defaults.
    V2,
    /// 3.0.
    V3,
}

impl Flavor {
    /// A reference to a type's schema.
    pub fn reference(self, name: &str) -> Value {
        match self {
            Flavor::V2 => json!({"$ref": format!("#/definitions/{name}")}),
            Flavor::V3 => json!({"$ref": format!("#/components/schemas/{name}")}),
        }
    }
}

const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1";
const EXTENSIONS: &str = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1";

/// Collects the schemas that a document needs.
pub struct Schemas<'a> {
    flavor: Flavor,
    prose: &'a Prose,
    known: BTreeMap<String, Value>,
    wanted: BTreeSet<TypeId>,
    /// Group and version of the document: kinds of every group (`DeleteOptions`) are said to be of it, too.
    group_version: Option<(&'a str, &'a str)>,
}

impl<'a> Schemas<'a> {
    /// Starts with none.
    pub fn new(flavor: Flavor, prose: &'a Prose, group_version: Option<(&'a str, &'a str)>) -> Schemas<'a> {
        Schemas { flavor, prose, known: BTreeMap::new(), wanted: BTreeSet::new(), group_version }
    }

    /// A reference to a type, whose schema will be there.
    pub fn reference(&mut self, of: TypeId) -> Value {
        self.wanted.insert(of);
        self.flavor.reference(of.name())
    }

    /// Which OpenAPI the document is in.
    pub fn flavor(&self) -> Flavor {
        self.flavor
    }

    /// Adds a schema that isn't of a type of the table.
    pub fn put(&mut self, name: String, schema: Value) {
        self.known.insert(name, schema);
    }

    /// The schemas of everything that was referred to.
    pub fn finish(mut self) -> Value {
        while let Some(of) = self.wanted.pop_first() {
            if !self.known.contains_key(of.name()) {
                self.known.insert(of.name().to_owned(), Value::Null);
                let schema = self.schema(of);
                self.known.insert(of.name().to_owned(), schema);
            }
        }
        Value::Object(self.known.into_iter().collect())
    }

    fn schema(&mut self, of: TypeId) -> Value {
        let mut out = Map::new();
        describe(&mut out, self.prose.of(of.name(), ""));
        out.insert("type".into(), "object".into());
        let mut properties = Map::new();
        let mut required = Vec::new();
        for field in of.fields() {
            if field.required {
                required.push(field.name);
            }
            let property = self.property(of, field);
            properties.insert(field.name.to_owned(), property);
        }
        if !properties.is_empty() {
            out.insert("properties".into(), properties.into());
        }
        if !required.is_empty() {
            out.insert("required".into(), json!(required));
        }
        if of.is_atomic() {
            out.insert("x-kubernetes-map-type".into(), "atomic".into());
        }
        if let Some((group, version, kind)) = of.gvk() {
            let mut all = vec![json!({"group": group, "version": version, "kind": kind})];
            if let Some((other_group, other_version)) = self.group_version
                && matches!(kind, "DeleteOptions" | "WatchEvent")
                && (other_group, other_version) != (group, version)
            {
                all.push(json!({"group": other_group, "version": other_version, "kind": kind}));
            }
            out.insert("x-kubernetes-group-version-kind".into(), all.into());
        }
        Value::Object(out)
    }

    fn property(&mut self, of: TypeId, field: &Field) -> Value {
        let mut out = self.shape(&field.shape, !field.pointer);
        let text = self.prose.of(of.name(), field.name);
        let default = if self.flavor == Flavor::V3 { field.default } else { "" };
        // OpenAPI 3.0 knows nothing beside a reference.
        if self.flavor == Flavor::V3 && out.contains_key("$ref") && !(text.is_empty() && default.is_empty()) {
            out = Map::from_iter([("allOf".to_owned(), json!([out]))]);
        }
        describe(&mut out, text);
        if let Ok(default) = serde_json::from_str::<Value>(default) {
            out.insert("default".into(), default);
        }
        match (field.list, field.list_declared) {
            (ListType::Set, _) => {
                out.insert("x-kubernetes-list-type".into(), "set".into());
            }
            (ListType::Map(keys), _) => {
                out.insert("x-kubernetes-list-type".into(), "map".into());
                out.insert("x-kubernetes-list-map-keys".into(), json!(keys));
            }
            (ListType::Atomic, true) => {
                out.insert("x-kubernetes-list-type".into(), "atomic".into());
            }
            (ListType::Atomic, false) => {}
        }
        let of_type = match field.shape {
            Shape::Object(inner) if inner.is_atomic() => MapType::Atomic,
            _ => MapType::Granular,
        };
        if field.map != of_type {
            let word = if field.map == MapType::Atomic { "atomic" } else { "granular" };
            out.insert("x-kubernetes-map-type".into(), word.into());
        }
        let merge = field.merge;
        let words: Vec<&str> = [(merge.merge, "merge"), (merge.retain_keys, "retainKeys")]
            .into_iter()
            .filter_map(|(said, word)| said.then_some(word))
            .collect();
        if !words.is_empty() {
            out.insert("x-kubernetes-patch-strategy".into(), words.join(",").into());
        }
        if !merge.key.is_empty() {
            out.insert("x-kubernetes-patch-merge-key".into(), merge.key.into());
        }
        Value::Object(out)
    }

    fn shape(&mut self, shape: &Shape, by_value: bool) -> Map<String, Value> {
        let plain = |ty: &str, format: &str| {
            let mut out = Map::from_iter([("type".to_owned(), json!(ty))]);
            if !format.is_empty() {
                out.insert("format".into(), format.into());
            }
            out
        };
        match shape {
            Shape::String => plain("string", ""),
            Shape::Int32 => plain("integer", "int32"),
            Shape::Int64 => plain("integer", "int64"),
            Shape::Bool => plain("boolean", ""),
            Shape::Float => plain("number", "double"),
            Shape::Bytes => plain("string", "byte"),
            Shape::Object(of) => self.reference(*of).as_object().cloned().unwrap_or_default(),
            Shape::List(item) => {
                let mut out = plain("array", "");
                out.insert("items".into(), self.element(item, by_value));
                out
            }
            Shape::Map(value) => {
                let mut out = plain("object", "");
                out.insert("additionalProperties".into(), self.element(value, by_value));
                out
            }
            special => {
                let (name, schema) = special_schema(special, self.flavor);
                if !self.known.contains_key(&name) {
                    let mut schema = schema.as_object().cloned().unwrap_or_default();
                    describe(&mut schema, self.prose.of(&name, ""));
                    self.known.insert(name.clone(), schema.into());
                }
                self.flavor.reference(&name).as_object().cloned().unwrap_or_default()
            }
        }
    }

    /// An element of a list or map: zero is its default.
    fn element(&mut self, shape: &Shape, by_value: bool) -> Value {
        let mut out = self.shape(shape, by_value);
        if self.flavor == Flavor::V2 || !by_value {
            return out.into();
        }
        let zero = match shape {
            Shape::String => json!(""),
            Shape::Int32 | Shape::Int64 => json!(0),
            Shape::Object(_) => {
                out = Map::from_iter([("allOf".to_owned(), json!([out]))]);
                json!({})
            }
            _ => return out.into(),
        };
        out.insert("default".into(), zero);
        out.into()
    }
}

fn describe(out: &mut Map<String, Value>, text: &str) {
    if !text.is_empty() {
        out.insert("description".into(), text.into());
    }
}

/// Name and schema of the types that are shapes of their own.
fn special_schema(shape: &Shape, flavor: Flavor) -> (String, Value) {
    let either = |one: &str, other: &str| match flavor {
        Flavor::V2 => json!({"type": "string"}),
        Flavor::V3 => json!({"oneOf": [{"type": one}, {"type": other}]}),
    };
    match shape {
        Shape::Time => (format!("{META}.Time"), json!({"type": "string", "format": "date-time"})),
        Shape::MicroTime => (format!("{META}.MicroTime"), json!({"type": "string", "format": "date-time"})),
        Shape::Fields => (format!("{META}.FieldsV1"), json!({"type": "object"})),
        Shape::Quantity => {
            ("io.k8s.apimachinery.pkg.api.resource.Quantity".into(), either("string", "number"))
        }
        Shape::IntOrString => {
            let mut schema = either("integer", "string");
            schema["format"] = "int-or-string".into();
            ("io.k8s.apimachinery.pkg.util.intstr.IntOrString".into(), schema)
        }
        Shape::SchemaOrBool => (format!("{EXTENSIONS}.JSONSchemaPropsOrBool"), json!({})),
        Shape::SchemaOrArray => (format!("{EXTENSIONS}.JSONSchemaPropsOrArray"), json!({})),
        Shape::SchemaOrStrings => (format!("{EXTENSIONS}.JSONSchemaPropsOrStringArray"), json!({})),
        Shape::Json => (format!("{EXTENSIONS}.JSON"), json!({})),
        _ => ("io.k8s.apimachinery.pkg.runtime.RawExtension".into(), json!({"type": "object"})),
    }
}
