//! System calls: namespaces, mounts, idmaps, netlink, cgroups. The only crate with `unsafe`.

pub mod netlink;
