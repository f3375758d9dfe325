//! Lists of resources and their quantities.

use serde_json::Value;

use crate::quantity::Quantity;

/// The finest that amounts of resources are: thousandths.
const MILLI: i32 = -3;

/// Rounds amounts up to thousandths, as upstream does with every list of resources.
pub fn round_up(list: Option<&mut Value>) {
    for amount in list.and_then(Value::as_object_mut).into_iter().flat_map(|list| list.values_mut()) {
        // Without a suffix finer than a thousandth, or a fraction, there is nothing to round.
        let fine = |text: &&str| text.contains(['n', 'u', '.', '-']);
        let parsed = amount.as_str().filter(fine).and_then(|text| text.parse::<Quantity>().ok());
        if let Some(quantity) = parsed {
            *amount = quantity.round_up(MILLI).to_string().into();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn amounts_are_rounded_up() {
        let mut list = json!({"cpu": "100u", "memory": "1Gi", "x": "1500n"});
        round_up(Some(&mut list));
        assert_eq!(list, json!({"cpu": "1m", "memory": "1Gi", "x": "1m"}));
    }
}
