//! Structural schemas: what a CustomResourceDefinition says of its objects, and how they are pruned, given defaults
//! and checked by it.
//! Source: <https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#specifying-a-structural-schema>

mod check;
mod defaults;
mod embedded;
mod failure;
mod formats;
mod lists;
mod number;
mod prune;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use regex::Regex;
use serde_json::Value;

pub use failure::Failure;
pub use number::same as same_value;

/// A schema whose fields are known: a type at each place, and checks of values beside.
#[derive(Clone, Debug, Default)]
pub struct Structural {
    /// `object`, `array`, `string`, ...; empty where any type will do.
    pub type_name: String,
    /// Whether null is a value.
    pub nullable: bool,
    /// What stands where nothing was said.
    pub default: Option<Value>,
    /// The fields of an object.
    pub properties: BTreeMap<String, Structural>,
    /// The elements of an array.
    pub items: Option<Box<Structural>>,
    /// The other entries of an object.
    pub additional: Additional,
    /// `x-kubernetes-preserve-unknown-fields`.
    pub preserve_unknown: bool,
    /// `x-kubernetes-embedded-resource`.
    pub embedded: bool,
    /// `x-kubernetes-int-or-string`.
    pub int_or_string: bool,
    /// `x-kubernetes-list-type` and its keys.
    pub list: ListKind,
    /// `x-kubernetes-map-type: atomic`.
    pub atomic: bool,
    /// Checks of the value.
    pub checks: Checks,
    /// `x-kubernetes-validations`, as the definition has them.
    pub rules: Vec<Value>,
}

/// Entries of an object that no property names.
#[derive(Clone, Debug, Default)]
pub enum Additional {
    /// There are none.
    #[default]
    None,
    /// There may be any.
    Any,
    /// They are of one schema.
    Of(Box<Structural>),
}

/// What tells elements of a list apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ListKind {
    /// Nothing: the list is one value.
    #[default]
    Atomic,
    /// Their values.
    Set,
    /// These fields.
    Map(Vec<String>),
}

/// Checks of a value besides its type.
#[derive(Clone, Debug, Default)]
pub struct Checks {
    pub(crate) format: String,
    pub(crate) maximum: Option<serde_json::Number>,
    pub(crate) exclusive_maximum: bool,
    pub(crate) minimum: Option<serde_json::Number>,
    pub(crate) exclusive_minimum: bool,
    pub(crate) multiple_of: Option<serde_json::Number>,
    pub(crate) length_max: Option<u64>,
    pub(crate) length_min: Option<u64>,
    pub(crate) pattern: Option<Pattern>,
    pub(crate) items_max: Option<u64>,
    pub(crate) items_min: Option<u64>,
    pub(crate) unique_items: bool,
    pub(crate) properties_max: Option<u64>,
    pub(crate) properties_min: Option<u64>,
    pub(crate) required: Vec<String>,
    pub(crate) enumeration: Vec<Value>,
    pub(crate) all_of: Vec<Structural>,
    pub(crate) any_of: Vec<Structural>,
    pub(crate) one_of: Vec<Structural>,
    pub(crate) not: Option<Box<Structural>>,
}

impl Checks {
    /// `maxLength`.
    pub fn length_max(&self) -> Option<u64> {
        self.length_max
    }

    /// `maxItems`.
    pub fn items_max(&self) -> Option<u64> {
        self.items_max
    }

    /// `maxProperties`.
    pub fn properties_max(&self) -> Option<u64> {
        self.properties_max
    }

    /// `format`.
    pub fn format(&self) -> &str {
        &self.format
    }

    /// `enum`.
    pub fn enumeration(&self) -> &[Value] {
        &self.enumeration
    }
}

/// A pattern with its source.
#[derive(Clone, Debug)]
pub struct Pattern {
    /// As the schema has it.
    pub source: String,
    /// Compiled; none where it can't be, which a definition's validation refuses.
    pub regex: Option<Regex>,
}

/// Patterns whose compiled form would be larger are refused, in bytes.
const PATTERN_BYTES_MAX: usize = 1 << 20;

/// Compiles a pattern.
///
/// # Errors
/// What is wrong with it.
pub fn compile_pattern(source: &str) -> Result<Regex, regex::Error> {
    regex::RegexBuilder::new(source).size_limit(PATTERN_BYTES_MAX).build()
}

impl Structural {
    /// Reads a `JSONSchemaProps` in normal form, which is known to be structural.
    pub fn of(schema: &Value) -> Structural {
        let text = |key: &str| schema[key].as_str().unwrap_or_default().to_owned();
        let flag = |key: &str| schema[key].as_bool().unwrap_or(false);
        let words = |key: &str| -> Vec<String> {
            let list = schema[key].as_array().into_iter().flatten();
            list.filter_map(|word| word.as_str().map(str::to_owned)).collect()
        };
        let properties = schema["properties"].as_object().into_iter().flatten();
        Structural {
            type_name: text("type"),
            nullable: flag("nullable"),
            default: schema.get("default").filter(|default| !default.is_null()).cloned(),
            properties: properties.map(|(name, schema)| (name.clone(), Structural::of(schema))).collect(),
            items: schema["items"].is_object().then(|| Box::new(Structural::of(&schema["items"]))),
            additional: match &schema["additionalProperties"] {
                Value::Bool(true) => Additional::Any,
                schema @ Value::Object(_) => Additional::Of(Box::new(Structural::of(schema))),
                _ => Additional::None,
            },
            preserve_unknown: flag("x-kubernetes-preserve-unknown-fields"),
            embedded: flag("x-kubernetes-embedded-resource"),
            int_or_string: flag("x-kubernetes-int-or-string"),
            list: match schema["x-kubernetes-list-type"].as_str() {
                Some("set") => ListKind::Set,
                Some("map") => ListKind::Map(words("x-kubernetes-list-map-keys")),
                _ => ListKind::Atomic,
            },
            atomic: schema["x-kubernetes-map-type"] == "atomic",
            checks: Checks::of(schema),
            rules: schema["x-kubernetes-validations"].as_array().cloned().unwrap_or_default(),
        }
    }

    /// The schema of an object's field or of an entry of a map.
    pub fn below(&self, key: &str) -> Option<&Structural> {
        match (self.properties.get(key), &self.additional) {
            (Some(known), _) => Some(known),
            (None, Additional::Of(schema)) => Some(schema),
            _ => None,
        }
    }

    /// Whether any default stands at or below this place.
    pub fn has_defaults(&self) -> bool {
        self.default.is_some()
            || self.properties.values().any(Structural::has_defaults)
            || self.items.as_ref().is_some_and(|items| items.has_defaults())
            || matches!(&self.additional, Additional::Of(schema) if schema.has_defaults())
    }

    /// Whether any rule stands at or below this place.
    pub fn has_rules(&self) -> bool {
        !self.rules.is_empty()
            || self.properties.values().any(Structural::has_rules)
            || self.items.as_ref().is_some_and(|items| items.has_rules())
            || matches!(&self.additional, Additional::Of(schema) if schema.has_rules())
    }
}

impl Checks {
    fn of(schema: &Value) -> Checks {
        let number = |key: &str| match &schema[key] {
            Value::Number(number) => Some(number.clone()),
            _ => None,
        };
        let count = |key: &str| schema[key].as_u64();
        let flag = |key: &str| schema[key].as_bool().unwrap_or(false);
        let schemas = |key: &str| -> Vec<Structural> {
            schema[key].as_array().into_iter().flatten().map(Structural::of).collect()
        };
        Checks {
            format: schema["format"].as_str().unwrap_or_default().to_owned(),
            maximum: number("maximum"),
            exclusive_maximum: flag("exclusiveMaximum"),
            minimum: number("minimum"),
            exclusive_minimum: flag("exclusiveMinimum"),
            multiple_of: number("multipleOf"),
            length_max: count("maxLength"),
            length_min: count("minLength"),
            pattern: schema["pattern"]
                .as_str()
                .filter(|source| !source.is_empty())
                .map(|source| Pattern { source: source.to_owned(), regex: compile_pattern(source).ok() }),
            items_max: count("maxItems"),
            items_min: count("minItems"),
            unique_items: flag("uniqueItems"),
            properties_max: count("maxProperties"),
            properties_min: count("minProperties"),
            required: schema["required"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|name| name.as_str().map(str::to_owned))
                .collect(),
            enumeration: schema["enum"].as_array().cloned().unwrap_or_default(),
            all_of: schemas("allOf"),
            any_of: schemas("anyOf"),
            one_of: schemas("oneOf"),
            not: schema["not"].is_object().then(|| Box::new(Structural::of(&schema["not"]))),
        }
    }
}
