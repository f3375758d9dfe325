//! System calls: namespaces, mounts, idmaps, netlink, cgroups. The only crate with `unsafe`.

pub mod capability;
pub mod cgroup;
pub mod mount;
pub mod namespace;
pub mod netlink;
pub mod process;
pub mod seccomp;
pub mod signal;
mod words;

pub use words::{dial_error_text, error_text};
