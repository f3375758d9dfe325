//! The Kubernetes API over the store: from HTTP to who are you, may you, admission, the object's rules, and the
//! store.
//!
//! [`ApiServer`] is the request core without sockets; [`LocalTransport`] calls it in process, [`http`] serves it.

mod admission;
mod allocate;
mod audit;
pub mod auth;
mod config;
mod core;
mod db;
mod definitions;
mod describe;
mod error;
mod flow;
mod go;
pub mod http;
mod metrics;
pub mod pki;
pub mod proxy;
mod registry;
mod server;
mod service;
mod start;
mod sub;

pub use audit::{AuditConfig, LogFile, Policy};
pub use auth::User;
pub use config::{Config, Limits, ServiceRange};
pub use db::Db;
pub use describe::{describe, header_epoch};
pub use error::Error;
pub use http::serve;
pub use server::{Answer, ApiServer, LocalTransport};
