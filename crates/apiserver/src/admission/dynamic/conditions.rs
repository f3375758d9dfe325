//! `matchConditions`: expressions that decide whether a webhook or policy has a say.
//! Source: <https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/#matching-requests-matchconditions>

use cox_api::kinds::admission::environment::Environment;
use cox_api::kinds::admission::expression;
use cox_cel::{Bindings, Budget, EvalError, Program, Type};
use serde_json::Value;

use super::super::{each, text};

/// Compiled conditions. One that can't be compiled is an error when it is asked.
pub(super) struct Conditions(Vec<(String, Result<Program, String>)>);

impl Conditions {
    /// Those of a webhook or of the spec of a policy.
    pub(super) fn of(holder: &Value, params: bool) -> Conditions {
        let environment = Environment { params, authorizer: true, patches: false };
        let declared = environment.declarations(None);
        let conditions = each(&holder["matchConditions"]).map(|condition| {
            let source = text(&condition["expression"]).trim();
            (source.to_owned(), expression::compile(source, &declared, &[Type::Bool]))
        });
        Conditions(conditions.collect())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether all hold. One that doesn't decides, whatever errors others have.
    ///
    /// # Errors
    /// What conditions failed with.
    pub(super) fn hold(&self, bindings: &Bindings, budget: &mut Budget) -> Result<bool, String> {
        let mut faults = Vec::new();
        for (source, program) in &self.0 {
            let outcome = match program {
                Ok(program) => program.evaluate(bindings, budget),
                Err(message) => Err(EvalError::new(message.clone())),
            };
            match outcome.map(|value| value.as_bool()) {
                Ok(Some(false)) => return Ok(false),
                Ok(Some(true)) => {}
                Ok(None) => faults.push(format!("expression '{source}' resulted in error: no such overload")),
                Err(error) => faults.push(failed(source, &error, budget)),
            }
        }
        match faults.len() {
            0 => Ok(true),
            1 => Err(faults.remove(0)),
            _ => Err(format!("[{}]", faults.join(", "))),
        }
    }
}

/// What upstream says of an expression that fails.
pub(super) fn failed(source: &str, error: &EvalError, budget: &Budget) -> String {
    if *error == EvalError::CostExceeded && budget.left() == 0 {
        return "validation failed due to running out of cost budget, no further validation rules will be run"
            .to_owned();
    }
    format!("expression '{source}' resulted in error: {error}")
}
