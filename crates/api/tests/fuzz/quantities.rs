//! Quantities: as exact numbers, against arithmetic on digits.

use std::cmp::Ordering;

use cox_api::quantity::{Format, Quantity, canonical};
use proptest::prelude::*;

use crate::choices::cases;

/// A quantity's number as `digits * 10^-9`, rounded away from zero as quantities are, and none where it takes more
/// than 128 bits.
fn nanos(whole: u64, fraction: &str, suffix: &str, negative: bool) -> Option<i128> {
    let mut digits = i128::from(whole);
    for digit in fraction.bytes() {
        digits = digits.checked_mul(10)?.checked_add(i128::from(digit - b'0'))?;
    }
    let mut power = 9 - i32::try_from(fraction.len()).ok()?;
    if let Some(binary) = ["Ki", "Mi", "Gi", "Ti", "Pi", "Ei"].iter().position(|known| *known == suffix) {
        digits = digits.checked_mul(1 << (10 * (binary + 1)))?;
    } else if let Some(exponent) = suffix.strip_prefix('e') {
        power += exponent.parse::<i32>().ok()?;
    } else {
        power += [("n", -9), ("u", -6), ("m", -3), ("", 0), ("k", 3), ("M", 6), ("G", 9), ("T", 12)]
            .iter()
            .find(|(known, _)| *known == suffix)?
            .1;
    }
    let exact = if power >= 0 {
        digits.checked_mul(10i128.checked_pow(power.unsigned_abs())?)?
    } else {
        let divisor = 10i128.checked_pow(power.unsigned_abs())?;
        digits / divisor + i128::from(digits % divisor != 0)
    };
    Some(if negative { -exact } else { exact })
}

prop_compose! {
    fn number()(
        // Small enough that binary ones stay below the cap of 64 bits.
        whole in prop_oneof![0u64..2000, 0u64..1 << 22],
        fraction in "[0-9]{0,12}",
        suffix in prop::sample::select(vec![
            "", "n", "u", "m", "k", "M", "G", "T", "Ki", "Mi", "Gi", "Ti", "e0", "e3", "e-5", "e8",
        ]),
        negative in any::<bool>(),
    ) -> (String, i128) {
        let sign = if negative { "-" } else { "" };
        (format!("{sign}{whole}.{fraction}{suffix}"), nanos(whole, &fraction, suffix, negative).expect("small"))
    }
}

proptest! {
    #![proptest_config(cases(2000))]

    #[test]
    fn they_compare_as_exact_numbers((a, exact_a) in number(), (b, exact_b) in number()) {
        let (parsed_a, parsed_b): (Quantity, Quantity) = (a.parse().unwrap(), b.parse().unwrap());
        prop_assert_eq!(parsed_a.cmp(&parsed_b), exact_a.cmp(&exact_b), "{} {}", a, b);
        prop_assert_eq!(parsed_a == parsed_b, exact_a == exact_b, "{} {}", a, b);
        prop_assert_eq!(i128::from(parsed_a.sign()), exact_a.signum());
        let sum = parsed_a.plus(parsed_b);
        let unit: Quantity = format!("{}n", exact_a + exact_b).parse().unwrap();
        prop_assert_eq!(sum.cmp(&unit), Ordering::Equal, "{} + {} = {}", a, b, sum);
        prop_assert_eq!(sum.minus(parsed_b).cmp(&parsed_a), Ordering::Equal);
    }

    #[test]
    fn they_round_trip((text, _) in number()) {
        let parsed: Quantity = text.parse().unwrap();
        let shown = parsed.to_string();
        prop_assert_eq!(shown.parse::<Quantity>().unwrap(), parsed, "{} {}", text, shown);
        prop_assert_eq!(canonical(&shown).ok(), Some(shown), "{}", text);
    }

    #[test]
    fn whatever_the_text_nothing_breaks(
        text in prop_oneof![
            "[-+]?[0-9.]{0,6}[eE][-+]?[0-9]{1,12}",
            "[-+]?[0-9.]{0,45}(n|u|m|k|M|E|Ki|Ei|e[0-9]{1,3})?",
            "[-+eEKMGinumk0-9. ]{0,10}",
            ".{0,12}",
        ],
        other in "[-+]?[0-9]{1,4}[eE][-+]?[0-9]{1,12}",
    ) {
        let Ok(parsed) = text.parse::<Quantity>() else { return Ok(()) };
        let shown = parsed.to_string();
        prop_assert_eq!(shown.parse::<Quantity>().ok(), Some(parsed), "{} {}", text, shown);
        let _ = (parsed.value(), parsed.milli_value(), parsed.scaled(-9), parsed.scaled(18), parsed.as_f64());
        let _ = (parsed.round_up(0), parsed.round_up(18), parsed.sign(), parsed.is_zero());
        if let Ok(other) = other.parse::<Quantity>() {
            let _ = (parsed.cmp(&other), parsed == other, parsed.plus(other), parsed.minus(other));
        }
    }
}

#[test]
fn the_far_ends() {
    for text in [
        "1e2147483647",
        "-1e2147483647",
        "10e2147483647",
        "1e2147483646",
        "1e-2147483648",
        "0e2147483647",
        "170141183460469231731687303715884105727",
        "-170141183460469231731687303715884105727",
        "1e38",
        "9e37",
    ] {
        let Ok(parsed) = text.parse::<Quantity>() else { continue };
        assert_eq!(parsed.to_string().parse(), Ok(parsed), "{text}");
        let _ = (parsed.value(), parsed.milli_value(), parsed.round_up(9), parsed.as_f64());
        for other in ["1", "1n", "-1", "1Ei", "1e2147483647", "1e-9"] {
            let Ok(other) = other.parse::<Quantity>() else { continue };
            assert_eq!(parsed.cmp(&other), other.cmp(&parsed).reverse(), "{text}");
            let _ = (parsed.plus(other), parsed.minus(other), other.minus(parsed));
        }
    }
    assert_eq!("1Ki".parse::<Quantity>().map(Quantity::format), Ok(Format::BinarySi));
}
