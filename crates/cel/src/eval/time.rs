//! Durations and timestamps.
//! Source: <https://github.com/google/cel-spec/blob/master/doc/langdef.md#timezones>

use jiff::tz::{Offset, TimeZone};
use jiff::{SignedDuration, Timestamp};

use super::Outcome;
use crate::error::EvalError;
use crate::value::Value;

/// A duration as Go writes one: `1h30m`, `-1.5s`.
pub(crate) fn duration(text: &str) -> Option<SignedDuration> {
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(SignedDuration::ZERO);
    }
    if rest.is_empty() {
        return None;
    }
    let mut nanos: i128 = 0;
    while !rest.is_empty() {
        let number = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let unit_end =
            rest[number..].find(|c: char| c.is_ascii_digit() || c == '.').map_or(rest.len(), |e| number + e);
        let unit: i128 = match &rest[number..unit_end] {
            "ns" => 1,
            "us" | "µs" | "μs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            _ => return None,
        };
        let (whole, fraction) = rest[..number].split_once('.').unwrap_or((&rest[..number], ""));
        if (whole.is_empty() && fraction.is_empty()) || whole.len() > 18 || fraction.contains('.') {
            return None;
        }
        let whole: i128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
        let digits = &fraction[..fraction.len().min(18)];
        let part: i128 = if digits.is_empty() { 0 } else { digits.parse().ok()? };
        let scale = 10_i128.pow(u32::try_from(digits.len()).ok()?);
        nanos += whole.checked_mul(unit)? + part * unit / scale;
        rest = &rest[unit_end..];
    }
    let nanos = i64::try_from(if negative { -nanos } else { nanos }).ok()?;
    Some(SignedDuration::from_nanos(nanos))
}

/// A timestamp in the form of RFC 3339.
pub(crate) fn timestamp(text: &str) -> Option<Timestamp> {
    text.parse().ok()
}

/// A duration as text: seconds.
pub(crate) fn duration_text(duration: SignedDuration) -> String {
    let sign = if duration.is_negative() { "-" } else { "" };
    let fraction = format!("{:09}", duration.subsec_nanos().unsigned_abs());
    let fraction = fraction.trim_end_matches('0');
    let dot = if fraction.is_empty() { "" } else { "." };
    format!("{sign}{}{dot}{fraction}s", duration.as_secs().unsigned_abs())
}

pub(super) fn arithmetic(operator: &str, a: &Value, b: &Value) -> Outcome {
    use Value::{Duration, Timestamp};
    let result = match (operator, a, b) {
        ("_+_", Duration(a), Duration(b)) => a.checked_add(*b).map(Duration),
        ("_-_", Duration(a), Duration(b)) => a.checked_sub(*b).map(Duration),
        ("_+_", Timestamp(a), Duration(b)) | ("_+_", Duration(b), Timestamp(a)) => {
            a.checked_add(*b).ok().map(Timestamp)
        }
        ("_-_", Timestamp(a), Duration(b)) => a.checked_sub(*b).ok().map(Timestamp),
        ("_-_", Timestamp(a), Timestamp(b)) => Some(Duration(a.duration_since(*b))),
        _ => return Err(EvalError::no_overload()),
    };
    result.ok_or_else(|| {
        EvalError::new(if matches!(a, Timestamp(_)) { "timestamp overflow" } else { "duration overflow" })
    })
}

/// Whether a method takes a part out of a time.
pub(super) fn is_getter(name: &str) -> bool {
    matches!(
        name,
        "getDate"
            | "getDayOfMonth"
            | "getDayOfWeek"
            | "getDayOfYear"
            | "getFullYear"
            | "getHours"
            | "getMilliseconds"
            | "getMinutes"
            | "getMonth"
            | "getSeconds"
    )
}

/// A part of a time, in a time zone (UTC without one). Months, days of the month (except for `getDate`), of the week
/// and of the year count from 0.
pub(super) fn get(name: &str, of: &Value, zone: Option<&Value>) -> Outcome {
    let part = match of {
        Value::Duration(duration) => match name {
            "getHours" => duration.as_hours(),
            "getMinutes" => duration.as_mins(),
            "getSeconds" => duration.as_secs(),
            "getMilliseconds" => i64::try_from(duration.as_millis()).unwrap_or(i64::MAX),
            _ => return Err(EvalError::no_overload()),
        },
        Value::Timestamp(timestamp) => {
            let zone = match zone {
                None => TimeZone::UTC,
                Some(Value::String(name)) => named(name)?,
                Some(_) => return Err(EvalError::no_overload()),
            };
            let at = timestamp.to_zoned(zone);
            i64::from(match name {
                "getFullYear" => at.year(),
                "getMonth" => i16::from(at.month()) - 1,
                "getDate" => at.day().into(),
                "getDayOfMonth" => i16::from(at.day()) - 1,
                "getDayOfWeek" => at.weekday().to_sunday_zero_offset().into(),
                "getDayOfYear" => at.day_of_year() - 1,
                "getHours" => at.hour().into(),
                "getMinutes" => at.minute().into(),
                "getSeconds" => at.second().into(),
                _ => at.millisecond(),
            })
        }
        _ => return Err(EvalError::no_overload()),
    };
    Ok(Value::Int(part))
}

/// A time zone by its name or as an offset: `America/New_York`, `-05:30`.
fn named(name: &str) -> Result<TimeZone, EvalError> {
    let unknown = || EvalError::new(format!("unknown time zone {name}"));
    let Some((hours, minutes)) = name.split_once(':') else {
        return TimeZone::get(name).map_err(|_| unknown());
    };
    let hours_number: i32 = hours.parse().map_err(|_| unknown())?;
    let minutes: i32 = minutes.parse().map_err(|_| unknown())?;
    let minutes = if hours.starts_with('-') { -minutes } else { minutes };
    let offset = Offset::from_seconds(hours_number * 3600 + minutes * 60).map_err(|_| unknown())?;
    Ok(TimeZone::fixed(offset))
}
