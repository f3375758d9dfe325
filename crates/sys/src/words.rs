//! Words for what the system refuses, as programs in Go have them: people and tools know events and conditions by them.

use std::fmt::Display;
use std::io;

/// The kernel's text for an error: `no such file or directory`.
pub fn error_text(error: &io::Error) -> String {
    let text = error.to_string();
    // The standard library adds the number and begins with a capital letter.
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut letters = text.chars();
    letters.next().into_iter().flat_map(char::to_lowercase).chain(letters).collect()
}

/// A connection that couldn't be made: `dial tcp ADDRESS: connect: connection refused`.
pub fn dial_error_text(address: impl Display, error: &io::Error) -> String {
    format!("dial tcp {address}: connect: {}", error_text(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_gos() {
        let cases = [
            (2, "no such file or directory"),
            (13, "permission denied"),
            (111, "connection refused"),
            (113, "no route to host"),
            (110, "connection timed out"),
        ];
        for (number, text) in cases {
            assert_eq!(error_text(&io::Error::from_raw_os_error(number)), text);
        }
        assert_eq!(dial_error_text("a:1", &io::Error::other("x")), "dial tcp a:1: connect: x");
    }
}
