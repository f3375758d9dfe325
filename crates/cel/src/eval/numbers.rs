//! Arithmetic and order, within and between the types of numbers.
//! Source: <https://github.com/google/cel-spec/blob/master/doc/langdef.md#numeric-values>

use std::cmp::Ordering;

use super::time;
use crate::error::EvalError;
use crate::value::Value;

/// The order of two values. None where they have none, or a number is no number.
pub(crate) fn compare(a: &Value, b: &Value) -> Option<Ordering> {
    use Value::*;
    match (a, b) {
        (Bool(a), Bool(b)) => Some(a.cmp(b)),
        (Int(a), Int(b)) => Some(a.cmp(b)),
        (Uint(a), Uint(b)) => Some(a.cmp(b)),
        (Double(a), Double(b)) => a.partial_cmp(b),
        (String(a), String(b)) => Some(a.cmp(b)),
        (Bytes(a), Bytes(b)) => Some(a.cmp(b)),
        (Duration(a), Duration(b)) => Some(a.cmp(b)),
        (Timestamp(a), Timestamp(b)) => Some(a.cmp(b)),
        (Int(a), Uint(b)) => Some(i128::from(*a).cmp(&i128::from(*b))),
        (Uint(a), Int(b)) => Some(i128::from(*a).cmp(&i128::from(*b))),
        (Int(a), Double(b)) => whole(i128::from(*a), *b),
        (Uint(a), Double(b)) => whole(i128::from(*a), *b),
        (Double(a), Int(b)) => whole(i128::from(*b), *a).map(Ordering::reverse),
        (Double(a), Uint(b)) => whole(i128::from(*b), *a).map(Ordering::reverse),
        _ => None,
    }
}

/// A whole number against a double, exactly.
fn whole(a: i128, b: f64) -> Option<Ordering> {
    if b.is_nan() {
        return None;
    }
    if b.abs() >= 1e30 {
        return Some(if b > 0.0 { Ordering::Less } else { Ordering::Greater });
    }
    #[allow(clippy::cast_possible_truncation, reason = "below 1e30")]
    let floor = b.floor() as i128;
    Some(a.cmp(&floor).then(if b.fract() == 0.0 { Ordering::Equal } else { Ordering::Less }))
}

/// `+`, `-`, `*`, `/` and `%`.
pub(super) fn arithmetic(operator: &str, a: &Value, b: &Value) -> Result<Value, EvalError> {
    use Value::*;
    match (a, b) {
        (Int(a), Int(b)) => int(operator, *a, *b),
        (Uint(a), Uint(b)) => uint(operator, *a, *b),
        (Double(a), Double(b)) => match operator {
            "_+_" => Ok(Double(a + b)),
            "_-_" => Ok(Double(a - b)),
            "_*_" => Ok(Double(a * b)),
            "_/_" => Ok(Double(a / b)),
            _ => Err(EvalError::no_overload()),
        },
        _ => time::arithmetic(operator, a, b),
    }
}

fn int(operator: &str, a: i64, b: i64) -> Result<Value, EvalError> {
    let result = match operator {
        "_+_" => a.checked_add(b),
        "_-_" => a.checked_sub(b),
        "_*_" => a.checked_mul(b),
        "_/_" if b == 0 => return Err(EvalError::new("division by zero")),
        "_/_" => a.checked_div(b),
        _ if b == 0 => return Err(EvalError::new("modulus by zero")),
        _ => a.checked_rem(b),
    };
    result.map(Value::Int).ok_or_else(|| EvalError::new("integer overflow"))
}

fn uint(operator: &str, a: u64, b: u64) -> Result<Value, EvalError> {
    let result = match operator {
        "_+_" => a.checked_add(b),
        "_-_" => a.checked_sub(b),
        "_*_" => a.checked_mul(b),
        "_/_" if b == 0 => return Err(EvalError::new("division by zero")),
        "_/_" => a.checked_div(b),
        _ if b == 0 => return Err(EvalError::new("modulus by zero")),
        _ => a.checked_rem(b),
    };
    result.map(Value::Uint).ok_or_else(|| EvalError::new("unsigned integer overflow"))
}
