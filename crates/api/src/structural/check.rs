//! Checking a value by a schema, in upstream's words and order.
//! Source: `k8s.io/kube-openapi/pkg/validation/validate`, as `apiextensions` turns its findings into field errors.

use serde_json::{Map, Value};

use super::number::{float, is_multiple, is_whole, same, show as show_number};
use super::{Additional, Checks, Failure, ListKind, Structural, formats};
use crate::field::{FieldErrorKind, quote};

impl Structural {
    /// What is wrong with a value. `old` is what stood in its place before: what hasn't changed isn't checked again
    /// (KEP-4008, ratcheting).
    pub fn check(&self, value: &Value, old: Option<&Value>) -> Vec<Failure> {
        let mut check = Check::default();
        check.value(self, value, old, "");
        check.failures
    }

    /// The types that a value may have; empty for any.
    fn type_names(&self) -> Vec<&str> {
        if self.int_or_string {
            return vec!["integer", "string"];
        }
        if self.type_name.is_empty() { Vec::new() } else { vec![&self.type_name] }
    }
}

/// The name of a value's type.
fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

#[derive(Default)]
struct Check {
    failures: Vec<Failure>,
    /// How many single checks a value has passed: of several schemas that don't fit, the one with most is told.
    matched: usize,
}

impl Check {
    fn invalid(&mut self, path: &str, value: &Value, words: &str) {
        self.failures.push(Failure::invalid(path, value, format!("{path} in body {words}")));
    }

    fn merge(&mut self, other: Check) {
        self.failures.extend(other.failures);
        self.matched += other.matched;
    }

    fn value(&mut self, schema: &Structural, value: &Value, old: Option<&Value>, path: &str) {
        if old.is_some_and(|old| same(old, value)) {
            return;
        }
        self.type_of(schema, value, path);
        if value.is_null() {
            self.enumeration(&schema.checks, schema.nullable, value, path);
            return;
        }
        self.junctors(&schema.checks, value, path);
        match value {
            Value::String(text) => self.text(&schema.checks, text, value, path),
            Value::Number(_) => self.number(schema, value, path),
            Value::Array(list) => self.list(schema, list, old, path),
            _ => {}
        }
        self.enumeration(&schema.checks, schema.nullable, value, path);
        if let Value::Object(map) = value {
            self.map(schema, map, old, path);
        }
        self.matched += 1;
    }

    fn type_of(&mut self, schema: &Structural, value: &Value, path: &str) {
        let wanted = schema.type_names();
        if wanted.is_empty() || (value.is_null() && schema.nullable) {
            return;
        }
        let found = type_of(value);
        let fits = match value {
            Value::Number(number) => {
                wanted.contains(&"number") || (wanted.contains(&"integer") && is_whole(number))
            }
            _ => wanted.contains(&found),
        };
        if !fits {
            let words = format!("{path} in body must be of type {}: {}", wanted.join(","), quote(found));
            self.failures.push(Failure::at(path, FieldErrorKind::TypeInvalid, Some(quote(found)), words));
        }
    }

    /// Several schemas at once.
    fn junctors(&mut self, checks: &Checks, value: &Value, path: &str) {
        let run = |schema: &Structural| {
            let mut check = Check::default();
            check.value(schema, value, None, path);
            check
        };
        let best = |checks: Vec<Check>| {
            // Of equals the first one.
            checks.into_iter().rev().max_by_key(|check| check.matched)
        };
        if !checks.any_of.is_empty() {
            let (fine, bad): (Vec<Check>, Vec<Check>) =
                checks.any_of.iter().map(run).partition(|check| check.failures.is_empty());
            if fine.is_empty() {
                self.failures.push(Failure::nowhere(format!(
                    "{} must validate at least one schema (anyOf)",
                    quote(path)
                )));
                best(bad).into_iter().for_each(|best| self.merge(best));
            }
        }
        if !checks.one_of.is_empty() {
            let (fine, bad): (Vec<Check>, Vec<Check>) =
                checks.one_of.iter().map(run).partition(|check| check.failures.is_empty());
            if fine.len() != 1 {
                let found = match fine.len() {
                    0 => "Found none valid".to_owned(),
                    many => format!("Found {many} valid alternatives"),
                };
                self.failures.push(Failure::nowhere(format!(
                    "{} must validate one and only one schema (oneOf). {found}",
                    quote(path)
                )));
                if fine.is_empty() {
                    best(bad).into_iter().for_each(|best| self.merge(best));
                }
            }
        }
        if !checks.all_of.is_empty() {
            let mut all = true;
            for check in checks.all_of.iter().map(run) {
                all &= check.failures.is_empty();
                self.merge(check);
            }
            if !all {
                self.failures
                    .push(Failure::nowhere(format!("{} must validate all the schemas (allOf)", quote(path))));
            }
        }
        if let Some(not) = &checks.not
            && run(not).failures.is_empty()
        {
            self.failures
                .push(Failure::nowhere(format!("{} must not validate the schema (not)", quote(path))));
        }
    }

    fn text(&mut self, checks: &Checks, text: &str, value: &Value, path: &str) {
        let length = text.chars().count() as u64;
        if let Some(max) = checks.length_max
            && length > max
        {
            let words = format!("may not be more than {max} bytes");
            self.failures.push(Failure::at(path, FieldErrorKind::TooLong, None, words));
        }
        if let Some(min) = checks.length_min
            && length < min
        {
            self.invalid(path, value, &format!("should be at least {min} chars long"));
        }
        if let Some(pattern) = &checks.pattern
            && !pattern.regex.as_ref().is_some_and(|regex| regex.is_match(text))
        {
            self.invalid(path, value, &format!("should match '{}'", pattern.source));
        }
        if !formats::has_format(&checks.format, text) {
            let words = format!("{path} in body must be of type {}: {}", checks.format, quote(text));
            self.failures.push(Failure::at(path, FieldErrorKind::TypeInvalid, Some(quote(text)), words));
        }
    }

    fn number(&mut self, schema: &Structural, value: &Value, path: &str) {
        let Value::Number(number) = value else { return };
        let checks = &schema.checks;
        self.range(schema, number, path);
        if let Some(of) = &checks.multiple_of
            && !is_multiple(number, of)
        {
            self.invalid(path, value, &format!("should be a multiple of {}", show_number(of)));
        }
        if let Some(max) = &checks.maximum {
            let beyond = if checks.exclusive_maximum {
                float(number) >= float(max)
            } else {
                float(number) > float(max)
            };
            if beyond {
                let words = if checks.exclusive_maximum { "less than" } else { "less than or equal to" };
                self.invalid(path, value, &format!("should be {words} {}", show_number(max)));
            }
        }
        if let Some(min) = &checks.minimum {
            let below = if checks.exclusive_minimum {
                float(number) <= float(min)
            } else {
                float(number) < float(min)
            };
            if below {
                let words =
                    if checks.exclusive_minimum { "greater than" } else { "greater than or equal to" };
                self.invalid(path, value, &format!("should be {words} {}", show_number(min)));
            }
        }
    }

    /// Whether a number fits the integers or floats of its format.
    fn range(&mut self, schema: &Structural, number: &serde_json::Number, path: &str) {
        let format = schema.checks.format.as_str();
        let whole = is_whole(number).then(|| float(number));
        let fits = match (schema.type_name.as_str(), format) {
            ("integer", "int32") => {
                whole.is_some_and(|number| (-2147483648.0..=2147483647.0).contains(&number))
            }
            ("integer", "uint32") => whole.is_some_and(|number| (0.0..=4294967295.0).contains(&number)),
            ("integer", "uint64") => whole.is_some_and(|number| number >= 0.0),
            ("integer", _) => number.is_i64() || whole.is_some_and(|number| number.abs() < 9.2e18),
            ("number", "float") => float(number).abs() <= f64::from(f32::MAX),
            _ => true,
        };
        if !fits {
            let form = match format {
                "" => "(default format)".to_owned(),
                format => format!("with format {format}"),
            };
            self.failures.push(Failure::nowhere(format!(
                "Checked value must be of type {} {form} in {path}",
                schema.type_name
            )));
        }
    }

    fn enumeration(&mut self, checks: &Checks, nullable: bool, value: &Value, path: &str) {
        if checks.enumeration.is_empty()
            || (nullable && value.is_null())
            || checks.enumeration.iter().any(|known| same(known, value))
        {
            return;
        }
        let known: Vec<String> = checks
            .enumeration
            .iter()
            .map(|known| quote(&known.as_str().map_or_else(|| known.to_string(), str::to_owned)))
            .collect();
        let detail = format!("supported values: {}", known.join(", "));
        let shown = Some(crate::field::show(value));
        self.failures.push(Failure::at(path, FieldErrorKind::NotSupported, shown, detail));
    }

    fn list(&mut self, schema: &Structural, list: &[Value], old: Option<&Value>, path: &str) {
        let checks = &schema.checks;
        let count = list.len() as u64;
        if let Some(items) = &schema.items {
            for (at, value) in list.iter().enumerate() {
                let before = old.and_then(|old| old_element(schema, value, old));
                self.value(items, value, before, &format!("{path}[{at}]"));
            }
        }
        if let Some(min) = checks.items_min
            && count < min
        {
            self.invalid(path, &count.into(), &format!("should have at least {min} items"));
        }
        if let Some(max) = checks.items_max
            && count > max
        {
            let words = format!("must have at most {max} items");
            self.failures.push(Failure::at(path, FieldErrorKind::TooMany, Some(count.to_string()), words));
        }
        if checks.unique_items && list.iter().enumerate().any(|(at, value)| list[..at].contains(value)) {
            self.failures.push(Failure::at(
                path,
                FieldErrorKind::Duplicate,
                None,
                format!("{path} in body shouldn't contain duplicates"),
            ));
        }
    }

    fn map(&mut self, schema: &Structural, map: &Map<String, Value>, old: Option<&Value>, path: &str) {
        let checks = &schema.checks;
        let count = map.len() as u64;
        if let Some(min) = checks.properties_min
            && count < min
        {
            self.invalid(path, &count.into(), &format!("should have at least {min} properties"));
        }
        if let Some(max) = checks.properties_max
            && count > max
        {
            let words = format!("must have at most {max} items");
            self.failures.push(Failure::at(path, FieldErrorKind::TooMany, Some(count.to_string()), words));
        }
        let inner = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
        for (key, value) in map {
            let before = old.and_then(|old| old.get(key));
            match (schema.properties.get(key), &schema.additional) {
                (Some(below), _) => self.value(below, value, before, &inner(key)),
                (None, Additional::Of(below)) => self.value(below, value, before, &inner(key)),
                _ => {}
            }
        }
        for name in &checks.required {
            if !map.contains_key(name) {
                self.failures.push(Failure::at(&inner(name), FieldErrorKind::Required, None, ""));
            }
        }
    }
}

/// What an element was before, where elements are told apart by their keys.
fn old_element<'o>(schema: &Structural, value: &Value, old: &'o Value) -> Option<&'o Value> {
    let ListKind::Map(keys) = &schema.list else { return None };
    let old = old.as_array()?;
    old.iter().find(|old| keys.iter().all(|key| old.get(key) == value.get(key)))
}
