//! What is wrong with a value, and how that becomes a field error.

use serde_json::Value;

use crate::field::{FieldError, FieldErrorKind, show};

/// One fault of a value.
#[derive(Clone, Debug, PartialEq)]
pub struct Failure {
    /// Where, below the value that was checked (`spec.tags[0]`); none where upstream names no place.
    pub name: Option<String>,
    /// What is wrong.
    pub kind: FieldErrorKind,
    /// The value as the message shows it; none where the kind shows no value.
    pub shown: Option<String>,
    /// More words; may be empty.
    pub detail: String,
}

impl Failure {
    /// Of a named place.
    pub fn at(name: &str, kind: FieldErrorKind, shown: Option<String>, detail: impl Into<String>) -> Failure {
        Failure { name: Some(name.to_owned()), kind, shown, detail: detail.into() }
    }

    /// `Invalid value` of a named place.
    pub fn invalid(name: &str, value: &Value, detail: impl Into<String>) -> Failure {
        Failure::at(name, FieldErrorKind::Invalid, Some(show(value)), detail)
    }

    /// Without a place, as upstream has it for what several schemas say together.
    pub fn nowhere(detail: impl Into<String>) -> Failure {
        Failure {
            name: None,
            kind: FieldErrorKind::Invalid,
            shown: Some("\"\"".into()),
            detail: detail.into(),
        }
    }

    /// As an error of a field; `base` is where the value itself stands, empty for a whole object.
    pub fn into_error(self, base: &str) -> FieldError {
        let field = match (base.is_empty(), self.name.as_deref()) {
            (true, None | Some("")) => "<nil>".to_owned(),
            (true, Some(name)) => name.to_owned(),
            (false, None | Some("")) => base.to_owned(),
            (false, Some(name)) => format!("{base}.{name}"),
        };
        FieldError { kind: self.kind, field, shown: self.shown, detail: self.detail }
    }
}
