//! An expression, compiled.

use crate::check;
use crate::declarations::Declarations;
use crate::error::{CompileError, EvalError};
use crate::eval::{self, Bindings, Budget};
use crate::parse::{self, ast::Expr, ast::Node};
use crate::types::Type;
use crate::value::Value;

/// An expression that was parsed and checked.
#[derive(Clone, Debug)]
pub struct Program {
    source: String,
    expr: Expr,
    result: Type,
}

impl Program {
    /// Parses and checks an expression.
    ///
    /// # Errors
    /// Where it is none, or refers to what isn't declared. Upstream puts `compilation failed: ` before the text.
    pub fn compile(source: &str, declared: &Declarations) -> Result<Program, CompileError> {
        let mut expr = parse::parse(source)?;
        let result = check::check(&mut expr, declared).map_err(|issues| CompileError::at(source, issues))?;
        Ok(Program { source: source.to_owned(), expr, result })
    }

    /// The expression as it was written.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The type of the result. [`Type::Dyn`] where only evaluation shows it.
    #[must_use]
    pub fn result(&self) -> &Type {
        &self.result
    }

    /// Whether the expression refers to a variable.
    #[must_use]
    pub fn uses(&self, variable: &str) -> bool {
        uses(&self.expr, variable)
    }

    /// The value of the expression, within [`crate::CALL_LIMIT`] and what is left of a budget.
    ///
    /// # Errors
    /// Where the expression fails with these values, or the budget is used up.
    pub fn evaluate(&self, bindings: &Bindings, budget: &mut Budget) -> Result<Value, EvalError> {
        let (outcome, spent) = eval::evaluate(&self.expr, bindings, budget.next());
        budget.spend(spent);
        outcome
    }
}

/// A value made by a function of a library: `library("quantity", &["1Gi".into()])`.
///
/// # Errors
/// Where the function refuses the arguments.
pub fn library(function: &str, args: &[Value]) -> Result<Value, EvalError> {
    eval::library(function, args)
}

fn uses(expr: &Expr, variable: &str) -> bool {
    let any = |expr: &Expr| uses(expr, variable);
    match &expr.node {
        Node::Literal(_) => false,
        Node::Ident(name) => name == variable,
        Node::Select(select) => any(&select.operand),
        Node::Call(call) => call.target.iter().chain(&call.args).any(any),
        Node::List(elements) => elements.iter().any(|e| any(&e.value)),
        Node::Map(entries) => entries.iter().any(|e| any(&e.key) || any(&e.value)),
        Node::Object(object) => object.fields.iter().any(|f| any(&f.value)),
        Node::Macro(m) => any(&m.range) || any(&m.body) || m.filter.as_ref().is_some_and(any),
    }
}
