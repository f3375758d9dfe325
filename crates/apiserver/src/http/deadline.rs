//! How long a request may take: what the server allows, or less where the client says so.

use std::time::Duration;

use cox_api::{Reason, Status};
use serde_json::json;

use super::target::Query;

/// The time of a request by its `timeout` parameter. Zero, and more than the server allows, are what the server
/// allows.
///
/// # Errors
/// 400 for what is no duration in Go's form.
pub(super) fn of(query: &Query, max: Duration) -> Result<Duration, Status> {
    let Some(text) = query.get("timeout").filter(|text| !text.is_empty()) else { return Ok(max) };
    let refused =
        |why: String| Status::bad_request(format!("invalid timeout specified in the request URL - {why}"));
    let seconds = seconds(text).map_err(refused)?;
    if seconds < 0.0 {
        return Err(refused(format!("timeout can not be negative {text}")));
    }
    let asked = Duration::try_from_secs_f64(seconds).unwrap_or(max);
    Ok(if asked.is_zero() { max } else { asked.min(max) })
}

/// 504, as upstream's filter of requests that take too long.
pub(super) fn passed() -> Status {
    Status::new(504, Reason::Timeout, "Timeout: request did not complete within the allotted timeout")
        .with_details(json!({}))
}

/// Reads a duration in Go's form (`1m30s`, `.5h`, `-2ms`, `0`), in seconds.
/// Source: <https://pkg.go.dev/time#ParseDuration>
fn seconds(text: &str) -> Result<f64, String> {
    let invalid = || format!("time: invalid duration {text:?}");
    let (sign, mut rest) = match text.as_bytes().first() {
        Some(b'-') => (-1.0, &text[1..]),
        Some(b'+') => (1.0, &text[1..]),
        _ => (1.0, text),
    };
    if rest == "0" {
        return Ok(0.0);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut total = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let number: f64 = rest[..digits].parse().map_err(|_| invalid())?;
        rest = &rest[digits..];
        let letters = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
        let factor = match &rest[..letters] {
            "" => return Err(format!("time: missing unit in duration {text:?}")),
            "ns" => 1e-9,
            "us" | "µs" | "μs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            unit => return Err(format!("time: unknown unit {unit:?} in duration {text:?}")),
        };
        rest = &rest[letters..];
        total += number * factor;
    }
    Ok(sign * total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_are_gos_durations() {
        let max = Duration::from_secs(60);
        let of = |text: &str| of(&Query::parse(&format!("timeout={text}")), max);
        let taken = [
            ("1m", 60.0),
            ("1.5s", 1.5),
            ("1s500ms", 1.5),
            ("2h", 60.0),
            ("0", 60.0),
            ("0s", 60.0),
            ("", 60.0),
        ];
        for (text, seconds) in taken {
            assert_eq!(of(text).unwrap(), Duration::from_secs_f64(seconds), "{text}");
        }
        let refused = [
            ("invalid", "time: invalid duration \"invalid\""),
            ("5", "time: missing unit in duration \"5\""),
            ("5x", "time: unknown unit \"x\" in duration \"5x\""),
            ("-1s", "timeout can not be negative -1s"),
            ("1..5s", "time: invalid duration \"1..5s\""),
        ];
        for (text, why) in refused {
            let status = of(text).unwrap_err();
            assert_eq!(status.message(), format!("invalid timeout specified in the request URL - {why}"));
        }
        // Beyond what a duration can hold.
        assert_eq!(of(&format!("{}h", "9".repeat(300))).unwrap(), max);
    }
}
