//! Words for a connection that could not be made, as Go's `net` has them: events and conditions of probes quote them.

use std::fmt::Display;
use std::io;

/// `dial tcp ADDRESS: connect: connection refused`.
pub(crate) fn failure(address: impl Display, error: &io::Error) -> String {
    let text = error.to_string();
    // The standard library adds the number and begins with a capital letter.
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut letters = text.chars();
    let text: String = letters.next().into_iter().flat_map(char::to_lowercase).chain(letters).collect();
    format!("dial tcp {address}: connect: {text}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_as_gos_errors() {
        let cases = [(111, "connection refused"), (113, "no route to host"), (110, "connection timed out")];
        for (number, text) in cases {
            let error = io::Error::from_raw_os_error(number);
            assert_eq!(failure("10.42.0.2:80", &error), format!("dial tcp 10.42.0.2:80: connect: {text}"));
        }
        assert_eq!(failure("a:1", &io::Error::other("x")), "dial tcp a:1: connect: x");
    }
}
