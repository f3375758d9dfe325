//! Netlink without a runtime: a codec and blocking sockets for rtnetlink (interfaces, addresses, routes,
//! neighbours), nf_tables and conntrack, and network namespaces.
//!
//! The kernel works on a request within the `send` that carries it, so a batch of requests costs one
//! system call, and all answers but those of dumps are waiting when it returns.

mod codec;
mod conntrack;
mod error;
mod expr;
mod link;
pub mod netns;
mod nft;
mod route;
mod rtnl;
mod socket;

pub use codec::Batch;
pub use conntrack::{Conntrack, Flow, Tuple};
pub use error::{Error, Result};
pub use expr::{Base, Ct, Expr, FibAddress, Meta, Reg};
pub use link::{InetConf, Link, LinkChange, LinkRef, VethEnd};
pub use netns::in_netns;
pub use nft::{
    BaseChain, ElementChange, ElementData, FieldType, Hook, Nft, Set, SetData, Transaction, Verdict,
};
pub use route::{ROUTE_PROTOCOL, Route};
pub use rtnl::Rtnl;
