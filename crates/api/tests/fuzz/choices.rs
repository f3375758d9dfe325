//! Random values of the table's types: each decision is a random byte, so that a failing value shrinks with its
//! bytes. When they run out, everything is as small as it gets.

use cox_api::schema::{ListType, Shape, TypeId, type_named, types};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

/// Decisions.
pub struct Choices<'a> {
    bytes: std::slice::Iter<'a, u8>,
    /// Of so many values one has a form that its shape doesn't allow; zero for none.
    pub misfits: u8,
}

const TEXTS: [&str; 16] = [
    "",
    "a",
    "b",
    "web-0",
    "ümläut",
    "5",
    "-1",
    "1e3",
    "2026-01-01T00:00:00Z",
    "1Gi",
    "$patch",
    "f:a",
    "\0",
    "a/b~1",
    "\u{feff}\u{202e}",
    "9999999999999999999999",
];

impl<'a> Choices<'a> {
    pub fn new(bytes: &'a [u8]) -> Choices<'a> {
        Choices { bytes: bytes.iter(), misfits: 0 }
    }

    fn byte(&mut self) -> u8 {
        self.bytes.next().copied().unwrap_or(0)
    }

    fn coin(&mut self) -> bool {
        self.byte().is_multiple_of(2)
    }

    fn one_of<T: Copy>(&mut self, of: &[T]) -> T {
        of[usize::from(self.byte()) % of.len()]
    }

    pub fn text(&mut self) -> String {
        self.one_of(&TEXTS).to_owned()
    }

    fn integer(&mut self) -> i64 {
        self.one_of(&[0, 1, -1, 300, i64::from(i32::MAX), i64::from(i32::MIN)])
    }

    /// An object of a type.
    pub fn object(&mut self, of: TypeId, depth: usize) -> Value {
        let mut out = Map::new();
        for field in of.fields() {
            if self.byte() % 3 == 1 && depth < 8 {
                let mut value = self.value(&field.shape, depth + 1);
                if let (ListType::Map(keys), Shape::List(Shape::Object(of)), 0) =
                    (field.list, &field.shape, self.misfits)
                {
                    self.name_elements(*of, keys, &mut value);
                }
                out.insert(field.name.to_owned(), value);
            }
        }
        Value::Object(out)
    }

    /// Gives elements the fields that they are told apart by.
    fn name_elements(&mut self, of: TypeId, keys: &[&str], list: &mut Value) {
        for element in list.as_array_mut().into_iter().flatten() {
            for key in keys {
                // Stored objects don't have empty texts, and so no such keys.
                let missing = element[*key].is_null() || element[*key] == "";
                match of.field(key).map(|field| field.shape) {
                    Some(Shape::String) if missing => element[*key] = self.one_of(&TEXTS[1..]).into(),
                    Some(shape) if missing => element[*key] = self.value(&shape, 8),
                    _ => {}
                }
            }
        }
    }

    fn items(&mut self, of: &Shape, depth: usize) -> Vec<Value> {
        let length = if depth < 8 { self.byte() % 4 } else { 0 };
        (0..length).map(|_| self.value(of, depth + 1)).collect()
    }

    pub fn value(&mut self, shape: &Shape, depth: usize) -> Value {
        if self.misfits > 0 && self.byte() % self.misfits == 1 {
            return self.any(depth);
        }
        let schema = || {
            type_named("io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps").unwrap()
        };
        match shape {
            Shape::String => self.text().into(),
            Shape::Int32 | Shape::Int64 => self.integer().into(),
            Shape::Bool => (self.coin()).into(),
            Shape::Float => json!(self.integer() as f64 / 8.0),
            Shape::Bytes => self.one_of(&["", "aGk=", "AAEC/w=="]).into(),
            Shape::Time => self
                .one_of(&["2026-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "2026-06-01T00:00:00+02:00"])
                .into(),
            Shape::MicroTime => {
                self.one_of(&["2026-01-01T00:00:00.000000Z", "2026-01-01T00:00:00.123456Z"]).into()
            }
            Shape::Quantity => self.one_of(&["0", "1500m", "1Gi", "12e3", "0.1Ki", "1n"]).into(),
            Shape::IntOrString if self.coin() => self.integer().into(),
            Shape::IntOrString => self.text().into(),
            Shape::Json => self.any(depth + 4),
            Shape::Raw => json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"a": self.text()}}),
            Shape::Fields => json!({"f:spec": {".": {}, "f:x": {}}}),
            Shape::SchemaOrBool if self.coin() => (self.coin()).into(),
            Shape::SchemaOrStrings if self.coin() => json!(["a", "b"]),
            Shape::SchemaOrArray if self.coin() => json!([self.object(schema(), depth + 2)]),
            Shape::SchemaOrBool | Shape::SchemaOrArray | Shape::SchemaOrStrings => {
                self.object(schema(), depth + 2)
            }
            Shape::Object(of) => self.object(*of, depth),
            Shape::List(item) => self.items(item, depth).into(),
            Shape::Map(value) => {
                let entries = self.items(value, depth);
                entries
                    .into_iter()
                    .enumerate()
                    .map(|(at, value)| (format!("k{at}"), value))
                    .collect::<Map<_, _>>()
                    .into()
            }
        }
    }

    /// Any JSON.
    pub fn any(&mut self, depth: usize) -> Value {
        match self.byte() % if depth < 10 { 8 } else { 6 } {
            0 => Value::Null,
            1 => self.text().into(),
            2 => self.integer().into(),
            3 => true.into(),
            4 => json!(1.5),
            5 => json!(u64::MAX),
            6 => (0..self.byte() % 4).map(|_| self.any(depth + 1)).collect(),
            _ => {
                (0..self.byte() % 4).map(|_| (self.text(), self.any(depth + 1))).collect::<Map<_, _>>().into()
            }
        }
    }
}

/// Every kind of the table that has an apiVersion of its own.
pub fn kinds() -> Vec<TypeId> {
    types().filter(|of| of.gvk().is_some() && of.field("kind").is_some()).collect()
}

/// A kind.
pub fn kind() -> impl Strategy<Value = TypeId> {
    prop::sample::select(kinds())
}

/// Bytes to decide by.
pub fn decisions() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..500)
}

/// How many cases a property is tried with: `FUZZ_CASES` for a longer run.
pub fn cases(usual: u32) -> ProptestConfig {
    let asked = std::env::var("FUZZ_CASES").ok().and_then(|text| text.parse().ok());
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(asked.unwrap_or(usual)) }
}
