//! Whether a type may stand where another is wanted, and what that says about type variables.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::types::Type;

/// What the type variables of a signature stand for.
pub(super) type Bound = BTreeMap<char, Type>;

/// Whether `actual` may stand where `wanted` is, given what variables stand for already.
pub(super) fn fits(wanted: &Type, actual: &Type, bound: &mut Bound) -> bool {
    match (wanted, actual) {
        (Type::Param(name), _) => match bound.get(name).cloned() {
            None => {
                bound.insert(*name, actual.clone());
                true
            }
            Some(known) => match joined(&known, actual) {
                Some(joined) => {
                    bound.insert(*name, joined);
                    true
                }
                None => false,
            },
        },
        (Type::Dyn, _) | (_, Type::Dyn | Type::Param(_)) => true,
        (Type::List(a), Type::List(b))
        | (Type::Optional(a), Type::Optional(b))
        | (Type::Type(a), Type::Type(b)) => fits(a, b, bound),
        (Type::Map(ak, av), Type::Map(bk, bv)) => fits(ak, bk, bound) && fits(av, bv, bound),
        (wanted, Type::Null) => nullable(wanted),
        _ => wanted == actual,
    }
}

/// The type of something that may be either.
pub(super) fn joined(a: &Type, b: &Type) -> Option<Type> {
    Some(match (a, b) {
        (Type::Param(_), known) | (known, Type::Param(_)) => known.clone(),
        (Type::Dyn, _) | (_, Type::Dyn) => Type::Dyn,
        (Type::List(a), Type::List(b)) => Type::List(Arc::new(joined(a, b)?)),
        (Type::Optional(a), Type::Optional(b)) => Type::Optional(Arc::new(joined(a, b)?)),
        (Type::Type(_), Type::Type(_)) => a.clone(),
        (Type::Map(ak, av), Type::Map(bk, bv)) => {
            Type::Map(Arc::new(joined(ak, bk)?), Arc::new(joined(av, bv)?))
        }
        (Type::Null, other) | (other, Type::Null) if nullable(other) => other.clone(),
        _ if a == b => a.clone(),
        _ => return None,
    })
}

fn nullable(wanted: &Type) -> bool {
    matches!(
        wanted,
        Type::Null | Type::Object(_) | Type::Opaque(_) | Type::Duration | Type::Timestamp | Type::Optional(_)
    )
}

/// What may still turn out to be of any type: the elements of `[]`.
pub(super) const OPEN: Type = Type::Param('_');

/// A type in which nothing is open any more.
pub(super) fn settled(of: &Type) -> Type {
    match of {
        Type::Param(_) => Type::Dyn,
        Type::List(of) => Type::List(Arc::new(settled(of))),
        Type::Optional(of) => Type::Optional(Arc::new(settled(of))),
        Type::Type(of) => Type::Type(Arc::new(settled(of))),
        Type::Map(key, value) => Type::Map(Arc::new(settled(key)), Arc::new(settled(value))),
        other => other.clone(),
    }
}

/// A type with its variables filled in; what nothing is known about stays open.
pub(super) fn filled(of: &Type, bound: &Bound) -> Type {
    match of {
        Type::Param(name) => bound.get(name).cloned().unwrap_or(OPEN),
        Type::List(of) => Type::List(Arc::new(filled(of, bound))),
        Type::Optional(of) => Type::Optional(Arc::new(filled(of, bound))),
        Type::Type(of) => Type::Type(Arc::new(filled(of, bound))),
        Type::Map(key, value) => Type::Map(Arc::new(filled(key, bound)), Arc::new(filled(value, bound))),
        other => other.clone(),
    }
}
