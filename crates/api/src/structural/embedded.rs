//! Objects within objects (`x-kubernetes-embedded-resource`): they say what they are, and their metadata is metadata.
//! Source: <https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#rawextension>

use serde_json::Value;

use super::{Failure, Structural};
use crate::field::FieldErrorKind;
use crate::schema::{self, Strictness};

impl Structural {
    /// What embedded objects of a value don't say of themselves, and metadata that is none.
    pub fn embedded_faults(&self, value: &Value) -> Vec<Failure> {
        let mut failures = Vec::new();
        self.each_embedded(value, "", &mut |object, path| {
            for key in ["apiVersion", "kind"] {
                if object[key].as_str().unwrap_or_default().is_empty() {
                    let field = format!("{path}.{key}");
                    failures.push(Failure::at(&field, FieldErrorKind::Required, None, "must not be empty"));
                }
            }
            let metadata = &object["metadata"];
            if let (false, Some(meta)) = (metadata.is_null(), schema::object_meta())
                && let Err(error) = schema::check_value(meta, metadata.clone(), Strictness::Ignore)
            {
                failures.push(Failure::invalid(&format!("{path}.metadata"), metadata, error.to_string()));
            }
        });
        failures
    }

    fn each_embedded(&self, value: &Value, path: &str, run: &mut dyn FnMut(&Value, &str)) {
        match value {
            Value::Object(map) => {
                if self.embedded {
                    run(value, path);
                }
                for (key, value) in map {
                    if let Some(below) = self.below(key) {
                        let inner = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                        below.each_embedded(value, &inner, run);
                    }
                }
            }
            Value::Array(list) => {
                if let Some(items) = &self.items {
                    for (at, value) in list.iter().enumerate() {
                        items.each_embedded(value, &format!("{path}[{at}]"), run);
                    }
                }
            }
            _ => {}
        }
    }
}
