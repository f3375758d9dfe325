//! From what a call brings to the bytes of an answer.

use bytes::Bytes;
use cox_api::{Form, Kind, Listing, Object, Reason, Response, Status, schema};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::accept::{self, Encoding, Shape};
use super::reply::{Answered, whole};
use super::table::{self, Include};
use super::ticket::Ticket;
use super::{json as splice, watch};

/// What an answer is about.
pub struct About {
    /// The kind of the path; none for resources without objects.
    pub kind: Option<&'static dyn Kind>,
    /// `includeObject`.
    pub include: Include,
    /// For ages.
    pub now: Timestamp,
    /// The type of lists and objects in Go's words, for messages.
    pub go_name: String,
    /// What goes along with the request.
    pub(super) ticket: Ticket,
}

/// Makes the answer.
pub fn answer(response: Response, form: accept::Form, about: About) -> Answered {
    match encode(response, form, about) {
        Ok(answered) => answered,
        Err(status) => refusal(&status, form),
    }
}

fn encode(response: Response, form: accept::Form, about: About) -> Result<Answered, Status> {
    match response {
        Response::Object { object, created } => {
            let code = if created { 201 } else { 200 };
            one(code, &object, form, &about)
        }
        Response::Value { code, value } => Ok(value_answer(code, value, form, &about)),
        Response::List(listing) => list(listing, form, &about),
        Response::Watch(events) => Ok(watch::answer(events, form, about)),
    }
}

fn not_acceptable(message: String) -> Status {
    Status::new(406, Reason::NotAcceptable, message)
}

fn one(code: u16, object: &Object, form: accept::Form, about: &About) -> Result<Answered, Status> {
    if form.shape == Shape::Whole {
        match form.encoding {
            Encoding::Json if !form.pretty => {
                return Ok(whole(code, "application/json", splice::object(object)));
            }
            Encoding::Protobuf => {
                if let Some(kind) = about.kind {
                    let bytes = if object.revision() == 0 {
                        protobuf(kind, &table::value_of(object))
                    } else {
                        object.protobuf_or(|object| protobuf(kind, &object.value())).clone()
                    };
                    return Ok(whole(code, form.encoding.media_type(), bytes));
                }
            }
            _ => {}
        }
    }
    let value = table::value_of(object);
    let value = match form.shape {
        Shape::Whole => value,
        Shape::Metadata(version) => table::metadata_of(&value, version),
        Shape::MetadataList(_) => {
            return Err(not_acceptable(format!(
                "you requested PartialObjectMetadataList, but the requested object is not a list (*{})",
                about.go_name
            )));
        }
        Shape::Table(version) => match about.kind {
            Some(kind) => table::of_object(kind, &value, about.include, version, true, about.now),
            None => table::of_value(&value, about.include, version, about.now),
        },
    };
    Ok(of_value(code, &value, form))
}

/// Only kinds of the table have protobuf, and only for these it can be chosen.
pub(super) fn protobuf(kind: &dyn Kind, value: &Value) -> Bytes {
    match kind.form() {
        Form::Table(of) => cox_api::protobuf::encode(of, value).into(),
        Form::Custom(_) => Bytes::new(),
    }
}

fn list(listing: Listing, form: accept::Form, about: &About) -> Result<Answered, Status> {
    let Some(kind) = about.kind else { return Err(Status::internal("a list of no kind")) };
    let info = kind.info();
    let value = match form.shape {
        Shape::Whole if form.encoding == Encoding::Json && !form.pretty => {
            return Ok(splice::list_reply(kind, listing));
        }
        Shape::Whole => {
            let items: Vec<Value> = listing
                .items
                .iter()
                .map(|object| {
                    let mut value = table::value_of(object);
                    if !splice::whole_items(kind)
                        && let Some(value) = value.as_object_mut()
                    {
                        value.remove("apiVersion");
                        value.remove("kind");
                    }
                    value
                })
                .collect();
            json!({"kind": kind.list_kind(), "apiVersion": info.api_version(),
                "metadata": splice::metadata_of(kind, &listing), "items": items})
        }
        Shape::Metadata(_) => {
            return Err(not_acceptable(format!(
                "you requested PartialObjectMetadata, but the requested object is a list (*{}List)",
                about.go_name
            )));
        }
        Shape::MetadataList(version) => table::metadata_list(&listing, version),
        Shape::Table(version) => table::of_list(kind, &listing, about.include, version, about.now),
    };
    Ok(of_value(200, &value, form))
}

fn value_answer(code: u16, value: Value, form: accept::Form, about: &About) -> Answered {
    if value["kind"] == "Status" {
        return of_value(code, &value, accept::Form { shape: Shape::Whole, ..form });
    }
    let value = match form.shape {
        Shape::Whole => value,
        Shape::Metadata(version) | Shape::MetadataList(version) => table::metadata_of(&value, version),
        Shape::Table(version) => table::of_value(&value, about.include, version, about.now),
    };
    of_value(code, &value, form)
}

/// A value in the encoding that was asked for; JSON where it has no protobuf form.
pub fn of_value(code: u16, value: &Value, form: accept::Form) -> Answered {
    match form.encoding {
        Encoding::Json => {
            let mut bytes = if form.pretty {
                serde_json::to_vec_pretty(value).unwrap_or_default()
            } else {
                serde_json::to_vec(value).unwrap_or_default()
            };
            bytes.push(b'\n');
            whole(code, "application/json", bytes)
        }
        Encoding::Yaml => {
            let text = serde_saphyr::to_string(value).unwrap_or_default();
            whole(code, "application/yaml", text)
        }
        Encoding::Protobuf => match type_of(value) {
            Some(type_id) => {
                whole(code, form.encoding.media_type(), cox_api::protobuf::encode(type_id, value))
            }
            None => of_value(code, value, accept::Form::JSON),
        },
    }
}

fn type_of(value: &Value) -> Option<schema::TypeId> {
    let api_version = value["apiVersion"].as_str()?;
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    schema::type_of(group, version, value["kind"].as_str()?)
}

/// A refusal, with the headers that belong to it.
pub fn refusal(status: &Status, form: accept::Form) -> Answered {
    let form = accept::Form { shape: Shape::Whole, ..form };
    let mut response = of_value(status.code(), &status.to_value(), form);
    let seconds = status.details().and_then(|details| details["retryAfterSeconds"].as_u64());
    if let Some(seconds) = seconds {
        response.headers_mut().insert(http::header::RETRY_AFTER, http::HeaderValue::from(seconds));
    }
    response
}
