//! Paths inside volumes.

use crate::field::{FieldErrors, Path};
use crate::kinds::common::check::bad_text;

/// No element goes up.
pub fn no_backsteps(errors: &mut FieldErrors, path: &Path<'_>, text: &str) {
    if goes_up(text) {
        bad_text(errors, path, text, "must not contain '..'");
    }
}

/// Whether an element goes up.
pub fn goes_up(text: &str) -> bool {
    text.split('/').any(|part| part == "..")
}

/// Relative, and no element goes up.
pub fn descending(errors: &mut FieldErrors, path: &Path<'_>, text: &str) {
    if text.starts_with('/') {
        bad_text(errors, path, text, "must be a relative path");
    }
    no_backsteps(errors, path, text);
}

/// As [`descending`], and not one of the names that volumes use themselves (`..data`).
pub fn descending_not_reserved(errors: &mut FieldErrors, path: &Path<'_>, text: &str) {
    descending(errors, path, text);
    if text.starts_with("..") && !text.starts_with("../") {
        bad_text(errors, path, text, "must not start with '..'");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_below() {
        for (text, count) in
            [("a/b", 0), ("/a", 1), ("a/../b", 1), ("/../a", 2), ("..data", 1), ("..", 2), ("../a", 1)]
        {
            let mut errors = FieldErrors::new();
            descending_not_reserved(&mut errors, &Path::new("p"), text);
            assert_eq!(errors.0.len(), count, "{text}");
        }
    }
}
