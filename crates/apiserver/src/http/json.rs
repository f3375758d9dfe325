//! JSON of objects, spliced: whole, as an item of a list, and without a resourceVersion where there is none yet.

use bytes::{BufMut, Bytes, BytesMut};
use cox_api::{Form, Kind, Listing, Object};
use futures::stream::{self, BoxStream, StreamExt};

use super::reply::{Answered, pieces};

/// What stands at the end of an object's head.
const METADATA: &[u8] = b"\"metadata\":{\"resourceVersion\":\"";
/// Lists are handed to the network in pieces of about this size, in bytes: about what TLS takes at a time.
const PIECE: usize = 64 << 10;

/// Writes an object; an item of a list says neither its version nor its kind.
pub fn write_object(object: &Object, as_item: bool, out: &mut BytesMut) {
    let (head, tail) = object.parts();
    let cut = head.len().saturating_sub(METADATA.len());
    let prefix = if as_item { &b"{"[..] } else { &head[..cut] };
    out.reserve(object.json_len());
    out.put_slice(prefix);
    if object.revision() == 0 {
        // Not stored: no resourceVersion. The tail starts with the quote that would close it.
        out.put_slice(b"\"metadata\":{");
        let rest = &tail[1..];
        out.put_slice(rest.strip_prefix(b",").unwrap_or(rest));
    } else {
        out.put_slice(METADATA);
        put_decimal(out, object.revision());
        out.put_slice(tail);
    }
}

fn put_decimal(out: &mut BytesMut, number: u64) {
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    let mut left = number;
    loop {
        at -= 1;
        digits[at] = b'0' + (left % 10) as u8;
        left /= 10;
        if left == 0 {
            break;
        }
    }
    out.put_slice(&digits[at..]);
}

/// An object with its final newline.
pub fn object(object: &Object) -> Bytes {
    let mut out = BytesMut::with_capacity(object.json_len() + 1);
    write_object(object, false, &mut out);
    out.put_u8(b'\n');
    out.freeze()
}

fn item_len(object: &Object) -> usize {
    let (head, _) = object.parts();
    object.json_len() - head.len().saturating_sub(METADATA.len()) + 1
}

/// The `metadata` of a list.
pub fn list_metadata(listing: &Listing) -> serde_json::Value {
    let mut metadata = serde_json::Map::new();
    metadata.insert("resourceVersion".into(), listing.revision.to_string().into());
    if let Some(token) = &listing.continue_token {
        metadata.insert("continue".into(), token.as_str().into());
    }
    if let Some(remaining) = listing.remaining {
        metadata.insert("remainingItemCount".into(), remaining.into());
    }
    metadata.into()
}

/// Whether items of lists say what they are; those of custom resources do.
pub fn whole_items(kind: &dyn Kind) -> bool {
    matches!(kind.form(), Form::Custom(_))
}

/// The `metadata` of a list of a kind; of custom resources, it always says how to go on.
pub fn metadata_of(kind: &dyn Kind, listing: &Listing) -> serde_json::Value {
    let mut metadata = list_metadata(listing);
    if whole_items(kind) && listing.continue_token.is_none() {
        metadata["continue"] = "".into();
    }
    metadata
}

/// A list: its bytes are put together while they are sent.
pub fn list(kind: &dyn Kind, listing: Listing) -> (BoxStream<'static, Bytes>, u64) {
    let as_items = !whole_items(kind);
    let head = format!(
        "{{\"kind\":\"{}\",\"apiVersion\":\"{}\",\"metadata\":{},\"items\":[",
        kind.list_kind(),
        kind.info().api_version(),
        metadata_of(kind, &listing)
    );
    let commas = listing.items.len().saturating_sub(1);
    let item_len = if as_items { item_len } else { Object::json_len };
    let length = head.len() + listing.items.iter().map(item_len).sum::<usize>() + commas + 3;
    let mut head = Some(head);
    let mut items = listing.items.into_iter();
    let mut first = true;
    let mut over = false;
    let pieces = std::iter::from_fn(move || {
        if over {
            return None;
        }
        let mut out = BytesMut::with_capacity(PIECE.min(length) + 4096);
        if let Some(head) = head.take() {
            out.put_slice(head.as_bytes());
        }
        while out.len() < PIECE {
            match items.next() {
                Some(object) => {
                    if !first {
                        out.put_u8(b',');
                    }
                    first = false;
                    write_object(&object, as_items, &mut out);
                }
                None => {
                    over = true;
                    out.put_slice(b"]}\n");
                    break;
                }
            }
        }
        Some(out.freeze())
    });
    (stream::iter(pieces).boxed(), length as u64)
}

/// A list as an answer.
pub fn list_reply(kind: &dyn Kind, listing: Listing) -> Answered {
    let (stream, length) = list(kind, listing);
    pieces("application/json", stream, Some(length))
}

#[cfg(test)]
mod tests {
    use super::*;
    use cox_api::Header;
    use serde_json::{Value, json};

    fn made(name: &str, revision: u64) -> Object {
        let value = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {"a": 1}});
        Object::new(&value, Header::of(&value, Vec::new()), revision)
    }

    #[test]
    fn an_object_without_a_revision_has_no_resource_version() {
        let value: Value = serde_json::from_slice(&object(&made("a", 0))).unwrap();
        assert_eq!(
            value,
            json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": {"a": 1}})
        );
        let bare = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {}});
        let bare = Object::new(&bare, Header::default(), 0);
        let value: Value = serde_json::from_slice(&object(&bare)).unwrap();
        assert_eq!(value["metadata"], json!({}));
    }

    #[tokio::test]
    async fn a_list_is_as_long_as_it_says() {
        let kind = cox_api::kinds::by_kind("", "v1", "Pod").unwrap();
        for count in [0usize, 1, 2, 5000] {
            let items = (0..count).map(|at| made(&format!("p{at}"), at as u64 + 1)).collect();
            let listing =
                Listing { items, revision: 7, continue_token: Some("t".into()), remaining: Some(3) };
            let (stream, length) = list(kind, listing);
            let bytes: Vec<u8> = stream.collect::<Vec<Bytes>>().await.concat();
            assert_eq!(bytes.len() as u64, length);
            let value: Value = serde_json::from_slice(&bytes).unwrap();
            assert_eq!(value["items"].as_array().map(Vec::len), Some(count));
            assert_eq!(value["metadata"]["continue"], "t");
            assert!(value["items"][0].get("kind").is_none());
        }
    }
}
