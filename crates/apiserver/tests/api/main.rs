//! The API in process and over HTTP.

mod allocation;
mod deletion;
mod http;
mod identity;
mod objects;
mod quota;
mod support;
mod watching;
