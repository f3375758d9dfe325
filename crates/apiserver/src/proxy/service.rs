//! From a service to an address behind it.

use std::net::{IpAddr, SocketAddr};

use cox_api::{Reason, Status};
use serde_json::Value;

use crate::server::ApiServer;

/// 503.
pub(crate) fn unavailable(message: impl Into<String>) -> Status {
    Status::new(503, Reason::ServiceUnavailable, message)
}

/// An address of the cluster: never this machine's loopback or its neighbours' link-local addresses.
pub(crate) fn allowed(text: &str) -> Result<IpAddr, Status> {
    let ip: IpAddr = text.parse().map_err(|_| Status::internal(format!("{text:?} is no address")))?;
    let link_local = match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    };
    if ip.is_loopback() || ip.is_unspecified() || ip.is_multicast() || link_local {
        return Err(Status::bad_request("address not allowed"));
    }
    Ok(ip)
}

/// A ready address of a service's port, which is given by number or by name.
///
/// # Errors
/// 404 for a service that isn't there, 503 where nothing of it is ready.
pub(crate) fn service_endpoint(
    server: &ApiServer,
    namespace: &str,
    name: &str,
    port: &str,
) -> Result<SocketAddr, Status> {
    let not_found = || Status::not_found("", "services", name);
    let read = |prefix| server.db().get(prefix, namespace, name).map(|object| object.value());
    let service = read("services/specs").ok_or_else(not_found)?;
    let wanted = match port.parse::<u64>() {
        Ok(number) => {
            let mut ports = service["spec"]["ports"].as_array().into_iter().flatten();
            let found = ports.find(|known| known["port"].as_u64() == Some(number));
            let found = found
                .ok_or_else(|| unavailable(format!("no service port {number} found for service {name:?}")))?;
            found["name"].as_str().unwrap_or_default()
        }
        Err(_) => port,
    };
    let endpoints = read("services/endpoints").ok_or_else(not_found)?;
    let ready = ready(&endpoints, wanted);
    if ready.is_empty() {
        return Err(unavailable(format!("no endpoints available for service {name:?}")));
    }
    let (ip, port) = ready[server.env().chance().below(ready.len() as u64) as usize];
    Ok(SocketAddr::new(allowed(ip)?, port))
}

/// What is ready of a service's port.
fn ready<'a>(endpoints: &'a Value, port: &str) -> Vec<(&'a str, u16)> {
    let mut found = Vec::new();
    for subset in endpoints["subsets"].as_array().into_iter().flatten() {
        let mut ports = subset["ports"].as_array().into_iter().flatten();
        let named = ports.find(|known| known["name"].as_str().unwrap_or_default() == port);
        let number =
            named.and_then(|known| known["port"].as_u64()).and_then(|number| u16::try_from(number).ok());
        let Some(number) = number else { continue };
        let addresses = subset["addresses"].as_array().into_iter().flatten();
        found.extend(addresses.filter_map(|address| Some((address["ip"].as_str()?, number))));
    }
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_ready_addresses_of_the_named_port() {
        let endpoints = json!({"subsets": [
            {"addresses": [{"ip": "10.42.0.2"}], "notReadyAddresses": [{"ip": "10.42.0.3"}], "ports": [{"name": "a", "port": 1}, {"name": "b", "port": 2}]},
            {"addresses": [{"ip": "10.42.0.4"}], "ports": [{"port": 3}]},
        ]});
        assert_eq!(ready(&endpoints, "b"), [("10.42.0.2", 2)]);
        assert_eq!(ready(&endpoints, ""), [("10.42.0.4", 3)]);
        assert!(ready(&endpoints, "c").is_empty());
    }

    #[test]
    fn the_machine_itself_is_no_backend() {
        for text in ["127.0.0.1", "169.254.169.254", "0.0.0.0", "::1", "fe80::1"] {
            assert_eq!(allowed(text).unwrap_err().message(), "address not allowed", "{text}");
        }
        assert!(allowed("10.42.0.2").is_ok());
    }
}
