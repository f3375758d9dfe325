//! Warnings for IP addresses and blocks that are written in other than the usual form: objects of old servers may
//! have what a new one may not. KEP-4858.

use std::net::{IpAddr, Ipv6Addr};

use crate::field::{Path, quote};
use crate::meta::names;

/// An IPv6 address that only wraps one of IPv4.
fn wraps_v4(text: &str) -> bool {
    text.parse::<Ipv6Addr>().is_ok_and(|ip| ip.to_ipv4_mapped().is_some())
}

/// What is said of an address that is valid and oddly written.
pub fn odd_ip(text: &str) -> Option<String> {
    let ip = names::parse_ip(text)?;
    let shown = quote(text);
    if text.parse::<IpAddr>().is_err() || wraps_v4(text) {
        let words = "will be considered invalid in a future Kubernetes release";
        return Some(format!("non-standard IP address {shown} {words}: use \"{ip}\""));
    }
    (ip.is_ipv6() && ip.to_string() != text)
        .then(|| format!("IPv6 address {shown} should be in RFC 5952 canonical format (\"{ip}\")"))
}

/// Warnings for an address that is valid.
pub fn of_ip(warnings: &mut Vec<String>, path: &Path<'_>, text: &str) {
    warnings.extend(odd_ip(text).map(|words| format!("{path}: {words}")));
}

/// Warnings for a block of addresses that is valid.
pub fn of_cidr(warnings: &mut Vec<String>, path: &Path<'_>, text: &str) {
    let Some((ip, bits)) = names::parse_cidr(text) else { return };
    let address = text.split_once('/').map_or(text, |(address, _)| address);
    let network = names::network(ip, bits);
    let before = warnings.len();
    if network != ip {
        let whole = if ip.is_ipv4() { 32 } else { 128 };
        warnings.push(format!(
            "{path}: CIDR value {} is ambiguous in this context (should be \"{network}/{bits}\" or \"{ip}/{whole}\"?)",
            quote(text)
        ));
    }
    if address.parse::<IpAddr>().is_err() || text.ends_with(&format!("/0{bits}")) || wraps_v4(address) {
        warnings.push(format!(
            "{path}: non-standard CIDR value {} will be considered invalid in a future Kubernetes release: use \"{network}/{bits}\"",
            quote(text)
        ));
    }
    let usual = format!("{ip}/{bits}");
    if warnings.len() == before && ip.is_ipv6() && usual != text {
        warnings.push(format!(
            "{path}: IPv6 CIDR value {} should be in RFC 5952 canonical format (\"{usual}\")",
            quote(text)
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_addresses_are_told() {
        let odd = "will be considered invalid in a future Kubernetes release";
        for (text, expected) in [
            ("10.0.0.1", vec![]),
            ("fd00::1", vec![]),
            ("x", vec![]),
            ("010.0.0.1", vec![format!("p: non-standard IP address \"010.0.0.1\" {odd}: use \"10.0.0.1\"")]),
            (
                "::ffff:1.2.3.4",
                vec![format!("p: non-standard IP address \"::ffff:1.2.3.4\" {odd}: use \"1.2.3.4\"")],
            ),
            (
                "FD00:0::1",
                vec![
                    "p: IPv6 address \"FD00:0::1\" should be in RFC 5952 canonical format (\"fd00::1\")"
                        .into(),
                ],
            ),
        ] {
            let mut warnings = Vec::new();
            of_ip(&mut warnings, &Path::new("p"), text);
            assert_eq!(warnings, expected, "{text}");
        }
    }

    #[test]
    fn odd_blocks_are_told() {
        for (text, expected) in [
            ("10.0.0.0/24", vec![]),
            ("0.0.0.0/0", vec![]),
            ("fd00::/64", vec![]),
            (
                "10.0.0.1/24",
                vec![
                    "p: CIDR value \"10.0.0.1/24\" is ambiguous in this context (should be \"10.0.0.0/24\" or \"10.0.0.1/32\"?)",
                ],
            ),
            (
                "010.0.0.0/8",
                vec![
                    "p: non-standard CIDR value \"010.0.0.0/8\" will be considered invalid in a future Kubernetes release: use \"10.0.0.0/8\"",
                ],
            ),
            (
                "FD00::/64",
                vec![
                    "p: IPv6 CIDR value \"FD00::/64\" should be in RFC 5952 canonical format (\"fd00::/64\")",
                ],
            ),
        ] {
            let mut warnings = Vec::new();
            of_cidr(&mut warnings, &Path::new("p"), text);
            assert_eq!(warnings, expected, "{text}");
        }
    }
}
