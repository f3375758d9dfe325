//! `IntOrString` fields: a number, or a percentage of something.

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

/// The number; a percentage is of `total`, rounded up or down. What is neither counts as 0.
pub(crate) fn scaled(value: &IntOrString, total: i32, up: bool) -> i32 {
    match value {
        IntOrString::Int(number) => *number,
        IntOrString::String(text) => {
            let percent: i64 = text.strip_suffix('%').and_then(|text| text.parse().ok()).unwrap_or(0);
            let product = percent * i64::from(total);
            let number = if up { (product + 99).div_euclid(100) } else { product.div_euclid(100) };
            i32::try_from(number).unwrap_or(i32::MAX)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_round_as_told() {
        let quarter = IntOrString::String("25%".into());
        assert_eq!((scaled(&quarter, 10, true), scaled(&quarter, 10, false)), (3, 2));
        assert_eq!(scaled(&IntOrString::Int(4), 10, true), 4);
    }
}
