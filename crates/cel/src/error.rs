//! Why an expression is refused, in cel-go's form, and why its evaluation failed.

use std::fmt;

/// A fault at a place, in code points from the start of the expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issue {
    /// Code points from the start.
    pub at: usize,
    /// What is wrong.
    pub message: String,
}

/// Why an expression can't be compiled. Its text is cel-go's, without upstream's `compilation failed: ` before it:
/// `ERROR: <input>:1:5: undefined field 'x'`, the line, and a line that points to the place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompileError {
    text: String,
}

impl CompileError {
    /// Faults in an expression, in the order of their places.
    #[must_use]
    pub fn at(source: &str, mut issues: Vec<Issue>) -> CompileError {
        issues.sort_by_key(|issue| issue.at);
        let text = issues.iter().map(|issue| rendered(source, issue)).collect::<Vec<_>>().join("\n");
        CompileError { text }
    }

    pub(crate) fn plain(text: String) -> CompileError {
        CompileError { text }
    }
}

fn rendered(source: &str, issue: &Issue) -> String {
    let chars: Vec<char> = source.chars().collect();
    let at = issue.at.min(chars.len());
    let line = chars[..at].iter().filter(|c| **c == '\n').count();
    let start = chars[..at].iter().rposition(|c| *c == '\n').map_or(0, |p| p + 1);
    let shown = source.split('\n').nth(line).unwrap_or_default();
    let column = at - start;
    format!(
        "ERROR: <input>:{}:{}: {}\n | {}\n | {}^",
        line + 1,
        column + 1,
        issue.message,
        shown.replace('\t', " "),
        ".".repeat(column)
    )
}

impl fmt::Display for CompileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for CompileError {}

/// Why an evaluation has no result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EvalError {
    /// An error of the expression with these values: `no such key: data`.
    Failed(String),
    /// The budget is used up.
    CostExceeded,
}

impl EvalError {
    /// An error in words.
    pub fn new(message: impl Into<String>) -> EvalError {
        EvalError::Failed(message.into())
    }

    pub(crate) fn no_overload() -> EvalError {
        EvalError::new("no such overload")
    }
}

impl fmt::Display for EvalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EvalError::Failed(message) => f.write_str(message),
            EvalError::CostExceeded => f.write_str("operation cancelled: actual cost limit exceeded"),
        }
    }
}

impl std::error::Error for EvalError {}
