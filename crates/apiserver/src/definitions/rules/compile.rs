//! From a schema to its rules, and what is wrong with them.

use cox_api::field::{FieldErrorKind, FieldErrors, Path};
use cox_cel::{Declarations, Program, Type};
use serde_json::{Value, json};

use super::{Rule, Rules};

const REASONS: [(&str, FieldErrorKind); 4] = [
    ("FieldValueDuplicate", FieldErrorKind::Duplicate),
    ("FieldValueForbidden", FieldErrorKind::Forbidden),
    ("FieldValueInvalid", FieldErrorKind::Invalid),
    ("FieldValueRequired", FieldErrorKind::Required),
];

/// Compiles the rules at and below a place. `found_again`: what was there before can be told.
pub(super) fn compile(
    schema: &Value,
    path: &Path<'_>,
    root: bool,
    found_again: bool,
    errors: &mut FieldErrors,
) -> Rules {
    let mut rules = Rules { of: Type::of_schema(schema, root), ..Rules::default() };
    if let Some(of) = &rules.of {
        let path = path.child("x-kubernetes-validations");
        for (at, rule) in list(schema, "x-kubernetes-validations").iter().enumerate() {
            rules.own.extend(one(rule, of, schema, found_again, &path.index(at), errors));
        }
    }
    let properties_path = path.child("properties");
    for (name, schema) in schema["properties"].as_object().into_iter().flatten() {
        let below = compile(schema, &properties_path.key(name), false, found_again, errors);
        if !below.is_empty() {
            rules.properties.insert(name.clone(), below);
        }
    }
    let by_keys = schema["x-kubernetes-list-type"] == "map";
    if by_keys {
        let keys = list(schema, "x-kubernetes-list-map-keys").iter();
        rules.keys = keys.filter_map(|key| key.as_str().map(str::to_owned)).collect();
    }
    for (key, found_again) in [("items", found_again && by_keys), ("additionalProperties", found_again)] {
        if !schema[key].is_object() {
            continue;
        }
        let below = compile(&schema[key], &path.child(key), false, found_again, errors);
        let place = if key == "items" { &mut rules.items } else { &mut rules.additional };
        *place = (!below.is_empty()).then(|| Box::new(below));
    }
    rules
}

fn list<'v>(value: &'v Value, key: &str) -> &'v [Value] {
    value[key].as_array().map_or(&[], Vec::as_slice)
}

/// A rule as upstream's internal form is written.
fn shown(rule: &Value) -> String {
    let of = |key: &str| rule[key].as_str().unwrap_or_default();
    let text = format!(
        "{{\"Rule\":{},\"Message\":{},\"MessageExpression\":{},\"Reason\":{},\"FieldPath\":{},\"OptionalOldSelf\":{}}}",
        json!(of("rule")),
        json!(of("message")),
        json!(of("messageExpression")),
        rule["reason"],
        json!(of("fieldPath")),
        rule["optionalOldSelf"]
    );
    // Go writes these so that they can stand in a page.
    text.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026")
}

fn one(
    rule: &Value,
    of: &Type,
    schema: &Value,
    found_again: bool,
    path: &Path<'_>,
    errors: &mut FieldErrors,
) -> Option<Rule> {
    let text = |key: &str| rule[key].as_str().unwrap_or_default().trim();
    let source = text("rule");
    if source.is_empty() {
        errors.required(&path.child("rule"), "rule is not specified");
        return None;
    }
    let before = errors.0.len();
    let optional_old = rule["optionalOldSelf"] == true;
    let old_type = if optional_old { Type::optional(of.clone()) } else { of.clone() };
    let declared = Declarations::new().variable("self", of.clone()).variable("oldSelf", old_type);
    let program = match Program::compile(source, &declared) {
        Ok(program) => Some(program),
        Err(error) => {
            errors.invalid_shown(&path.child("rule"), shown(rule), format!("compilation failed: {error}"));
            None
        }
    };
    if let Some(program) = &program
        && !matches!(program.result(), Type::Bool | Type::Dyn)
    {
        errors.invalid_shown(&path.child("rule"), shown(rule), "cel expression must evaluate to a bool");
    }
    let message = rule["message"].as_str().unwrap_or_default();
    if rule["message"].is_string() && message.trim().is_empty() && !message.is_empty() {
        errors.invalid(&path.child("message"), &message.into(), "message must be non-empty if specified");
    } else if message.trim().contains('\n') {
        errors.invalid(&path.child("message"), &message.into(), "message must not contain line breaks");
    }
    if source.contains('\n') && message.trim().is_empty() {
        errors.required(&path.child("message"), "message must be specified if rule contains line breaks");
    }
    let message_program = message_program(rule, &declared, path, errors);
    let reason = match rule["reason"].as_str() {
        None => FieldErrorKind::Invalid,
        Some(reason) => match REASONS.iter().find(|(known, _)| *known == reason) {
            Some((_, kind)) => *kind,
            None => {
                let known =
                    ["FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired", "FieldValueDuplicate"];
                errors.not_supported(&path.child("reason"), &reason.into(), &known);
                FieldErrorKind::Invalid
            }
        },
    };
    let field_path = text("fieldPath").to_owned();
    if !field_path.is_empty() && !leads_somewhere(schema, &field_path) {
        let words = format!("fieldPath must be a valid path: does not refer to a valid field: {field_path}");
        errors.invalid(&path.child("fieldPath"), &field_path.as_str().into(), words);
    }
    let program = program?;
    let transition = program.uses("oldSelf");
    if transition && !found_again {
        let words = "oldSelf cannot be used on the uncorrelatable portion of the schema";
        errors.invalid_shown(&path.child("rule"), shown(rule), words);
    }
    if errors.0.len() > before {
        return None;
    }
    Some(Rule {
        program,
        transition,
        optional_old,
        message: message.trim().to_owned(),
        message_program,
        reason,
        field_path,
    })
}

fn message_program(
    rule: &Value,
    declared: &Declarations,
    path: &Path<'_>,
    errors: &mut FieldErrors,
) -> Option<Program> {
    let source = rule["messageExpression"].as_str().unwrap_or_default().trim();
    if source.is_empty() {
        return None;
    }
    let path = path.child("messageExpression");
    match Program::compile(source, declared) {
        Ok(program) if matches!(program.result(), Type::String | Type::Dyn) => Some(program),
        Ok(_) => {
            errors.invalid_shown(&path, shown(rule), "messageExpression must evaluate to a string");
            None
        }
        Err(error) => {
            errors.invalid_shown(
                &path,
                shown(rule),
                format!("messageExpression compilation failed: {error}"),
            );
            None
        }
    }
}

/// Whether a path of fields (`.a.b`, `['a.b']`) leads to a place in a schema.
fn leads_somewhere(schema: &Value, path: &str) -> bool {
    let Some(steps) = steps(path) else { return false };
    steps
        .iter()
        .try_fold(schema, |schema, step| {
            schema["properties"]
                .get(step)
                .or_else(|| schema.get("additionalProperties").filter(|of| of.is_object()))
        })
        .is_some()
}

/// The steps of a path of fields.
fn steps(path: &str) -> Option<Vec<String>> {
    let mut steps = Vec::new();
    let mut rest = path;
    while !rest.is_empty() {
        if let Some(quoted) = rest.strip_prefix("['") {
            let (name, after) = quoted.split_once("']")?;
            steps.push(name.to_owned());
            rest = after;
        } else {
            let named = rest.strip_prefix('.')?;
            let end = named.find(['.', '[']).unwrap_or(named.len());
            if end == 0 {
                return None;
            }
            steps.push(named[..end].to_owned());
            rest = &named[end..];
        }
    }
    (!steps.is_empty()).then_some(steps)
}
