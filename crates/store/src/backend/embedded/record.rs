//! A value in the embedded store: revision and header, so that a restart parses no JSON, then the JSON.
//!
//! ```text
//! format (1 byte) | header epoch | revision | namespace | name | uid
//!   | labels: count, (key, value)* | owners: count, (uid, controller: 1 byte)* | fields: count, (path, value)*
//!   | length of the JSON's head | head | tail
//! ```
//! Numbers are LEB128; texts have their length in front.

use bytes::Bytes;
use cox_api::{Header, Object, Owner};

use crate::backend::Record;

const FORMAT: u8 = 2;

/// More labels, owners or fields than this are damage, not an object.
const COUNT_MAX: u64 = 1 << 20;

pub(super) fn encode(object: &Object, epoch: u64, revision: u64, out: &mut Vec<u8>) {
    let header = object.header();
    out.push(FORMAT);
    number(out, epoch);
    number(out, revision);
    text(out, &header.namespace);
    text(out, &header.name);
    text(out, &header.uid);
    number(out, header.labels.len() as u64);
    for (key, value) in &header.labels {
        text(out, key);
        text(out, value);
    }
    number(out, header.owners.len() as u64);
    for owner in &header.owners {
        text(out, &owner.uid);
        out.push(u8::from(owner.controller));
    }
    number(out, header.fields.len() as u64);
    for (path, value) in &header.fields {
        text(out, path);
        text(out, value);
    }
    let (head, tail) = object.parts();
    number(out, head.len() as u64);
    out.extend_from_slice(head);
    out.extend_from_slice(tail);
}

fn number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn text(out: &mut Vec<u8>, text: &str) {
    number(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

/// Reads a value: its revision, and the object. The JSON is copied once and not looked into. A header of
/// another epoch isn't used: the object has to be described anew.
pub(super) fn decode(bytes: &[u8], epoch: u64) -> Result<(u64, Record), &'static str> {
    let mut rest = Reader(bytes);
    if rest.byte()? != FORMAT {
        return Err("its format is unknown");
    }
    let current = rest.number()? == epoch;
    let revision = rest.number()?;
    let mut header =
        Header { namespace: rest.text()?, name: rest.text()?, uid: rest.text()?, ..Header::default() };
    for _ in 0..rest.count()? {
        header.labels.insert(rest.text()?, rest.text()?);
    }
    for _ in 0..rest.count()? {
        header.owners.push(Owner { uid: rest.text()?, controller: rest.byte()? != 0 });
    }
    for _ in 0..rest.count()? {
        header.fields.push((rest.text()?, rest.text()?));
    }
    let cut = usize::try_from(rest.number()?).map_err(|_| SHORT)?;
    if cut > rest.0.len() {
        return Err(SHORT);
    }
    let json = Bytes::copy_from_slice(rest.0);
    let object = Object::from_parts(json.slice(..cut), json.slice(cut..), header, revision);
    Ok((revision, if current { Record::Object(object) } else { Record::Json(object.json()) }))
}

const SHORT: &str = "it ends too early";

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn byte(&mut self) -> Result<u8, &'static str> {
        let (first, rest) = self.0.split_first().ok_or(SHORT)?;
        self.0 = rest;
        Ok(*first)
    }

    fn number(&mut self) -> Result<u64, &'static str> {
        let mut number = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err("a number is too long")
    }

    fn count(&mut self) -> Result<u64, &'static str> {
        self.number()
            .and_then(|count| if count > COUNT_MAX { Err("a count is too large") } else { Ok(count) })
    }

    fn text(&mut self) -> Result<Box<str>, &'static str> {
        let length = usize::try_from(self.number()?).map_err(|_| SHORT)?;
        let (text, rest) = self.0.split_at_checked(length).ok_or(SHORT)?;
        self.0 = rest;
        std::str::from_utf8(text).map(Into::into).map_err(|_| "a text isn't UTF-8")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn record() -> (Object, Vec<u8>) {
        let value = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "namespace": "n", "uid": "u",
            "labels": {"app": "web", "tier": "\u{e9}"}, "ownerReferences": [{"uid": "o", "controller": true}]},
            "spec": {"nodeName": "x".repeat(300)}});
        let header =
            Header::of(&value, vec![("spec.nodeName", "x".repeat(300)), ("status.phase", String::new())]);
        let object = Object::new(&value, header, 0);
        let mut bytes = Vec::new();
        encode(&object, 7, u64::MAX, &mut bytes);
        (object.at(u64::MAX), bytes)
    }

    #[test]
    fn a_record_comes_back() {
        let (object, bytes) = record();
        let Ok((u64::MAX, Record::Object(back))) = decode(&bytes, 7) else { panic!("no object") };
        assert_eq!(back.header(), object.header());
        assert_eq!((back.revision(), back.json()), (object.revision(), object.json()));
        let Ok((u64::MAX, Record::Json(json))) = decode(&bytes, 8) else { panic!("an old header is used") };
        assert_eq!(json, object.json());
    }

    #[test]
    fn damage_is_an_error() {
        let (object, bytes) = record();
        let json = object.parts().1.len();
        for end in 0..bytes.len() - json {
            assert!(decode(&bytes[..end], 7).is_err(), "cut at {end}");
        }
        assert!(decode(&[9], 7).is_err());
        assert!(
            decode(&[FORMAT, 7, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], 7)
                .is_err()
        );
    }
}
