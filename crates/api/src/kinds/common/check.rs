//! Checks that rules of many kinds use, in upstream's words. Nothing is formatted unless something is wrong.

use serde_json::Value;

use super::walk::{get, int_ptr};
use crate::field::{FieldError, FieldErrorKind, FieldErrors, Path};
use crate::meta::names;

/// One `Invalid value` for each message.
pub fn messages(errors: &mut FieldErrors, path: &Path<'_>, text: &str, messages: Vec<String>) {
    for message in messages {
        errors.invalid(path, &text.into(), message);
    }
}

/// `Invalid value` with a text as the value.
pub fn bad_text(errors: &mut FieldErrors, path: &Path<'_>, text: &str, detail: impl Into<String>) {
    errors.invalid(path, &text.into(), detail);
}

/// `Invalid value` without the value.
pub fn bad_without_value(errors: &mut FieldErrors, path: &Path<'_>, detail: impl Into<String>) {
    push(errors, FieldErrorKind::Invalid, path, None, detail);
}

/// Any fault.
pub fn push(
    errors: &mut FieldErrors,
    kind: FieldErrorKind,
    path: &Path<'_>,
    shown: Option<String>,
    detail: impl Into<String>,
) {
    errors.0.push(FieldError { kind, field: path.to_string(), shown, detail: detail.into() });
}

/// 0 or more.
pub fn non_negative(errors: &mut FieldErrors, path: &Path<'_>, number: i64) {
    if number < 0 {
        errors.invalid(path, &number.into(), "must be greater than or equal to 0");
    }
}

/// The field, if there is one, is 0 or more.
pub fn field_non_negative(errors: &mut FieldErrors, object: &Value, path: &Path<'_>, key: &str) {
    if let Some(number @ ..0) = int_ptr(object, key) {
        non_negative(errors, &path.child(key), number);
    }
}

/// More than 0.
pub fn positive(errors: &mut FieldErrors, path: &Path<'_>, number: i64) {
    if number <= 0 {
        errors.invalid(path, &number.into(), "must be greater than zero");
    }
}

/// One of some words. `shown` are the words as the message lists them.
pub fn one_of(errors: &mut FieldErrors, path: &Path<'_>, word: &str, shown: &[&str]) {
    if !shown.contains(&word) {
        errors.not_supported(path, &word.into(), shown);
    }
}

/// One of some words, and said at all.
pub fn required_one_of(errors: &mut FieldErrors, path: &Path<'_>, word: &str, shown: &[&str]) {
    if word.is_empty() {
        errors.required(path, "");
    } else {
        one_of(errors, path, word, shown);
    }
}

/// Something is said.
pub fn required(errors: &mut FieldErrors, path: &Path<'_>, text: &str) {
    if text.is_empty() {
        errors.required(path, "");
    }
}

/// A DNS label.
pub fn label(errors: &mut FieldErrors, path: &Path<'_>, text: &str) {
    messages(errors, path, text, names::dns1123_label(text));
}

/// A DNS subdomain.
pub fn subdomain(errors: &mut FieldErrors, path: &Path<'_>, text: &str) {
    messages(errors, path, text, names::dns1123_subdomain(text));
}

/// A qualified name.
pub fn qualified(errors: &mut FieldErrors, path: &Path<'_>, text: &str) {
    messages(errors, path, text, names::qualified_name(text));
}

/// An IP address.
pub fn ip(errors: &mut FieldErrors, path: &Path<'_>, text: &str) {
    messages(errors, path, text, names::ip(text));
}

/// A share of a hundred; none where the value is a number, or no share.
pub fn share(value: &Value) -> Option<i64> {
    let text = value.as_str()?;
    if names::percent(text).is_empty() { text.trim_end_matches('%').parse().ok() } else { None }
}

/// The number, or the share's number; 0 for a text that is neither.
pub fn amount(value: &Value) -> i64 {
    share(value).or_else(|| value.as_i64()).or_else(|| value.as_str()?.parse().ok()).unwrap_or(0)
}

/// A number, 0 or more, or a share.
pub fn int_or_share(errors: &mut FieldErrors, path: &Path<'_>, value: &Value) {
    match value {
        Value::String(text) => messages(errors, path, text, names::percent(text)),
        number => non_negative(errors, path, number.as_i64().unwrap_or_default()),
    }
}

/// At most the whole.
pub fn at_most_whole(errors: &mut FieldErrors, path: &Path<'_>, value: &Value) {
    if share(value).is_some_and(|share| share > 100) {
        errors.invalid(path, value, "must not be greater than 100%");
    }
}

/// A field that may not change; `show` writes the new value.
pub fn immutable(
    errors: &mut FieldErrors,
    path: &Path<'_>,
    new: Option<&Value>,
    old: Option<&Value>,
    show: impl Fn(&Value) -> String,
) {
    if !super::walk::same(new, old) {
        let shown = new.map_or_else(|| "null".to_owned(), show);
        errors.invalid_shown(path, shown, "field is immutable");
    }
}

/// A counter of a status that may not go back.
pub fn not_decremented(errors: &mut FieldErrors, new: &Value, old: &Value, path: &Path<'_>, key: &str) {
    let (new, old) = (get(new, key).and_then(Value::as_i64), get(old, key).and_then(Value::as_i64));
    if let Some(old) = old
        && new.is_none_or(|new| new < old)
    {
        errors.invalid(&path.child(key), &new.unwrap_or(0).into(), "cannot be decremented");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn shares_and_numbers() {
        for (value, expected) in [(json!("25%"), 25), (json!(3), 3), (json!("x"), 0), (json!("7"), 7)] {
            assert_eq!(amount(&value), expected);
        }
        let path = Path::new("f");
        let mut errors = FieldErrors::new();
        int_or_share(&mut errors, &path, &json!("10%"));
        int_or_share(&mut errors, &path, &json!(0));
        at_most_whole(&mut errors, &path, &json!("100%"));
        assert!(errors.is_empty());
        int_or_share(&mut errors, &path, &json!("10"));
        int_or_share(&mut errors, &path, &json!(-1));
        at_most_whole(&mut errors, &path, &json!("101%"));
        assert_eq!(errors.0.len(), 3);
    }

    #[test]
    fn counters_do_not_go_back() {
        let mut errors = FieldErrors::new();
        not_decremented(&mut errors, &json!({"c": 2}), &json!({"c": 2}), &Path::new("s"), "c");
        not_decremented(&mut errors, &json!({"c": 2}), &json!({}), &Path::new("s"), "c");
        assert!(errors.is_empty());
        not_decremented(&mut errors, &json!({}), &json!({"c": 2}), &Path::new("s"), "c");
        assert_eq!(errors.0[0].to_string(), "s.c: Invalid value: 0: cannot be decremented");
    }
}
