//! Schedules in the form of cron, as a `CronJob` has them: five fields, or `@hourly` and the like.

/// When something happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Schedule {
    /// At minutes that fit.
    Fields(Fields),
    /// Again and again, so many seconds apart.
    Every(i64),
}

/// The minutes that fit: a bit is set for each number that a field allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fields {
    /// Of the hour, 0 to 59.
    pub minutes: u64,
    /// Of the day, 0 to 23.
    pub hours: u64,
    /// Of the month, 1 to 31.
    pub days: u64,
    /// Of the year, 1 to 12.
    pub months: u64,
    /// Of the week, 0 (Sunday) to 6.
    pub weekdays: u64,
    /// Whether the days of the month were `*` or `?`. Where neither kind of days is, either may fit.
    pub any_day: bool,
    /// Whether the days of the week were `*` or `?`.
    pub any_weekday: bool,
}

/// What a field may hold.
struct Bounds {
    least: u32,
    most: u32,
    names: &'static [&'static str],
}

const MINUTES: Bounds = Bounds { least: 0, most: 59, names: &[] };
const HOURS: Bounds = Bounds { least: 0, most: 23, names: &[] };
const DAYS: Bounds = Bounds { least: 1, most: 31, names: &[] };
const MONTHS: Bounds = Bounds {
    least: 1,
    most: 12,
    names: &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"],
};
const WEEKDAYS: Bounds =
    Bounds { least: 0, most: 6, names: &["sun", "mon", "tue", "wed", "thu", "fri", "sat"] };

impl Schedule {
    /// Reads a schedule. A zone in front (`TZ=UTC `, `CRON_TZ=UTC `) is passed over.
    ///
    /// # Errors
    /// In upstream's words.
    pub fn parse(text: &str) -> Result<Schedule, String> {
        if text.is_empty() {
            return Err("empty spec string".to_owned());
        }
        let text = if text.starts_with("TZ=") || text.starts_with("CRON_TZ=") {
            text.split_once(' ').map_or("", |(_, rest)| rest).trim()
        } else {
            text
        };
        if text.starts_with('@') {
            return descriptor(text);
        }
        let fields: Vec<&str> = text.split_whitespace().collect();
        let [minutes, hours, days, months, weekdays] = fields[..] else {
            return Err(format!("expected exactly 5 fields, found {}: [{}]", fields.len(), fields.join(" ")));
        };
        let (minutes, _) = field(minutes, &MINUTES)?;
        let (hours, _) = field(hours, &HOURS)?;
        let (days, any_day) = field(days, &DAYS)?;
        let (months, _) = field(months, &MONTHS)?;
        let (weekdays, any_weekday) = field(weekdays, &WEEKDAYS)?;
        Ok(Schedule::Fields(Fields { minutes, hours, days, months, weekdays, any_day, any_weekday }))
    }
}

fn descriptor(text: &str) -> Result<Schedule, String> {
    if let Some(span) = text.strip_prefix("@every ") {
        return match every(span) {
            Some(seconds) => Ok(Schedule::Every(seconds)),
            None => Err(format!("failed to parse duration {text}: time: invalid duration {span:?}")),
        };
    }
    let fields = match text {
        "@yearly" | "@annually" => "0 0 1 1 *",
        "@monthly" => "0 0 1 * *",
        "@weekly" => "0 0 * * 0",
        "@daily" | "@midnight" => "0 0 * * *",
        "@hourly" => "0 * * * *",
        _ => return Err(format!("unrecognized descriptor: {text}")),
    };
    Schedule::parse(fields)
}

/// A span like `1h30m` in whole seconds, one at least.
fn every(span: &str) -> Option<i64> {
    let unsigned = span.strip_prefix(['-', '+']).unwrap_or(span);
    let mut rest = unsigned;
    let mut seconds = 0.0;
    while !rest.is_empty() && unsigned != "0" {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let unit_end = rest[digits..]
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .map_or(rest.len(), |end| digits + end);
        let unit = match &rest[digits..unit_end] {
            "ns" => 1e-9,
            "us" | "µs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return None,
        };
        seconds += rest[..digits].parse::<f64>().ok()? * unit;
        rest = &rest[unit_end..];
    }
    if unsigned.is_empty() {
        return None;
    }
    let seconds = if span.starts_with('-') { -seconds } else { seconds };
    #[allow(
        clippy::cast_possible_truncation,
        reason = "parts of a second are dropped, and huge spans are as good as never"
    )]
    Some((seconds as i64).max(1))
}

/// The numbers of a field, and whether it allows any.
fn field(text: &str, bounds: &Bounds) -> Result<(u64, bool), String> {
    let (mut bits, mut any) = (0, false);
    for part in text.split(',').filter(|part| !part.is_empty()) {
        let (more, star) = range(part, bounds)?;
        bits |= more;
        any |= star;
    }
    Ok((bits, any))
}

fn range(text: &str, bounds: &Bounds) -> Result<(u64, bool), String> {
    let mut halves = text.split('/');
    let span = halves.next().unwrap_or_default();
    let step = halves.next();
    let mut ends = span.split('-');
    let first = ends.next().unwrap_or_default();
    let last = ends.next();
    let star = matches!(first, "*" | "?");
    let (start, mut end) = if star {
        (bounds.least, bounds.most)
    } else {
        let start = number(first, bounds.names, bounds.least)?;
        match last {
            Some(_) if ends.next().is_some() => return Err(format!("too many hyphens: {text}")),
            Some(last) => (start, number(last, bounds.names, bounds.least)?),
            None => (start, start),
        }
    };
    let step = match step {
        Some(_) if halves.next().is_some() => return Err(format!("too many slashes: {text}")),
        Some(step) => {
            // `5/15` goes on to the end.
            if !span.contains('-') {
                end = bounds.most;
            }
            number(step, &[], 0)?
        }
        None => 1,
    };
    if start < bounds.least {
        return Err(format!("beginning of range ({start}) below minimum ({}): {text}", bounds.least));
    }
    if end > bounds.most {
        return Err(format!("end of range ({end}) above maximum ({}): {text}", bounds.most));
    }
    if start > end {
        return Err(format!("beginning of range ({start}) beyond end of range ({end}): {text}"));
    }
    if step == 0 {
        return Err(format!("step of range should be a positive number: {text}"));
    }
    let step = usize::try_from(step).unwrap_or(usize::MAX);
    let bits = (start..=end).step_by(step).fold(0, |bits, number| bits | 1 << number);
    Ok((bits, star && step == 1))
}

/// A number, or a name that counts from `first`.
fn number(text: &str, names: &[&str], first: u32) -> Result<u32, String> {
    let named = names.iter().zip(first..).find(|(name, _)| name.eq_ignore_ascii_case(text));
    if let Some((_, number)) = named {
        return Ok(number);
    }
    let fault = |words: &str| {
        Err(format!("failed to parse int from {text}: strconv.Atoi: parsing {text:?}: {words}"))
    };
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return fault("invalid syntax");
    }
    match text.parse::<i64>() {
        Ok(number @ ..0) => Err(format!("negative number ({number}) not allowed: {text}")),
        Ok(number) => Ok(u32::try_from(number).unwrap_or(u32::MAX)),
        Err(_) => fault("value out of range"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_upstreams() {
        for (text, fault) in [
            ("* * * *", "expected exactly 5 fields, found 4: [* * * *]"),
            ("60 * * * *", "end of range (60) above maximum (59): 60"),
            ("@reboot", "unrecognized descriptor: @reboot"),
            ("*/0 * * * *", "step of range should be a positive number: */0"),
            ("5-1 * * * *", "beginning of range (5) beyond end of range (1): 5-1"),
            ("* * 0 * *", "beginning of range (0) below minimum (1): 0"),
            ("0 0 L * *", "failed to parse int from L: strconv.Atoi: parsing \"L\": invalid syntax"),
            ("1-2-3 * * * *", "too many hyphens: 1-2-3"),
            ("1/2/3 * * * *", "too many slashes: 1/2/3"),
            ("@every x", "failed to parse duration @every x: time: invalid duration \"x\""),
        ] {
            assert_eq!(Schedule::parse(text).unwrap_err(), fault);
        }
    }

    #[test]
    fn fields_become_bits() {
        let Ok(Schedule::Fields(fields)) = Schedule::parse("0,15,30 8-18/2 ? JAN,feb MON-FRI") else {
            panic!()
        };
        assert_eq!(fields.minutes, 1 | 1 << 15 | 1 << 30);
        assert_eq!(fields.hours, (8..=18).step_by(2).fold(0, |bits, hour| bits | 1 << hour));
        assert_eq!((fields.days, fields.any_day), ((1 << 32) - 2, true));
        assert_eq!((fields.months, fields.weekdays, fields.any_weekday), (0b110, 0b11_1110, false));
        let Ok(Schedule::Fields(fields)) = Schedule::parse("CRON_TZ=UTC 50/4 * */2 * *") else { panic!() };
        assert_eq!(fields.minutes, 1 << 50 | 1 << 54 | 1 << 58);
        assert!(!fields.any_day);
        assert_eq!(Schedule::parse("@every 1h30m"), Ok(Schedule::Every(5400)));
        assert_eq!(Schedule::parse("@every 10ms"), Ok(Schedule::Every(1)));
        assert!(matches!(Schedule::parse("@daily"), Ok(Schedule::Fields(_))));
    }
}
