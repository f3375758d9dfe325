//! The checks of an object as a whole: its metadata, and what its kind says.

use serde_json::Value;

use super::validate::{validate_create, validate_standing, validate_update, validate_update_more};
use crate::field::FieldErrors;
use crate::kind::{Kind, NameRule, Part};

/// Everything that is wrong with a new object.
pub fn check_create(kind: &dyn Kind, object: &Value) -> FieldErrors {
    let mut errors = FieldErrors::new();
    if !kind.checks_metadata() {
        validate_create(object, kind.info(), kind.name_rule(), &mut errors);
    }
    kind.validate_create(object, &mut errors);
    // However liberal a kind is with its names: they must fit into a path.
    if errors.is_empty() {
        validate_create(object, kind.info(), NameRule::PathSegment, &mut errors);
    }
    errors
}

/// Everything that is wrong with an update.
pub fn check_update(kind: &dyn Kind, new: &Value, old: &Value, part: Part) -> FieldErrors {
    let mut errors = FieldErrors::new();
    // The machinery checks the metadata as such and as an update, and a kind does both once more. One fault is so
    // several causes, of which the message shows one.
    validate_standing(new, &mut errors);
    validate_update(new, old, &mut errors);
    if kind.repeats_metadata_checks() {
        errors.0.extend_from_within(..);
    }
    validate_update_more(new, &mut errors);
    kind.validate_update(new, old, part, &mut errors);
    errors
}
