//! Placeholders in expected strings, and what they were bound to in a scenario.

use std::collections::BTreeMap;

use regex::Regex;

/// What numbered placeholders stood for so far.
#[derive(Default)]
pub struct Bindings {
    bound: BTreeMap<String, String>,
    patterns: BTreeMap<String, Option<(Regex, Vec<String>)>>,
}

impl Bindings {
    /// Whether `actual` is what `expected` says, binding what it meets; the error says what differs.
    pub fn matches(&mut self, expected: &str, actual: &str) -> Result<(), String> {
        if expected == actual {
            return Ok(());
        }
        let pattern = self.patterns.entry(expected.to_owned()).or_insert_with(|| compile(expected));
        let Some((regex, names)) = pattern else {
            return Err(format!("expected {expected:?}, got {actual:?}"));
        };
        let Some(captures) = regex.captures(actual) else {
            return Err(format!("expected {expected:?}, got {actual:?}"));
        };
        let met: Vec<(String, String)> =
            names.iter().enumerate().map(|(i, name)| (name.clone(), captures[i + 1].to_owned())).collect();
        for (name, value) in met {
            if name.contains(':') {
                self.bind(&name, &value)?;
            }
        }
        Ok(())
    }

    fn bind(&mut self, name: &str, value: &str) -> Result<(), String> {
        let class = name.split(':').next().unwrap_or_default();
        match self.bound.get(name) {
            Some(known) if known == value => Ok(()),
            Some(known) => {
                let message = format!("<{name}> was {known:?} and is now {value:?}");
                // Reported once; the scenario goes on with the new value.
                self.bound.insert(name.to_owned(), value.to_owned());
                Err(message)
            }
            None => {
                let twin = self
                    .bound
                    .iter()
                    .find(|(other, known)| other.split(':').next() == Some(class) && *known == value)
                    .map(|(other, _)| other.clone());
                self.bound.insert(name.to_owned(), value.to_owned());
                match twin {
                    Some(other) => Err(format!("<{name}> should differ from <{other}>, both are {value:?}")),
                    None => Ok(()),
                }
            }
        }
    }
}

/// Whether a text has placeholders at all.
pub fn has_placeholder(text: &str) -> bool {
    placeholder().is_match(text)
}

fn placeholder() -> &'static Regex {
    static PLACEHOLDER: std::sync::OnceLock<Regex> = std::sync::OnceLock::new();
    PLACEHOLDER.get_or_init(|| {
        Regex::new(r"<(uid:\d+|rv:\d+|rv|gen:\d+|ip:\d+|nodePort:\d+|time|microtime|age|continue|token|hash|address)>")
            .expect("a fixed expression")
    })
}

fn compile(expected: &str) -> Option<(Regex, Vec<String>)> {
    let mut pattern = String::from("(?s)^");
    let mut names = Vec::new();
    let mut end = 0;
    for found in placeholder().captures_iter(expected) {
        let whole = found.get(0)?;
        let name = &found[1];
        pattern.push_str(&regex::escape(&expected[end..whole.start()]));
        pattern.push_str(match name.split(':').next()? {
            "uid" => "([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})",
            "rv" => r"(\d+)",
            "gen" => "([a-z0-9]{5})",
            "ip" => r"(\d+\.\d+\.\d+\.\d+)",
            "nodePort" => r"(\d+)",
            "time" => r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)",
            "microtime" => r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z)",
            "age" => r"((?:\d+[smhdy])+)",
            "continue" | "token" => r"([A-Za-z0-9_=.\-]+)",
            "hash" => "([A-Za-z0-9]+)",
            _ => r"([^ ]+:\d+)",
        });
        names.push(name.to_owned());
        end = whole.end();
    }
    if names.is_empty() {
        return None;
    }
    pattern.push_str(&regex::escape(&expected[end..]));
    pattern.push('$');
    Some((Regex::new(&pattern).ok()?, names))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbered_placeholders_are_bound() {
        let mut bindings = Bindings::default();
        assert!(bindings.matches("<rv:1>", "12").is_ok());
        assert!(bindings.matches("at <rv:1>", "at 12").is_ok());
        assert!(bindings.matches("<rv:1>", "13").is_err());
        assert!(bindings.matches("<rv:1>", "13").is_ok());
        assert!(bindings.matches("<rv:2>", "13").is_err());
        assert!(bindings.matches("<none>", "x").is_err());
    }
}
