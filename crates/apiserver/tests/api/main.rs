//! The API in process and over HTTP.

mod addresses;
mod allocation;
mod audit;
mod bad_requests;
mod custom_resources;
mod deletion;
mod devices;
mod fairness;
mod hostile;
mod http;
mod identity;
mod informers;
mod metrics;
mod objects;
mod policies;
mod proxying;
mod quota;
mod resuming;
mod shutdown;
mod support;
mod watching;
mod web;
mod web_sockets;
mod webhooks;
