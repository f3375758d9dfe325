//! The variables of a policy: each is evaluated when it is first asked for, and once.
//! Source: <https://kubernetes.io/docs/reference/access-authn-authz/validating-admission-policy/#variable-composition>

use std::collections::BTreeMap;
use std::sync::Arc;

use cox_cel::{Bindings, Budget, EvalError, Host, Program, RULE_LIMIT, Value};
use parking_lot::Mutex;

/// `variables`, for one request and one set of parameters.
#[derive(Clone)]
pub(super) struct Variables(Arc<Inner>);

struct Inner {
    programs: Arc<Vec<(String, Result<Program, String>)>>,
    bindings: Bindings,
    state: Mutex<State>,
}

struct State {
    known: BTreeMap<String, Result<Value, EvalError>>,
    budget: Budget,
}

impl Variables {
    pub(super) fn new(
        programs: Arc<Vec<(String, Result<Program, String>)>>,
        bindings: Bindings,
    ) -> Variables {
        let state = State { known: BTreeMap::new(), budget: Budget::new(RULE_LIMIT) };
        Variables(Arc::new(Inner { programs, bindings, state: Mutex::new(state) }))
    }

    pub(super) fn value(&self) -> Value {
        Value::Host(Arc::new(self.clone()))
    }

    fn evaluate(&self, name: &str, program: &Result<Program, String>) -> Result<Value, EvalError> {
        let program = match program {
            Ok(program) => program,
            Err(why) => {
                return Err(EvalError::new(format!("composited variable {name:?} fails to compile: {why}")));
            }
        };
        // A variable may refer to those before it: nothing is locked while it is evaluated.
        let bindings = self.0.bindings.clone().with("variables", self.value());
        let mut budget = self.0.state.lock().budget.clone();
        let outcome = program.evaluate(&bindings, &mut budget);
        let mut state = self.0.state.lock();
        if budget.left() < state.budget.left() {
            state.budget = budget;
        }
        drop(state);
        outcome.map_err(|error| match error {
            EvalError::CostExceeded => EvalError::CostExceeded,
            EvalError::Failed(why) => {
                EvalError::new(format!("composited variable {name:?} fails to evaluate: {why}"))
            }
        })
    }
}

impl std::fmt::Debug for Variables {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("variables")
    }
}

impl Host for Variables {
    fn type_name(&self) -> &str {
        "kubernetes.variables"
    }

    fn field(&self, name: &str) -> Option<Result<Value, EvalError>> {
        if let Some(known) = self.0.state.lock().known.get(name) {
            return Some(known.clone());
        }
        let (_, program) = self.0.programs.iter().find(|(known, _)| known == name)?;
        let outcome = self.evaluate(name, program);
        self.0.state.lock().known.insert(name.to_owned(), outcome.clone());
        Some(outcome)
    }
}
