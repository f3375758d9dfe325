//! Rules on objects.

use cox_api::field::{FieldError, FieldErrorKind, FieldErrors, show};
use cox_api::structural::same_value;
use cox_cel::{Bindings, Budget, EvalError, RULE_LIMIT, Type, Value as Cel};
use serde_json::Value;

use super::{Rule, Rules};

/// Longer messages of expressions are not used, in bytes; upstream's limit.
const MESSAGE_BYTES_MAX: usize = 5 * 1024;

/// Evaluates every rule of an object, within the budget of one object.
pub(super) fn evaluate(rules: &Rules, object: &Value, old: Option<&Value>, errors: &mut FieldErrors) {
    let mut walk = Walk { budget: Budget::new(RULE_LIMIT), over: false, errors };
    walk.place(rules, object, old, "");
}

struct Walk<'e> {
    budget: Budget,
    over: bool,
    errors: &'e mut FieldErrors,
}

impl Walk<'_> {
    fn place(&mut self, rules: &Rules, value: &Value, old: Option<&Value>, path: &str) {
        if self.over || value.is_null() {
            return;
        }
        if let Some(of) = &rules.of {
            // What hasn't changed isn't checked again, but for rules about changes.
            let unchanged = old.is_some_and(|old| same_value(old, value));
            let mut bindings = None;
            for rule in &rules.own {
                if self.over || (unchanged && !rule.transition) {
                    continue;
                }
                if rule.transition && old.is_none() && !rule.optional_old {
                    continue;
                }
                let bindings =
                    bindings.get_or_insert_with(|| Bindings::new().with("self", Cel::from_json(value, of)));
                bind_old(bindings, rule, old, of);
                self.rule(rule, value, bindings, path);
            }
        }
        match value {
            Value::Object(map) => {
                for (key, value) in map {
                    let below = rules.properties.get(key).or(rules.additional.as_deref());
                    if let Some(below) = below {
                        let inner = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                        self.place(below, value, old.and_then(|old| old.get(key)), &inner);
                    }
                }
            }
            Value::Array(list) => {
                let Some(items) = &rules.items else { return };
                for (at, value) in list.iter().enumerate() {
                    let before = old.and_then(Value::as_array).and_then(|old| {
                        let same = |old: &&Value| rules.keys.iter().all(|key| old.get(key) == value.get(key));
                        old.iter().find(same).filter(|_| !rules.keys.is_empty())
                    });
                    self.place(items, value, before, &format!("{path}[{at}]"));
                }
            }
            _ => {}
        }
    }

    fn rule(&mut self, rule: &Rule, value: &Value, bindings: &Bindings, path: &str) {
        let place = if path.is_empty() { "<nil>" } else { path };
        match rule.program.evaluate(bindings, &mut self.budget) {
            Ok(Cel::Bool(true)) => {}
            Ok(Cel::Bool(false)) => {
                let words = self.message(rule, bindings);
                let below = rule.field_path.strip_prefix('.').filter(|_| path.is_empty());
                let field = match below {
                    Some(below) => below.to_owned(),
                    None if rule.field_path.is_empty() => place.to_owned(),
                    None => format!("{path}{}", rule.field_path),
                };
                // Objects and lists aren't shown.
                let scalar = !value.is_object() && !value.is_array();
                let shown = match rule.reason {
                    FieldErrorKind::Invalid | FieldErrorKind::Duplicate if scalar => Some(show(value)),
                    _ => None,
                };
                self.errors.0.push(FieldError { kind: rule.reason, field, shown, detail: words });
            }
            Ok(_) => self.fail(value, place, "no such overload", rule),
            Err(EvalError::CostExceeded) => {
                self.over = true;
                self.fail(
                    value,
                    place,
                    "validation failed due to running out of cost budget, no further validation rules will be run",
                    rule,
                );
            }
            Err(EvalError::Failed(why)) => self.fail(value, place, &why, rule),
        }
    }

    fn fail(&mut self, value: &Value, field: &str, why: &str, rule: &Rule) {
        let of = match value {
            Value::Object(_) => "object",
            Value::Array(_) => "array",
            Value::String(_) => "string",
            Value::Bool(_) => "boolean",
            Value::Number(number) if number.is_f64() => "number",
            _ => "integer",
        };
        let said = if rule.message.is_empty() { rule.program.source() } else { &rule.message };
        let detail = if self.over { why.to_owned() } else { format!("{why} evaluating rule: {said}") };
        self.errors.0.push(FieldError {
            kind: FieldErrorKind::Invalid,
            field: field.to_owned(),
            shown: Some(format!("{of:?}")),
            detail,
        });
    }

    /// What a rule that doesn't hold says.
    fn message(&mut self, rule: &Rule, bindings: &Bindings) -> String {
        if let Some(program) = &rule.message_program
            && let Ok(Cel::String(text)) = program.evaluate(bindings, &mut self.budget)
        {
            let text = text.trim();
            if !text.is_empty() && !text.contains('\n') && text.len() <= MESSAGE_BYTES_MAX {
                return text.to_owned();
            }
        }
        if rule.message.is_empty() {
            format!("failed rule: {}", rule.program.source().trim())
        } else {
            rule.message.clone()
        }
    }
}

fn bind_old(bindings: &mut Bindings, rule: &Rule, old: Option<&Value>, of: &Type) {
    if !rule.transition {
        return;
    }
    let old = old.map(|old| Cel::from_json(old, of));
    let value = match (rule.optional_old, old) {
        (true, old) => Cel::Optional(old.map(std::sync::Arc::new)),
        (false, Some(old)) => old,
        (false, None) => return,
    };
    bindings.set("oldSelf", value);
}
