//! The entries of `metadata.managedFields`.

use serde_json::{Map, Value};

use super::set::FieldSet;

/// How a manager came by its fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// By server-side apply.
    Apply,
    /// By any other write.
    Update,
}

impl Operation {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Operation::Apply => "Apply",
            Operation::Update => "Update",
        }
    }
}

/// A manager and the fields it owns. Managers are told apart by name, operation, subresource, and (unless they
/// apply) version.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    pub manager: String,
    pub operation: Operation,
    pub api_version: String,
    pub subresource: String,
    /// `metav1.Time`, or nothing.
    pub time: Option<String>,
    pub fields: FieldSet,
}

impl Entry {
    /// Whether both are one manager.
    pub fn is(&self, other: &Entry) -> bool {
        self.manager == other.manager
            && self.operation == other.operation
            && self.subresource == other.subresource
            && (self.operation == Operation::Apply || self.api_version == other.api_version)
    }

    /// The manager as upstream writes it where it needs an order of managers.
    pub fn identifier(&self) -> String {
        let mut id = format!("{{\"manager\":{}", Value::from(self.manager.as_str()));
        id.push_str(&format!(",\"operation\":\"{}\"", self.operation.as_str()));
        if self.operation == Operation::Update {
            id.push_str(&format!(",\"apiVersion\":{}", Value::from(self.api_version.as_str())));
        }
        if !self.subresource.is_empty() {
            id.push_str(&format!(",\"subresource\":{}", Value::from(self.subresource.as_str())));
        }
        id.push('}');
        id
    }

    fn of_value(value: &Value) -> Option<Entry> {
        let text = |key: &str| value[key].as_str().unwrap_or_default().to_owned();
        let operation = match value["operation"].as_str() {
            Some("Apply") => Operation::Apply,
            Some("Update") => Operation::Update,
            _ => return None,
        };
        let (api_version, fields_type) = (text("apiVersion"), text("fieldsType"));
        if api_version.is_empty() || fields_type != "FieldsV1" {
            return None;
        }
        Some(Entry {
            manager: text("manager"),
            operation,
            api_version,
            subresource: text("subresource"),
            time: value["time"].as_str().map(str::to_owned),
            fields: FieldSet::of_value(&value["fieldsV1"]).ok()?,
        })
    }

    fn into_value(self) -> Value {
        let mut map = Map::new();
        let mut put = |key: &str, text: String| {
            if !text.is_empty() {
                map.insert(key.to_owned(), text.into());
            }
        };
        put("manager", self.manager);
        put("operation", self.operation.as_str().to_owned());
        put("apiVersion", self.api_version);
        put("time", self.time.unwrap_or_default());
        put("fieldsType", "FieldsV1".to_owned());
        put("subresource", self.subresource);
        map.insert("fieldsV1".to_owned(), self.fields.into_value());
        Value::Object(map)
    }
}

/// Reads all entries of an object; none where one of them can't be read.
pub fn read(list: &Value) -> Option<Vec<Entry>> {
    let mut entries: Vec<Entry> = Vec::new();
    for value in list.as_array().into_iter().flatten() {
        let entry = Entry::of_value(value)?;
        match entries.iter_mut().find(|known| known.is(&entry)) {
            Some(known) => *known = entry,
            None => entries.push(entry),
        }
    }
    Some(entries)
}

/// Writes entries in upstream's order: operation, time, manager, version, subresource.
pub fn write(object: &mut Value, mut entries: Vec<Entry>) {
    let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) else { return };
    entries.retain(|entry| !entry.fields.is_empty());
    if entries.is_empty() {
        metadata.remove("managedFields");
        return;
    }
    entries.sort_by(|a, b| {
        // Times have one form, of one length, so that text order is order in time.
        let time = |entry: &Entry| entry.time.clone().unwrap_or_default();
        (a.operation, time(a), &a.manager, &a.api_version, &a.subresource).cmp(&(
            b.operation,
            time(b),
            &b.manager,
            &b.api_version,
            &b.subresource,
        ))
    });
    let list = entries.into_iter().map(Entry::into_value).collect();
    metadata.insert("managedFields".to_owned(), Value::Array(list));
}

/// Updaters beyond so many are merged, the oldest first.
pub const UPDATERS_MAX: usize = 10;
/// The manager that they become.
const ANCIENT: &str = "ancient-changes";

/// Merges the oldest updaters of a version into one, until no more than [`UPDATERS_MAX`] are left.
pub fn cap(entries: &mut Vec<Entry>) {
    let mut updaters: Vec<Entry> =
        entries.iter().filter(|entry| entry.operation == Operation::Update).cloned().collect();
    let mut count = updaters.len();
    if count <= UPDATERS_MAX {
        return;
    }
    updaters.sort_by_cached_key(|entry| (entry.time.clone().unwrap_or_default(), entry.identifier()));
    let mut firsts: Vec<Entry> = Vec::new();
    for updater in updaters {
        if count <= UPDATERS_MAX {
            break;
        }
        let Some(first) = firsts.iter().find(|first| first.api_version == updater.api_version) else {
            firsts.push(updater);
            continue;
        };
        let bucket = Entry {
            manager: ANCIENT.to_owned(),
            subresource: String::new(),
            time: updater.time.clone(),
            fields: FieldSet::default(),
            ..updater.clone()
        };
        let mut take = |wanted: &Entry| {
            let at = entries.iter().position(|entry| entry.is(wanted))?;
            Some(entries.remove(at).fields)
        };
        let older = take(&bucket).or_else(|| take(first)).unwrap_or_default();
        let fields = older.union(take(&updater).unwrap_or_default());
        entries.push(Entry { fields, ..bucket });
        count -= 1;
    }
}
