//! Numbers of JSON, compared and divided whatever form they have.

use serde_json::{Number, Value};

/// A number as a float, which is what upstream checks bounds with.
pub fn float(number: &Number) -> f64 {
    number.as_f64().unwrap_or(f64::NAN)
}

/// Whether a number has no fraction.
pub fn is_whole(number: &Number) -> bool {
    number.is_i64() || number.is_u64() || float(number).fract() == 0.0
}

/// Whether one number goes into another without a rest.
pub fn is_multiple(number: &Number, of: &Number) -> bool {
    if let (Some(number), Some(of)) = (number.as_i64(), of.as_i64())
        && of != 0
    {
        return number % of == 0;
    }
    let times = float(number) / float(of);
    times.fract() == 0.0
}

/// A number as Go's `%v` shows it.
pub fn show(number: &Number) -> String {
    let float = float(number);
    if number.is_f64() && float.fract() == 0.0 && float.abs() < 1e21 {
        return format!("{float:.0}");
    }
    number.to_string()
}

/// Whether two values are the same; `1` and `1.0` are.
pub fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a == b || float(a) == float(b),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| same(a, b)))
        }
        (a, b) => a == b,
    }
}
