//! Times in the forms of `metav1.Time` and `metav1.MicroTime`, and what Go's `time.Parse` says of others.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::Offset;

const LAYOUT: &str = "2006-01-02T15:04:05Z07:00";
const LAYOUT_MICRO: &str = "2006-01-02T15:04:05.000000Z07:00";

/// `metav1.Time` in upstream's form: UTC, whole seconds.
pub fn time(text: &str) -> Result<String, String> {
    if is_canonical(text) {
        return Ok(text.to_owned());
    }
    parse(text, LAYOUT, false).map(|time| format_time(split(time).0))
}

/// `metav1.MicroTime` in upstream's form: UTC, six decimals.
pub fn micro_time(text: &str) -> Result<String, String> {
    parse(text, LAYOUT_MICRO, true).map(split).map(|(seconds, nanos)| format_micro(seconds, nanos))
}

/// Seconds since 1970, rounded down (also before 1970), and nanoseconds.
fn split(time: Timestamp) -> (i64, i32) {
    let nanos = time.subsec_nanosecond();
    if nanos < 0 { (time.as_second() - 1, nanos + 1_000_000_000) } else { (time.as_second(), nanos) }
}

/// Seconds since 1970 and nanoseconds of a time in one of the two forms.
pub fn parts(text: &str) -> Option<(i64, i32)> {
    parse(text, LAYOUT, false).ok().map(split)
}

/// Whether the second is in the years that RFC 3339 can write.
pub fn is_representable(seconds: i64) -> bool {
    // From 0001-01-01 to 9999-12-30, which jiff can hold in every time zone.
    (-62_135_596_800..253_402_200_000).contains(&seconds)
}

/// Seconds since 1970 as `metav1.Time`.
pub fn format_time(seconds: i64) -> String {
    format!("{}Z", civil(seconds))
}

/// Seconds since 1970 and nanoseconds as `metav1.MicroTime`.
pub fn format_micro(seconds: i64, nanos: i32) -> String {
    format!("{}.{:06}Z", civil(seconds), nanos / 1000)
}

fn civil(seconds: i64) -> String {
    let time = Offset::UTC.to_datetime(Timestamp::from_second(seconds).unwrap_or_default());
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}",
        time.year(),
        time.month(),
        time.day(),
        time.hour(),
        time.minute(),
        time.second()
    )
}

/// The usual form, valid beyond doubt: nothing needs to be parsed.
fn is_canonical(text: &str) -> bool {
    let bytes = text.as_bytes();
    let two = |at: usize| u32::from(bytes[at] - b'0') * 10 + u32::from(bytes[at + 1] - b'0');
    bytes.len() == 20
        && bytes.iter().zip(b"0000-00-00T00:00:00Z").all(|(byte, form)| match form {
            b'0' => byte.is_ascii_digit(),
            form => byte == form,
        })
        && (1..=12).contains(&two(5))
        && (1..=days_at_least(two(5))).contains(&two(8))
        && two(11) < 24
        && two(14) < 60
        && two(17) < 60
}

/// The days that a month has in every year.
fn days_at_least(month: u32) -> u32 {
    match month {
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// What is left of a text that is being parsed.
struct Rest<'a> {
    whole: &'a str,
    layout: &'static str,
    rest: &'a [u8],
}

impl Rest<'_> {
    fn cannot(&self, element: &str) -> String {
        format!(
            "parsing time {:?} as {:?}: cannot parse {:?} as {element:?}",
            self.whole,
            self.layout,
            String::from_utf8_lossy(self.rest)
        )
    }

    fn out_of_range(&self, what: &str) -> String {
        format!("parsing time {:?}: {what} out of range", self.whole)
    }

    fn digits(&mut self, count: usize, element: &str) -> Result<i32, String> {
        match self.rest.get(..count) {
            Some(digits) if digits.iter().all(u8::is_ascii_digit) => {
                self.rest = &self.rest[count..];
                Ok(digits.iter().fold(0, |sum, digit| sum * 10 + i32::from(digit - b'0')))
            }
            _ => Err(self.cannot(element)),
        }
    }

    fn sign(&mut self, sign: u8) -> Result<(), String> {
        if self.rest.first() == Some(&sign) {
            self.rest = &self.rest[1..];
            return Ok(());
        }
        Err(self.cannot(&char::from(sign).to_string()))
    }

    /// Decimals of a second, as many as there are, in nanoseconds.
    fn decimals(&mut self) -> i32 {
        let count = self.rest.iter().skip(1).take_while(|byte| byte.is_ascii_digit()).count();
        if !matches!(self.rest.first(), Some(b'.' | b',')) || count == 0 {
            return 0;
        }
        let nanos = (1..=9)
            .fold(0, |sum, at| sum * 10 + if at <= count { i32::from(self.rest[at] - b'0') } else { 0 });
        self.rest = &self.rest[count + 1..];
        nanos
    }

    fn offset(&mut self) -> Result<i32, String> {
        let sign = match self.rest.first() {
            Some(b'Z') => {
                self.rest = &self.rest[1..];
                return Ok(0);
            }
            Some(b'+') => 1,
            Some(b'-') => -1,
            _ => return Err(self.cannot("Z07:00")),
        };
        let [_, h1, h2, b':', m1, m2, ..] = self.rest else { return Err(self.cannot("Z07:00")) };
        if ![h1, h2, m1, m2].into_iter().all(u8::is_ascii_digit) {
            return Err(self.cannot("Z07:00"));
        }
        let two = |tens: &u8, ones: &u8| i32::from(tens - b'0') * 10 + i32::from(ones - b'0');
        let (hours, minutes) = (two(h1, h2), two(m1, m2));
        if hours > 24 {
            return Err(self.out_of_range("time zone offset hour"));
        }
        if minutes > 60 {
            return Err(self.out_of_range("time zone offset minute"));
        }
        self.rest = &self.rest[6..];
        Ok(sign * (hours * 3600 + minutes * 60))
    }
}

fn parse(text: &str, layout: &'static str, micro: bool) -> Result<Timestamp, String> {
    let mut rest = Rest { whole: text, layout, rest: text.as_bytes() };
    let year = rest.digits(4, "2006")?;
    rest.sign(b'-')?;
    let month = rest.digits(2, "01")?;
    if !(1..=12).contains(&month) {
        return Err(rest.out_of_range("month"));
    }
    rest.sign(b'-')?;
    let day = rest.digits(2, "02")?;
    rest.sign(b'T')?;
    let hour = rest.digits(2, "15")?;
    if hour > 23 {
        return Err(rest.out_of_range("hour"));
    }
    rest.sign(b':')?;
    let minute = rest.digits(2, "04")?;
    if minute > 59 {
        return Err(rest.out_of_range("minute"));
    }
    rest.sign(b':')?;
    let second = rest.digits(2, "05")?;
    if second > 59 {
        return Err(rest.out_of_range("second"));
    }
    let nanos = if micro {
        let six = rest.rest.len() >= 7 && matches!(rest.rest[0], b'.' | b',');
        if !six || !rest.rest[1..7].iter().all(u8::is_ascii_digit) {
            return Err(rest.cannot(".000000"));
        }
        let micros = rest.rest[1..7].iter().fold(0, |sum, digit| sum * 10 + i32::from(digit - b'0'));
        rest.rest = &rest.rest[7..];
        micros * 1000
    } else {
        rest.decimals()
    };
    let offset = rest.offset()?;
    if !rest.rest.is_empty() {
        let extra = String::from_utf8_lossy(rest.rest);
        return Err(format!("parsing time {text:?}: extra text: {extra:?}"));
    }
    // Every part is in range, only the day depends on the month, and the year may be none that jiff knows.
    let (year, month, day) = (year as i16, month as i8, day as i8);
    let date = Date::new(year, month, day).map_err(|_| rest.out_of_range("day"))?;
    let time = date.at(hour as i8, minute as i8, second as i8, nanos);
    Offset::from_seconds(offset)
        .and_then(|offset| offset.to_timestamp(time))
        .map_err(|_| rest.out_of_range("year"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_come_in_utc() {
        for (given, kept) in [
            ("2024-05-06T07:08:09Z", "2024-05-06T07:08:09Z"),
            ("2024-05-06T07:08:09.999Z", "2024-05-06T07:08:09Z"),
            ("2024-05-06T07:08:09+02:30", "2024-05-06T04:38:09Z"),
            ("2024-02-29T00:00:00-01:00", "2024-02-29T01:00:00Z"),
            ("1901-12-13T20:45:52.5Z", "1901-12-13T20:45:52Z"),
        ] {
            assert_eq!(time(given).as_deref(), Ok(kept));
        }
        assert_eq!(
            micro_time("2024-05-06T07:08:09.123456+01:00").as_deref(),
            Ok("2024-05-06T06:08:09.123456Z")
        );
    }

    #[test]
    fn faults_are_in_gos_words() {
        let layout = "2006-01-02T15:04:05Z07:00";
        for (given, words) in [
            ("x", format!("parsing time \"x\" as \"{layout}\": cannot parse \"x\" as \"2006\"")),
            ("", format!("parsing time \"\" as \"{layout}\": cannot parse \"\" as \"2006\"")),
            ("2024-13-01T00:00:00Z", "parsing time \"2024-13-01T00:00:00Z\": month out of range".into()),
            ("2023-02-29T00:00:00Z", "parsing time \"2023-02-29T00:00:00Z\": day out of range".into()),
            (
                "2024-05-06 07:08:09Z",
                format!(
                    "parsing time \"2024-05-06 07:08:09Z\" as \"{layout}\": cannot parse \" 07:08:09Z\" as \"T\""
                ),
            ),
            ("2024-05-06T07:08:09Zx", "parsing time \"2024-05-06T07:08:09Zx\": extra text: \"x\"".into()),
        ] {
            assert_eq!(time(given), Err(words));
        }
        let layout = "2006-01-02T15:04:05.000000Z07:00";
        assert_eq!(
            micro_time("2024-05-06T07:08:09Z"),
            Err(format!(
                "parsing time \"2024-05-06T07:08:09Z\" as \"{layout}\": cannot parse \"Z\" as \".000000\""
            ))
        );
    }
}
