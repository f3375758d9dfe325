//! The first prefix that no node has.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

/// Bits of a node's prefix, as upstream's `--node-cidr-mask-size`.
const NODE_BITS: u32 = 24;

/// The first free prefix of a node in `cluster` (an IPv4 prefix), if there is one.
pub(crate) fn free(cluster: &str, used: &BTreeSet<String>) -> Option<String> {
    let (address, bits) = cluster.split_once('/')?;
    let (address, bits) = (address.parse::<Ipv4Addr>().ok()?, bits.parse::<u32>().ok()?);
    let nodes = 1u32.checked_shl(NODE_BITS.checked_sub(bits)?)?;
    (0..nodes)
        .map(|node| format!("{}/{NODE_BITS}", Ipv4Addr::from(u32::from(address) + (node << (32 - NODE_BITS)))))
        .find(|cidr| !used.contains(cidr))
}

#[cfg(test)]
mod tests {
    use super::free;

    #[test]
    fn the_first_free_one() {
        let used = |list: &[&str]| list.iter().map(|cidr| (*cidr).to_owned()).collect();
        assert_eq!(free("10.42.0.0/16", &used(&[])).as_deref(), Some("10.42.0.0/24"));
        assert_eq!(free("10.42.0.0/16", &used(&["10.42.0.0/24", "10.42.2.0/24"])).as_deref(), Some("10.42.1.0/24"));
        assert_eq!(free("10.42.0.0/24", &used(&["10.42.0.0/24"])), None);
        assert_eq!(free("10.42.0.0/25", &used(&[])), None);
    }
}
