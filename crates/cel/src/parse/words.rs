//! The words of a syntax error. Upstream's come from the grammar's generated parser, which says what it expected;
//! the same grammar, asked only about texts that can't be parsed, says it the same way.

use kube_cel::cel::parser::Parser;

use crate::error::{CompileError, Issue};

/// Longer texts get our own words: how long the generated parser takes isn't known.
const LENGTH_MAX: usize = 10_000;
/// Bytes of the stack on which it runs: it goes deeper than a task's stack is.
const STACK: usize = 64 << 20;

/// The errors of a text that is no expression. None where the generated parser sees no fault in it.
pub(super) fn of(source: &str) -> Option<CompileError> {
    if source.len() > LENGTH_MAX {
        return None;
    }
    let text = source.to_owned();
    let parse = move || {
        let parsed = Parser::default().enable_optional_syntax(true).parse(&text);
        parsed.err().map(|errors| errors.errors.into_iter().map(|e| (e.pos, e.msg)).collect::<Vec<_>>())
    };
    // The generated parser is not ours: should it panic on a strange text, our own words are good enough.
    let errors = std::thread::Builder::new().stack_size(STACK).spawn(parse).ok()?.join().ok()??;
    let starts: Vec<usize> = std::iter::once(0)
        .chain(source.chars().enumerate().filter(|(_, c)| *c == '\n').map(|(i, _)| i + 1))
        .collect();
    let issues = errors
        .into_iter()
        .map(|((line, column), message)| {
            let start = starts.get(usize::try_from(line - 1).unwrap_or(0)).copied().unwrap_or(0);
            Issue { at: start + usize::try_from(column - 1).unwrap_or(0), message }
        })
        .collect();
    Some(CompileError::at(source, issues))
}
