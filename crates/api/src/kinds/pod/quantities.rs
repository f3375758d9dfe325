//! Arithmetic on resource lists, whose values are quantities as texts in canonical form.

use std::collections::BTreeMap;

use serde_json::Value;

use super::spec_defaults::restarts_always;
use crate::kinds::common::walk::{get, list, map};

/// A billionth: the finest that a quantity can be.
const NANO: i128 = 1_000_000_000;

/// A quantity in billionths, saturating; 0 where it is none (the schema has checked it before).
pub fn nanos(value: &Value) -> i128 {
    value.as_str().map_or_else(|| value.as_i64().map_or(0, |n| i128::from(n) * NANO), nanos_of)
}

/// A quantity's text in billionths.
pub fn nanos_of(text: &str) -> i128 {
    let digits = text.bytes().take_while(|b| b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'+')).count();
    let (number, suffix) = text.split_at(digits);
    let (negative, number) = match number.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, number.strip_prefix('+').unwrap_or(number)),
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let mut mantissa: i128 = 0;
    for digit in whole.bytes().chain(fraction.bytes()) {
        mantissa = mantissa.saturating_mul(10).saturating_add(i128::from(digit.wrapping_sub(b'0')));
    }
    let scale = -i32::try_from(fraction.len()).unwrap_or(i32::MAX);
    let amount = match binary_shift(suffix) {
        Some(shift) => scaled(mantissa.saturating_mul(1 << shift), 9 + scale),
        None => scaled(mantissa, 9 + scale + decimal_exponent(suffix)),
    };
    if negative { -amount } else { amount }
}

fn binary_shift(suffix: &str) -> Option<u32> {
    let at = ["Ki", "Mi", "Gi", "Ti", "Pi", "Ei"].iter().position(|known| *known == suffix)?;
    u32::try_from(at).ok().map(|at| (at + 1) * 10)
}

fn decimal_exponent(suffix: &str) -> i32 {
    match suffix {
        "" => 0,
        "n" => -9,
        "u" => -6,
        "m" => -3,
        "k" => 3,
        "M" => 6,
        "G" => 9,
        "T" => 12,
        "P" => 15,
        "E" => 18,
        other => other[1..].parse().unwrap_or(0),
    }
}

/// `mantissa * 10^exponent`, rounded up away from zero, saturating.
fn scaled(mantissa: i128, exponent: i32) -> i128 {
    let power = |exponent: u32| 10_i128.checked_pow(exponent).unwrap_or(i128::MAX);
    if exponent >= 0 {
        mantissa.saturating_mul(power(exponent.unsigned_abs()))
    } else {
        let divisor = power(exponent.unsigned_abs());
        mantissa / divisor + i128::from(mantissa % divisor != 0)
    }
}

/// Whether the amount is a whole number.
pub fn is_whole(nanos: i128) -> bool {
    nanos % NANO == 0
}

/// An amount as a quantity in canonical form; `like` says by its suffix whether binary or decimal.
pub fn show(nanos: i128, like: &str) -> String {
    let sign = if nanos < 0 { "-" } else { "" };
    let amount = nanos.unsigned_abs();
    let nano = NANO.unsigned_abs();
    if like.ends_with('i') && amount.is_multiple_of(nano) {
        let mut whole = amount / nano;
        let mut unit = 0;
        while whole != 0 && whole.is_multiple_of(1024) && unit < 6 {
            whole /= 1024;
            unit += 1;
        }
        return format!("{sign}{whole}{}", ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"][unit]);
    }
    let mut number = amount;
    let mut unit = 0;
    while number != 0 && number.is_multiple_of(1000) && unit < 9 {
        number /= 1000;
        unit += 1;
    }
    if number == 0 {
        return "0".to_owned();
    }
    format!("{sign}{number}{}", ["n", "u", "m", "", "k", "M", "G", "T", "P", "E"][unit])
}

/// Rounds what is finer than a thousandth up to one.
pub fn round_up(list: &mut Value) {
    let Some(list) = list.as_object_mut() else { return };
    for quantity in list.values_mut() {
        let Some(text) = quantity.as_str() else { continue };
        if !text.ends_with(['n', 'u']) {
            continue;
        }
        let milli = NANO / 1000;
        let amount = nanos_of(text);
        let up = amount.div_euclid(milli) + i128::from(amount.rem_euclid(milli) != 0);
        *quantity = show(up * milli, "m").into();
    }
}

/// What the containers of a pod ask for together: containers and sidecars at once, and each plain init
/// container beside the sidecars before it. `key` is `requests` or `limits`.
pub fn aggregate(spec: &Value, key: &str) -> BTreeMap<String, Value> {
    let mut sums: BTreeMap<&str, Sum<'_>> = BTreeMap::new();
    for container in list(spec, "containers") {
        add(&mut sums, container, key);
    }
    let mut sidecars: BTreeMap<&str, Sum<'_>> = BTreeMap::new();
    let mut peaks: BTreeMap<&str, Sum<'_>> = BTreeMap::new();
    for container in list(spec, "initContainers") {
        if restarts_always(container) {
            add(&mut sums, container, key);
            add(&mut sidecars, container, key);
            raise(&mut peaks, &sidecars);
        } else {
            let mut here = sidecars.clone();
            add(&mut here, container, key);
            raise(&mut peaks, &here);
        }
    }
    raise(&mut sums, &peaks);
    sums.into_iter().map(|(name, sum)| (name.to_owned(), show(sum.nanos, sum.like).into())).collect()
}

#[derive(Clone, Copy)]
struct Sum<'a> {
    nanos: i128,
    like: &'a str,
}

fn add<'a>(sums: &mut BTreeMap<&'a str, Sum<'a>>, container: &'a Value, key: &str) {
    let Some(resources) = get(container, "resources") else { return };
    for (name, quantity) in map(resources, key) {
        let like = quantity.as_str().unwrap_or_default();
        let sum = sums.entry(name).or_insert(Sum { nanos: 0, like });
        if sum.nanos == 0 {
            sum.like = like;
        }
        sum.nanos = sum.nanos.saturating_add(nanos(quantity));
    }
}

fn raise<'a>(sums: &mut BTreeMap<&'a str, Sum<'a>>, floor: &BTreeMap<&'a str, Sum<'a>>) {
    for (name, sum) in floor {
        let known = sums.entry(name).or_insert(*sum);
        if sum.nanos > known.nanos {
            *known = *sum;
        }
    }
}

/// Whether a resource may be set for the pod as a whole.
pub fn is_pod_level(name: &str) -> bool {
    matches!(name, "cpu" | "memory") || name.starts_with("hugepages-")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn amounts_are_read_and_written() {
        for (text, amount) in [
            ("0", 0),
            ("1", NANO),
            ("100m", NANO / 10),
            ("100u", NANO / 10_000),
            ("1Ki", 1024 * NANO),
            ("-5Mi", -5 * 1024 * 1024 * NANO),
            ("1e3", 1000 * NANO),
            ("1.5", NANO * 3 / 2),
            ("1E", 1_000_000_000_000_000_000 * NANO),
        ] {
            assert_eq!(nanos_of(text), amount, "{text}");
        }
        assert_eq!(show(1400 * NANO / 1000, "m"), "1400m");
        assert_eq!(show(2048 * NANO, "1Ki"), "2Ki");
        assert_eq!(show(2048 * NANO, "1"), "2048");
        assert_eq!(show(0, "1Ki"), "0");
    }

    #[test]
    fn nothing_is_finer_than_a_thousandth() {
        let mut list = json!({"cpu": "100u", "memory": "400m", "x": "1500u"});
        round_up(&mut list);
        assert_eq!(list, json!({"cpu": "1m", "memory": "400m", "x": "2m"}));
    }

    #[test]
    fn sidecars_run_beside_and_init_containers_before() {
        let cpu = |text: &str| json!({"requests": {"cpu": text}});
        let spec = json!({"containers": [{"resources": cpu("700m")}, {"resources": cpu("700m")}],
            "initContainers": [{"resources": cpu("2")}, {"restartPolicy": "Always", "resources": cpu("1")},
                {"resources": cpu("1500m")}]});
        assert_eq!(aggregate(&spec, "requests").get("cpu"), Some(&json!("2500m")));
    }
}
