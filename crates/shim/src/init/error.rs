//! Error messages in the style of OCI runtimes, which the kubelet passes on to people.

use std::io;

pub use cox_sys::error_text;

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
