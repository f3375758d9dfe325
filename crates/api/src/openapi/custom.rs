//! Kinds of definitions in OpenAPI documents.

use serde_json::{Map, Value, json};

use super::paths::CustomNames;
use super::schemas::Schemas;
use crate::kind::KindInfo;
use crate::schema;

/// A kind of a definition, as documents show it.
pub struct Custom {
    /// Its fixed facts.
    pub info: &'static KindInfo,
    /// The kind of lists.
    pub list_kind: String,
    /// `openAPIV3Schema`, as the definition has it.
    pub schema: Value,
}

impl Custom {
    /// `io.example.stable.v1.CronTab`: the group backwards, as Java does.
    pub(super) fn names(&self) -> CustomNames {
        let group: Vec<&str> = self.info.group.rsplit('.').collect();
        let named = |kind: &str| format!("{}.{}.{kind}", group.join("."), self.info.version);
        CustomNames { own: named(self.info.kind), list: named(&self.list_kind) }
    }

    /// Adds the schemas of objects and lists.
    pub(super) fn describe(&self, schemas: &mut Schemas<'_>) {
        let names = self.names();
        let gvk =
            |kind: &str| json!([{"group": self.info.group, "version": self.info.version, "kind": kind}]);
        let mut own = self.schema.clone();
        let meta = |schemas: &mut Schemas<'_>, of: Option<schema::TypeId>, words: &str| match of {
            Some(of) => json!({"description": words, "allOf": [schemas.reference(of)]}),
            None => json!({"description": words, "type": "object"}),
        };
        let metadata = meta(schemas, schema::object_meta(), "Standard object's metadata.");
        if let Some(own) = own.as_object_mut() {
            let properties = own.entry("properties").or_insert_with(|| Value::Object(Map::new()));
            // An object's own metadata may have checks of its name, which stay with the definition.
            properties["metadata"] = metadata;
            for (key, words) in TYPE_META {
                properties[key] = json!({"type": "string", "description": words});
            }
            own.insert("x-kubernetes-group-version-kind".into(), gvk(self.info.kind));
        }
        let list_meta = schema::type_named("io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta");
        let list_metadata = meta(schemas, list_meta, "Standard list metadata.");
        let items = json!({"type": "array", "description": format!("List of {}.", self.info.plural),
            "items": schemas.flavor().reference(&names.own)});
        let mut list = json!({"type": "object", "required": ["items"],
            "description": format!("{} is a list of {}", self.list_kind, self.info.kind),
            "properties": {"metadata": list_metadata, "items": items},
            "x-kubernetes-group-version-kind": gvk(&self.list_kind)});
        for (key, words) in TYPE_META {
            list["properties"][key] = json!({"type": "string", "description": words});
        }
        schemas.put(names.own, own);
        schemas.put(names.list, list);
    }
}

const TYPE_META: [(&str, &str); 2] = [
    ("apiVersion", "The version of the schema that this object is written in."),
    ("kind", "The kind of this object, in CamelCase."),
];
