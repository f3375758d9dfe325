//! Calls that are macros: their arguments name variables, so they are no calls.
//! Source: <https://github.com/google/cel-spec/blob/master/doc/langdef.md#macros>,
//! <https://kubernetes.io/docs/reference/using-api/cel/>

use super::ast::{Expr, Macro, MacroKind, Node};
use super::{Fault, fault};

/// `has(a.b)`: the selection becomes a test.
pub(super) fn has(at: usize, mut args: Vec<Expr>) -> Result<Expr, Fault> {
    let argument = args.remove(0);
    match argument.node {
        Node::Select(mut select) => {
            select.test = true;
            Ok(Expr { at, node: Node::Select(select) })
        }
        _ => Err(fault(argument.at, "invalid argument to has() macro".to_owned())),
    }
}

/// Whether a method call is `cel.bind(name, value, expression)`.
pub(super) fn is_bind(target: &Expr, function: &str, args: usize) -> bool {
    function == "bind" && args == 3 && matches!(&target.node, Node::Ident(name) if name == "cel")
}

/// `cel.bind(name, value, expression)`. Only called where [`is_bind`] says so.
pub(super) fn bind(at: usize, args: Vec<Expr>) -> Result<Expr, Fault> {
    let mut args = args.into_iter();
    let (Some(name), Some(range), Some(body)) = (args.next(), args.next(), args.next()) else {
        return Err(fault(at, "too few arguments for 'bind'".to_owned()));
    };
    let Node::Ident(first) = name.node else {
        return Err(fault(name.at, "cel.bind() variable names must be simple identifiers".to_owned()));
    };
    let expanded = Macro { kind: MacroKind::Bind, range, first, second: None, filter: None, body };
    Ok(Expr { at, node: Node::Macro(Box::new(expanded)) })
}

/// The macro which a method call is, by its name and the number of its arguments.
fn kind(function: &str, args: usize) -> Option<(MacroKind, usize)> {
    use MacroKind::*;
    Some(match (function, args) {
        ("all", 2) => (All, 1),
        ("exists", 2) => (Exists, 1),
        ("exists_one" | "existsOne", 2) => (ExistsOne, 1),
        ("map", 2 | 3) => (Map, 1),
        ("filter", 2) => (Filter, 1),
        ("optMap", 2) => (OptMap, 1),
        ("optFlatMap", 2) => (OptFlatMap, 1),
        ("all", 3) => (All, 2),
        ("exists", 3) => (Exists, 2),
        ("existsOne" | "exists_one", 3) => (ExistsOne, 2),
        ("transformList", 3 | 4) => (TransformList, 2),
        ("transformMap", 3 | 4) => (TransformMap, 2),
        ("transformMapEntry", 3 | 4) => (TransformMapEntry, 2),
        _ => return None,
    })
}

/// Whether a method call is a macro.
pub(super) fn is_macro(function: &str, args: usize) -> bool {
    kind(function, args).is_some()
}

/// A method call that is a macro. Only called where [`is_macro`] says so.
pub(super) fn expand(at: usize, function: &str, range: Expr, mut args: Vec<Expr>) -> Result<Expr, Fault> {
    let Some((kind, variables)) = kind(function, args.len()) else {
        return Err(fault(at, format!("no macro '{function}'")));
    };
    let mut names = Vec::new();
    for argument in args.drain(..variables) {
        match argument.node {
            Node::Ident(name) => names.push(name),
            _ => return Err(fault(argument.at, "argument must be a simple name".to_owned())),
        }
    }
    if names.len() == 2 && names[0] == names[1] {
        return Err(fault(at, format!("duplicate variable name: {}", names[0])));
    }
    let mut rest = args.into_iter();
    let (filter, body) = match (rest.next(), rest.next()) {
        (Some(filter), Some(body)) => (Some(filter), body),
        (Some(body), None) => (None, body),
        _ => return Err(fault(at, format!("too few arguments for '{function}'"))),
    };
    let mut names = names.into_iter();
    let expanded =
        Macro { kind, range, first: names.next().unwrap_or_default(), second: names.next(), filter, body };
    Ok(Expr { at, node: Node::Macro(Box::new(expanded)) })
}
