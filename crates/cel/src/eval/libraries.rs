//! The functions of Kubernetes' libraries (text, lists, sets, addresses, quantities, versions, formats), which are
//! `kube-cel`'s: values are handed over and back.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use chrono::{DateTime, FixedOffset, TimeDelta};
use kube_cel::KubeCelExt;
use kube_cel::cel::common::ast::{CallExpr, Expr, IdedExpr};
use kube_cel::cel::objects::{Key as TheirKey, Map, OptionalValue, Value as Theirs};
use kube_cel::cel::{Context, ExecutionError};

use super::Outcome;
use crate::error::EvalError;
use crate::value::{Key, Library, Value};

static LIBRARIES: LazyLock<Context<'static>> = LazyLock::new(|| Context::default().with_all());

/// Calls a function of a library; of a method the receiver is the first argument.
pub(super) fn call(function: &str, method: bool, args: &[Value]) -> Outcome {
    let mut scope = LIBRARIES.new_inner_scope();
    let mut names = Vec::with_capacity(args.len());
    for (index, arg) in args.iter().enumerate() {
        let name = format!("@{index}");
        scope.add_variable_from_value(name.as_str(), theirs(arg).ok_or_else(EvalError::no_overload)?);
        names.push(IdedExpr { id: 0, expr: Expr::Ident(name) });
    }
    let mut names = names.into_iter();
    let target = if method { names.next().map(Box::new) } else { None };
    let call = CallExpr { func_name: function.to_owned(), target, args: names.collect() };
    let expr = IdedExpr { id: 0, expr: Expr::Call(call) };
    // These functions aren't ours: should one panic on a strange argument, the request fails and not the server.
    let resolve = std::panic::AssertUnwindSafe(|| Theirs::resolve(&expr, &scope));
    let resolved = std::panic::catch_unwind(resolve)
        .map_err(|_| EvalError::new(format!("'{function}' can't take these arguments")))?;
    match resolved {
        Ok(value) => ours(&value),
        Err(ExecutionError::FunctionError { message, .. }) => Err(EvalError::new(message)),
        Err(ExecutionError::UndeclaredReference(_) | ExecutionError::UnexpectedType { .. }) => {
            Err(EvalError::no_overload())
        }
        Err(error) => Err(EvalError::new(error.to_string())),
    }
}

/// A value as the libraries have it. None for what they have none for.
fn theirs(value: &Value) -> Option<Theirs> {
    Some(match value {
        Value::Null => Theirs::Null,
        Value::Bool(value) => Theirs::Bool(*value),
        Value::Int(value) => Theirs::Int(*value),
        Value::Uint(value) => Theirs::UInt(*value),
        Value::Double(value) => Theirs::Float(*value),
        Value::String(text) => Theirs::String(Arc::new(text.to_string())),
        Value::Bytes(bytes) => Theirs::Bytes(Arc::new(bytes.to_vec())),
        Value::List(items) => Theirs::List(Arc::new(items.iter().map(theirs).collect::<Option<_>>()?)),
        Value::Map(map) => {
            let entries = map.iter().map(|(key, value)| Some((their_key(key), theirs(value)?)));
            Theirs::Map(Map { map: Arc::new(entries.collect::<Option<HashMap<_, _>>>()?) })
        }
        Value::Duration(duration) => Theirs::Duration(
            TimeDelta::new(duration.as_secs(), 0)? + TimeDelta::nanoseconds(duration.subsec_nanos().into()),
        ),
        Value::Timestamp(timestamp) => {
            let nanos = u32::try_from(timestamp.as_nanosecond().rem_euclid(1_000_000_000)).ok()?;
            let seconds = i64::try_from(timestamp.as_nanosecond().div_euclid(1_000_000_000)).ok()?;
            Theirs::Timestamp(DateTime::from_timestamp(seconds, nanos)?.fixed_offset())
        }
        Value::Optional(None) => Theirs::Opaque(Arc::new(OptionalValue::none())),
        Value::Optional(Some(value)) => Theirs::Opaque(Arc::new(OptionalValue::of(theirs(value)?))),
        Value::Library(library) => library.0.clone(),
        Value::Type(_) | Value::Host(_) => return None,
    })
}

fn their_key(key: &Key) -> TheirKey {
    match key {
        Key::Bool(value) => TheirKey::Bool(*value),
        Key::Int(value) => TheirKey::Int(*value),
        Key::Uint(value) => TheirKey::Uint(*value),
        Key::String(text) => TheirKey::String(Arc::new(text.to_string())),
    }
}

fn ours(value: &Theirs) -> Outcome {
    Ok(match value {
        Theirs::Null => Value::Null,
        Theirs::Bool(value) => Value::Bool(*value),
        Theirs::Int(value) => Value::Int(*value),
        Theirs::UInt(value) => Value::Uint(*value),
        Theirs::Float(value) => Value::Double(*value),
        Theirs::String(text) => Value::from(text.as_str()),
        Theirs::Bytes(bytes) => Value::Bytes(bytes.as_slice().into()),
        Theirs::List(items) => Value::list(items.iter().map(ours).collect::<Result<_, _>>()?),
        Theirs::Map(map) => {
            let entries = map.map.iter().map(|(key, value)| Ok((our_key(key), ours(value)?)));
            Value::Map(Arc::new(entries.collect::<Result<_, EvalError>>()?))
        }
        Theirs::Duration(duration) => {
            let nanos = duration.num_nanoseconds().ok_or_else(|| EvalError::new("duration overflow"))?;
            Value::Duration(jiff::SignedDuration::from_nanos(nanos))
        }
        Theirs::Timestamp(timestamp) => Value::Timestamp(moment(timestamp)?),
        Theirs::Opaque(opaque) => match opaque.downcast_ref::<OptionalValue>() {
            Some(optional) => Value::Optional(optional.value().map(ours).transpose()?.map(Arc::new)),
            None => Value::Library(Library(value.clone())),
        },
        Theirs::Function(..) => return Err(EvalError::no_overload()),
    })
}

fn our_key(key: &TheirKey) -> Key {
    match key {
        TheirKey::Bool(value) => Key::Bool(*value),
        TheirKey::Int(value) => Key::Int(*value),
        TheirKey::Uint(value) => i64::try_from(*value).map_or(Key::Uint(*value), Key::Int),
        TheirKey::String(text) => Key::String(text.as_str().into()),
    }
}

fn moment(timestamp: &DateTime<FixedOffset>) -> Result<jiff::Timestamp, EvalError> {
    let nanos = i32::try_from(timestamp.timestamp_subsec_nanos()).unwrap_or_default();
    jiff::Timestamp::new(timestamp.timestamp(), nanos).map_err(|_| EvalError::new("timestamp overflow"))
}
