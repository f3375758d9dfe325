//! A watch on the wire: one event after the other, as JSON lines or as protobuf frames.

use bytes::{BufMut, BytesMut};
use cox_api::call::Watch;
use cox_api::{Kind, Status, WatchEvent, WatchKind};
use futures::StreamExt;
use serde_json::{Value, json};

use super::accept::{Encoding, Form, Shape};
use super::encode::About;
use super::json::write_object;
use super::reply::{Answered, pieces};
use super::table;

/// Events that are put into one piece where they are there at once.
const EVENTS_A_PIECE: usize = 128;

/// Makes the answer to a watch.
pub fn answer(events: Watch, form: Form, about: About) -> Answered {
    let media_type = match form.encoding {
        Encoding::Protobuf => "application/vnd.kubernetes.protobuf;stream=watch",
        Encoding::Json | Encoding::Yaml => "application/json",
    };
    let mut writer = Writer { form, about, first: true };
    // When the server ends, so does the watch; its client goes on at another one, or when there is one again.
    let end = writer.about.ticket.server().until_draining();
    let stream = events.take_until(end).ready_chunks(EVENTS_A_PIECE).map(move |events| {
        let mut out = BytesMut::new();
        for event in events {
            let before = out.len();
            writer.write(event, &mut out);
            writer.about.ticket.watch_event(out.len() - before);
        }
        out.freeze()
    });
    let mut response = pieces(media_type, stream.boxed(), None);
    response
        .headers_mut()
        .insert(http::header::CACHE_CONTROL, http::HeaderValue::from_static("no-cache, private"));
    response
}

struct Writer {
    form: Form,
    about: About,
    /// Whether no event was written yet: the first table has the columns.
    first: bool,
}

impl Writer {
    fn write(&mut self, event: Result<WatchEvent, Status>, out: &mut BytesMut) {
        match event {
            Err(status) => self.put("ERROR", &status.to_value(), out),
            Ok(event) => self.event(event, out),
        }
        self.first = false;
    }

    fn event(&self, event: WatchEvent, out: &mut BytesMut) {
        let word = event.kind.as_str();
        let Some(kind) = self.about.kind else { return };
        match (&event.object, self.form.shape, self.form.encoding) {
            (Some(object), Shape::Whole, Encoding::Json | Encoding::Yaml) => {
                out.put_slice(b"{\"type\":\"");
                out.put_slice(word.as_bytes());
                out.put_slice(b"\",\"object\":");
                write_object(object, false, out);
                out.put_slice(b"}\n");
            }
            (Some(object), Shape::Whole, Encoding::Protobuf) => {
                let bytes = object.protobuf_or(|object| super::encode::protobuf(kind, &object.value()));
                out.put_slice(&cox_api::protobuf::watch_frame(word, bytes));
            }
            (Some(object), ..) => self.put(word, &self.shaped(kind, &object.value()), out),
            (None, ..) => {
                let value = self.shaped(kind, &bookmark(kind, &event));
                self.put(word, &value, out);
            }
        }
    }

    fn shaped(&self, kind: &dyn Kind, value: &Value) -> Value {
        match self.form.shape {
            Shape::Whole => value.clone(),
            Shape::Metadata(version) | Shape::MetadataList(version) => table::metadata_of(value, version),
            Shape::Table(version) if value["metadata"].get("name").is_none() => {
                // A bookmark has no name: its cell is empty, not absent.
                let mut named = value.clone();
                named["metadata"]["name"] = "".into();
                let mut shown =
                    table::of_object(kind, &named, self.about.include, version, self.first, self.about.now);
                if let Some(metadata) = shown["rows"][0]["object"]["metadata"].as_object_mut() {
                    metadata.remove("name");
                }
                shown
            }
            Shape::Table(version) => {
                table::of_object(kind, value, self.about.include, version, self.first, self.about.now)
            }
        }
    }

    fn put(&self, word: &str, value: &Value, out: &mut BytesMut) {
        if self.form.encoding == Encoding::Protobuf {
            let api_version = value["apiVersion"].as_str().unwrap_or_default();
            let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
            let kind = value["kind"].as_str().unwrap_or_default();
            if let Some(type_id) = cox_api::schema::type_of(group, version, kind) {
                let bytes = cox_api::protobuf::encode(type_id, value);
                out.put_slice(&cox_api::protobuf::watch_frame(word, &bytes));
            }
            return;
        }
        let line = json!({"type": word, "object": value});
        out.put_slice(line.to_string().as_bytes());
        out.put_u8(b'\n');
    }
}

/// What stands in a bookmark.
fn bookmark(kind: &dyn Kind, event: &WatchEvent) -> Value {
    debug_assert_eq!(event.kind, WatchKind::Bookmark);
    let info = kind.info();
    let mut value = json!({"kind": info.kind, "apiVersion": info.api_version(),
        "metadata": {"resourceVersion": event.revision.to_string()}});
    if event.initial_events_end {
        value["metadata"]["annotations"] = json!({"k8s.io/initial-events-end": "true"});
    }
    value
}
