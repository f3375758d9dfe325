//! Error messages in the style of OCI runtimes, which the kubelet passes on to people.

use std::io;

/// The kernel's text for an error as C programs print it, in lower case: `no such file or directory`.
pub fn error_text(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut chars = text.chars();
    match chars.next() {
        Some(first) => first.to_lowercase().chain(chars).collect(),
        None => String::new(),
    }
}

/// Says what failed.
pub trait Context<T> {
    /// `what: text of the error`.
    fn context(self, what: impl FnOnce() -> String) -> Result<T, String>;
}

impl<T, E: Into<io::Error>> Context<T> for Result<T, E> {
    fn context(self, what: impl FnOnce() -> String) -> Result<T, String> {
        self.map_err(|e| format!("{}: {}", what(), error_text(&e.into())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_look_like_upstreams() {
        assert_eq!(error_text(&io::Error::from_raw_os_error(2)), "no such file or directory");
        assert_eq!(error_text(&io::Error::from_raw_os_error(13)), "permission denied");
    }
}
