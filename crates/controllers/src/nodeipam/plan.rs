//! Which prefixes of the cluster's pod addresses nodes have.

use std::net::Ipv4Addr;

/// Bits of a node's prefix, as upstream's `--node-cidr-mask-size`.
const NODE_BITS: u32 = 24;

/// The prefixes of a cluster, and how many nodes say that they have each.
#[derive(Debug, Default)]
pub(crate) struct Blocks {
    first: u32,
    nodes: Vec<u32>,
}

impl Blocks {
    /// Those of `cluster`, an IPv4 prefix; none where it is too small for a node, or isn't one.
    pub(crate) fn of(cluster: &str) -> Blocks {
        let blocks = || {
            let (address, bits) = cluster.split_once('/')?;
            let (address, bits) = (address.parse::<Ipv4Addr>().ok()?, bits.parse::<u32>().ok()?);
            let count = 1usize.checked_shl(NODE_BITS.checked_sub(bits)?)?;
            Some(Blocks { first: u32::from(address) >> (32 - NODE_BITS), nodes: vec![0; count] })
        };
        blocks().unwrap_or_default()
    }

    /// A node has a prefix.
    pub(crate) fn add(&mut self, cidr: &str) {
        if let Some(nodes) = self.at(cidr) {
            *nodes += 1;
        }
    }

    /// A node has it no more.
    pub(crate) fn remove(&mut self, cidr: &str) {
        if let Some(nodes) = self.at(cidr) {
            *nodes = nodes.saturating_sub(1);
        }
    }

    /// The first that no node has.
    pub(crate) fn free(&self) -> Option<String> {
        let at = self.nodes.iter().position(|nodes| *nodes == 0)?;
        // There are at most 2^24.
        let address = (self.first + at as u32) << (32 - NODE_BITS);
        Some(format!("{}/{NODE_BITS}", Ipv4Addr::from(address)))
    }

    /// A prefix's count; none where it isn't one of these.
    fn at(&mut self, cidr: &str) -> Option<&mut u32> {
        let (address, bits) = cidr.split_once('/')?;
        if bits.parse() != Ok(NODE_BITS) {
            return None;
        }
        let block = u32::from(address.parse::<Ipv4Addr>().ok()?) >> (32 - NODE_BITS);
        self.nodes.get_mut(block.checked_sub(self.first)? as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::Blocks;

    fn free(cluster: &str, used: &[&str]) -> Option<String> {
        let mut blocks = Blocks::of(cluster);
        used.iter().for_each(|cidr| blocks.add(cidr));
        blocks.free()
    }

    #[test]
    fn the_first_free_one() {
        assert_eq!(free("10.42.0.0/16", &[]).as_deref(), Some("10.42.0.0/24"));
        assert_eq!(free("10.42.0.0/16", &["10.42.0.0/24", "10.42.2.0/24"]).as_deref(), Some("10.42.1.0/24"));
        assert_eq!(
            free("10.42.0.0/16", &["10.43.0.0/24", "10.42.0.0/25", "x"]).as_deref(),
            Some("10.42.0.0/24")
        );
        assert_eq!(free("10.42.0.0/24", &["10.42.0.0/24"]), None);
        assert_eq!(free("10.42.0.0/25", &[]), None);
    }

    #[test]
    fn what_two_had_is_free_when_both_are_gone() {
        let mut blocks = Blocks::of("10.42.0.0/24");
        blocks.add("10.42.0.0/24");
        blocks.add("10.42.0.0/24");
        blocks.remove("10.42.0.0/24");
        assert_eq!(blocks.free(), None);
        blocks.remove("10.42.0.0/24");
        assert_eq!(blocks.free().as_deref(), Some("10.42.0.0/24"));
    }
}
