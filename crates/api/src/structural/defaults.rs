//! Filling in what was left out.

use serde_json::Value;

use super::{Additional, Structural};

impl Structural {
    /// Fills in the defaults of a value's places.
    pub fn set_defaults(&self, value: &mut Value) {
        let missing = |schema: &Structural, value: &Value| value.is_null() && !schema.nullable;
        match value {
            Value::Object(map) => {
                for (key, schema) in &self.properties {
                    let Some(default) = &schema.default else { continue };
                    if map.get(key).is_none_or(|value| missing(schema, value)) {
                        map.insert(key.clone(), default.clone());
                    }
                }
                for (key, value) in map.iter_mut() {
                    if let Some(schema) = self.properties.get(key) {
                        schema.set_defaults(value);
                    } else if let Additional::Of(schema) = &self.additional {
                        schema.settle(value);
                    }
                }
            }
            Value::Array(list) => {
                if let Some(items) = &self.items {
                    list.iter_mut().for_each(|value| items.settle(value));
                }
            }
            _ => {}
        }
    }

    /// An entry or element: null becomes the default where null is no value.
    fn settle(&self, value: &mut Value) {
        if value.is_null()
            && !self.nullable
            && let Some(default) = &self.default
        {
            *value = default.clone();
        }
        self.set_defaults(value);
    }
}
