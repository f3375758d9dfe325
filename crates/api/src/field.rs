//! Field paths and field errors, as upstream's `field` package words them.

use std::fmt;

use serde_json::Value;

/// Where in an object a rule looks. Built on the stack; text is made only for an error.
#[derive(Clone, Copy)]
pub struct Path<'a> {
    parent: Option<&'a Path<'a>>,
    step: Step<'a>,
}

#[derive(Clone, Copy)]
enum Step<'a> {
    Root,
    Field(&'a str),
    Index(usize),
    Key(&'a str),
}

impl<'a> Path<'a> {
    /// The whole object.
    pub const ROOT: Path<'static> = Path { parent: None, step: Step::Root };

    /// A path that starts with `name`.
    pub const fn new(name: &'a str) -> Path<'a> {
        Path { parent: None, step: Step::Field(name) }
    }

    /// The field `name` below this one; may contain dots (`"spec.template"`).
    pub const fn child(&'a self, name: &'a str) -> Path<'a> {
        Path { parent: Some(self), step: Step::Field(name) }
    }

    /// The element of a list.
    pub const fn index(&'a self, index: usize) -> Path<'a> {
        Path { parent: Some(self), step: Step::Index(index) }
    }

    /// The entry of a map.
    pub const fn key(&'a self, key: &'a str) -> Path<'a> {
        Path { parent: Some(self), step: Step::Key(key) }
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(parent) = self.parent {
            parent.fmt(f)?;
        }
        let first = self.parent.is_none_or(|parent| matches!(parent.step, Step::Root));
        match self.step {
            Step::Root => Ok(()),
            Step::Field(name) if first => f.write_str(name),
            Step::Field(name) => write!(f, ".{name}"),
            Step::Index(index) => write!(f, "[{index}]"),
            Step::Key(key) => write!(f, "[{key}]"),
        }
    }
}

/// What is wrong with a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum FieldErrorKind {
    NotFound,
    Required,
    Duplicate,
    Invalid,
    NotSupported,
    Forbidden,
    TooLong,
    TooMany,
    Internal,
    TypeInvalid,
}

impl FieldErrorKind {
    /// The machine-readable cause (`metav1.CauseType`).
    pub fn reason(self) -> &'static str {
        match self {
            FieldErrorKind::NotFound => "FieldValueNotFound",
            FieldErrorKind::Required => "FieldValueRequired",
            FieldErrorKind::Duplicate => "FieldValueDuplicate",
            FieldErrorKind::Invalid => "FieldValueInvalid",
            FieldErrorKind::NotSupported => "FieldValueNotSupported",
            FieldErrorKind::Forbidden => "FieldValueForbidden",
            FieldErrorKind::TooLong => "FieldValueTooLong",
            FieldErrorKind::TooMany => "FieldValueTooMany",
            FieldErrorKind::Internal => "InternalError",
            FieldErrorKind::TypeInvalid => "FieldValueTypeInvalid",
        }
    }

    fn text(self) -> &'static str {
        match self {
            FieldErrorKind::NotFound => "Not found",
            FieldErrorKind::Required => "Required value",
            FieldErrorKind::Duplicate => "Duplicate value",
            FieldErrorKind::Invalid | FieldErrorKind::TypeInvalid => "Invalid value",
            FieldErrorKind::NotSupported => "Unsupported value",
            FieldErrorKind::Forbidden => "Forbidden",
            FieldErrorKind::TooLong => "Too long",
            FieldErrorKind::TooMany => "Too many",
            FieldErrorKind::Internal => "Internal error",
        }
    }
}

/// One fault of one field.
#[derive(Clone, Debug, PartialEq)]
pub struct FieldError {
    /// What is wrong.
    pub kind: FieldErrorKind,
    /// Where, as in `spec.containers[0].image`.
    pub field: String,
    /// The value as Go's `%v`/JSON would show it in the message; none where the kind shows no value.
    pub shown: Option<String>,
    /// More words; may be empty.
    pub detail: String,
}

impl FieldError {
    /// The text without the field: `Invalid value: "x": must be ...`.
    pub fn body(&self) -> String {
        let mut text = self.kind.text().to_owned();
        if let Some(shown) = &self.shown {
            text.push_str(": ");
            text.push_str(shown);
        }
        if !self.detail.is_empty() {
            text.push_str(": ");
            text.push_str(&self.detail);
        }
        text
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.body())
    }
}

/// The faults found so far.
#[derive(Default, Debug)]
pub struct FieldErrors(pub Vec<FieldError>);

impl FieldErrors {
    /// No faults yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn push(
        &mut self,
        kind: FieldErrorKind,
        path: &Path<'_>,
        shown: Option<String>,
        detail: impl Into<String>,
    ) {
        self.0.push(FieldError { kind, field: path.to_string(), shown, detail: detail.into() });
    }

    /// `Required value`, with more words where upstream has them.
    pub fn required(&mut self, path: &Path<'_>, detail: impl Into<String>) {
        self.push(FieldErrorKind::Required, path, None, detail);
    }

    /// `Invalid value: VALUE: DETAIL`.
    pub fn invalid(&mut self, path: &Path<'_>, value: &Value, detail: impl Into<String>) {
        self.push(FieldErrorKind::Invalid, path, Some(show(value)), detail);
    }

    /// `Invalid value` whose value is shown by words of the caller's (Go structs printed as JSON, for example).
    pub fn invalid_shown(&mut self, path: &Path<'_>, shown: impl Into<String>, detail: impl Into<String>) {
        self.push(FieldErrorKind::Invalid, path, Some(shown.into()), detail);
    }

    /// `Unsupported value: VALUE: supported values: "A", "B"` in the order given.
    pub fn not_supported(&mut self, path: &Path<'_>, value: &Value, supported: &[&str]) {
        let list: Vec<String> = supported.iter().map(|word| format!("{word:?}")).collect();
        let detail =
            if list.is_empty() { String::new() } else { format!("supported values: {}", list.join(", ")) };
        self.push(FieldErrorKind::NotSupported, path, Some(show(value)), detail);
    }

    /// `Forbidden: DETAIL`.
    pub fn forbidden(&mut self, path: &Path<'_>, detail: impl Into<String>) {
        self.push(FieldErrorKind::Forbidden, path, None, detail);
    }

    /// `Duplicate value: VALUE`.
    pub fn duplicate(&mut self, path: &Path<'_>, value: &Value) {
        self.push(FieldErrorKind::Duplicate, path, Some(show(value)), "");
    }

    /// `Not found: VALUE`.
    pub fn not_found(&mut self, path: &Path<'_>, value: &Value) {
        self.push(FieldErrorKind::NotFound, path, Some(show(value)), "");
    }

    /// `Too long: may not be more than LIMIT bytes`.
    pub fn too_long(&mut self, path: &Path<'_>, bytes_max: usize) {
        self.push(FieldErrorKind::TooLong, path, None, format!("may not be more than {bytes_max} bytes"));
    }

    /// `Too many: ACTUAL: must have at most LIMIT items`.
    pub fn too_many(&mut self, path: &Path<'_>, actual: usize, items_max: usize) {
        self.push(
            FieldErrorKind::TooMany,
            path,
            Some(actual.to_string()),
            format!("must have at most {items_max} items"),
        );
    }
}

/// A value as it stands in a message: strings quoted, numbers and booleans bare, the rest as JSON, absent as `null`.
pub fn show(value: &Value) -> String {
    match value {
        Value::String(text) => quote(text),
        other => other.to_string(),
    }
}

/// A text as Go's `%q` writes it.
pub fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{b}' => out.push_str("\\v"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\0'..='\u{1f}' | '\u{7f}' => out.push_str(&format!("\\x{:02x}", u32::from(character))),
            // Rust escapes what can't be printed, as Go does.
            other if other.escape_debug().count() > 1 && other != '\'' => match u32::from(other) {
                code @ ..0x10000 => out.push_str(&format!("\\u{code:04x}")),
                code => out.push_str(&format!("\\U{code:08x}")),
            },
            other => out.push(other),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn texts_are_quoted_as_go_does() {
        for (text, quoted) in [
            ("a\u{1}", r#""a\x01""#),
            ("a'b\"c\\", r#""a'b\"c\\""#),
            ("\n\u{7}\u{7f}", r#""\n\a\x7f""#),
            ("ü\u{200b}", r#""ü\u200b""#),
        ] {
            assert_eq!(quote(text), quoted);
        }
    }

    #[test]
    fn texts_are_upstreams() {
        let spec = Path::new("spec");
        let containers = spec.child("containers");
        let first = containers.index(0);
        let mut errors = FieldErrors::new();
        errors.required(&first.child("image"), "");
        errors.not_supported(&spec.child("restartPolicy"), &json!("Now"), &["Always", "Never"]);
        let texts: Vec<String> = errors.0.iter().map(ToString::to_string).collect();
        assert_eq!(
            texts,
            [
                "spec.containers[0].image: Required value",
                "spec.restartPolicy: Unsupported value: \"Now\": supported values: \"Always\", \"Never\"",
            ]
        );
    }
}
