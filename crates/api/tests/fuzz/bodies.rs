//! Bodies of requests: JSON and protobuf.

use cox_api::protobuf;
use cox_api::schema::{
    Shape, Strictness, TypeId, check_value, decode_json, decode_value, normalize, type_of,
};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::choices::{Choices, cases, decisions, kind, kinds};

/// Where, with what, and how bytes are damaged.
type Damage = Vec<(prop::sample::Index, u8, u8)>;

fn damage() -> impl Strategy<Value = Damage> {
    prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0u8..8), 0..6)
}

fn damaged(mut bytes: Vec<u8>, damage: &Damage) -> Vec<u8> {
    for (at, byte, how) in damage {
        if bytes.is_empty() {
            break;
        }
        let at = at.index(bytes.len());
        match how {
            0 => bytes.truncate(at),
            1 => bytes.extend_from_within(at..),
            2 => bytes.insert(at, *byte),
            // What JSON is made of hurts more than other bytes.
            3 => bytes[at] = b"{}[],:\"\\0-.eE"[usize::from(*byte) % 13],
            _ => bytes[at] = *byte,
        }
    }
    bytes
}

/// A body that is taken is in normal form, can be stored and read back, and means the same as a value.
fn obeys(of: TypeId, value: &Value) {
    let mut again = value.clone();
    normalize(of, &mut again);
    assert_eq!(&again, value, "{of}: normal already");
    let text = value.to_string();
    assert_eq!(serde_json::from_str::<Value>(&text).ok().as_ref(), Some(value), "{of}: read back");
    let decoded = decode_json(of, text.as_bytes(), Strictness::Strict);
    assert_eq!(decoded.map(|decoded| decoded.value).as_ref(), Ok(value), "{of}: decoded again");
}

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn a_damaged_body_is_taken_or_refused(of in kind(), bytes in decisions(), damage in damage()) {
        let value = Choices::new(&bytes).object(of, 0);
        let text = damaged(value.to_string().into_bytes(), &damage);
        for strictness in [Strictness::Ignore, Strictness::Warn, Strictness::Strict] {
            if let Ok(decoded) = decode_json(of, &text, strictness) {
                obeys(of, &decoded.value);
            }
        }
    }

    #[test]
    fn a_body_of_wrong_forms_is_taken_or_refused(of in kind(), bytes in decisions(), misfits in 2u8..12) {
        let mut choices = Choices::new(&bytes);
        choices.misfits = misfits;
        let value = choices.object(of, 0);
        let text = decode_json(of, value.to_string().as_bytes(), Strictness::Warn);
        let parsed = decode_value(of, value.clone(), Strictness::Warn);
        prop_assert_eq!(text.is_ok(), parsed.is_ok(), "{}", value);
        if let (Ok(text), Ok(parsed)) = (text, parsed) {
            prop_assert_eq!(&text.value, &parsed.value);
            obeys(of, &text.value);
        }
        // Also a value that doesn't fit at all comes to no harm.
        let mut normal = value.clone();
        normalize(of, &mut normal);
        let _ = protobuf::encode(of, &value);
        let _ = check_value(of, value, Strictness::Strict);
    }

    #[test]
    fn damaged_protobuf_is_taken_or_refused(of in kind(), bytes in decisions(), damage in damage()) {
        prop_assume!(protobuf::is_encodable(of));
        let value = Choices::new(&bytes).object(of, 0);
        let whole = damaged(protobuf::encode(of, &value), &damage);
        if let Ok(value) = protobuf::decode_body(of, &whole) {
            let again = protobuf::decode_body(of, &protobuf::encode(of, &value)).expect("decoded again");
            prop_assert_eq!(&again, &value);
            obeys(of, &value);
        }
    }
}

/// JSON, protobuf and back, for every kind, with every field that it has.
#[test]
fn every_kind_goes_through_protobuf_unchanged() {
    for of in kinds().into_iter().filter(|of| protobuf::is_encodable(*of)) {
        for seed in 0..20u8 {
            // Ones say yes to fields; other bytes change with the seed.
            let bytes: Vec<u8> = (0..400u16)
                .map(|at| if (at + u16::from(seed)) % 5 < 3 { 1 } else { (at as u8).wrapping_mul(seed) })
                .collect();
            let mut value = Choices::new(&bytes).object(of, 0);
            for named in ["apiVersion", "kind"] {
                value.as_object_mut().expect("an object").remove(named);
            }
            let text = value.to_string();
            let decoded = decode_json(of, text.as_bytes(), Strictness::Strict).expect(&text).value;
            let through = protobuf::decode_body(of, &protobuf::encode(of, &decoded));
            // Tables, lists of versions and the like: what protobuf doesn't have can't come back.
            let mut known = decoded.clone();
            drop_unencoded(of, &mut known);
            for named in ["apiVersion", "kind"] {
                known[named] = decoded[named].clone();
            }
            assert_eq!(through.as_ref(), Ok(&known), "{of}");
        }
    }
}

/// Drops fields that protobuf has no number for: apiVersion and kind below the top, above all.
fn drop_unencoded(of: TypeId, value: &mut Value) {
    if let Value::Object(fields) = value {
        fields.retain(|name, value| {
            let Some(field) = of.field(name) else { return true };
            drop_below(&field.shape, value);
            field.tags[0] != 0
        });
    }
}

fn drop_below(shape: &Shape, value: &mut Value) {
    match (shape, value) {
        (Shape::Object(of), value) => drop_unencoded(*of, value),
        (Shape::List(item), Value::Array(items)) => {
            items.iter_mut().for_each(|value| drop_below(item, value))
        }
        (Shape::Map(item), Value::Object(entries)) => {
            entries.values_mut().for_each(|value| drop_below(item, value))
        }
        _ => {}
    }
}

#[test]
fn depth_and_number_have_limits() {
    let of = type_of("apps", "v1", "ControllerRevision").expect("a known kind");
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        for depth in [200, 200_000] {
            let text = format!("{{\"data\":{}1{}}}", open.repeat(depth), close.repeat(depth));
            assert!(decode_json(of, text.as_bytes(), Strictness::Warn).is_err());
            assert!(decode_json(of, &text.as_bytes()[..text.len() / 2], Strictness::Warn).is_err());
        }
    }
    let pod = type_of("", "v1", "Pod").expect("a known kind");
    let text = json!({"spec": {"containers": vec![json!({}); 500_000]}}).to_string();
    assert!(decode_json(pod, text.as_bytes(), Strictness::Warn).is_err());
    // Every field is unknown: the list of complaints stays short.
    let unknown: serde_json::Map<String, Value> =
        (0..100_000).map(|at| (format!("x{at}"), json!(1))).collect();
    let decoded = decode_value(pod, Value::Object(unknown), Strictness::Warn).expect("taken");
    assert_eq!(decoded.warnings.len(), 100);
}
