//! Numbers of requests, as the header `Audit-Id` shows them.

use std::sync::atomic::{AtomicU64, Ordering};

use cox_env::Chance;

/// Makes random (version 4) UUIDs without a lock: a counter, mixed with what was drawn at start. They tell requests
/// apart; nothing is kept secret by them.
pub(crate) struct Ids {
    start: [u64; 2],
    next: AtomicU64,
}

impl Ids {
    pub(crate) fn new(chance: &Chance) -> Ids {
        Ids { start: [chance.below(u64::MAX), chance.below(u64::MAX)], next: AtomicU64::new(0) }
    }

    /// The next one, as text.
    pub(crate) fn next(&self) -> [u8; 36] {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let halves =
            self.start.map(|start| mix(start.wrapping_add(number.wrapping_mul(0x9e37_79b9_7f4a_7c15))));
        let mut bytes = (u128::from(halves[0]) << 64 | u128::from(halves[1])).to_be_bytes();
        bytes[6] = bytes[6] & 0x0f | 0x40;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        let mut text = [b'-'; 36];
        let mut at = 0;
        for (number, byte) in bytes.into_iter().enumerate() {
            if matches!(number, 4 | 6 | 8 | 10) {
                at += 1;
            }
            text[at] = b"0123456789abcdef"[usize::from(byte >> 4)];
            text[at + 1] = b"0123456789abcdef"[usize::from(byte & 15)];
            at += 2;
        }
        text
    }
}

/// Spreads the bits of a number over all of it. Source: SplitMix64, <https://doi.org/10.1145/2714064.2660195>
fn mix(mut number: u64) -> u64 {
    number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_uuids_and_none_comes_twice() {
        let ids = Ids::new(&Chance::from_seed(3));
        let all: std::collections::HashSet<String> =
            (0..10_000).map(|_| String::from_utf8(ids.next().to_vec()).unwrap()).collect();
        assert_eq!(all.len(), 10_000);
        for id in all {
            assert_eq!(id.len(), 36);
            assert!(
                id.as_bytes()[14] == b'4' && matches!(id.as_bytes()[19], b'8' | b'9' | b'a' | b'b'),
                "{id}"
            );
            assert!(id.split('-').map(str::len).eq([8, 4, 4, 4, 12]), "{id}");
        }
    }
}
