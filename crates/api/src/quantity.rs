//! Quantities (`resource.Quantity`): decimal and binary numbers with suffixes, kept exactly.
//! Source: <https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/>

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

/// How a quantity is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `12e6`.
    DecimalExponent,
    /// `12M`.
    DecimalSi,
    /// `12Mi`.
    BinarySi,
}

/// Why a text is no quantity, in upstream's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuantityError {
    /// The text has another form.
    #[error("quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'")]
    Format,
    /// The number can't be held.
    #[error("unable to parse numeric part of quantity")]
    Number,
    /// The suffix is unknown.
    #[error("unable to parse quantity's suffix")]
    Suffix,
}

/// A number with the form it is written in: `mantissa * 10^exponent`, the exponent -9 at least (nano).
/// Mantissas have up to 38 digits; more are an error, where upstream would compute on.
#[derive(Clone, Copy, Debug)]
pub struct Quantity {
    mantissa: i128,
    exponent: i32,
    format: Format,
}

const NANO: i32 = -9;
/// Larger exponents are refused: nothing is counted in such numbers, and upstream would write them out.
const EXPONENT_MAX: i32 = 10_000;
const DECIMAL: [(&str, i32); 10] =
    [("n", -9), ("u", -6), ("m", -3), ("", 0), ("k", 3), ("M", 6), ("G", 9), ("T", 12), ("P", 15), ("E", 18)];
const BINARY: [&str; 7] = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];

/// The text as upstream would write it back.
///
/// # Errors
/// Where it is no quantity.
pub fn canonical(text: &str) -> Result<String, QuantityError> {
    Ok(text.parse::<Quantity>()?.to_string())
}

impl Quantity {
    /// Nothing.
    pub const ZERO: Quantity = Quantity { mantissa: 0, exponent: 0, format: Format::DecimalSi };

    /// A whole number.
    pub const fn new(value: i64, format: Format) -> Quantity {
        Quantity { mantissa: value as i128, exponent: 0, format }
    }

    /// A number of thousandths.
    pub const fn from_milli(value: i64, format: Format) -> Quantity {
        Quantity { mantissa: value as i128, exponent: -3, format }
    }

    /// How it is written.
    pub fn format(self) -> Format {
        self.format
    }

    /// Whether it is nothing.
    pub fn is_zero(self) -> bool {
        self.mantissa == 0
    }

    /// -1, 0 or 1.
    pub fn sign(self) -> i32 {
        self.mantissa.signum() as i32
    }

    /// The whole number, rounded up (away from zero), at most what 64 bits hold.
    pub fn value(self) -> i64 {
        self.scaled(0)
    }

    /// The number of thousandths, rounded up (away from zero), at most what 64 bits hold.
    pub fn milli_value(self) -> i64 {
        self.scaled(-3)
    }

    /// The number of `10^scale`, rounded up (away from zero), at most what 64 bits hold.
    pub fn scaled(self, scale: i32) -> i64 {
        let (mantissa, _) = self.at_scale(scale);
        i64::try_from(mantissa).unwrap_or(if mantissa < 0 { i64::MIN } else { i64::MAX })
    }

    /// Rounded up (away from zero) to multiples of `10^scale`.
    pub fn round_up(self, scale: i32) -> Quantity {
        if self.exponent >= scale {
            return self;
        }
        Quantity { mantissa: self.at_scale(scale).0, exponent: scale, format: self.format }
    }

    /// The number, as near as 64 bits of floating point get.
    pub fn as_f64(self) -> f64 {
        self.mantissa as f64 * 10f64.powi(self.exponent)
    }

    /// The mantissa at another exponent, rounded away from zero and saturated, and whether that was exact.
    fn at_scale(self, scale: i32) -> (i128, bool) {
        if self.mantissa == 0 {
            return (0, true);
        }
        let saturated = if self.mantissa < 0 { i128::MIN } else { i128::MAX };
        match u32::try_from(self.exponent - scale) {
            Ok(up) => match 10i128.checked_pow(up).and_then(|factor| self.mantissa.checked_mul(factor)) {
                Some(mantissa) => (mantissa, true),
                None => (saturated, false),
            },
            Err(_) => match 10i128.checked_pow(scale.abs_diff(self.exponent)) {
                Some(divisor) => {
                    let (whole, rest) = (self.mantissa / divisor, self.mantissa % divisor);
                    (whole + rest.signum(), rest == 0)
                }
                None => (self.mantissa.signum(), false),
            },
        }
    }

    /// The sum. It is written like `self`, or like `other` where `self` is nothing.
    #[must_use]
    pub fn plus(self, other: Quantity) -> Quantity {
        let mut exponent = self.exponent.min(other.exponent);
        let mut terms = (self.at_scale(exponent), other.at_scale(exponent));
        if let ((_, false), _) | (_, (_, false)) = terms {
            // Too far apart to be written out: the digits of the larger one count.
            exponent = self.exponent.max(other.exponent);
            terms = (self.at_scale(exponent), other.at_scale(exponent));
        }
        let mantissa = terms.0.0.saturating_add(terms.1.0);
        let format = if self.is_zero() { other.format } else { self.format };
        Quantity { mantissa, exponent, format }
    }

    /// The difference. It is written like `self`, or like `other` where `self` is nothing.
    #[must_use]
    pub fn minus(self, other: Quantity) -> Quantity {
        self.plus(Quantity { mantissa: other.mantissa.saturating_neg(), ..other })
    }

    /// The same number and form, without zeros at the mantissa's end.
    fn reduced(self) -> (i128, i32) {
        let (mut mantissa, mut exponent) = (self.mantissa, self.exponent);
        while mantissa != 0 && mantissa % 10 == 0 {
            mantissa /= 10;
            exponent += 1;
        }
        (mantissa, if mantissa == 0 { 0 } else { exponent })
    }
}

// === impl FromStr ===

struct Parts<'a> {
    negative: bool,
    digits: &'a str,
    fraction: &'a str,
    suffix: &'a str,
}

fn split(text: &str) -> Result<Parts<'_>, QuantityError> {
    let (negative, rest) = match text.as_bytes().first() {
        None => return Err(QuantityError::Format),
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        Some(_) => (false, text),
    };
    let digits_end = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let (digits, rest) = rest.split_at(digits_end(rest));
    let (fraction, suffix) = match rest.strip_prefix('.') {
        Some(rest) => rest.split_at(digits_end(rest)),
        None => ("", rest),
    };
    let letters = suffix.bytes().take_while(|letter| b"eEinumkKMGTP".contains(letter)).count();
    let exponent = &suffix[letters..];
    let exponent = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
    if !exponent.bytes().all(|digit| digit.is_ascii_digit()) {
        return Err(QuantityError::Format);
    }
    Ok(Parts { negative, digits, fraction, suffix })
}

fn interpret(suffix: &str) -> Result<(Format, i32), QuantityError> {
    if let Some((_, exponent)) = DECIMAL.iter().find(|(known, _)| *known == suffix) {
        return Ok((Format::DecimalSi, *exponent));
    }
    if let Some(at) = BINARY.iter().position(|known| *known == suffix) {
        return Ok((Format::BinarySi, at as i32 * 10));
    }
    let exponent = suffix.strip_prefix(['e', 'E']).ok_or(QuantityError::Suffix)?;
    let exponent = exponent.parse::<i64>().map_err(|_| QuantityError::Suffix)?;
    Ok((Format::DecimalExponent, i32::try_from(exponent).map_err(|_| QuantityError::Suffix)?))
}

impl FromStr for Quantity {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Quantity, QuantityError> {
        let parts = split(text.trim())?;
        let (mut format, exponent) = interpret(parts.suffix)?;
        let digits = parts.digits.trim_start_matches('0');
        let fraction = parts.fraction.trim_end_matches('0');
        let mut mantissa: i128 = 0;
        for digit in digits.bytes().chain(fraction.bytes()) {
            mantissa = mantissa
                .checked_mul(10)
                .and_then(|mantissa| mantissa.checked_add(i128::from(digit - b'0')))
                .ok_or(QuantityError::Number)?;
        }
        let mut decimal = -i32::try_from(fraction.len()).map_err(|_| QuantityError::Number)?;
        if format == Format::BinarySi {
            mantissa = mantissa.checked_mul(1i128 << exponent).ok_or(QuantityError::Number)?;
        } else {
            decimal = decimal.saturating_add(exponent);
            if decimal > EXPONENT_MAX && mantissa != 0 {
                return Err(QuantityError::Number);
            }
        }
        let mut parsed = Quantity { mantissa, exponent: decimal, format };
        if parsed.is_zero() {
            return Ok(Quantity { mantissa: 0, exponent: 0, format });
        }
        // Whoever asks for something gets something: never rounded down to nothing.
        parsed = parsed.round_up(NANO);
        if format == Format::BinarySi {
            if parsed > Quantity::new(i64::MAX, format) {
                parsed = Quantity::new(i64::MAX, format);
            }
            if parsed < Quantity::new(1, format) {
                format = Format::DecimalSi;
            }
        }
        let mantissa = if parts.negative { -parsed.mantissa } else { parsed.mantissa };
        Ok(Quantity { mantissa, exponent: parsed.exponent, format })
    }
}

// === impl Display ===

impl fmt::Display for Quantity {
    /// Upstream's canonical form.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_zero() {
            return f.write_str("0");
        }
        if self.format == Format::BinarySi {
            let (whole, exact) = self.at_scale(0);
            if exact && whole.unsigned_abs() >= 1024 {
                let (mut number, mut at) = (whole, 0);
                while number % 1024 == 0 && at + 1 < BINARY.len() {
                    number /= 1024;
                    at += 1;
                }
                return write!(f, "{number}{}", BINARY[at]);
            }
        }
        let (mut mantissa, mut exponent) = self.reduced();
        let shift = exponent.rem_euclid(3);
        mantissa = mantissa.saturating_mul(10i128.pow(shift as u32));
        exponent -= shift;
        write!(f, "{mantissa}")?;
        if self.format == Format::DecimalExponent {
            return if exponent == 0 { Ok(()) } else { write!(f, "e{exponent}") };
        }
        let suffix = DECIMAL.iter().find(|(_, known)| *known == exponent).map_or("", |(suffix, _)| suffix);
        f.write_str(suffix)
    }
}

// === order ===

impl PartialEq for Quantity {
    /// Equal numbers are equal, however they are written.
    fn eq(&self, other: &Quantity) -> bool {
        self.reduced() == other.reduced()
    }
}

impl Eq for Quantity {}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Quantity) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Quantity {
    fn cmp(&self, other: &Quantity) -> Ordering {
        if self.mantissa.signum() != other.mantissa.signum() {
            return self.mantissa.cmp(&other.mantissa);
        }
        let exponent = self.exponent.min(other.exponent);
        match (self.at_scale(exponent), other.at_scale(exponent)) {
            ((a, true), (b, true)) => a.cmp(&b),
            // Only one can have been too big for its exponent, and that one is farther from zero.
            ((a, false), _) => {
                if a < 0 {
                    Ordering::Less
                } else {
                    Ordering::Greater
                }
            }
            (_, (b, false)) => {
                if b < 0 {
                    Ordering::Greater
                } else {
                    Ordering::Less
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn quantity(text: &str) -> Quantity {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn texts_become_canonical() {
        for (text, expected) in [
            ("0", "0"),
            ("-0", "0"),
            ("0.0Ki", "0"),
            ("1", "1"),
            ("+1", "1"),
            ("0.5", "500m"),
            ("2000m", "2"),
            ("100m", "100m"),
            ("1500m", "1500m"),
            ("1.5", "1500m"),
            ("1024Mi", "1Gi"),
            ("1.5Gi", "1536Mi"),
            ("0.5Gi", "512Mi"),
            ("1024", "1024"),
            ("1000", "1k"),
            ("1023Ki", "1023Ki"),
            ("0.5Ki", "512"),
            ("1.1Ki", "1126400m"),
            ("1Ei", "1Ei"),
            ("12E", "12E"),
            ("1e3", "1e3"),
            ("1E3", "1e3"),
            ("1.2e3", "1200"),
            ("12e-1", "1200e-3"),
            ("1e0", "1"),
            ("1.G", "1G"),
            (".5", "500m"),
            ("1n", "1n"),
            ("0.1n", "1n"),
            ("1.1n", "2n"),
            ("-1.1n", "-2n"),
            ("100Ei", "9223372036854775807"),
            ("-512Mi", "-512Mi"),
            ("0.1Ki", "102400m"),
            ("0.0001Ki", "102400u"),
        ] {
            assert_eq!(canonical(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn faults_have_upstreams_words() {
        for (text, expected) in [
            ("", QuantityError::Format),
            ("abc", QuantityError::Format),
            ("1 Gi", QuantityError::Format),
            ("1x", QuantityError::Format),
            ("--1", QuantityError::Suffix),
            ("1ki", QuantityError::Suffix),
            ("1KiB", QuantityError::Format),
            ("1mm", QuantityError::Suffix),
            ("1e99999999999999999999", QuantityError::Suffix),
        ] {
            assert_eq!(canonical(text), Err(expected), "{text}");
        }
    }

    #[test]
    fn numbers_come_out_rounded_up() {
        assert_eq!(quantity("1.1").value(), 2);
        assert_eq!(quantity("-1.1").value(), -2);
        assert_eq!(quantity("100m").value(), 1);
        assert_eq!(quantity("0.0001").milli_value(), 1);
        assert_eq!(quantity("1Ei").value(), 1 << 60);
        assert_eq!(quantity("1Ei").milli_value(), i64::MAX);
        assert_eq!(quantity("1e100").value(), i64::MAX);
        assert_eq!(quantity("0.0001").round_up(-3).to_string(), "1m");
        assert_eq!(quantity("1Gi").round_up(-3).to_string(), "1Gi");
    }

    #[test]
    fn sums_keep_the_form() {
        assert_eq!(quantity("1Gi").plus(quantity("512Mi")).to_string(), "1536Mi");
        assert_eq!(Quantity::ZERO.plus(quantity("512Mi")).to_string(), "512Mi");
        assert_eq!(quantity("1").minus(quantity("300m")).to_string(), "700m");
        assert!(quantity("1Gi") > quantity("1G"));
        assert!(quantity("-1e100") < quantity("-1"));
        assert!(quantity("1e100") > quantity("1e99"));
        assert_eq!(quantity("1k"), quantity("1000"));
    }

    proptest! {
        #[test]
        fn canonical_text_is_its_own(number in -1_000_000_000i64..1_000_000_000, fraction in 0u32..1_000_000,
            suffix in prop::sample::select(vec!["", "n", "u", "m", "k", "M", "G", "Ki", "Mi", "Gi", "Ti", "e2", "e-3"])) {
            let text = format!("{number}.{fraction:06}{suffix}");
            let parsed = quantity(&text);
            let again = quantity(&parsed.to_string());
            prop_assert_eq!(parsed, again, "{}", text);
            prop_assert_eq!(again.to_string(), parsed.to_string(), "{}", text);
        }

        #[test]
        fn sums_undo(a in any::<i32>(), b in any::<i32>(), at in -9i32..3, bt in -9i32..3) {
            let quantity = |mantissa: i32, exponent| Quantity {
                mantissa: mantissa.into(), exponent, format: Format::DecimalSi };
            let (a, b) = (quantity(a, at), quantity(b, bt));
            prop_assert_eq!(a.plus(b).minus(b), a);
            prop_assert_eq!(a.cmp(&b), a.minus(b).sign().cmp(&0));
        }
    }
}
