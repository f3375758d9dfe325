//! What can go wrong in the network of a node.

use std::path::PathBuf;

use cox_sys::netlink;

/// The result of a network operation.
pub type Result<T> = std::result::Result<T, Error>;

/// What can go wrong in the network of a node.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not an address prefix.
    #[error("{0:?} is not a CIDR such as 10.42.0.0/24")]
    InvalidCidr(String),
    /// A node or fabric id that can't be part of an interface name.
    #[error("network id {0:?} must be 1 to 6 characters of a-z and 0-9")]
    InvalidId(String),
    /// IPv6 is not served yet.
    #[error("{field}: IPv6 is not supported yet (got {value})")]
    Ipv6Unsupported {
        /// The field that held the value.
        field: &'static str,
        /// The value.
        value: String,
    },
    /// A value that can't be served.
    #[error("{field}: {reason}")]
    Invalid {
        /// The field that held the value.
        field: &'static str,
        /// Why it can't be served.
        reason: String,
    },
    /// Every address of the node's pod CIDR is in use.
    #[error("no address left in the pod CIDR {0}")]
    NoAddressLeft(crate::Cidr),
    /// A host port is taken by another pod of this node.
    #[error("host port {port}/{protocol} is already used by pod {owner}")]
    HostPortTaken {
        /// The port.
        port: u16,
        /// Its protocol.
        protocol: crate::Protocol,
        /// UID of the pod that has it.
        owner: String,
    },
    /// A file of the state directory could not be read or written.
    #[error("{action} {path}: {source}")]
    File {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// The kernel refused a request.
    #[error("{action}: {source}")]
    Netlink {
        /// What was tried.
        action: &'static str,
        /// The kernel's answer.
        source: netlink::Error,
    },
    /// The thread of this network has ended.
    #[error("the network of this node is closed")]
    Closed,
}

impl Error {
    pub(crate) fn netlink(action: &'static str) -> impl FnOnce(netlink::Error) -> Error {
        move |source| Error::Netlink { action, source }
    }

    pub(crate) fn file(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(std::io::Error) -> Error {
        let path = path.into();
        move |source| Error::File { action, path, source }
    }
}
