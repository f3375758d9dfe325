//! How the server's seats are divided among the levels.
//! Source: KEP-1040, "Dispatching": NominalCL, LendableCL, BorrowingCL, and the periodic adjustment to the demand.

/// What a level's object says of its seats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shares {
    /// `nominalConcurrencyShares`.
    pub(super) nominal: u32,
    /// How many percent of its seats others may have.
    pub(super) lendable_percent: u32,
    /// How many percent more than its seats it may have; any number where it doesn't say.
    pub(super) borrowing_percent: Option<u32>,
}

/// Between what a level's seats vary.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Bounds {
    /// Its own.
    pub(super) nominal: usize,
    /// When all is lent that may be.
    pub(super) min: usize,
    /// When as much is borrowed as may be.
    pub(super) max: usize,
}

/// The bounds of a level, where all shares together are `sum` and the server has `total` seats. Numbers are rounded up,
/// so that together they may be a little more than the total.
pub(super) fn bounds(shares: Shares, sum: u64, total: usize) -> Bounds {
    let of = |percent: u32, nominal: usize| (nominal as f64 * f64::from(percent) / 100.0).round() as usize;
    let nominal =
        if sum == 0 { 0 } else { (total as f64 * f64::from(shares.nominal) / sum as f64).ceil() as usize };
    let borrowed = shares.borrowing_percent.map_or(total, |percent| of(percent, nominal));
    Bounds {
        nominal,
        min: nominal - of(shares.lendable_percent, nominal).min(nominal),
        max: nominal + borrowed,
    }
}

/// A level in the division of seats.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wish {
    /// What it is not to fall below.
    pub(super) low: f64,
    /// What it is not to rise above.
    pub(super) high: f64,
    /// In what proportion to others it gets what is between; not below `low`.
    pub(super) target: f64,
}

/// Nobody's target is below it: nothing is in no proportion.
const TARGET_MIN: f64 = 0.001;

/// Divides seats: everybody gets the same proportion of their target, within their bounds, and all together `total`.
/// None where the bounds don't allow for that.
pub(super) fn divide(total: usize, wishes: &[Wish]) -> Option<Vec<f64>> {
    const TOLERANCE: f64 = 1e-7;
    let total = total as f64;
    let at = |proportion: f64| {
        wishes.iter().map(move |wish| (proportion * wish.target.max(TARGET_MIN)).clamp(wish.low, wish.high))
    };
    let lows: f64 = wishes.iter().map(|wish| wish.low).sum();
    let highs: f64 = wishes.iter().map(|wish| wish.high).sum();
    if lows > total + TOLERANCE || highs < total - TOLERANCE {
        return None;
    }
    // The sum rises with the proportion: it is found by halving.
    let most = wishes.iter().map(|wish| wish.high / wish.target.max(TARGET_MIN)).fold(0.0, f64::max);
    let (mut low, mut high) = (0.0, most);
    for _ in 0..100 {
        let middle = (low + high) / 2.0;
        if at(middle).sum::<f64>() < total { low = middle } else { high = middle }
    }
    Some(at(high).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn bounds_are_upstreams() {
        // Upstream's levels with its limits of 400 and 200.
        let of = |nominal, lendable_percent| {
            let bounds = bounds(Shares { nominal, lendable_percent, borrowing_percent: None }, 245, 600);
            (bounds.nominal, bounds.min, bounds.max)
        };
        assert_eq!(of(100, 90), (245, 24, 845));
        assert_eq!(of(30, 33), (74, 50, 674));
        assert_eq!(of(5, 0), (13, 13, 613));
        assert_eq!(of(0, 0), (0, 0, 600));
        let fixed = Shares { nominal: 1, lendable_percent: 100, borrowing_percent: Some(50) };
        assert_eq!(bounds(fixed, 3, 10), Bounds { nominal: 4, min: 0, max: 6 });
        assert_eq!(bounds(Shares { nominal: 0, ..fixed }, 0, 10), Bounds::default());
    }

    #[test]
    fn the_busy_get_what_the_idle_lend() {
        let wish = |low: f64, high: f64, target: f64| Wish { low, high, target };
        // Two idle levels of 50 that lend half of it, a busy one that borrows without bounds.
        let divided =
            divide(150, &[wish(25.0, 200.0, 25.0), wish(25.0, 200.0, 25.0), wish(50.0, 200.0, 400.0)]);
        let divided = divided.unwrap();
        assert!((divided[0] - 25.0).abs() < 1e-6 && (divided[2] - 100.0).abs() < 1e-6, "{divided:?}");
        // One that may not borrow gets no more than its own.
        let divided = divide(100, &[wish(25.0, 150.0, 25.0), wish(50.0, 50.0, 400.0)]).unwrap();
        assert!((divided[0] - 50.0).abs() < 1e-6 && (divided[1] - 50.0).abs() < 1e-6, "{divided:?}");
        assert_eq!(divide(10, &[wish(11.0, 20.0, 11.0)]), None);
        assert_eq!(divide(10, &[wish(0.0, 9.0, 1.0)]), None);
    }

    proptest! {
        #[test]
        fn within_bounds_and_all_of_it(
            levels in prop::collection::vec((0_u32..200, 0_u32..=100, prop::option::of(0_u32..300), 0.0_f64..500.0), 1..12),
            total in 1_usize..1000,
        ) {
            let sum: u64 = levels.iter().map(|level| u64::from(level.0)).sum();
            let wishes: Vec<(Bounds, Wish)> = levels.iter().map(|&(nominal, lendable_percent, borrowing_percent, demand)| {
                let bounds = bounds(Shares { nominal, lendable_percent, borrowing_percent }, sum, total);
                let low = (bounds.min as f64).max(demand.min(bounds.nominal as f64));
                (bounds, Wish { low, high: bounds.max as f64, target: low.max(demand) })
            }).collect();
            let whole: usize = wishes.iter().map(|(bounds, _)| bounds.nominal).sum();
            let only: Vec<Wish> = wishes.iter().map(|(_, wish)| *wish).collect();
            let divided = divide(whole, &only).unwrap();
            for (seats, (bounds, wish)) in divided.iter().zip(&wishes) {
                prop_assert!(*seats >= wish.low - 1e-6 && *seats <= wish.high + 1e-6);
                prop_assert!(*seats >= bounds.min as f64 - 1e-6);
            }
            prop_assert!((divided.iter().sum::<f64>() - whole as f64).abs() < 1e-3);
        }
    }
}
