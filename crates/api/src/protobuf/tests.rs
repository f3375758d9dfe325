//! Round trips of random values of random types, and hostile bytes.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;
use crate::schema::{Field, Normal, Shape, type_of, types};

/// Decisions, drawn from random bytes; when they run out, everything stays small.
struct Chance<'a>(std::slice::Iter<'a, u8>);

impl Chance<'_> {
    fn byte(&mut self) -> u8 {
        self.0.next().copied().unwrap_or(0)
    }

    fn text(&mut self) -> String {
        let texts = ["", "a", "web-0", "ümläut", "long text that needs more room ", "5"];
        texts[usize::from(self.byte()) % texts.len()].repeat(usize::from(self.byte() % 3))
    }

    fn integer(&mut self) -> i64 {
        [0, 1, -1, 300, i64::from(i32::MAX), i64::from(i32::MIN), -70_000][usize::from(self.byte()) % 7]
    }

    fn object(&mut self, of: TypeId, depth: usize) -> Value {
        let mut out = Map::new();
        for field in of.fields().iter().filter(|field| field.tags[0] != 0) {
            if self.byte() % 3 == 1
                && let Some(value) = self.value(&field.shape, depth)
            {
                out.insert(field.name.to_owned(), value);
            }
        }
        Value::Object(out)
    }

    fn value(&mut self, shape: &Shape, depth: usize) -> Option<Value> {
        if depth > 6 {
            return None;
        }
        Some(match shape {
            Shape::String => self.text().into(),
            Shape::Int32 | Shape::Int64 => self.integer().into(),
            Shape::Bool => (self.byte().is_multiple_of(2)).into(),
            Shape::Float => json!(self.integer() as f64 / 8.0),
            Shape::Bytes => ["", "aGk=", "AAEC/w=="][usize::from(self.byte() % 3)].into(),
            Shape::Time => time(self.integer(), false).into(),
            Shape::MicroTime => time(self.integer(), true).into(),
            Shape::Quantity => ["0", "1500m", "1Gi", "12e3"][usize::from(self.byte() % 4)].into(),
            Shape::IntOrString if self.byte().is_multiple_of(2) => self.integer().into(),
            Shape::IntOrString => self.text().into(),
            Shape::Json => json!([1, null, {"a": self.text()}]),
            Shape::Raw => json!({"apiVersion": "v1", "x": {"y": [self.integer(), 1.5, null]}}),
            Shape::Fields => json!({"f:spec": {".": {}, "f:x": {}}}),
            Shape::SchemaOrBool if self.byte().is_multiple_of(2) => (self.byte().is_multiple_of(2)).into(),
            Shape::SchemaOrStrings if self.byte().is_multiple_of(2) => json!(["a", "b"]),
            Shape::SchemaOrArray if self.byte().is_multiple_of(2) => {
                json!([self.object(schema::schema_props()?, depth + 3)])
            }
            Shape::SchemaOrBool | Shape::SchemaOrArray | Shape::SchemaOrStrings => {
                self.object(schema::schema_props()?, depth + 2)
            }
            Shape::Object(of) => self.object(*of, depth + 1),
            Shape::List(item) => (0..self.byte() % 4).filter_map(|_| self.value(item, depth + 1)).collect(),
            Shape::Map(value) => (0..self.byte() % 4)
                .filter_map(|at| Some((format!("k{at}"), self.value(value, depth + 1)?)))
                .collect::<Map<_, _>>()
                .into(),
        })
    }
}

fn time(seconds: i64, micro: bool) -> String {
    if micro { schema::time::format_micro(seconds, 123_456_000) } else { schema::time::format_time(seconds) }
}

/// A random value in the normal form of stored objects.
fn random(of: TypeId, bytes: &[u8]) -> Value {
    let mut value = Chance(bytes.iter()).object(of, 0);
    Normal { scalars: true, stored: true }.object(of, &mut value);
    if let Some((_, _, kind)) = of.gvk() {
        decode::name(&mut value, &names(of).0, kind);
    }
    value
}

fn kinds() -> Vec<TypeId> {
    types().filter(|of| of.field("kind").is_some() && of.gvk().is_some() && is_encodable(*of)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn what_is_encoded_is_decoded(kind in any::<prop::sample::Index>(), bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let of = *kind.get(&kinds());
        let value = random(of, &bytes);
        let (api_version, kind, decoded) = decode(&encode(of, &value)).expect("decoded");
        prop_assert_eq!(&decoded, &value);
        prop_assert_eq!(Some(api_version.as_str()), value["apiVersion"].as_str());
        prop_assert_eq!(Some(kind.as_str()), value["kind"].as_str());
    }

    #[test]
    fn the_normal_form_of_stored_objects_is_upstreams(kind in any::<prop::sample::Index>(), bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let of = *kind.get(&kinds());
        let value = random(of, &bytes);
        let mut again = value.clone();
        schema::normalize(of, &mut again);
        prop_assert_eq!(&again, &value);
        let decoded = schema::decode_json(of, value.to_string().as_bytes(), Strictness::Strict).expect("decoded");
        prop_assert_eq!(decoded.value, value);
    }

    #[test]
    fn garbage_does_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = decode(&bytes);
        let whole = [MAGIC, &bytes].concat();
        let _ = decode(&whole);
        for kind in ["Pod", "Status", "List", "ConfigMap"] {
            let of = type_of("", "v1", kind).expect("a known kind");
            let _ = decode(&wrap(of, &bytes));
        }
    }

    #[test]
    fn damaged_objects_do_no_harm(
        kind in any::<prop::sample::Index>(),
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let of = *kind.get(&kinds());
        let mut encoded = encode(of, &random(of, &bytes));
        for (at, byte) in damage {
            let at = at.index(encoded.len());
            encoded[at] = byte;
        }
        if let Ok((_, _, value)) = decode(&encoded) {
            // What comes out can be stored and read back.
            let text = value.to_string();
            prop_assert_eq!(serde_json::from_str::<Value>(&text).expect("JSON"), value);
        }
    }
}

#[test]
fn a_known_message() {
    // A ConfigMap as upstream writes it: metadata {name: "a"}, data {"k": "v"}.
    let object = b"\x0a\x03\x0a\x01a\x12\x06\x0a\x01k\x12\x01v";
    let envelope = [
        b"k8s\0\x0a\x0f\x0a\x02v1\x12\x09ConfigMap\x12\x0d".as_slice(),
        object,
        b"\x1a\x00\x22\x00".as_slice(),
    ]
    .concat();
    let value =
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"k": "v"}});
    assert_eq!(decode(&envelope), Ok(("v1".into(), "ConfigMap".into(), value.clone())));
    let config_map = type_of("", "v1", "ConfigMap").expect("a known kind");
    assert_eq!(decode(&encode(config_map, &value)).map(|(.., value)| value), Ok(value.clone()));
    assert_eq!(encode(config_map, &value).len(), envelope.len());
    assert_eq!(wrap(config_map, &encode_object(config_map, &value)), encode(config_map, &value));
}

#[test]
fn a_list_and_a_watch_frame() {
    let config_map = type_of("", "v1", "ConfigMap").expect("a known kind");
    let list = type_of("", "v1", "ConfigMapList").expect("a known kind");
    let item = json!({"metadata": {"name": "a"}, "data": {"k": "v"}});
    let bytes = encode_object(config_map, &item);
    let metadata = json!({"resourceVersion": "7"});
    let encoded = encode_list(list, &metadata, [bytes.as_slice(), bytes.as_slice()].into_iter());
    let value =
        json!({"apiVersion": "v1", "kind": "ConfigMapList", "metadata": metadata, "items": [item, item]});
    assert_eq!(decode(&encoded).map(|(.., value)| value), Ok(value));

    let frame = watch_frame("ADDED", &wrap(config_map, &bytes));
    let length = u32::from_be_bytes([frame[0], frame[1], frame[2], frame[3]]);
    assert_eq!(usize::try_from(length), Ok(frame.len() - 4));
    let event = type_of("", "v1", "WatchEvent").expect("a known kind");
    let event = decode::object(event, &frame[4..]).expect("decoded");
    assert_eq!(event["type"], "ADDED");
    assert_eq!(event["object"]["metadata"]["name"], "a");
    assert_eq!(event["object"]["kind"], "ConfigMap");
}

#[test]
fn embedded_structs_are_messages_between() {
    let pod = type_of("", "v1", "Pod").expect("a known kind");
    let volume = schema::type_named("io.k8s.api.core.v1.Volume").expect("a known type");
    let tags = |name: &str| volume.field(name).map(|field: &Field| field.tags);
    assert_eq!((tags("name"), tags("emptyDir")), (Some([1, 0, 0]), Some([2, 2, 0])));
    let value = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {}, "status": {}, "spec": {
        "containers": [{"name": "c", "resources": {}, "livenessProbe": {"httpGet": {"port": "http"}, "periodSeconds": 3},
            "envFrom": [{"configMapRef": {"name": "m", "optional": false}}]}],
        "volumes": [{"name": "v", "emptyDir": {}}, {"name": "w", "secret": {"secretName": "s"}}]}});
    assert_eq!(decode(&encode(pod, &value)).map(|(.., value)| value), Ok(value));
}

#[test]
fn limits_hold() {
    let list = type_of("", "v1", "List").expect("a known kind");
    // Envelopes in envelopes.
    let mut bytes = Vec::new();
    for _ in 0..1000 {
        let inner = std::mem::take(&mut bytes);
        let mut item = Vec::new();
        wire::put_bytes(&mut item, 1, &inner);
        let mut object = Vec::new();
        wire::put_bytes(&mut object, 2, &item);
        bytes = wrap(list, &object);
    }
    assert_eq!(decode(&bytes), Err(ProtobufError::TooDeep));
    // Deep JSON in a raw field.
    let deep = format!("{}{}", "[".repeat(119), "]".repeat(119));
    let value = json!({"data": serde_json::from_str::<Value>(&deep).expect("JSON")});
    let revision = type_of("apps", "v1", "ControllerRevision").expect("a known kind");
    assert!(decode(&encode(revision, &value)).is_ok());
    let value = json!({"data": [serde_json::from_str::<Value>(&deep).expect("JSON")]});
    assert_eq!(decode(&encode(revision, &value)), Err(ProtobufError::TooDeep));
    // Many tiny elements: containers of two bytes each.
    let pod = type_of("", "v1", "Pod").expect("a known kind");
    let mut spec = Vec::new();
    wire::put_bytes(&mut spec, 2, &[0x12, 0].repeat(500_000));
    assert_eq!(decode(&wrap(pod, &spec)), Err(ProtobufError::TooMany));
}

#[test]
fn a_body_is_checked_for_its_kind() {
    let config_map = type_of("", "v1", "ConfigMap").expect("a known kind");
    let secret = type_of("", "v1", "Secret").expect("a known kind");
    let bytes = encode(secret, &json!({}));
    assert_eq!(
        decode_body(config_map, &bytes).expect_err("refused").message(),
        "Secret in version \"v1\" cannot be handled as a ConfigMap: converting (v1.Secret) to (core.ConfigMap): \
         unknown conversion"
    );
    // Unknown fields are skipped, and an envelope without a kind is what is expected.
    let value = decode_body(config_map, b"k8s\0xxxx").expect("decoded");
    assert_eq!(value, json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {}}));
    assert!(
        decode_body(config_map, b"xxxx").expect_err("refused").message().starts_with(
            "the object provided is unrecognized (must be of type ConfigMap): provided data does not appear to be \
             a protobuf message, expected prefix [107 56 115 0]"
        )
    );
}
