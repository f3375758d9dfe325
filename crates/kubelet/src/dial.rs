//! Connections that the node makes itself, for probes and hooks: from its own network, wherever this process is. What
//! comes from a pod's node is never held back by network policies.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::path::Path;

use tokio::net::{TcpSocket, TcpStream};

/// Connects to an address or a name, from the network namespace of the node where that isn't the process's own.
///
/// # Errors
/// Of the last address tried; the namespace can't be entered.
pub(crate) async fn tcp(netns: Option<&Path>, host: &str, port: u16) -> io::Result<TcpStream> {
    let Some(netns) = netns else { return TcpStream::connect((host, port)).await };
    let mut last = io::Error::new(io::ErrorKind::InvalidInput, "the name has no address");
    for address in tokio::net::lookup_host((host, port)).await? {
        match socket(netns, address).await?.connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// A socket stays in the namespace that it was made in.
async fn socket(netns: &Path, address: SocketAddr) -> io::Result<TcpSocket> {
    let netns = netns.to_owned();
    let make = move || {
        let file = std::fs::File::open(netns)?;
        let socket = || if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() };
        cox_sys::netlink::in_netns(file.as_fd(), socket).map_err(io::Error::other)?
    };
    tokio::task::spawn_blocking(make).await.map_err(io::Error::other)?
}
