//! Expressions in objects: compiled, and of the type that is wanted.

use cox_cel::{Declarations, Program, Type};

use crate::field::{FieldErrors, Path};
use crate::kinds::common::check;

/// Compiles an expression that must have one of some types; none wanted means any.
///
/// # Errors
/// In upstream's words.
pub fn compile(source: &str, declared: &Declarations, wanted: &[Type]) -> Result<Program, String> {
    let program =
        Program::compile(source, declared).map_err(|error| format!("compilation failed: {error}"))?;
    if wanted.is_empty() || wanted.contains(program.result()) {
        return Ok(program);
    }
    let found = program.result();
    Err(match wanted {
        [one] => format!("must evaluate to {one} but got {found}"),
        many => {
            let many: Vec<String> = many.iter().map(Type::to_string).collect();
            format!("must evaluate to one of [{}] but got {found}", many.join(" "))
        }
    })
}

/// Notes what is wrong with an expression; its type where nothing is.
pub fn validate(
    errors: &mut FieldErrors,
    path: &Path<'_>,
    source: &str,
    declared: &Declarations,
    wanted: &[Type],
) -> Option<Type> {
    match compile(source, declared, wanted) {
        Ok(program) => Some(program.result().clone()),
        Err(message) => {
            check::bad_text(errors, path, source, message);
            None
        }
    }
}
