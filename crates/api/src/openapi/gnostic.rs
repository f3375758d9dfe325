//! The second version's document as protobuf, which clients written in Go ask for.
//! Source of the numbers: <https://github.com/google/gnostic-models/blob/main/openapiv2/OpenAPIv2.proto>

use serde_json::{Map, Value};

use crate::protobuf::wire::{put_bytes, put_integer, put_message};

/// How the value of a key is written.
enum Shape {
    Text,
    Flag,
    Integer,
    Texts,
    /// Whatever it is, as YAML.
    Any,
    Anys,
    Message(&'static Message),
    Messages(&'static Message),
    /// By a way of its own.
    Special(fn(&mut Vec<u8>, &Value)),
}

/// A message: its keys in JSON with their numbers, and the number of what begins with `x-`.
struct Message {
    fields: &'static [(&'static str, u8, Shape)],
    extensions: u8,
}

use Shape::{Any, Anys, Flag, Integer, Messages, Special, Text, Texts};

static DOCUMENT: Message = Message {
    fields: &[
        ("swagger", 1, Text),
        ("info", 2, Shape::Message(&INFO)),
        ("paths", 8, Special(|out, paths| named(out, 2, paths, |out, item| message(out, &PATH_ITEM, item)))),
        ("definitions", 9, Special(|out, schemas| named(out, 1, schemas, schema))),
        (
            "security",
            12,
            Special(|out, requirement| named(out, 1, requirement, |out, scopes| texts(out, 1, scopes))),
        ),
        (
            "securityDefinitions",
            13,
            Special(|out, ways| {
                named(out, 1, ways, |out, way| {
                    // The only way that there is: a key in a header.
                    put_message(out, 2, |out| message(out, &API_KEY, way));
                })
            }),
        ),
    ],
    extensions: 16,
};

static INFO: Message = Message { fields: &[("title", 1, Text), ("version", 2, Text)], extensions: 7 };

static API_KEY: Message = Message {
    fields: &[("type", 1, Text), ("name", 2, Text), ("in", 3, Text), ("description", 4, Text)],
    extensions: 5,
};

static PATH_ITEM: Message = Message {
    fields: &[
        ("get", 2, Shape::Message(&OPERATION)),
        ("put", 3, Shape::Message(&OPERATION)),
        ("post", 4, Shape::Message(&OPERATION)),
        ("delete", 5, Shape::Message(&OPERATION)),
        ("patch", 8, Shape::Message(&OPERATION)),
        ("parameters", 9, Special(parameter)),
    ],
    extensions: 10,
};

static OPERATION: Message = Message {
    fields: &[
        ("tags", 1, Texts),
        ("description", 3, Text),
        ("operationId", 5, Text),
        ("produces", 6, Texts),
        ("consumes", 7, Texts),
        ("parameters", 8, Special(parameter)),
        (
            "responses",
            9,
            Special(|out, responses| {
                named(out, 1, responses, |out, response| {
                    put_message(out, 1, |out| message(out, &RESPONSE, response));
                })
            }),
        ),
        ("schemes", 10, Texts),
        ("deprecated", 11, Flag),
    ],
    extensions: 13,
};

static BODY: Message = Message {
    fields: &[
        ("description", 1, Text),
        ("name", 2, Text),
        ("in", 3, Text),
        ("required", 4, Flag),
        ("schema", 5, Shape::Message(&SCHEMA)),
    ],
    extensions: 6,
};

static QUERY: Message = Message {
    fields: &[
        ("required", 1, Flag),
        ("in", 2, Text),
        ("description", 3, Text),
        ("name", 4, Text),
        ("type", 6, Text),
        ("format", 7, Text),
        ("uniqueItems", 20, Flag),
    ],
    extensions: 23,
};

/// In the path and in headers.
static PLACED: Message = Message {
    fields: &[
        ("required", 1, Flag),
        ("in", 2, Text),
        ("description", 3, Text),
        ("name", 4, Text),
        ("type", 5, Text),
        ("format", 6, Text),
        ("uniqueItems", 19, Flag),
    ],
    extensions: 22,
};

static RESPONSE: Message = Message {
    fields: &[
        ("description", 1, Text),
        ("schema", 2, Special(|out, value| put_message(out, 1, |out| schema(out, value)))),
    ],
    extensions: 5,
};

static SCHEMA: Message = Message {
    fields: &[
        ("$ref", 1, Text),
        ("format", 2, Text),
        ("title", 3, Text),
        ("description", 4, Text),
        ("default", 5, Any),
        ("maxLength", 11, Integer),
        ("minLength", 12, Integer),
        ("pattern", 13, Text),
        ("maxItems", 14, Integer),
        ("minItems", 15, Integer),
        ("uniqueItems", 16, Flag),
        ("required", 19, Texts),
        ("enum", 20, Anys),
        (
            "additionalProperties",
            21,
            Special(|out, value| match value {
                Value::Bool(any) => put_integer(out, 2, u64::from(*any)),
                value => put_message(out, 1, |out| schema(out, value)),
            }),
        ),
        ("type", 22, Special(|out, name| texts(out, 1, name))),
        ("items", 23, Special(|out, value| put_message(out, 1, |out| schema(out, value)))),
        ("allOf", 24, Messages(&SCHEMA)),
        ("properties", 25, Special(|out, schemas| named(out, 1, schemas, schema))),
        ("readOnly", 27, Flag),
    ],
    extensions: 31,
};

/// The document of `/openapi/v2` as `openapi.v2.Document`.
pub fn document(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    message(&mut out, &DOCUMENT, value);
    out
}

fn schema(out: &mut Vec<u8>, value: &Value) {
    message(out, &SCHEMA, value);
}

fn entries(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flat_map(Map::iter)
}

fn message(out: &mut Vec<u8>, of: &Message, value: &Value) {
    for (name, number, shape) in of.fields {
        if let Some(value) = value.get(*name) {
            field(out, *number, shape, value);
        }
    }
    for (key, value) in entries(value) {
        if key.starts_with("x-") {
            put_message(out, of.extensions, |out| {
                put_bytes(out, 1, key.as_bytes());
                put_message(out, 2, |out| any(out, value));
            });
        } else {
            debug_assert!(of.fields.iter().any(|(name, ..)| name == key), "{key} has no number");
        }
    }
}

fn field(out: &mut Vec<u8>, number: u8, shape: &Shape, value: &Value) {
    match shape {
        Shape::Text => texts(out, number, value),
        Shape::Flag => {
            if value == &Value::Bool(true) {
                put_integer(out, number, 1);
            }
        }
        Shape::Integer => put_integer(out, number, value.as_u64().unwrap_or_default()),
        Shape::Texts => texts(out, number, value),
        Shape::Any => put_message(out, number, |out| any(out, value)),
        Shape::Anys => each(value, |value| put_message(out, number, |out| any(out, value))),
        Shape::Message(of) => put_message(out, number, |out| message(out, of, value)),
        Shape::Messages(of) => each(value, |value| put_message(out, number, |out| message(out, of, value))),
        // Repeated where the value is a list: each element is a message of its own.
        Shape::Special(write) => match value {
            Value::Array(items) => {
                items.iter().for_each(|item| put_message(out, number, |out| write(out, item)))
            }
            value => put_message(out, number, |out| write(out, value)),
        },
    }
}

fn each<'a>(value: &'a Value, write: impl FnMut(&'a Value)) {
    value.as_array().into_iter().flatten().for_each(write);
}

/// One text, or a list of them.
fn texts(out: &mut Vec<u8>, number: u8, value: &Value) {
    match value {
        Value::String(text) => put_bytes(out, number, text.as_bytes()),
        value => each(value, |text| put_bytes(out, number, text.as_str().unwrap_or_default().as_bytes())),
    }
}

/// JSON is YAML.
fn any(out: &mut Vec<u8>, value: &Value) {
    put_bytes(out, 2, format!("{value}\n").as_bytes());
}

/// The entries of a map, each a message of name and value.
fn named(out: &mut Vec<u8>, number: u8, map: &Value, write: impl Fn(&mut Vec<u8>, &Value)) {
    for (name, value) in entries(map) {
        put_message(out, number, |out| {
            put_bytes(out, 1, name.as_bytes());
            put_message(out, 2, |out| write(out, value));
        });
    }
}

/// A parameter, by where it stands.
fn parameter(out: &mut Vec<u8>, value: &Value) {
    put_message(out, 1, |out| match value["in"].as_str() {
        Some("body") => put_message(out, 1, |out| message(out, &BODY, value)),
        place => put_message(out, 2, |out| match place {
            Some("query") => put_message(out, 3, |out| message(out, &QUERY, value)),
            Some("path") => put_message(out, 4, |out| message(out, &PLACED, value)),
            _ => put_message(out, 1, |out| message(out, &PLACED, value)),
        }),
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protobuf::wire::{Reader, Wire};
    use serde_json::json;

    /// The contents of a field, every time it is there.
    fn all(bytes: &[u8], number: u64) -> Vec<&[u8]> {
        let mut reader = Reader::new(bytes);
        let mut found = Vec::new();
        while let Some((at, wire)) = reader.next().unwrap() {
            if let (true, Wire::Bytes(content)) = (at == number, wire) {
                found.push(content);
            }
        }
        found
    }

    /// What is at the end of a path of fields, each of which is there once.
    fn at<'a>(bytes: &'a [u8], path: &[u64]) -> &'a [u8] {
        path.iter().fold(bytes, |bytes, number| {
            let found = all(bytes, *number);
            assert_eq!(found.len(), 1, "{number} of {path:?}");
            found[0]
        })
    }

    fn entry<'a>(bytes: &'a [u8], number: u64, name: &str) -> &'a [u8] {
        let found = all(bytes, number).into_iter().find(|entry| at(entry, &[1]) == name.as_bytes());
        at(found.unwrap_or_else(|| panic!("there is no {name}")), &[2])
    }

    #[test]
    fn a_schema_is_written_by_the_numbers_of_its_fields() {
        let mut out = Vec::new();
        schema(&mut out, &json!({"type": "string", "description": "d", "x-a": [1]}));
        // description = 4, type = 22 {value = 1}, vendor_extension = 31 {name = 1, value = 2 {yaml = 2}}
        let expected = [
            &b"\x22\x01d"[..],
            b"\xb2\x01\x08\x0a\x06string",
            b"\xfa\x01\x0d\x0a\x03x-a\x12\x06\x12\x04[1]\n",
        ];
        assert_eq!(out, expected.concat());
    }

    #[test]
    fn the_whole_document_is_there() {
        let value = crate::openapi::v2();
        let bytes = document(&value);
        assert_eq!(at(&bytes, &[1]), b"2.0");
        assert_eq!(at(&bytes, &[2, 1]), b"Kubernetes");
        let (paths, definitions) = (at(&bytes, &[8]), at(&bytes, &[9]));
        assert_eq!(all(paths, 2).len(), value["paths"].as_object().unwrap().len());
        assert_eq!(all(definitions, 1).len(), value["definitions"].as_object().unwrap().len());
        let pod = entry(definitions, 1, "io.k8s.api.core.v1.Pod");
        let spec = entry(at(pod, &[25]), 1, "spec");
        assert_eq!(at(spec, &[1]), b"#/definitions/io.k8s.api.core.v1.PodSpec");
        let kinds = entry(pod, 31, "x-kubernetes-group-version-kind");
        let kinds: Value = serde_json::from_slice(at(kinds, &[2])).unwrap();
        assert_eq!(kinds[0]["kind"], "Pod");
        let item = entry(paths, 2, "/api/v1/namespaces/{namespace}/pods");
        assert_eq!(at(item, &[2, 5]), b"listCoreV1NamespacedPod");
        let post = at(item, &[4]);
        let bodies: Vec<_> =
            all(post, 8).into_iter().filter(|one| !all(at(one, &[1]), 1).is_empty()).collect();
        assert_eq!(bodies.len(), 1);
        assert_eq!(at(bodies[0], &[1, 1, 5, 1]), b"#/definitions/io.k8s.api.core.v1.Pod");
        let ok = entry(at(post, &[9]), 1, "201");
        assert_eq!(at(ok, &[1, 2, 1, 1]), b"#/definitions/io.k8s.api.core.v1.Pod");
        assert_eq!(at(&bytes, &[12, 1, 1]), b"BearerToken");
        assert_eq!(at(&bytes, &[13, 1, 2, 2, 3]), b"header");
    }
}
