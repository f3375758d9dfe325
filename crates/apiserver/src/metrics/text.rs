//! The text that is scraped.
//! Source: <https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format>

use std::fmt::{Display, Write};

use super::histogram::{Bounds, Read};

/// The media type.
pub(crate) const MEDIA_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Labels in the order in which they are written: by name.
pub(super) type Labels<'a> = &'a [(&'a str, &'a str)];

/// The text as it is written.
#[derive(Default)]
pub(super) struct Text(String);

impl Text {
    pub(super) fn into_string(self) -> String {
        self.0
    }

    /// What follows is of this metric. `help` begins with the stability, as upstream's.
    pub(super) fn about(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a string never fails.
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    /// One sample.
    pub(super) fn sample(&mut self, name: &str, labels: Labels<'_>, value: impl Display) {
        self.0.push_str(name);
        self.labels(labels, None);
        let _ = writeln!(self.0, " {value}");
    }

    /// The samples of a histogram; `unit` is how many of its units are one of the metric's. The first `skip` bounds
    /// are left out.
    pub(super) fn histogram(
        &mut self,
        name: &str,
        labels: Labels<'_>,
        bounds: &Bounds,
        read: &Read,
        unit: f64,
        skip: usize,
    ) {
        let texts = bounds.text.iter().copied().chain(["+Inf"]);
        for (le, count) in texts.zip(&read.up_to).skip(skip) {
            let _ = write!(self.0, "{name}_bucket");
            self.labels(labels, Some(le));
            let _ = writeln!(self.0, " {count}");
        }
        let _ = write!(self.0, "{name}_sum");
        self.labels(labels, None);
        let _ = writeln!(self.0, " {}", read.sum as f64 / unit);
        let _ = write!(self.0, "{name}_count");
        self.labels(labels, None);
        let _ = writeln!(self.0, " {}", read.count());
    }

    fn labels(&mut self, labels: Labels<'_>, le: Option<&str>) {
        if labels.is_empty() && le.is_none() {
            return;
        }
        self.0.push('{');
        let all = labels.iter().copied().chain(le.map(|le| ("le", le)));
        for (at, (name, value)) in all.enumerate() {
            if at > 0 {
                self.0.push(',');
            }
            self.0.push_str(name);
            self.0.push_str("=\"");
            for character in value.chars() {
                match character {
                    '\\' => self.0.push_str("\\\\"),
                    '"' => self.0.push_str("\\\""),
                    '\n' => self.0.push_str("\\n"),
                    other => self.0.push(other),
                }
            }
            self.0.push('"');
        }
        self.0.push('}');
    }
}

#[cfg(test)]
mod tests {
    use super::super::histogram::{EVENT, Histogram};
    use super::*;

    #[test]
    fn samples_are_written_as_scrapers_read_them() {
        let mut text = Text::default();
        text.about("a_total", "counter", "[ALPHA] Of a.");
        text.sample("a_total", &[], 3);
        text.sample("a_total", &[("x", "a\"b\\c\nd"), ("y", "")], 0.25);
        let histogram = Histogram::new(&EVENT);
        histogram.observe(1500);
        text.histogram("b", &[("x", "1")], &EVENT, &histogram.read(), 1.0, 6);
        let expected = "# HELP a_total [ALPHA] Of a.\n# TYPE a_total counter\na_total 3\na_total{x=\"a\\\"b\\\\c\\nd\",y=\"\"} 0.25\n\
            b_bucket{x=\"1\",le=\"65536\"} 1\nb_bucket{x=\"1\",le=\"131072\"} 1\nb_bucket{x=\"1\",le=\"+Inf\"} 1\nb_sum{x=\"1\"} 1500\n\
            b_count{x=\"1\"} 1\n";
        assert_eq!(text.into_string(), expected);
    }
}
