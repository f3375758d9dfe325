//! What the API server is told at start.

use std::net::{IpAddr, Ipv4Addr};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use crate::audit::AuditConfig;
use crate::auth::User;
use crate::error::Error;
use crate::pki::Pki;
use crate::proxy::Dialer;

/// Addresses of services: an IPv4 network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServiceRange {
    network: u32,
    prefix: u8,
}

impl ServiceRange {
    /// Reads `10.43.0.0/16`.
    ///
    /// # Errors
    /// Where it is no IPv4 network of 8 to 30 bits.
    pub fn parse(text: &str) -> Result<ServiceRange, Error> {
        let refuse =
            |reason: &str| Error::Config { field: "serviceCIDR", reason: format!("{text}: {reason}") };
        let (address, prefix) = text.split_once('/').ok_or_else(|| refuse("not a network"))?;
        let address: Ipv4Addr = address.parse().map_err(|_| refuse("not an IPv4 network"))?;
        let prefix: u8 = prefix.parse().map_err(|_| refuse("not a prefix length"))?;
        if !(8..=30).contains(&prefix) {
            return Err(refuse("the prefix must have 8 to 30 bits"));
        }
        let mask = u32::MAX << (32 - prefix);
        Ok(ServiceRange { network: u32::from(address) & mask, prefix })
    }

    /// The first address, which is that of the `kubernetes` service.
    pub fn first(self) -> Ipv4Addr {
        Ipv4Addr::from(self.network + 1)
    }
}

impl std::fmt::Display for ServiceRange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", Ipv4Addr::from(self.network), self.prefix)
    }
}

/// How much of everything the server takes at once.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Bytes of a request's body. Upstream's limit is the same.
    pub body_bytes_max: usize,
    /// Bytes of a request's headers.
    pub header_bytes_max: usize,
    /// Upstream's `--max-requests-inflight`. Together with `writes_max` it is the number of seats that flow control
    /// divides among the priority levels: so many requests are answered at once, reads and writes alike, what lasts on
    /// purpose and exempt requests apart.
    pub reads_max: usize,
    /// Upstream's `--max-mutating-requests-inflight`. The sum may not be 0.
    pub writes_max: usize,
    /// How long a request may take, watches and streams apart. Upstream's `--request-timeout`.
    pub request_time_max: Duration,
    /// A watch without a timeout of its own ends between this time and twice this time.
    pub watch_time_min: Duration,
    /// Connections.
    pub connections_max: usize,
    /// How long a client, or a backend that is proxied to, may take for its TLS handshake.
    pub handshake_time_max: Duration,
    /// How long a client may take for a request's headers. Upstream's is the same.
    pub header_time_max: Duration,
    /// How long a connection stays open on which nothing is asked. Upstream's is the same.
    pub idle_time_max: Duration,
    /// How long a client may take nothing of what is sent to it. Somebody may hold a terminal or page through a log
    /// that is followed, so it is as long as the kubelet's `streamingConnectionIdleTimeout`.
    pub stall_time_max: Duration,
    /// How long the server goes on as before after its end was announced, so that balancers see `/readyz` fail.
    /// Upstream's `--shutdown-delay-duration`.
    pub shutdown_delay: Duration,
    /// How long requests in flight may go on when the server ends.
    pub drain_time_max: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            body_bytes_max: 3 << 20,
            header_bytes_max: 1 << 20,
            reads_max: 400,
            writes_max: 200,
            request_time_max: Duration::from_secs(60),
            watch_time_min: Duration::from_secs(1800),
            connections_max: 20_000,
            handshake_time_max: Duration::from_secs(10),
            header_time_max: Duration::from_secs(32),
            idle_time_max: Duration::from_secs(90),
            stall_time_max: Duration::from_secs(4 * 3600),
            shutdown_delay: Duration::ZERO,
            drain_time_max: Duration::from_secs(10),
        }
    }
}

/// What the API server is told at start.
#[derive(Clone)]
pub struct Config {
    /// Keys and certificates.
    pub pki: Pki,
    /// Addresses of services.
    pub service_range: ServiceRange,
    /// Ports of services on nodes.
    pub node_ports: RangeInclusive<u16>,
    /// Whether privileged containers are let in (`--allow-privileged`).
    pub allow_privileged: bool,
    /// The issuer of service account tokens.
    pub issuer: String,
    /// Who tokens are for where the client doesn't say.
    pub audiences: Vec<String>,
    /// Bearer tokens known from the start.
    pub static_tokens: Vec<(String, User)>,
    /// Where pods reach this server: the endpoints of the `kubernetes` service. Never loopback.
    pub advertise: Vec<IpAddr>,
    /// The port at those addresses.
    pub advertise_port: u16,
    /// The way to nodes' kubelets.
    pub dialer: Arc<dyn Dialer>,
    /// How much of everything.
    pub limits: Limits,
    /// The audit log; none where nothing is recorded.
    pub audit: Option<AuditConfig>,
}

impl Config {
    /// What a cluster has where nothing else is said.
    ///
    /// # Errors
    /// Never for these settings.
    pub fn new(pki: Pki) -> Result<Config, Error> {
        const ISSUER: &str = "https://kubernetes.default.svc.cluster.local";
        Ok(Config {
            pki,
            service_range: ServiceRange::parse("10.43.0.0/16")?,
            node_ports: 30_000..=32_767,
            allow_privileged: true,
            issuer: ISSUER.to_owned(),
            audiences: vec![ISSUER.to_owned()],
            static_tokens: Vec::new(),
            advertise: Vec::new(),
            advertise_port: 6443,
            dialer: Arc::new(crate::proxy::DirectDialer),
            limits: Limits::default(),
            audit: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_a_network_of_some_size() {
        let range = ServiceRange::parse("10.43.0.5/24").unwrap();
        assert_eq!(range.to_string(), "10.43.0.0/24");
        assert_eq!(range.first(), Ipv4Addr::new(10, 43, 0, 1));
        assert!(ServiceRange::parse("10.43.0.0/31").is_err());
    }
}
