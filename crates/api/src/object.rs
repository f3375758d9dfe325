//! A shared, immutable object: its JSON bytes in two parts with room for the resourceVersion between them, a
//! small header for filtering, and decoded forms made once when first asked for.

use std::any::Any;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use bytes::{BufMut, Bytes, BytesMut};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// An entry of `metadata.ownerReferences`, as far as filtering and indexes need it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// The owner's uid.
    pub uid: Box<str>,
    /// Whether the owner manages this object.
    pub controller: bool,
}

/// What filtering, indexes and a restart need to know of an object without parsing it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// Empty for objects without a namespace.
    pub namespace: Box<str>,
    /// `metadata.name`.
    pub name: Box<str>,
    /// `metadata.uid`; empty for objects that have none.
    pub uid: Box<str>,
    /// `metadata.labels`.
    pub labels: BTreeMap<Box<str>, Box<str>>,
    /// `metadata.ownerReferences`.
    pub owners: Vec<Owner>,
    /// Selectable fields besides name and namespace, in the kind's order: (path, value).
    pub fields: Vec<(Box<str>, Box<str>)>,
}

impl Header {
    /// Reads the header's part of `metadata`; `fields` come from the kind.
    pub fn of(object: &Value, fields: Vec<(&'static str, String)>) -> Header {
        let metadata = &object["metadata"];
        let text = |key: &str| -> Box<str> { metadata[key].as_str().unwrap_or_default().into() };
        let labels = metadata["labels"].as_object().map_or_else(BTreeMap::new, |labels| {
            labels
                .iter()
                .filter_map(|(key, value)| Some((key.as_str().into(), value.as_str()?.into())))
                .collect()
        });
        let owners = metadata["ownerReferences"].as_array().map_or_else(Vec::new, |owners| {
            owners
                .iter()
                .filter_map(|owner| {
                    let controller = owner["controller"].as_bool().unwrap_or(false);
                    Some(Owner { uid: owner["uid"].as_str()?.into(), controller })
                })
                .collect()
        });
        let fields = fields.into_iter().map(|(path, value)| (path.into(), value.into())).collect();
        Header { namespace: text("namespace"), name: text("name"), uid: text("uid"), labels, owners, fields }
    }

    /// The value of a selectable field, where the kind has it.
    pub fn field(&self, path: &str) -> Option<&str> {
        match path {
            "metadata.name" => Some(&self.name),
            "metadata.namespace" => Some(&self.namespace),
            _ => self.fields.iter().find(|(known, _)| &**known == path).map(|(_, value)| &**value),
        }
    }
}

/// A shared, immutable object. Cloning is cheap.
#[derive(Clone)]
pub struct Object(Arc<Inner>);

struct Inner {
    /// JSON up to and with `"resourceVersion":"`.
    head: Bytes,
    /// JSON from the quote that closes the resourceVersion.
    tail: Bytes,
    revision: u64,
    header: Arc<Header>,
    typed: OnceLock<Arc<dyn Any + Send + Sync>>,
    parsed: OnceLock<Arc<Value>>,
    protobuf: OnceLock<Bytes>,
}

impl Object {
    /// Makes an object out of a value; `metadata.resourceVersion` in it is replaced by `revision`
    /// (0: not committed yet, written as an empty text by nobody: see [`Object::at`]).
    pub fn new(value: &Value, header: Header, revision: u64) -> Object {
        let (head, tail) = split(value);
        Object::from_parts(head, tail, header, revision)
    }

    /// Puts together what a store kept.
    pub fn from_parts(head: Bytes, tail: Bytes, header: Header, revision: u64) -> Object {
        Object(Arc::new(Inner {
            head,
            tail,
            revision,
            header: Arc::new(header),
            typed: OnceLock::new(),
            parsed: OnceLock::new(),
            protobuf: OnceLock::new(),
        }))
    }

    /// The same object at another revision: the bytes are shared, decoded forms are made anew.
    pub fn at(&self, revision: u64) -> Object {
        Object(Arc::new(Inner {
            head: self.0.head.clone(),
            tail: self.0.tail.clone(),
            revision,
            header: self.0.header.clone(),
            typed: OnceLock::new(),
            parsed: OnceLock::new(),
            protobuf: OnceLock::new(),
        }))
    }

    /// The store's revision of this version.
    pub fn revision(&self) -> u64 {
        self.0.revision
    }

    /// What is known without parsing.
    pub fn header(&self) -> &Header {
        &self.0.header
    }

    /// `metadata.namespace`, empty where there is none.
    pub fn namespace(&self) -> &str {
        &self.0.header.namespace
    }

    /// `metadata.name`.
    pub fn name(&self) -> &str {
        &self.0.header.name
    }

    /// `metadata.uid`.
    pub fn uid(&self) -> &str {
        &self.0.header.uid
    }

    /// The two parts around the resourceVersion.
    pub fn parts(&self) -> (&Bytes, &Bytes) {
        (&self.0.head, &self.0.tail)
    }

    /// The length of the JSON in bytes.
    pub fn json_len(&self) -> usize {
        self.0.head.len() + self.0.tail.len() + decimal_len(self.0.revision)
    }

    /// Writes the JSON.
    pub fn write_json(&self, out: &mut BytesMut) {
        out.reserve(self.json_len());
        out.put_slice(&self.0.head);
        write_decimal(out, self.0.revision);
        out.put_slice(&self.0.tail);
    }

    /// The JSON in one piece.
    pub fn json(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(self.json_len());
        self.write_json(&mut out);
        out.freeze()
    }

    /// The object as a value, decoded anew at every call.
    ///
    /// # Panics
    /// Never: the bytes were written by [`Object::new`] or checked when they were loaded.
    pub fn value(&self) -> Value {
        serde_json::from_slice(&self.json()).expect("an object's bytes are JSON")
    }

    /// The same, parsed once and kept with the object: for the few that many requests ask about (classes, accounts).
    ///
    /// # Panics
    /// Never, as [`Object::value`].
    pub fn parsed(&self) -> &Arc<Value> {
        self.0.parsed.get_or_init(|| Arc::new(self.value()))
    }

    /// The object as a typed struct, decoded once and shared; the first type asked for is the one kept.
    ///
    /// # Errors
    /// Where the JSON does not fit the type.
    pub fn typed<T>(&self) -> Result<Arc<T>, serde_json::Error>
    where
        T: DeserializeOwned + Send + Sync + 'static,
    {
        if let Some(known) = self.0.typed.get()
            && let Ok(known) = known.clone().downcast::<T>()
        {
            return Ok(known);
        }
        let decoded: Arc<T> = Arc::new(serde_json::from_slice(&self.json())?);
        let kept = self.0.typed.get_or_init(|| decoded.clone());
        Ok(kept.clone().downcast::<T>().unwrap_or(decoded))
    }

    /// The protobuf form, made once by `encode`.
    pub fn protobuf_or(&self, encode: impl FnOnce(&Object) -> Bytes) -> &Bytes {
        self.0.protobuf.get_or_init(|| encode(self))
    }
}

impl std::fmt::Debug for Object {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Object({}/{} at {})", self.namespace(), self.name(), self.revision())
    }
}

thread_local! {
    /// Where objects are written: what is kept of them has their size, and nothing grows on the way.
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// What stays of the scratch space between two objects; most are far smaller.
const SCRATCH_BYTES_MAX: usize = 64 * 1024;

/// An object's JSON, cut where its resourceVersion belongs.
fn split(value: &Value) -> (Bytes, Bytes) {
    SCRATCH.with_borrow_mut(|out| {
        out.clear();
        let cut = write(out, value);
        let whole = Bytes::copy_from_slice(out);
        out.shrink_to(SCRATCH_BYTES_MAX);
        (whole.slice(..cut), whole.slice(cut..))
    })
}

/// Writes a value as JSON with `metadata.resourceVersion` first in `metadata`, and left out; brings where it belongs.
fn write(out: &mut Vec<u8>, value: &Value) -> usize {
    let empty = Map::new();
    let object = value.as_object().unwrap_or(&empty);
    let metadata = object.get("metadata").and_then(Value::as_object).unwrap_or(&empty);
    out.push(b'{');
    for key in ["apiVersion", "kind"] {
        if let Some(text) = object.get(key) {
            write_entry(out, key, text);
            out.push(b',');
        }
    }
    out.extend_from_slice(b"\"metadata\":{\"resourceVersion\":\"");
    let cut = out.len();
    out.push(b'"');
    for (key, entry) in metadata.iter().filter(|(key, _)| *key != "resourceVersion") {
        out.push(b',');
        write_entry(out, key, entry);
    }
    out.push(b'}');
    for (key, entry) in
        object.iter().filter(|(key, _)| !matches!(key.as_str(), "apiVersion" | "kind" | "metadata"))
    {
        out.push(b',');
        write_entry(out, key, entry);
    }
    out.push(b'}');
    cut
}

fn write_entry(out: &mut Vec<u8>, key: &str, value: &Value) {
    serde_json::to_writer(&mut *out, key).expect("writing to memory does not fail");
    out.push(b':');
    serde_json::to_writer(out, value).expect("writing to memory does not fail");
}

fn decimal_len(number: u64) -> usize {
    number.checked_ilog10().map_or(1, |digits| digits as usize + 1)
}

fn write_decimal(out: &mut BytesMut, mut number: u64) {
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.put_slice(&digits[at..]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_revision_goes_between_the_parts() {
        let mut value = json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"a": "1"},
            "metadata": {"name": "x", "namespace": "n", "uid": "u", "resourceVersion": "3", "labels": {"l": "m"}}});
        let header = Header::of(&value, vec![("type", "t".into())]);
        assert_eq!(header.field("type"), Some("t"));
        let object = Object::new(&value, header, 41);
        value["metadata"]["resourceVersion"] = "41".into();
        assert_eq!(object.value(), value);
        assert_eq!(object.json().len(), object.json_len());
        let later = object.at(18_446_744_073_709_551_615);
        assert_eq!(later.value()["metadata"]["resourceVersion"], "18446744073709551615");
        assert_eq!(later.json().len(), later.json_len());
        assert_eq!(later.header().labels.get("l").map(|v| &**v), Some("m"));
    }
}
