//! Kinds that users make: a version of a CustomResourceDefinition, with the rules of any other kind.
//! Source: <https://kubernetes.io/docs/concepts/extend-kubernetes/api-extension/custom-resources/>

mod columns;
pub mod intern;
pub mod path;
mod version;

use std::sync::Arc;

use parking_lot::RwLock;
use serde_json::Value;

pub use version::{ScaleFields, Version};

use crate::field::{FieldErrors, Path};
use crate::form::Form;
use crate::kind::{Column, Kind, KindInfo, NameRule, Part, ScalePaths, Unowned};

/// A kind of a definition in one version. It stands for its group, version and plural for as long as the process
/// lives; what they mean may change.
pub struct CustomKind {
    current: RwLock<Arc<Version>>,
    stored: RwLock<Option<&'static CustomKind>>,
}

impl CustomKind {
    /// A kind, as its definition has it now.
    pub fn new(version: Version) -> CustomKind {
        CustomKind { current: RwLock::new(Arc::new(version)), stored: RwLock::new(None) }
    }

    /// What the definition says now.
    pub fn version(&self) -> Arc<Version> {
        self.current.read().clone()
    }

    /// Takes over a changed definition.
    pub fn set(&self, version: Version) {
        *self.current.write() = Arc::new(version);
    }

    /// Says whose form is stored, where objects are to be brought to this one when they are read.
    pub fn store_as(&self, stored: Option<&'static CustomKind>) {
        *self.stored.write() = stored;
    }
}

impl Kind for CustomKind {
    fn info(&self) -> &'static KindInfo {
        self.current.read().info
    }

    fn form(&self) -> Form {
        Form::Custom(self.version().schema.clone())
    }

    fn list_kind(&self) -> String {
        self.version().list_kind.clone()
    }

    fn stored_as(&self) -> Option<&'static dyn Kind> {
        self.stored.read().map(|kind| kind as &dyn Kind)
    }

    fn from_stored(&self, mut object: Value) -> Value {
        let version = self.version();
        version.schema.prune_object(&mut object);
        version.schema.prune_nulls(&mut object);
        version.schema.set_defaults(&mut object);
        object
    }

    fn name_rule(&self) -> NameRule {
        NameRule::Subdomain
    }

    fn set_defaults(&self, object: &mut Value) {
        self.version().schema.set_defaults(object);
    }

    fn counts_generations(&self) -> bool {
        true
    }

    fn allows_unconditional_update(&self) -> bool {
        false
    }

    fn validate_create(&self, object: &Value, errors: &mut FieldErrors) {
        self.check(object, None, errors);
    }

    fn validate_update(&self, new: &Value, old: &Value, _part: Part, errors: &mut FieldErrors) {
        self.check(new, Some(old), errors);
    }

    fn closed(&self) -> Option<&'static str> {
        self.version()
            .terminating
            .then_some("create not allowed while custom resource definition is terminating")
    }

    fn deprecation(&self) -> Option<&'static str> {
        self.version().deprecation
    }

    fn scale(&self) -> Option<ScalePaths> {
        self.version().scale.clone().map(ScalePaths::Fields)
    }

    fn columns(&self) -> &'static [Column] {
        self.version().columns
    }

    fn row(&self, object: &Value, now: jiff::Timestamp) -> Vec<Value> {
        columns::row(&self.version().cells, object, now)
    }

    fn selectable(&self, object: &Value) -> Vec<(&'static str, String)> {
        let version = self.version();
        let text = |value: Option<&Value>| match value {
            None => String::new(),
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
        };
        version.selectable.iter().map(|(name, path)| (*name, text(path.get(object)))).collect()
    }

    fn unknown_field_text(&self, field: &str) -> String {
        format!("field label not supported: {field}")
    }

    fn unowned(&self, part: Part) -> Unowned {
        match part {
            Part::Main if self.info().has_status() => Unowned::Listed(&[&["status"]]),
            Part::Status => Unowned::AllBut(&[&["status"]]),
            _ => Unowned::Listed(&[]),
        }
    }
}

impl CustomKind {
    /// Checks an object: what it says it is, its values, and what stands twice in its lists.
    fn check(&self, object: &Value, old: Option<&Value>, errors: &mut FieldErrors) {
        let version = self.version();
        let text = |key: &str| object[key].as_str().unwrap_or_default();
        for (key, wanted) in
            [("apiVersion", version.info.api_version()), ("kind", version.info.kind.to_owned())]
        {
            if text(key) != wanted {
                let shown = Value::from(text(key));
                errors.invalid(&Path::new(key), &shown, format!("must be {wanted}"));
            }
        }
        let faults = version.schema.check(object, old).into_iter();
        errors.0.extend(
            faults
                .chain(version.schema.embedded_faults(object))
                .chain(version.schema.repeated_elements(object))
                .map(|fault| fault.into_error("")),
        );
        if let Some(scale) = &version.scale {
            scale.check(object, errors);
        }
    }
}
