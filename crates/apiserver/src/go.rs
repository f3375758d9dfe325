//! Words as Go's library reads them, where upstream leaves it to that.

/// A boolean (`strconv.ParseBool`); none where it is no such word.
pub(crate) fn parse_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}
