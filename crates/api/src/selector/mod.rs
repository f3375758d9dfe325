//! Label and field selectors.
//! Source: <https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/> and
//! <https://kubernetes.io/docs/concepts/overview/working-with-objects/field-selectors/>

mod field;
mod label;
mod parse;

pub use field::{FieldSelector, FieldTerm};
pub use label::{LabelSelector, Labels, Operator, Requirement};

/// Why a selector can't be used, in upstream's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SelectorError(pub String);
