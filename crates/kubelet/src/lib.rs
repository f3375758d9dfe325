//! The node agent: pods assigned to this node, and what the runtime should do next for each.
//!
//! [`Kubelet::start`] registers the node, keeps its lease, and runs a worker per pod: a pure plan decides, jobs
//! act, and the status goes back to the API.

mod config;
mod container;
mod dial;
mod events;
mod grpc;
mod hook;
mod http;
mod manager;
mod mounts;
mod node;
mod pod;
mod policies;
mod probe;
mod register;
mod resources;
mod server;
mod services;
mod sources;
mod userns;
mod volumes;
mod worker;

pub use config::{KubeletConfig, Machine, Taint};
pub use container::etc::DnsConfig;
pub use manager::{Error, Kubelet, Parts};
pub use resources::Allocatable;
pub use server::Server;
pub use volumes::remove_pod_dirs;
