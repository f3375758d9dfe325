//! An address prefix, kept in its canonical form (host bits zero).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// An IP prefix such as `10.42.0.0/24`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Cidr {
    address: IpAddr,
    length: u8,
}

impl Cidr {
    /// The prefix of `length` bits around `address`; host bits are cleared. `None` when the length is
    /// longer than the address.
    pub fn new(address: IpAddr, length: u8) -> Option<Self> {
        let address = match address {
            IpAddr::V4(v4) if length <= 32 => IpAddr::V4(Ipv4Addr::from_bits(v4.to_bits() & mask_v4(length))),
            IpAddr::V6(v6) if length <= 128 => {
                let mask = if length == 0 { 0 } else { u128::MAX << (128 - u32::from(length)) };
                IpAddr::V6((v6.to_bits() & mask).into())
            }
            _ => return None,
        };
        Some(Cidr { address, length })
    }

    /// The prefix that holds `address` alone.
    pub fn host(address: IpAddr) -> Self {
        Cidr { address, length: if address.is_ipv4() { 32 } else { 128 } }
    }

    /// The first address of the prefix.
    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// The number of leading bits that are fixed.
    pub fn length(&self) -> u8 {
        self.length
    }

    /// Whether `address` lies in the prefix; an address of the other family does not.
    pub fn contains(&self, address: IpAddr) -> bool {
        Cidr::new(address, self.length).is_some_and(|c| c.address == self.address)
    }

    /// Whether every address of `other` lies in the prefix.
    pub fn covers(&self, other: &Cidr) -> bool {
        self.length <= other.length && self.contains(other.address)
    }

    /// Whether some address lies in both.
    pub fn overlaps(&self, other: &Cidr) -> bool {
        self.covers(other) || other.covers(self)
    }

    /// The same prefix as IPv4 (address, length), or the refusal of IPv6.
    pub(crate) fn v4(&self, field: &'static str) -> Result<(Ipv4Addr, u8)> {
        Ok((v4(self.address, field)?, self.length))
    }

    /// The IPv4 address `offset` places after the first one.
    pub(crate) fn nth_v4(&self, offset: u32) -> Option<Ipv4Addr> {
        let IpAddr::V4(first) = self.address else { return None };
        if u64::from(offset) >= self.size_v4() {
            return None;
        }
        Some(Ipv4Addr::from_bits(first.to_bits() + offset))
    }

    /// How many addresses an IPv4 prefix spans (0 for IPv6).
    pub(crate) fn size_v4(&self) -> u64 {
        if self.address.is_ipv4() { 1 << (32 - u32::from(self.length)) } else { 0 }
    }
}

/// The netmask of an IPv4 prefix length, in host order.
pub(crate) fn mask_v4(length: u8) -> u32 {
    if length == 0 { 0 } else { u32::MAX << (32 - u32::from(length)) }
}

/// The IPv4 address in `address`; IPv6 is refused by the name of the field it came in.
pub(crate) fn v4(address: IpAddr, field: &'static str) -> Result<Ipv4Addr> {
    match address {
        IpAddr::V4(v4) => Ok(v4),
        IpAddr::V6(v6) => Err(Error::Ipv6Unsupported { field, value: v6.to_string() }),
    }
}

// === impl Cidr ===

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.length)
    }
}

impl FromStr for Cidr {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let invalid = || Error::InvalidCidr(text.to_owned());
        let (address, length) = text.split_once('/').ok_or_else(invalid)?;
        let address: IpAddr = address.parse().map_err(|_| invalid())?;
        let length: u8 = length.parse().map_err(|_| invalid())?;
        Cidr::new(address, length).ok_or_else(invalid)
    }
}

impl TryFrom<String> for Cidr {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Cidr> for String {
    fn from(cidr: Cidr) -> String {
        cidr.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_to_canonical_form() {
        let c: Cidr = "10.42.7.9/16".parse().unwrap();
        assert_eq!(c.to_string(), "10.42.0.0/16");
        assert_eq!("fd00::1/64".parse::<Cidr>().unwrap().to_string(), "fd00::/64");
        for bad in ["10.42.0.0", "10.42.0.0/33", "x/8", "10.42.0.0/-1", "::/129"] {
            assert!(bad.parse::<Cidr>().is_err(), "{bad}");
        }
    }

    #[test]
    fn contains_and_counts() {
        let c: Cidr = "10.42.3.0/24".parse().unwrap();
        assert!(c.contains("10.42.3.255".parse().unwrap()));
        assert!(!c.contains("10.42.4.0".parse().unwrap()));
        assert!(!c.contains("::1".parse().unwrap()));
        assert_eq!(c.size_v4(), 256);
        assert_eq!(c.nth_v4(255), Some("10.42.3.255".parse().unwrap()));
        assert_eq!(c.nth_v4(256), None);
        assert!("0.0.0.0/0".parse::<Cidr>().unwrap().contains("1.2.3.4".parse().unwrap()));
    }
}
