//! What evaluation costs, in cel-go's units, and how much may be spent.
//! Source: <https://kubernetes.io/docs/reference/using-api/cel/#resource-constraints>

use crate::value::Value;

/// The most one evaluation of an expression may cost.
pub const CALL_LIMIT: u64 = 1_000_000;
/// The most all expressions of one policy (or one custom resource) may cost together.
pub const RULE_LIMIT: u64 = 10_000_000;

pub(super) const ACCESS: u64 = 1;
pub(super) const CALL: u64 = 1;
pub(super) const LIST: u64 = 10;
pub(super) const MAP: u64 = 30;
pub(super) const OBJECT: u64 = 40;

/// What may still be spent on a number of expressions.
#[derive(Clone, Debug)]
pub struct Budget {
    left: u64,
}

impl Budget {
    /// A budget, in cost units.
    #[must_use]
    pub fn new(limit: u64) -> Budget {
        Budget { left: limit }
    }

    /// What is left of it.
    #[must_use]
    pub fn left(&self) -> u64 {
        self.left
    }

    /// The limit of the next evaluation.
    pub(crate) fn next(&self) -> u64 {
        self.left.min(CALL_LIMIT)
    }

    pub(crate) fn spend(&mut self, cost: u64) {
        self.left = self.left.saturating_sub(cost);
    }
}

/// How many parts a value has: characters, bytes, elements.
fn size(value: &Value) -> u64 {
    let parts = match value {
        Value::String(text) => text.chars().count(),
        Value::Bytes(bytes) => bytes.len(),
        Value::List(items) => items.len(),
        Value::Map(map) => map.len(),
        _ => 1,
    };
    parts as u64
}

/// A tenth of a size, and a quarter of one, rounded up: going over a text, and a step of a regular expression.
fn tenth(size: u64) -> u64 {
    size.div_ceil(10)
}

/// What a call costs by its arguments, the receiver being the first.
pub(super) fn before(function: &str, args: &[Value]) -> u64 {
    let of = |index: usize| args.get(index).map_or(0, size);
    match function {
        "check" => 350_000,
        "isSorted" | "sum" | "max" | "min" => traversal(&args[0]),
        "indexOf" | "lastIndexOf" => traversal(&args[0]),
        "startsWith" | "endsWith" | "bytes" | "strings.quote" | "format" | "url" | "lowerAscii"
        | "upperAscii" | "substring" | "trim" | "cidr" | "isIP" | "isCIDR" | "ip" | "quantity"
        | "isQuantity" => tenth(of(0)).max(u64::from(function == "bytes")),
        "string" => match &args[0] {
            Value::Bytes(bytes) => tenth(bytes.len() as u64),
            _ => CALL,
        },
        // What is made counts before it is made: a short expression can make a long text.
        "replace" => (2 * of(0)).div_ceil(10) + tenth(replaced(args)),
        "join" => 2 * tenth(joined(args)),
        "split" | "ip.isCanonical" => (2 * of(0)).div_ceil(10),
        "matches" | "find" | "findAll" => tenth(1 + of(0)).saturating_mul(of(1).div_ceil(4)),
        "contains" => tenth(of(0)) * tenth(of(1)),
        "@in" => match &args[1] {
            Value::List(items) => items.len() as u64,
            _ => CALL,
        },
        "_==_" | "_!=_" | "_<_" | "_<=_" | "_>_" | "_>=_" => match (&args[0], &args[1]) {
            (Value::String(_), Value::String(_)) | (Value::Bytes(_), Value::Bytes(_)) => {
                tenth(of(0).min(of(1)))
            }
            (Value::List(_), Value::List(_)) | (Value::Map(_), Value::Map(_)) => of(0).min(of(1)).max(1),
            _ => CALL,
        },
        "_+_" => match &args[0] {
            Value::String(_) | Value::Bytes(_) => tenth(of(0) + of(1)),
            // Unlike upstream's, our lists are copied.
            Value::List(_) => tenth(of(0) + of(1)).max(1),
            _ => CALL,
        },
        "sets.contains" | "sets.equivalent" | "sets.intersects" => of(0) * of(1) + CALL,
        _ => CALL,
    }
}

/// What a call costs by its result.
pub(super) fn after(function: &str, result: &Value) -> u64 {
    match function {
        "format" => tenth(size(result)),
        _ => 0,
    }
}

/// How many characters `replace` puts in.
fn replaced(args: &[Value]) -> u64 {
    let [Value::String(text), Value::String(old), Value::String(new), ..] = args else { return 0 };
    let places = match old.is_empty() {
        true => text.chars().count() + 1,
        false => text.matches(&**old).count(),
    };
    (places as u64).saturating_mul(new.len() as u64)
}

/// How many characters `join` puts together.
fn joined(args: &[Value]) -> u64 {
    let Some(Value::List(items)) = args.first() else { return 0 };
    let separators = (items.len() as u64).saturating_mul(args.get(1).map_or(0, size));
    items.iter().map(size).sum::<u64>().saturating_add(separators)
}

fn traversal(value: &Value) -> u64 {
    match value {
        Value::String(_) | Value::Bytes(_) => tenth(size(value)),
        Value::List(items) => items.iter().map(traversal).sum(),
        _ => 1,
    }
}
