//! Capacities of devices, and which shares of them can be asked for. KEP-5075.

use serde_json::Value;

use crate::field::{FieldErrors, Path};
use crate::kinds::common::check::bad_text;
use crate::kinds::common::walk::{get, list};
use crate::kinds::pod::quantities::quantity;
use crate::quantity::Quantity;

/// Most amounts that a policy lists.
const VALUES_MAX: usize = 10;

/// Checks a capacity; `shared` is whether the device is given to several claims.
pub fn validate(errors: &mut FieldErrors, path: &Path<'_>, capacity: &Value, shared: bool) {
    let Some(policy) = get(capacity, "requestPolicy") else { return };
    let path = path.child("requestPolicy");
    if !shared {
        return errors.forbidden(&path, "allowMultipleAllocations must be true");
    }
    let whole = get(capacity, "value").map_or(Quantity::ZERO, quantity);
    let usual = get(policy, "default").map(quantity);
    let (values, range) = (list(policy, "validValues"), get(policy, "validRange"));
    let wanted = |key: &str| format!("required when {key} is defined");
    match (values, range, usual) {
        ([_, ..], Some(_), _) => {
            let detail = "exactly one policy can be specified, cannot specify \"validValues\" and \"validRange\" at the same time";
            errors.forbidden(&path, detail);
        }
        ([_, ..], None, None) => errors.required(&path.child("default"), wanted("validValues")),
        ([], Some(_), None) => errors.required(&path.child("default"), wanted("validRange")),
        ([_, ..], None, Some(usual)) => of_values(errors, &path.child("validValues"), values, usual, whole),
        ([], Some(range), Some(usual)) => of_range(errors, &path.child("validRange"), range, usual, whole),
        ([], None, _) => {}
    }
}

fn of_values(errors: &mut FieldErrors, path: &Path<'_>, values: &[Value], usual: Quantity, whole: Quantity) {
    let amounts: Vec<Quantity> = values.iter().map(quantity).collect();
    for (at, pair) in amounts.windows(2).enumerate() {
        if pair[0] > pair[1] {
            let detail = "values must be sorted in ascending order";
            bad_text(errors, &path.index(at + 1), &pair[1].to_string(), detail);
        }
    }
    let few = super::super::common::devices::few(errors, path, values, VALUES_MAX);
    if few {
        for (at, amount) in amounts.iter().enumerate() {
            if *amount > whole {
                let detail = format!("option is larger than capacity value: {whole}");
                bad_text(errors, &path.index(at), &amount.to_string(), detail);
            }
        }
        for (at, amount) in amounts.iter().enumerate() {
            // Upstream tells whole numbers apart alone.
            if amounts[..at].iter().any(|earlier| earlier.value() == amount.value()) {
                errors.duplicate(&path.index(at), &amount.value().to_string().into());
            }
        }
    }
    if !few || !amounts.contains(&usual) {
        let detail = "default value is not valid according to the requestPolicy";
        bad_text(errors, path, &usual.to_string(), detail);
    }
}

fn of_range(errors: &mut FieldErrors, path: &Path<'_>, range: &Value, usual: Quantity, whole: Quantity) {
    let bound = |key: &str| get(range, key).map(quantity);
    let Some(min) = bound("min") else {
        return errors.required(&path.child("min"), "required when validRange is defined");
    };
    let mut wrong = |so: bool, key: &str, shown: Quantity, detail: String| {
        if so {
            bad_text(errors, &path.child(key), &shown.to_string(), detail);
        }
    };
    wrong(min > whole, "min", min, format!("min is larger than capacity value: {whole}"));
    wrong(usual < min, "min", usual, format!("default is less than min: {min}"));
    let max = bound("max");
    if let Some(max) = max {
        wrong(min > max, "max", min, format!("min is larger than max: {max}"));
        wrong(max > whole, "max", max, format!("max is larger than capacity value: {whole}"));
        wrong(usual > max, "max", usual, format!("default is more than max: {max}"));
    }
    let Some(step) = bound("step") else { return };
    if step.sign() <= 0 {
        return wrong(true, "step", step, "must be greater than zero".into());
    }
    let first = min.plus(step);
    wrong(first > whole, "step", step, format!("one step {first} is larger than capacity value: {whole}"));
    for amount in [Some(usual), max].into_iter().flatten() {
        let off = i128::from(amount.value()) - i128::from(min.value());
        let detail = format!("value is not a multiple of a given step ({step}) from ({min})");
        wrong(off % i128::from(step.value()) != 0, "step", amount, detail);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn policies() {
        for (policy, expected) in [
            (json!({"default": "1Gi"}), vec![]),
            (json!({"default": "2", "validValues": ["1", "2", "4"]}), vec![]),
            (json!({"default": "2", "validRange": {"min": "1", "max": "9", "step": "1"}}), vec![]),
            (
                json!({"validValues": ["1"]}),
                vec!["default: Required value: required when validValues is defined"],
            ),
            (json!({"validRange": {}}), vec!["default: Required value: required when validRange is defined"]),
            (
                json!({"default": "1", "validRange": {}}),
                vec!["validRange.min: Required value: required when validRange is defined"],
            ),
            (
                json!({"default": "3", "validValues": ["2", "1", "1", "20"]}),
                vec![
                    "validValues[1]: Invalid value: \"1\": values must be sorted in ascending order",
                    "validValues[3]: Invalid value: \"20\": option is larger than capacity value: 10",
                    "validValues[2]: Duplicate value: \"1\"",
                    "validValues: Invalid value: \"3\": default value is not valid according to the requestPolicy",
                ],
            ),
            (
                json!({"default": "1", "validRange": {"min": "2", "max": "11", "step": "2"}}),
                vec![
                    "validRange.min: Invalid value: \"1\": default is less than min: 2",
                    "validRange.max: Invalid value: \"11\": max is larger than capacity value: 10",
                    "validRange.step: Invalid value: \"1\": value is not a multiple of a given step (2) from (2)",
                    "validRange.step: Invalid value: \"11\": value is not a multiple of a given step (2) from (2)",
                ],
            ),
            (
                json!({"default": "1", "validRange": {"min": "1", "step": "0"}}),
                vec!["validRange.step: Invalid value: \"0\": must be greater than zero"],
            ),
            (
                json!({"default": "1", "validRange": {"min": "1"}, "validValues": ["1"]}),
                vec![
                    ": Forbidden: exactly one policy can be specified, cannot specify \"validValues\" and \"validRange\" at the same time",
                ],
            ),
        ] {
            let mut errors = FieldErrors::new();
            let capacity = json!({"value": "10", "requestPolicy": policy});
            let whole = if policy["default"] == "1Gi" {
                json!({"value": "1Gi", "requestPolicy": policy})
            } else {
                capacity
            };
            validate(&mut errors, &Path::new("c"), &whole, true);
            let found: Vec<String> = errors.0.iter().map(ToString::to_string).collect();
            let expected: Vec<String> = expected
                .into_iter()
                .map(|fault| match fault.strip_prefix(':') {
                    Some(rest) => format!("c.requestPolicy:{rest}"),
                    None => format!("c.requestPolicy.{fault}"),
                })
                .collect();
            assert_eq!(found, expected, "{policy}");
        }
    }
}
