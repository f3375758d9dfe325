//! Addresses that endpoints and services may have.

use std::net::IpAddr;

use super::check::bad_text;
use crate::field::{FieldErrors, Path};
use crate::meta::names;

/// Refuses addresses that reach something else from every machine.
pub fn not_special(errors: &mut FieldErrors, path: &Path<'_>, text: &str) {
    let Some(ip) = names::parse_ip(text) else {
        bad_text(errors, path, text, "must be a valid IP address");
        return;
    };
    let (local, multicast) = match ip {
        IpAddr::V4(ip) => (ip.is_link_local(), ip.octets()[..3] == [224, 0, 0]),
        IpAddr::V6(ip) => (ip.segments()[0] & 0xffc0 == 0xfe80, ip.segments()[0] & 0xff0f == 0xff02),
    };
    let mut refuse = |detail: &str| bad_text(errors, path, text, detail);
    if ip.is_unspecified() {
        refuse(&format!("may not be unspecified ({text})"));
    }
    if ip.is_loopback() {
        refuse("may not be in the loopback range (127.0.0.0/8, ::1/128)");
    }
    if local {
        refuse("may not be in the link-local range (169.254.0.0/16, fe80::/10)");
    }
    if multicast {
        refuse("may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)");
    }
}

/// Protocols of ports.
pub const PROTOCOLS: &[&str] = &["SCTP", "TCP", "UDP"];
