//! Evaluation: a walk over the checked expression that counts its cost.
//! Source: <https://github.com/google/cel-spec/blob/master/doc/langdef.md#evaluation>

mod calls;
mod convert;
mod cost;
mod libraries;
mod macros;
pub(crate) mod numbers;
mod optional;
pub(crate) mod time;

use std::collections::BTreeMap;
use std::sync::Arc;

/// Calls a function of a library.
pub(crate) fn library(function: &str, args: &[Value]) -> Outcome {
    libraries::call(function, false, args)
}

pub use cost::{Budget, CALL_LIMIT, RULE_LIMIT};

use crate::error::EvalError;
use crate::parse::ast::{Call, Element, Entry, Expr, Node, Object, Select};
use crate::value::{Key, Value};

/// The values of variables.
#[derive(Clone, Debug, Default)]
pub struct Bindings {
    values: BTreeMap<String, Value>,
}

impl Bindings {
    /// No variables.
    #[must_use]
    pub fn new() -> Bindings {
        Bindings::default()
    }

    /// And the value of one.
    #[must_use]
    pub fn with(mut self, name: &str, value: Value) -> Bindings {
        self.set(name, value);
        self
    }

    /// Sets the value of one.
    pub fn set(&mut self, name: &str, value: Value) {
        self.values.insert(name.to_owned(), value);
    }
}

type Outcome = Result<Value, EvalError>;

pub(crate) struct Evaluator<'a> {
    bindings: &'a Bindings,
    /// The variables of macros, the innermost last.
    scopes: Vec<(&'a str, Value)>,
    /// What may still be spent.
    left: u64,
}

/// The value of a checked expression, and what was spent on it.
pub(crate) fn evaluate(expr: &Expr, bindings: &Bindings, limit: u64) -> (Outcome, u64) {
    let mut evaluator = Evaluator { bindings, scopes: Vec::new(), left: limit };
    let outcome = evaluator.eval(expr);
    (outcome, limit - evaluator.left)
}

impl<'a> Evaluator<'a> {
    fn spend(&mut self, cost: u64) -> Result<(), EvalError> {
        match self.left.checked_sub(cost) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => {
                self.left = 0;
                Err(EvalError::CostExceeded)
            }
        }
    }

    fn eval(&mut self, expr: &'a Expr) -> Outcome {
        match &expr.node {
            Node::Literal(value) => Ok(value.clone()),
            Node::Ident(name) => self.variable(name),
            Node::Select(select) => self.select(select),
            Node::Call(call) => self.call(call),
            Node::List(elements) => self.list(elements),
            Node::Map(entries) => self.map(entries),
            Node::Object(object) => self.object(object),
            Node::Macro(expanded) => self.expanded(expanded),
        }
    }

    fn variable(&mut self, name: &str) -> Outcome {
        self.spend(cost::ACCESS)?;
        if let Some((_, value)) = self.scopes.iter().rev().find(|(n, _)| *n == name) {
            return Ok(value.clone());
        }
        match self.bindings.values.get(name) {
            Some(value) => Ok(value.clone()),
            // The checker let it pass: the name of a type, or a variable the caller declared and didn't bind.
            None if convert::is_type(name) => Ok(Value::Type(name.into())),
            None => Err(EvalError::new(format!("no such attribute(s): {name}"))),
        }
    }

    fn select(&mut self, select: &'a Select) -> Outcome {
        let operand = self.eval(&select.operand)?;
        if select.test {
            return match optional::inside(&operand) {
                None => Ok(Value::Bool(false)),
                Some(value) => Ok(Value::Bool(field(value, &select.field)?.is_some())),
            };
        }
        self.spend(cost::ACCESS)?;
        if select.optional || matches!(operand, Value::Optional(_)) {
            let Some(value) = optional::inside(&operand) else { return Ok(Value::Optional(None)) };
            return Ok(optional::of(field(value, &select.field)?));
        }
        field(&operand, &select.field)?
            .ok_or_else(|| EvalError::new(format!("no such key: {}", select.field)))
    }

    fn call(&mut self, call: &'a Call) -> Outcome {
        match (call.function.as_str(), call.args.as_slice()) {
            ("_?_:_", [condition, yes, no]) => match self.eval(condition)? {
                Value::Bool(true) => self.eval(yes),
                Value::Bool(false) => self.eval(no),
                _ => Err(EvalError::no_overload()),
            },
            ("_&&_", [left, right]) => self.logic(left, right, false),
            ("_||_", [left, right]) => self.logic(left, right, true),
            ("or" | "orValue", [alternative]) if call.target.is_some() => {
                let target = call.target.as_ref().map(|target| self.eval(target)).transpose()?;
                self.spend(cost::CALL)?;
                match target {
                    Some(Value::Optional(Some(value))) if call.function == "orValue" => Ok((*value).clone()),
                    Some(some @ Value::Optional(Some(_))) => Ok(some),
                    Some(Value::Optional(None)) => self.eval(alternative),
                    _ => Err(EvalError::no_overload()),
                }
            }
            (function, _) => {
                let mut args = Vec::with_capacity(call.args.len() + 1);
                for arg in call.target.iter().chain(&call.args) {
                    args.push(self.eval(arg)?);
                }
                self.spend(cost::before(function, &args))?;
                let result = calls::call(function, call.target.is_some(), &args)?;
                self.spend(cost::after(function, &result))?;
                Ok(result)
            }
        }
    }

    /// `&&` and `||`: an operand that decides makes the error of the other one irrelevant.
    fn logic(&mut self, left: &'a Expr, right: &'a Expr, decides: bool) -> Outcome {
        let first = self.truth(left);
        if matches!(first, Ok(value) if value == decides) || matches!(first, Err(EvalError::CostExceeded)) {
            return first.map(Value::Bool);
        }
        match self.truth(right) {
            Ok(value) if value == decides => Ok(Value::Bool(decides)),
            Err(EvalError::CostExceeded) => Err(EvalError::CostExceeded),
            second => first.and(second).map(Value::Bool),
        }
    }

    fn truth(&mut self, expr: &'a Expr) -> Result<bool, EvalError> {
        self.eval(expr)?.as_bool().ok_or_else(EvalError::no_overload)
    }

    fn list(&mut self, elements: &'a [Element]) -> Outcome {
        let mut out = Vec::with_capacity(elements.len());
        for element in elements {
            let value = self.eval(&element.value)?;
            if element.optional {
                out.extend(optional::unwrapped(value)?);
            } else {
                out.push(value);
            }
        }
        self.spend(cost::LIST)?;
        Ok(Value::list(out))
    }

    fn map(&mut self, entries: &'a [Entry]) -> Outcome {
        let mut out = BTreeMap::new();
        for entry in entries {
            let key = self.eval(&entry.key)?.key().ok_or_else(|| EvalError::new("unsupported key type"))?;
            let value = self.eval(&entry.value)?;
            let value = if entry.optional { optional::unwrapped(value)? } else { Some(value) };
            let Some(value) = value else { continue };
            if out.insert(key, value).is_some() {
                return Err(EvalError::new("insert failed: key already exists"));
            }
        }
        self.spend(cost::MAP)?;
        Ok(Value::Map(Arc::new(out)))
    }

    fn object(&mut self, object: &'a Object) -> Outcome {
        let mut out = BTreeMap::new();
        for field in &object.fields {
            let value = self.eval(&field.value)?;
            let value = if field.optional { optional::unwrapped(value)? } else { Some(value) };
            if let Some(value) = value {
                out.insert(Key::String(field.name.as_str().into()), value);
            }
        }
        self.spend(cost::OBJECT)?;
        Ok(Value::Map(Arc::new(out)))
    }
}

/// A field of a value. None where it isn't there.
fn field(value: &Value, name: &str) -> Result<Option<Value>, EvalError> {
    match value {
        Value::Map(map) => Ok(map.get(&Key::String(name.into())).cloned()),
        Value::Host(host) => host.field(name).transpose(),
        _ => Ok(None),
    }
}
