//! Formats of strings that upstream checks; other names say nothing.
//! Source: <https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#validation>

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::LazyLock;

use regex::Regex;

use crate::meta::names;

macro_rules! pattern {
    ($source:literal) => {{
        static PATTERN: LazyLock<Regex> = LazyLock::new(|| Regex::new($source).expect("a fixed expression"));
        &*PATTERN
    }};
}

/// Whether a text has a format; a format that nobody knows is fine with everything.
pub fn has_format(format: &str, text: &str) -> bool {
    match format {
        "date-time" | "datetime" => is_date_time(text),
        "date" => pattern!(r"^\d{4}-\d{2}-\d{2}$").is_match(text) && text.parse::<jiff::civil::Date>().is_ok(),
        "duration" => is_duration(text),
        "ipv4" => text.parse::<Ipv4Addr>().is_ok(),
        "ipv6" => text.contains(':') && text.parse::<Ipv6Addr>().is_ok(),
        "cidr" => names::parse_cidr(text).is_some(),
        "mac" => pattern!(r"^(?:[0-9A-Fa-f]{2}([:-])(?:[0-9A-Fa-f]{2}[:-]){4,6}[0-9A-Fa-f]{2}|(?:[0-9A-Fa-f]{4}\.){2,3}[0-9A-Fa-f]{4})$").is_match(text),
        "uuid" => pattern!(r"(?i)^[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}$").is_match(text),
        "uuid3" => pattern!(r"(?i)^[0-9a-f]{8}-?[0-9a-f]{4}-?3[0-9a-f]{3}-?[0-9a-f]{4}-?[0-9a-f]{12}$").is_match(text),
        "uuid4" => pattern!(r"(?i)^[0-9a-f]{8}-?[0-9a-f]{4}-?4[0-9a-f]{3}-?[89ab][0-9a-f]{3}-?[0-9a-f]{12}$").is_match(text),
        "uuid5" => pattern!(r"(?i)^[0-9a-f]{8}-?[0-9a-f]{4}-?5[0-9a-f]{3}-?[89ab][0-9a-f]{3}-?[0-9a-f]{12}$").is_match(text),
        "uri" => is_uri(text),
        "email" => pattern!(r"^[^\s@<>]+@[^\s@<>]+$").is_match(text),
        "hostname" => {
            text.len() < 255 && pattern!(r"^[a-zA-Z0-9\p{L}]([a-zA-Z0-9\-\p{L}]{0,61}[a-zA-Z0-9\p{L}])?(\.[a-zA-Z0-9\p{L}]([a-zA-Z0-9\-\p{L}]{0,61}[a-zA-Z0-9\p{L}])?)*\.?$").is_match(text)
        }
        "byte" => pattern!(r"^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=|[A-Za-z0-9+/]{4})$").is_match(text),
        "bsonobjectid" => pattern!(r"^[0-9a-fA-F]{24}$").is_match(text),
        "hexcolor" => pattern!(r"^#?([0-9a-fA-F]{3}|[0-9a-fA-F]{6})$").is_match(text),
        "rgbcolor" => pattern!(r"^rgb\(\s*(0|[1-9]\d?|1\d\d?|2[0-4]\d|25[0-5])\s*,\s*(0|[1-9]\d?|1\d\d?|2[0-4]\d|25[0-5])\s*,\s*(0|[1-9]\d?|1\d\d?|2[0-4]\d|25[0-5])\s*\)$").is_match(text),
        "ssn" => pattern!(r"^\d{3}[- ]?\d{2}[- ]?\d{4}$").is_match(text),
        "creditcard" => is_credit_card(text),
        "isbn" => is_isbn10(text) || is_isbn13(text),
        "isbn10" => is_isbn10(text),
        "isbn13" => is_isbn13(text),
        "k8s-short-name" => names::dns1123_label(text).is_empty(),
        "k8s-long-name" => names::dns1123_subdomain(text).is_empty(),
        _ => true,
    }
}

fn is_date_time(text: &str) -> bool {
    pattern!(r"^\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}(\.\d+)?([Zz]|[+-]\d{2}:?\d{2})$").is_match(text)
        && text.replace(' ', "T").parse::<jiff::Timestamp>().is_ok()
}

/// `1h30m`, `5 seconds`, `2 weeks`.
fn is_duration(text: &str) -> bool {
    pattern!(r"^[-+]?(\d+(\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)((\d+(\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h))*$")
        .is_match(text)
        || text == "0"
        || pattern!(
            r"^(\d+\s*(ns|nano|nanosecond|nanos|us|µs|micro|microsecond|micros|ms|milli|millisecond|millis|s|sec|second|secs|seconds|m|min|minute|mins|minutes|h|hr|hour|hrs|hours|d|day|days|w|week|wk|weeks|wks)s?\s*)+$"
        )
        .is_match(text)
}

/// What Go's parser of request addresses takes: a scheme and something, or an absolute path.
fn is_uri(text: &str) -> bool {
    !text.is_empty()
        && !text.chars().any(|letter| letter.is_control() || letter == ' ')
        && (text.starts_with('/') || text == "*" || pattern!(r"^[A-Za-z][A-Za-z0-9+.-]*:.+$").is_match(text))
}

fn digits(text: &str) -> Vec<u32> {
    text.chars()
        .filter(|letter| !matches!(letter, '-' | ' '))
        .map(|letter| letter.to_digit(10).unwrap_or(99))
        .collect()
}

fn is_credit_card(text: &str) -> bool {
    let digits = digits(text);
    if !(13..=19).contains(&digits.len()) || digits.iter().any(|digit| *digit > 9) {
        return false;
    }
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(
            |(at, digit)| {
                if at % 2 == 1 { if digit * 2 > 9 { digit * 2 - 9 } else { digit * 2 } } else { *digit }
            },
        )
        .sum();
    sum.is_multiple_of(10)
}

fn is_isbn10(text: &str) -> bool {
    let plain: String = text.chars().filter(|letter| !matches!(letter, '-' | ' ')).collect();
    if plain.len() != 10 {
        return false;
    }
    let mut sum = 0;
    for (at, letter) in plain.chars().enumerate() {
        let digit = match letter {
            'X' if at == 9 => 10,
            letter => match letter.to_digit(10) {
                Some(digit) => digit,
                None => return false,
            },
        };
        sum += (10 - at as u32) * digit;
    }
    sum.is_multiple_of(11)
}

fn is_isbn13(text: &str) -> bool {
    let digits = digits(text);
    digits.len() == 13
        && digits.iter().all(|digit| *digit <= 9)
        && digits
            .iter()
            .enumerate()
            .map(|(at, digit)| if at % 2 == 1 { digit * 3 } else { *digit })
            .sum::<u32>()
            % 10
            == 0
}
