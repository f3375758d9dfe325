//! The network of a node: pod addresses, services, routes between nodes. Plain values in, kernel state out;
//! this crate knows no Kubernetes client and no Kubernetes objects.
//!
//! - [`NodeNetwork`] is one node: its pods' networks, the forwarding of services and the policies of pods.
//! - [`Fabric`] joins several nodes of one machine, each in a network namespace of its own.
//!
//! Everything made in the kernel is named after a [`NetId`], survives the process, is found again by the
//! next one, and is removed by `purge`. IPv4 only so far; IPv6 is refused by the name of the field.

mod base;
mod builder;
mod cidr;
mod config;
mod core;
mod error;
mod fabric;
mod node;
mod plan;
mod pods;
mod policies;
mod policy;
mod policy_rules;
mod rules;
mod service;
mod services;
mod slot;

pub use cidr::Cidr;
pub use config::{
    AttachRequest, HostPort, NetId, Netns, NodeNetConfig, PodNetwork, Protocol, READY_SLOTS_DEFAULT,
    Reconciled,
};
pub use error::{Error, Result};
pub use fabric::{Fabric, FabricConfig, FabricNode};
pub use node::NodeNetwork;
pub use policy::{Allow, Peer, PodPolicy, Policies, PoliciesApplied, Ports};
pub use service::{Applied, Endpoint, ServicePort, ServicePortKey, TrafficPolicy};
