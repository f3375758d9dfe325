//! Schedules: five fields, the usual names, macros, and `@every`. Times are walls clocks of a time zone.

use std::time::Duration;

use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{SignedDuration, Span, Timestamp};

/// How far ahead a time is looked for: `30 2 29 2 *` comes every four years, eight around 2100.
const YEARS_MAX: i16 = 9;

/// Why a schedule can't be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ScheduleError {
    /// There are not five fields.
    #[error("expected exactly 5 fields, found {0}: {1}")]
    Fields(usize, String),
    /// A field has another form, or a number is out of its range.
    #[error("failed to parse field {0:?}")]
    Field(String),
    /// There is no such macro.
    #[error("unrecognized descriptor: {0}")]
    Descriptor(String),
}

/// A schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Schedule {
    /// Minutes, hours, days of the month, months and days of the week, as bits; and whether the days are given.
    Fields {
        minutes: u64,
        hours: u64,
        days: u64,
        months: u64,
        weekdays: u64,
        any_day: bool,
        any_weekday: bool,
    },
    /// So much after the last time.
    Every(Duration),
}

impl Schedule {
    /// Reads a schedule.
    pub(crate) fn parse(text: &str) -> Result<Schedule, ScheduleError> {
        let text = text.trim();
        if let Some(every) = text.strip_prefix("@every ") {
            let span: Option<SignedDuration> = every.trim().parse().ok();
            let seconds = span.map_or(0, |span| span.as_secs());
            let seconds = u64::try_from(seconds).ok().filter(|seconds| *seconds > 0);
            return seconds
                .map(|seconds| Schedule::Every(Duration::from_secs(seconds)))
                .ok_or_else(|| ScheduleError::Field(every.to_owned()));
        }
        let expanded = match text {
            "@yearly" | "@annually" => "0 0 1 1 *",
            "@monthly" => "0 0 1 * *",
            "@weekly" => "0 0 * * 0",
            "@daily" | "@midnight" => "0 0 * * *",
            "@hourly" => "0 * * * *",
            other if other.starts_with('@') => return Err(ScheduleError::Descriptor(other.to_owned())),
            other => other,
        };
        let fields: Vec<&str> = expanded.split_whitespace().collect();
        let [minutes, hours, days, months, weekdays] = fields[..] else {
            return Err(ScheduleError::Fields(fields.len(), expanded.to_owned()));
        };
        let is_any = |field: &str| field.split(',').any(|part| part.starts_with(['*', '?']));
        Ok(Schedule::Fields {
            minutes: bits(minutes, 0, 59, &[])?,
            hours: bits(hours, 0, 23, &[])?,
            days: bits(days, 1, 31, &[])?,
            months: bits(months, 1, 12, MONTHS)?,
            weekdays: bits(weekdays, 0, 6, WEEKDAYS)?,
            any_day: is_any(days),
            any_weekday: is_any(weekdays),
        })
    }

    /// The first time after `after`; none where there is none for years.
    pub(crate) fn next(&self, after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        match self {
            Schedule::Every(period) => {
                let seconds = i64::try_from(period.as_secs()).ok()?;
                Timestamp::from_second(after.as_second() + seconds).ok()
            }
            Schedule::Fields { .. } => self.next_of_fields(after, zone),
        }
    }

    fn next_of_fields(&self, after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let Schedule::Fields { minutes, hours, .. } = self else { return None };
        let start = after.to_zoned(zone.clone()).datetime();
        let last_year = start.year() + YEARS_MAX;
        let mut at = start.with().second(0).subsec_nanosecond(0).build().ok()?;
        at = at.checked_add(Span::new().minutes(1)).ok()?;
        while at.year() <= last_year {
            if !self.fits_day(at) {
                at = at.date().tomorrow().ok()?.at(0, 0, 0, 0);
            } else if hours >> at.hour() & 1 == 0 {
                at = at.with().minute(0).build().ok()?.checked_add(Span::new().hours(1)).ok()?;
            } else if minutes >> at.minute() & 1 == 0 {
                at = at.checked_add(Span::new().minutes(1)).ok()?;
            } else {
                // A time that the zone skips doesn't come; one that it repeats comes once.
                let ambiguous = zone.to_ambiguous_zoned(at);
                let skipped = matches!(ambiguous.offset(), AmbiguousOffset::Gap { .. });
                let found = ambiguous.earlier().ok().filter(|_| !skipped).map(|zoned| zoned.timestamp());
                if let Some(found) = found.filter(|found| *found > after) {
                    return Some(found);
                }
                at = at.checked_add(Span::new().minutes(1)).ok()?;
            }
        }
        None
    }

    fn fits_day(&self, at: DateTime) -> bool {
        let Schedule::Fields { days, months, weekdays, any_day, any_weekday, .. } = self else {
            return false;
        };
        if months >> at.month() & 1 == 0 {
            return false;
        }
        let day = days >> at.day() & 1 == 1;
        let weekday = weekdays >> at.weekday().to_sunday_zero_offset() & 1 == 1;
        // Where both are given, either is enough.
        if *any_day || *any_weekday { day && weekday } else { day || weekday }
    }
}

const MONTHS: &[&str] = &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: &[&str] = &["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

fn bits(field: &str, first: u32, last: u32, names: &[&str]) -> Result<u64, ScheduleError> {
    let wrong = || ScheduleError::Field(field.to_owned());
    let number = |text: &str| -> Result<u32, ScheduleError> {
        let lower = text.to_ascii_lowercase();
        if let Some(at) = names.iter().position(|name| *name == lower) {
            return Ok(u32::try_from(at).unwrap_or(0) + first);
        }
        text.parse().map_err(|_| wrong())
    };
    let mut bits = 0u64;
    for part in field.split(',') {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => (range, step.parse::<u32>().map_err(|_| wrong())?),
            None => (part, 1),
        };
        let (from, to) = match range.split_once('-') {
            _ if range == "*" || range == "?" => (first, last),
            Some((from, to)) => (number(from)?, number(to)?),
            None => {
                let from = number(range)?;
                // `5/10` goes on to the end.
                (from, if part.contains('/') { last } else { from })
            }
        };
        if from < first || to > last || from > to || step == 0 {
            return Err(wrong());
        }
        let mut at = from;
        while at <= to {
            bits |= 1 << at;
            at += step;
        }
    }
    Ok(bits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(schedule: &str, after: &str, zone: &str) -> String {
        let zone = TimeZone::get(zone).unwrap();
        let found = Schedule::parse(schedule).unwrap().next(after.parse().unwrap(), &zone);
        found.map_or("never".into(), |found| found.to_string())
    }

    #[test]
    fn times() {
        for (schedule, after, expected) in [
            ("* * * * *", "2026-01-01T00:00:30Z", "2026-01-01T00:01:00Z"),
            ("*/15 * * * *", "2026-01-01T00:15:00Z", "2026-01-01T00:30:00Z"),
            ("0 3 * * mon-fri", "2026-01-02T04:00:00Z", "2026-01-05T03:00:00Z"),
            ("30 2 29 2 *", "2026-03-01T00:00:00Z", "2028-02-29T02:30:00Z"),
            ("0 0 13 * fri", "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"),
            ("@monthly", "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z"),
            ("5/20 1 * * *", "2026-01-01T01:10:00Z", "2026-01-01T01:25:00Z"),
            ("@every 90s", "2026-01-01T00:00:00Z", "2026-01-01T00:01:30Z"),
            ("0 0 31 2 *", "2026-01-01T00:00:00Z", "never"),
        ] {
            assert_eq!(next(schedule, after, "UTC"), expected, "{schedule}");
        }
    }

    #[test]
    fn zones() {
        assert_eq!(next("0 9 * * *", "2026-01-01T00:00:00Z", "America/New_York"), "2026-01-01T14:00:00Z");
        // 02:30 is skipped on the day when summer time starts.
        assert_eq!(next("30 2 * * *", "2026-03-28T12:00:00Z", "Europe/Berlin"), "2026-03-30T00:30:00Z");
        // And comes once on the day when it ends.
        assert_eq!(next("30 2 * * *", "2026-10-25T00:30:00Z", "Europe/Berlin"), "2026-10-26T01:30:00Z");
    }

    #[test]
    fn faults() {
        for schedule in [
            "",
            "* * * *",
            "* * * * * *",
            "60 * * * *",
            "* * * * 7",
            "a * * * *",
            "@often",
            "@every x",
            "*/0 * * * *",
        ] {
            assert!(Schedule::parse(schedule).is_err(), "{schedule}");
        }
    }
}
