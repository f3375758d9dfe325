//! The one generator of a world, and the names drawn from it.

use std::sync::Arc;

use parking_lot::Mutex;
use rand::rngs::SmallRng;
use rand::{Rng, RngCore, SeedableRng};

/// The alphabet of generated names: no vowels and no look-alikes, as upstream's `rand.String`.
const NAME_ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";

/// A shared generator. Not for secrets: keys come from the TLS library's own generator.
#[derive(Clone)]
pub struct Chance(Arc<Mutex<SmallRng>>);

impl Chance {
    /// Seeded by the operating system.
    pub fn from_os() -> Self {
        Chance(Arc::new(Mutex::new(SmallRng::from_os_rng())))
    }

    /// The same seed draws the same numbers.
    pub fn from_seed(seed: u64) -> Self {
        Chance(Arc::new(Mutex::new(SmallRng::seed_from_u64(seed))))
    }

    /// A random (version 4) UUID for `metadata.uid`.
    pub fn uid(&self) -> String {
        let mut b = [0u8; 16];
        self.0.lock().fill_bytes(&mut b);
        b[6] = (b[6] & 0x0f) | 0x40;
        b[8] = (b[8] & 0x3f) | 0x80;
        let mut s = String::with_capacity(36);
        for (i, byte) in b.iter().enumerate() {
            if matches!(i, 4 | 6 | 8 | 10) {
                s.push('-');
            }
            s.push(char::from(b"0123456789abcdef"[usize::from(byte >> 4)]));
            s.push(char::from(b"0123456789abcdef"[usize::from(byte & 15)]));
        }
        s
    }

    /// `length` characters for the end of a generated name (`generateName` uses 5).
    pub fn suffix(&self, length: usize) -> String {
        let mut rng = self.0.lock();
        (0..length).map(|_| char::from(NAME_ALPHABET[rng.random_range(0..NAME_ALPHABET.len())])).collect()
    }

    /// A number below `end`, which must not be 0.
    pub fn below(&self, end: u64) -> u64 {
        assert!(end > 0, "there is no number below 0");
        self.0.lock().random_range(0..end)
    }

    /// A fraction in `0.0..1.0`.
    pub fn fraction(&self) -> f64 {
        self.0.lock().random()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_replays() {
        let (a, b) = (Chance::from_seed(7), Chance::from_seed(7));
        assert_eq!((a.uid(), a.suffix(5), a.below(100)), (b.uid(), b.suffix(5), b.below(100)));
        assert_ne!(a.uid(), a.uid());
    }

    #[test]
    fn uids_are_version_4() {
        let uid = Chance::from_seed(1).uid();
        assert_eq!(uid.len(), 36);
        assert_eq!(&uid[14..15], "4");
        assert!(matches!(&uid[19..20], "8" | "9" | "a" | "b"));
    }
}
