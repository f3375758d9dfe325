//! Checks of a PriorityLevelConfiguration's spec.

use serde_json::Value;

use crate::field::{FieldErrors, Path};
use crate::flow_control::{self, EXEMPT};
use crate::kinds::common::walk::{get, int, int_ptr, same, text};
use crate::kinds::pod::internal;

const QUEUES_MAX: i64 = 10_000_000;
/// So many bits of a hash are used to choose queues.
const HASH_BITS_MAX: i64 = 60;

/// Checks the spec, and that mandatory levels have theirs.
pub fn spec(errors: &mut FieldErrors, object: &Value) {
    let (spec, name) = (&object["spec"], text(&object["metadata"], "name"));
    let path = Path::new("spec");
    let kind = text(spec, "type");
    if (name == EXEMPT) != (kind == "Exempt") {
        let detail = "type must be 'Exempt' if and only if name is 'exempt'";
        errors.invalid(&path.child("type"), &kind.into(), detail);
    }
    let (exempt, limited) = (get(spec, "exempt"), get(spec, "limited"));
    match kind {
        "Exempt" => {
            if limited.is_some() {
                errors.forbidden(&path.child("limited"), "must be nil if the type is not Limited");
            }
            if let Some(exempt) = exempt {
                let path = path.child("exempt");
                check_shares(errors, &path, exempt);
                check_lendable(errors, &path, exempt);
            }
        }
        "Limited" => {
            if exempt.is_some() {
                errors.forbidden(&path.child("exempt"), "must be nil if the type is Limited");
            }
            match limited {
                None => errors.required(&path.child("limited"), "must not be empty when type is Limited"),
                Some(limited) => check_limited(errors, &path.child("limited"), limited),
            }
        }
        other => errors.not_supported(&path.child("type"), &other.into(), &["Exempt", "Limited"]),
    }
    mandatory(errors, &path, spec, name);
}

/// Of the mandatory levels what `exempt` says of its shares can be changed, and nothing else.
fn mandatory(errors: &mut FieldErrors, path: &Path<'_>, spec: &Value, name: &str) {
    let Some(wanted) = flow_control::mandatory_spec(flow_control::levels(), name) else { return };
    let (same_spec, but) = if name == EXEMPT {
        let fixed = |key| same(get(spec, key), get(wanted, key));
        (fixed("type") && fixed("limited"), " except the 'spec.exempt' field")
    } else {
        (same(Some(spec), Some(wanted)), "")
    };
    if !same_spec {
        let detail = format!("spec of '{name}'{but} must equal the fixed value");
        errors.invalid_shown(path, internal::json("PriorityLevelConfigurationSpec", spec), detail);
    }
}

fn check_shares(errors: &mut FieldErrors, path: &Path<'_>, of: &Value) {
    let shares = int(of, "nominalConcurrencyShares");
    if shares < 0 {
        let detail = "must be a non-negative integer";
        errors.invalid(&path.child("nominalConcurrencyShares"), &shares.into(), detail);
    }
}

fn check_lendable(errors: &mut FieldErrors, path: &Path<'_>, of: &Value) {
    let percent = int(of, "lendablePercent");
    if !(0..=100).contains(&percent) {
        let detail = "must be between 0 and 100, inclusive";
        errors.invalid(&path.child("lendablePercent"), &percent.into(), detail);
    }
}

fn check_limited(errors: &mut FieldErrors, path: &Path<'_>, limited: &Value) {
    check_shares(errors, path, limited);
    check_response(errors, &path.child("limitResponse"), &limited["limitResponse"]);
    check_lendable(errors, path, limited);
    if let Some(percent @ ..0) = int_ptr(limited, "borrowingLimitPercent") {
        let detail = "if specified, must be a non-negative integer";
        errors.invalid(&path.child("borrowingLimitPercent"), &percent.into(), detail);
    }
}

fn check_response(errors: &mut FieldErrors, path: &Path<'_>, response: &Value) {
    let queuing = get(response, "queuing");
    let queuing_path = path.child("queuing");
    match text(response, "type") {
        "Reject" => {
            if queuing.is_some() {
                let detail = "must be nil if limited.limitResponse.type is not Limited";
                errors.forbidden(&queuing_path, detail);
            }
        }
        "Queue" => match queuing {
            None => {
                let detail = "must not be empty if limited.limitResponse.type is Limited";
                errors.required(&queuing_path, detail);
            }
            Some(queuing) => check_queuing(errors, &queuing_path, queuing),
        },
        other => errors.not_supported(&path.child("type"), &other.into(), &["Queue", "Reject"]),
    }
}

fn check_queuing(errors: &mut FieldErrors, path: &Path<'_>, queuing: &Value) {
    const POSITIVE: &str = "must be positive";
    let of = |key| int(queuing, key);
    let (length, queues, hand) = (of("queueLengthLimit"), of("queues"), of("handSize"));
    if length <= 0 {
        errors.invalid(&path.child("queueLengthLimit"), &length.into(), POSITIVE);
    }
    if queues <= 0 {
        errors.invalid(&path.child("queues"), &queues.into(), POSITIVE);
    } else if queues > QUEUES_MAX {
        let detail = format!("must not be greater than {QUEUES_MAX}");
        errors.invalid(&path.child("queues"), &queues.into(), detail);
    }
    let hand_path = path.child("handSize");
    if hand <= 0 {
        errors.invalid(&hand_path, &hand.into(), POSITIVE);
    } else if hand > queues {
        errors.invalid(&hand_path, &hand.into(), format!("should not be greater than queues ({queues})"));
    } else if entropy_bits(queues, hand) > HASH_BITS_MAX {
        let detail = format!(
            "required entropy bits of deckSize {queues} and handSize {hand} should not be greater than {HASH_BITS_MAX}"
        );
        errors.invalid(&hand_path, &hand.into(), detail);
    }
}

/// How many bits of a hash it takes to deal a hand from a deck of queues, estimated as upstream does.
fn entropy_bits(deck: i64, hand: i64) -> i64 {
    ((deck as f64).log2() * hand as f64).ceil() as i64
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::PriorityLevelConfiguration as Level;
    use super::*;
    use crate::kinds::common::testing::{faults, made};

    fn named(name: &str, spec: Value) -> Vec<String> {
        faults(&Level, json!({"metadata": {"name": name}, "spec": spec}))
    }

    fn limited(limited: Value) -> Vec<String> {
        named("x", json!({"type": "Limited", "limited": limited}))
    }

    fn queuing(queuing: Value) -> Vec<String> {
        limited(json!({"limitResponse": {"type": "Queue", "queuing": queuing}}))
    }

    #[test]
    fn defaults_leave_a_share_of_zero() {
        let made = made(
            &Level,
            json!({"spec": {"type": "Limited", "limited":
                {"nominalConcurrencyShares": 0, "limitResponse": {"type": "Queue", "queuing": {"handSize": 3}}}}}),
        );
        assert_eq!(
            made["spec"]["limited"],
            json!({"nominalConcurrencyShares": 0, "lendablePercent": 0, "limitResponse":
                {"type": "Queue", "queuing": {"queues": 64, "handSize": 3, "queueLengthLimit": 50}}})
        );
    }

    #[test]
    fn exempt_is_exempt_alone() {
        assert!(
            named(
                "exempt",
                json!({"type": "Exempt", "exempt": {"nominalConcurrencyShares": 10, "lendablePercent": 5}})
            )
            .is_empty()
        );
        assert_eq!(
            named(
                "exempt",
                json!({"type": "Exempt", "exempt": {"nominalConcurrencyShares": -1, "lendablePercent": 101}})
            ),
            [
                "spec.exempt.nominalConcurrencyShares: Invalid value: -1: must be a non-negative integer",
                "spec.exempt.lendablePercent: Invalid value: 101: must be between 0 and 100, inclusive",
            ]
        );
        let found = named(
            "exempt",
            json!({"type": "Limited", "exempt": {}, "limited": {"limitResponse": {"type": "Reject"}}}),
        );
        assert_eq!(
            found[..2],
            [
                "spec.type: Invalid value: \"Limited\": type must be 'Exempt' if and only if name is 'exempt'",
                "spec.exempt: Forbidden: must be nil if the type is Limited",
            ]
        );
        assert_eq!(
            found[2],
            "spec: Invalid value: {\"Type\":\"Limited\",\"Limited\":{\"NominalConcurrencyShares\":30,\"LimitResponse\":{\"Type\":\"Reject\",\"Queuing\":null},\"LendablePercent\":0,\"BorrowingLimitPercent\":null},\"Exempt\":{\"NominalConcurrencyShares\":0,\"LendablePercent\":0}}: spec of 'exempt' except the 'spec.exempt' field must equal the fixed value"
        );
        assert_eq!(
            named("x", json!({"type": "Exempt"})),
            ["spec.type: Invalid value: \"Exempt\": type must be 'Exempt' if and only if name is 'exempt'"]
        );
    }

    #[test]
    fn catch_all_stays_as_it_is() {
        let found = named(
            "catch-all",
            json!({"type": "Limited", "limited": {"nominalConcurrencyShares": 42, "limitResponse": {"type": "Reject"}}}),
        );
        assert_eq!(found.len(), 1);
        assert!(found[0].ends_with(": spec of 'catch-all' must equal the fixed value"), "{}", found[0]);
    }

    #[test]
    fn limits_have_bounds() {
        assert_eq!(
            named("x", json!({"type": "Limited"})),
            ["spec.limited: Required value: must not be empty when type is Limited"]
        );
        assert_eq!(
            limited(
                json!({"nominalConcurrencyShares": -1, "lendablePercent": -1, "borrowingLimitPercent": -1, "limitResponse": {"type": "Wait"}})
            ),
            [
                "spec.limited.nominalConcurrencyShares: Invalid value: -1: must be a non-negative integer",
                "spec.limited.limitResponse.type: Unsupported value: \"Wait\": supported values: \"Queue\", \"Reject\"",
                "spec.limited.lendablePercent: Invalid value: -1: must be between 0 and 100, inclusive",
                "spec.limited.borrowingLimitPercent: Invalid value: -1: if specified, must be a non-negative integer",
            ]
        );
        let place = "spec.limited.limitResponse.queuing";
        assert_eq!(
            limited(json!({"limitResponse": {"type": "Reject", "queuing": {}}})),
            [format!("{place}: Forbidden: must be nil if limited.limitResponse.type is not Limited")]
        );
        assert_eq!(
            limited(json!({"limitResponse": {"type": "Queue"}})),
            [format!("{place}: Required value: must not be empty if limited.limitResponse.type is Limited")]
        );
        assert!(queuing(json!({"queues": 10_000_000, "handSize": 2})).is_empty());
        assert_eq!(
            queuing(json!({"queues": 7, "handSize": 8})),
            [format!("{place}.handSize: Invalid value: 8: should not be greater than queues (7)")]
        );
        assert_eq!(
            queuing(json!({"queues": 512, "handSize": 8})),
            [format!(
                "{place}.handSize: Invalid value: 8: required entropy bits of deckSize 512 and handSize 8 should not be greater than 60"
            )]
        );
        assert_eq!(
            queuing(json!({"queues": -1, "handSize": -1, "queueLengthLimit": -1})),
            ["queueLengthLimit", "queues", "handSize"]
                .map(|key| format!("{place}.{key}: Invalid value: -1: must be positive"))
        );
    }
}
