//! Cluster IPs: out of which blocks they are given, and which are free. An address is taken where an `IPAddress`
//! object says so, whoever made it (KEP-1880), or where a write that is under way will make one.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use cox_api::kinds::ip_address;
use cox_api::kinds::service_cidr::{self, Block};
use cox_env::Chance;
use parking_lot::Mutex;

use super::pool::draw;
use crate::db::Db;
use crate::start::DEFAULT_SERVICE_CIDR;

/// Upstream's words for an address of no block.
const MISMATCHED: &str = "the provided network does not match the current range";

/// The addresses of services, all of IPv4.
pub(super) struct Addresses {
    db: Db,
    chance: Chance,
    /// What writes under way will take.
    asked: Arc<Mutex<BTreeSet<Ipv4Addr>>>,
}

/// An address for a write under way. Drop it when the write is over: then the object says that the address is taken,
/// or nothing does.
pub(super) struct AddressClaim {
    asked: Arc<Mutex<BTreeSet<Ipv4Addr>>>,
    address: Ipv4Addr,
}

impl AddressClaim {
    pub(super) fn address(&self) -> Ipv4Addr {
        self.address
    }
}

impl Drop for AddressClaim {
    fn drop(&mut self) {
        self.asked.lock().remove(&self.address);
    }
}

impl Addresses {
    pub(super) fn new(db: Db, chance: Chance) -> Addresses {
        Addresses { db, chance, asked: Arc::default() }
    }

    /// Takes an address.
    ///
    /// # Errors
    /// Why it can't be had, in upstream's words.
    pub(super) fn take(&self, address: Ipv4Addr) -> Result<AddressClaim, String> {
        if !self.blocks().iter().any(|block| block.gives(address.into())) {
            return Err(MISMATCHED.into());
        }
        let mut asked = self.asked.lock();
        if !self.is_free(&asked, address) {
            return Err("provided IP is already allocated".into());
        }
        asked.insert(address);
        drop(asked);
        Ok(AddressClaim { asked: self.asked.clone(), address })
    }

    /// Takes any address; none where all are taken.
    pub(super) fn take_any(&self) -> Option<AddressClaim> {
        let mut asked = self.asked.lock();
        let address = self.blocks().into_iter().find_map(|block| {
            let (first, size) = span(block)?;
            let at = |offset: u32| Ipv4Addr::from(first + offset);
            draw(&self.chance, size, low_part(size), |offset| self.is_free(&asked, at(offset))).map(at)
        })?;
        asked.insert(address);
        drop(asked);
        Some(AddressClaim { asked: self.asked.clone(), address })
    }

    /// Whether a dry run may ask for an address. Upstream looks at the range alone, not at who has the address.
    ///
    /// # Errors
    /// Why not, in upstream's words.
    pub(super) fn check_dry(&self, address: Ipv4Addr) -> Result<(), String> {
        let blocks = self.blocks();
        match blocks.first() {
            _ if blocks.iter().any(|block| block.gives(address.into())) => Ok(()),
            Some(block) => Err(format!(
                "the provided IP ({address}) is not in the valid range. The range of valid IPs is {block}"
            )),
            None => Err(MISMATCHED.into()),
        }
    }

    /// The address that a dry run shows where any would do: upstream doesn't look for a free one, and shows that of
    /// the network.
    pub(super) fn any_dry(&self) -> Option<IpAddr> {
        self.blocks().first().map(|block| block.network())
    }

    fn is_free(&self, asked: &BTreeSet<Ipv4Addr>, address: Ipv4Addr) -> bool {
        !asked.contains(&address) && self.db.get(ip_address::STORE_PREFIX, "", &address.to_string()).is_none()
    }

    /// The blocks that addresses may be given out of, in the order in which they are used: the default ones first.
    fn blocks(&self) -> Vec<Block> {
        let mut objects = self.db.list(service_cidr::STORE_PREFIX, None);
        objects.sort_by_key(|object| object.name() != DEFAULT_SERVICE_CIDR);
        let values = objects.iter().map(|object| object.value()).filter(service_cidr::gives_addresses);
        values
            .flat_map(|object| service_cidr::blocks(&object))
            .filter(|block| block.network().is_ipv4())
            .collect()
    }
}

/// The first address to give, and how many there are.
fn span(block: Block) -> Option<(u32, u32)> {
    let IpAddr::V4(network) = block.network() else { return None };
    let all = u32::MAX.checked_shr(block.bits().into()).unwrap_or(0);
    Some((u32::from(network).checked_add(1)?, all.saturating_sub(1)))
}

/// How many addresses at the start of a block are kept for those who ask for one: a sixteenth, and between 16 and 256
/// (KEP-3070).
fn low_part(size: u32) -> u32 {
    (size / 16).clamp(16, 256)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_and_the_last_address_of_a_block_are_not_given() {
        let span = |text: &str| {
            span(Block::parse(text).unwrap()).map(|(first, size)| (Ipv4Addr::from(first).to_string(), size))
        };
        assert_eq!(span("10.43.0.0/24"), Some(("10.43.0.1".into(), 254)));
        assert_eq!(span("10.43.0.0/30"), Some(("10.43.0.1".into(), 2)));
        assert_eq!(span("10.43.0.0/31").unwrap().1, 0);
        assert_eq!(span("10.43.0.0/32").unwrap().1, 0);
        assert_eq!(span("0.0.0.0/0").unwrap().1, u32::MAX - 1);
        assert_eq!(span("fd00::/64"), None);
    }
}
