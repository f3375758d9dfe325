//! Macros: loops over lists and maps, and what is done with the value of an optional.
//! Their costs are those of the loops cel-go makes of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Evaluator, Outcome, cost, optional};
use crate::error::EvalError;
use crate::parse::ast::{Macro, MacroKind};
use crate::value::{Key, Value};

impl<'a> Evaluator<'a> {
    pub(super) fn expanded(&mut self, m: &'a Macro) -> Outcome {
        let range = self.eval(&m.range)?;
        match m.kind {
            MacroKind::OptMap | MacroKind::OptFlatMap => self.on_optional(m, &range),
            MacroKind::Bind => {
                self.spend(cost::LIST)?;
                self.scopes.push((&m.first, range));
                let outcome = self.eval(&m.body);
                self.scopes.pop();
                outcome
            }
            _ => {
                let items = items(&range, m.second.is_some())?;
                let scopes = self.scopes.len();
                let outcome = self.fold(m, items);
                self.scopes.truncate(scopes);
                outcome
            }
        }
    }

    fn on_optional(&mut self, m: &'a Macro, range: &Value) -> Outcome {
        let Value::Optional(inside) = range else { return Err(EvalError::no_overload()) };
        let Some(value) = inside else { return Ok(Value::Optional(None)) };
        self.spend(2)?;
        self.scopes.push((&m.first, (**value).clone()));
        let outcome = self.eval(&m.body);
        self.scopes.pop();
        match m.kind {
            MacroKind::OptMap => outcome.map(|value| Value::Optional(Some(Arc::new(value)))),
            _ => outcome,
        }
    }

    fn fold(&mut self, m: &'a Macro, items: Vec<(Value, Value)>) -> Outcome {
        match m.kind {
            MacroKind::All => self.quantified(m, items, false, 3),
            MacroKind::Exists => self.quantified(m, items, true, 4),
            MacroKind::ExistsOne => {
                let mut found = 0;
                for item in items {
                    self.spend(1)?;
                    if self.holds(m, item)? {
                        self.spend(1)?;
                        found += 1;
                    }
                }
                self.spend(2)?;
                Ok(Value::Bool(found == 1))
            }
            MacroKind::Filter => {
                let mut out = Vec::new();
                for item in items {
                    self.spend(1)?;
                    let element = item.0.clone();
                    if self.holds(m, item)? {
                        self.spend(11)?;
                        out.push(element);
                    }
                }
                self.spend(11)?;
                Ok(Value::list(out))
            }
            MacroKind::TransformMap | MacroKind::TransformMapEntry => self.transformed_map(m, items),
            _ => {
                let mut out = Vec::new();
                for item in items {
                    self.spend(1)?;
                    if let Some(value) = self.transformed(m, item)? {
                        self.spend(11)?;
                        out.push(value);
                    }
                }
                self.spend(11)?;
                Ok(Value::list(out))
            }
        }
    }

    /// `all` and `exists`: the first element that decides ends the loop, and errors of others don't matter then.
    fn quantified(&mut self, m: &'a Macro, items: Vec<(Value, Value)>, decides: bool, each: u64) -> Outcome {
        let mut failed = None;
        for item in items {
            self.spend(each)?;
            match self.holds(m, item) {
                Ok(value) if value == decides => return Ok(Value::Bool(decides)),
                Ok(_) => {}
                Err(EvalError::CostExceeded) => return Err(EvalError::CostExceeded),
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        self.spend(1)?;
        failed.map_or(Ok(Value::Bool(!decides)), Err)
    }

    fn transformed_map(&mut self, m: &'a Macro, items: Vec<(Value, Value)>) -> Outcome {
        let mut out = BTreeMap::new();
        for item in items {
            self.spend(2)?;
            let key = item.0.key().ok_or_else(EvalError::no_overload)?;
            let Some(value) = self.transformed(m, item)? else { continue };
            if m.kind == MacroKind::TransformMap {
                out.insert(key, value);
                continue;
            }
            let Value::Map(entries) = value else { return Err(EvalError::no_overload()) };
            for (key, value) in entries.iter() {
                if out.insert(key.clone(), value.clone()).is_some() {
                    return Err(EvalError::new("insert failed: key already exists"));
                }
            }
        }
        self.spend(31)?;
        Ok(Value::Map(Arc::new(out)))
    }

    fn transformed(&mut self, m: &'a Macro, item: (Value, Value)) -> Result<Option<Value>, EvalError> {
        let scopes = self.scopes.len();
        self.bind(m, item);
        let result = self.pass(m).and_then(|pass| if pass { self.eval(&m.body).map(Some) } else { Ok(None) });
        self.scopes.truncate(scopes);
        result
    }

    fn pass(&mut self, m: &'a Macro) -> Result<bool, EvalError> {
        m.filter.as_ref().map_or(Ok(true), |filter| self.truth(filter))
    }

    fn holds(&mut self, m: &'a Macro, item: (Value, Value)) -> Result<bool, EvalError> {
        let scopes = self.scopes.len();
        self.bind(m, item);
        let result = self.truth(&m.body);
        self.scopes.truncate(scopes);
        result
    }

    fn bind(&mut self, m: &'a Macro, item: (Value, Value)) {
        self.scopes.push((&m.first, item.0));
        if let Some(second) = &m.second {
            self.scopes.push((second, item.1));
        }
    }
}

/// What a macro goes over: with one variable elements or keys, with two indexes or keys and what is there.
fn items(range: &Value, two: bool) -> Result<Vec<(Value, Value)>, EvalError> {
    let range = optional::inside(range).ok_or_else(EvalError::no_overload)?;
    Ok(match range {
        Value::List(items) if two => {
            let index = |i: usize| Value::Int(i64::try_from(i).unwrap_or(i64::MAX));
            items.iter().enumerate().map(|(i, value)| (index(i), value.clone())).collect()
        }
        Value::List(items) => items.iter().map(|value| (value.clone(), Value::Null)).collect(),
        Value::Map(map) => entries(map),
        Value::Host(host) => host.entries().map(entries).ok_or_else(EvalError::no_overload)?,
        _ => return Err(EvalError::no_overload()),
    })
}

fn entries(map: &BTreeMap<Key, Value>) -> Vec<(Value, Value)> {
    map.iter().map(|(key, value)| (key.clone().into(), value.clone())).collect()
}
