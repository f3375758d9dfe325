//! The kinds of definitions that are served.

use std::collections::BTreeMap;
use std::sync::Arc;

use cox_api::custom::intern::Full;
use cox_api::custom::{CustomKind, Version};
use cox_api::openapi::Custom;
use cox_api::{Kind, KindInfo};
use parking_lot::RwLock;
use serde_json::Value;

use super::rules::Rules;

/// Group, version, plural.
type Name = (String, String, String);

/// The kinds of definitions.
#[derive(Default)]
pub(crate) struct Definitions(RwLock<Tables>);

#[derive(Default)]
struct Tables {
    served: BTreeMap<Name, &'static CustomKind>,
    rules: BTreeMap<Name, Arc<Rules>>,
    /// As the definitions have them.
    schemas: BTreeMap<Name, Arc<Value>>,
    /// Every name that was ever served: a kind stands for its name as long as the process lives.
    known: BTreeMap<Name, &'static CustomKind>,
}

impl Definitions {
    /// The kind behind a resource of a path.
    pub fn find(&self, group: &str, version: &str, plural: &str) -> Option<&'static dyn Kind> {
        let tables = self.0.read();
        // Most servers have no definitions at all, and this is asked for every path that isn't known.
        if tables.served.is_empty() {
            return None;
        }
        let name = (group.to_owned(), version.to_owned(), plural.to_owned());
        tables.served.get(&name).map(|&kind| kind as &dyn Kind)
    }

    /// The kind of an object.
    pub fn by_kind(&self, group: &str, version: &str, kind: &str) -> Option<&'static dyn Kind> {
        let tables = self.0.read();
        let found = tables.served.values().find(|known| {
            let info = known.info();
            (info.group, info.version, info.kind) == (group, version, kind)
        });
        found.map(|&kind| kind as &dyn Kind)
    }

    /// Whether anything is served under a group and version.
    pub fn has_version(&self, group: &str, version: &str) -> bool {
        self.0
            .read()
            .served
            .keys()
            .any(|(known, known_version, _)| known == group && known_version == version)
    }

    /// The fixed facts of all kinds that are served.
    pub fn infos(&self) -> Vec<&'static KindInfo> {
        self.0.read().served.values().map(|kind| kind.info()).collect()
    }

    /// All kinds that are served.
    pub fn kinds(&self) -> Vec<&'static dyn Kind> {
        self.0.read().served.values().map(|&kind| kind as &dyn Kind).collect()
    }

    /// The rules of a kind.
    pub fn rules(&self, info: &KindInfo) -> Option<Arc<Rules>> {
        let tables = self.0.read();
        let name = (info.group.to_owned(), info.version.to_owned(), info.plural.to_owned());
        tables.rules.get(&name).cloned()
    }

    /// All kinds that are served, as OpenAPI shows them.
    pub fn documents(&self) -> Vec<Custom> {
        let tables = self.0.read();
        let schemas = tables.served.iter().map(|(name, kind)| Custom {
            info: kind.info(),
            list_kind: kind.list_kind(),
            schema: tables.schemas.get(name).map_or(Value::Null, |schema| Value::clone(schema)),
        });
        schemas.collect()
    }

    /// Serves the versions of an accepted definition, and no others of it.
    ///
    /// # Errors
    /// Where the process has seen too many different definitions.
    pub fn serve(&self, definition: &Value) -> Result<(), Full> {
        let spec = &definition["spec"];
        let names = &definition["status"]["acceptedNames"];
        let of = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let (group, plural) = (of(&spec["group"]), of(&names["plural"]));
        let versions: &[Value] = spec["versions"].as_array().map_or(&[], Vec::as_slice);
        let name_of = |version: &Value| (group.clone(), of(&version["name"]), plural.clone());
        let mut tables = self.0.write();
        let mut made = Vec::new();
        for version in versions {
            let Some(version) = Version::of(definition, &of(&version["name"]))? else { continue };
            made.push(version);
        }
        // Objects that were stored in this very form are shown as they are.
        let plain = versions.len() == 1
            && definition["metadata"]["generation"] == 1
            && made.iter().all(|version| !version.schema.has_defaults());
        let mut kinds = Vec::new();
        for (version, made) in versions.iter().zip(made) {
            let kind = match tables.known.get(&name_of(version)) {
                Some(&known) => {
                    known.set(made);
                    known
                }
                None => {
                    let kind: &'static CustomKind = Box::leak(Box::new(CustomKind::new(made)));
                    tables.known.insert(name_of(version), kind);
                    kind
                }
            };
            kinds.push(kind);
        }
        let storage = versions.iter().position(|version| version["storage"] == true);
        let stored = storage.and_then(|at| kinds.get(at).copied()).filter(|_| !plain);
        for kind in &kinds {
            kind.store_as(stored);
        }
        tables.served.retain(|(known, _, known_plural), _| (known, known_plural) != (&group, &plural));
        for (version, kind) in versions.iter().zip(kinds) {
            let rules = Rules::of(&version["schema"]["openAPIV3Schema"]);
            if rules.is_empty() {
                tables.rules.remove(&name_of(version));
            } else {
                tables.rules.insert(name_of(version), Arc::new(rules));
            }
            let schema = version["schema"]["openAPIV3Schema"].clone();
            tables.schemas.insert(name_of(version), Arc::new(schema));
            if version["served"] == true {
                tables.served.insert(name_of(version), kind);
            }
        }
        Ok(())
    }

    /// Serves a definition no longer.
    pub fn forget(&self, group: &str, plural: &str) {
        let mut tables = self.0.write();
        let other = |(known, _, known_plural): &Name| known != group || known_plural != plural;
        tables.served.retain(|name, _| other(name));
        tables.rules.retain(|name, _| other(name));
        tables.schemas.retain(|name, _| other(name));
    }
}
