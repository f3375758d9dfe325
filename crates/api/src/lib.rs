//! The vocabulary of the Kubernetes API, as values: the schema table, objects and their bytes, kinds and
//! their rules, quantities, selectors, patches, protobuf, and the form of a call.
//!
//! Nothing here does I/O or reads a clock.

pub mod call;
pub mod cron;
pub mod custom;
pub mod devices;
pub mod field;
pub mod flow_control;
pub mod form;
pub mod kind;
pub mod kinds;
pub mod managed;
pub mod meta;
pub mod object;
pub mod openapi;
pub mod patch;
pub mod protobuf;
pub mod quantity;
pub mod schema;
pub mod selector;
pub mod status;
pub mod structural;

pub use call::{
    Body, Listing, Options, PatchKind, Request, Resource, Response, Transport, Verb, WatchEvent, WatchKind,
};
pub use field::{FieldError, FieldErrors, Path};
pub use form::Form;
pub use kind::{Column, Kind, KindInfo, Part, Rules, Scope, Unowned};
pub use object::{Header, Object, Owner};
pub use status::{Reason, Status};
