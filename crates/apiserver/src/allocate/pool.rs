//! A set of numbers of which each is held at most once.

use std::collections::BTreeSet;
use std::sync::Arc;

use cox_env::Chance;
use parking_lot::Mutex;

/// Numbers below `size`, each free or taken.
pub(super) struct Pool {
    size: u32,
    /// Numbers from here on are given out first, so that the low ones stay for those who ask for one.
    preferred: u32,
    chance: Chance,
    taken: Mutex<BTreeSet<u32>>,
}

/// A number that was just taken; dropping it gives it back.
pub(super) struct Claim {
    pool: Arc<Pool>,
    number: u32,
    kept: bool,
}

impl Pool {
    pub(super) fn new(size: u32, preferred: u32, chance: Chance) -> Arc<Pool> {
        Arc::new(Pool { size, preferred, chance, taken: Mutex::default() })
    }

    /// Notes a number that is taken already.
    pub(super) fn note(&self, number: u32) {
        self.taken.lock().insert(number);
    }

    /// Takes a number; none where it is taken already.
    pub(super) fn take(self: &Arc<Pool>, number: u32) -> Option<Claim> {
        (number < self.size && self.taken.lock().insert(number)).then(|| Claim {
            pool: self.clone(),
            number,
            kept: false,
        })
    }

    /// Takes any number: a random one of the preferred part, then one of the rest; none where all are taken.
    pub(super) fn take_any(self: &Arc<Pool>) -> Option<Claim> {
        let mut taken = self.taken.lock();
        let number = draw(&self.chance, self.size, self.preferred, |number| !taken.contains(&number))?;
        taken.insert(number);
        drop(taken);
        Some(Claim { pool: self.clone(), number, kept: false })
    }

    /// Gives a number back.
    pub(super) fn release(&self, number: u32) {
        self.taken.lock().remove(&number);
    }
}

/// A free number below `size`: a random one from `preferred` on, then one of the rest; none where none is free.
pub(super) fn draw(chance: &Chance, size: u32, preferred: u32, is_free: impl Fn(u32) -> bool) -> Option<u32> {
    let preferred = preferred.min(size);
    [(preferred, size), (0, preferred)].into_iter().filter(|(from, to)| from < to).find_map(|(from, to)| {
        let start = from + u32::try_from(chance.below(u64::from(to - from))).unwrap_or(0);
        // From a random place on, around the end.
        (start..to).chain(from..start).find(|&number| is_free(number))
    })
}

impl Claim {
    pub(super) fn number(&self) -> u32 {
        self.number
    }

    /// The number stays taken.
    pub(super) fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if !self.kept {
            self.pool.release(self.number);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_is_given_once_and_comes_back() {
        let pool = Pool::new(10, 4, Chance::from_seed(1));
        let first = pool.take(7).unwrap();
        assert!(pool.take(7).is_none());
        let mut claims: Vec<Claim> = std::iter::from_fn(|| pool.take_any()).collect();
        let mut numbers: Vec<u32> = claims.iter().map(Claim::number).collect();
        // The preferred ones went first.
        assert!(numbers[..5].iter().all(|&number| number >= 4), "{numbers:?}");
        numbers.sort_unstable();
        assert_eq!(numbers, [0, 1, 2, 3, 4, 5, 6, 8, 9]);
        drop(first);
        assert_eq!(pool.take_any().map(|claim| claim.number()), Some(7));
        claims.pop().unwrap().keep();
        drop(claims);
        assert_eq!(std::iter::from_fn(|| pool.take_any().map(Claim::keep)).count(), 9);
    }
}
