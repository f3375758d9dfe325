//! How a node's address is reached.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use async_trait::async_trait;
use tokio::io::{AsyncRead, AsyncWrite};

/// How long a connection may take to come about.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(10);

/// A stream of bytes both ways.
pub trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> ByteStream for T {}

/// A way to addresses of nodes and pods, which may be in other network namespaces.
#[async_trait]
pub trait Dialer: Send + Sync {
    /// Opens a connection.
    ///
    /// # Errors
    /// The network's.
    async fn dial(&self, address: SocketAddr) -> io::Result<Box<dyn ByteStream>>;
}

/// Plain TCP from where this process is.
pub struct DirectDialer;

#[async_trait]
impl Dialer for DirectDialer {
    async fn dial(&self, address: SocketAddr) -> io::Result<Box<dyn ByteStream>> {
        let stream =
            tokio::time::timeout(CONNECT_TIME_MAX, tokio::net::TcpStream::connect(address)).await.map_err(
                |_| io::Error::new(io::ErrorKind::TimedOut, format!("no answer from {address}")),
            )??;
        stream.set_nodelay(true)?;
        Ok(Box::new(stream))
    }
}
