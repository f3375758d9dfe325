//! The checker: finds the type of an expression before it is evaluated, and what can't work whatever the values are.
//! Source: <https://github.com/google/cel-spec/blob/master/doc/langdef.md#gradual-type-checking>

mod fit;
mod macros;
mod signatures;

use std::sync::Arc;

use fit::Bound;
use signatures::FUNCTIONS;

use crate::declarations::Declarations;
use crate::error::Issue;
use crate::parse::ast::{Call, Element, Entry, Expr, Node, Object};
use crate::parse::dotted;
use crate::types::{ObjectType, Type};
use crate::value::Value;

/// Checks an expression; it is rewritten where names turn out to be of functions or variables with dots.
pub(crate) fn check(expr: &mut Expr, declared: &Declarations) -> Result<Type, Vec<Issue>> {
    let mut checker = Checker { declared, scopes: Vec::new(), issues: Vec::new() };
    let of = checker.check(expr);
    if checker.issues.is_empty() { Ok(fit::settled(&of)) } else { Err(checker.issues) }
}

struct Checker<'a> {
    declared: &'a Declarations,
    /// The variables of macros, the innermost last.
    scopes: Vec<(String, Type)>,
    issues: Vec<Issue>,
}

/// Names of types, which are values of the type of types.
fn type_named(name: &str) -> Option<Type> {
    Some(match name {
        "bool" => Type::Bool,
        "bytes" => Type::Bytes,
        "double" => Type::Double,
        "int" => Type::Int,
        "uint" => Type::Uint,
        "string" => Type::String,
        "null_type" => Type::Null,
        "list" => Type::list(Type::Dyn),
        "map" => Type::map(Type::Dyn, Type::Dyn),
        "type" => Type::Type(Arc::new(Type::Dyn)),
        "optional_type" => Type::optional(Type::Dyn),
        "google.protobuf.Duration" => Type::Duration,
        "google.protobuf.Timestamp" => Type::Timestamp,
        "net.IP" | "net.CIDR" | "kubernetes.Quantity" | "kubernetes.URL" | "kubernetes.Semver" => {
            Type::opaque(name)
        }
        _ => return None,
    })
}

impl Checker<'_> {
    /// Notes a fault and goes on as if nothing were known.
    fn fault(&mut self, at: usize, message: String) -> Type {
        self.issues.push(Issue { at, message });
        Type::Dyn
    }

    fn variable(&self, name: &str) -> Option<Type> {
        let local = self.scopes.iter().rev().find(|(n, _)| n == name).map(|(_, of)| of);
        local.or_else(|| self.declared.get(name)).cloned()
    }

    fn check(&mut self, expr: &mut Expr) -> Type {
        self.resolve(expr);
        let at = expr.at;
        match &mut expr.node {
            Node::Literal(value) => literal(value),
            Node::Ident(name) => {
                match self.variable(name).or_else(|| type_named(name).map(|t| Type::Type(Arc::new(t)))) {
                    Some(of) => of,
                    None => {
                        let message = undeclared(name);
                        self.fault(at, message)
                    }
                }
            }
            Node::Select(select) => {
                let operand = self.check(&mut select.operand);
                let of = self.field(at, &operand, &select.field);
                match (select.test, select.optional) {
                    (true, _) => Type::Bool,
                    (false, true) if !matches!(of, Type::Optional(_)) => Type::optional(of),
                    _ => of,
                }
            }
            Node::Call(call) => self.call(at, call),
            Node::List(elements) => self.list(elements),
            Node::Map(entries) => self.map(entries),
            Node::Object(object) => self.object(at, object),
            Node::Macro(expanded) => self.expanded(at, expanded),
        }
    }

    /// Names with dots that are variables, types, or functions of a namespace.
    fn resolve(&self, expr: &mut Expr) {
        if matches!(expr.node, Node::Select(_))
            && let Some(name) = dotted(expr)
            && !self.is_local(&name)
            && (self.declared.get(&name).is_some() || type_named(&name).is_some())
        {
            expr.node = Node::Ident(name);
            return;
        }
        if let Node::Call(call) = &mut expr.node
            && let Some(target) = &call.target
            && let Some(path) = dotted(target)
            && !self.is_local(&path)
            && self.variable(&path).is_none()
            && FUNCTIONS.contains_key(format!("{path}.{}", call.function).as_str())
        {
            call.function = format!("{path}.{}", call.function);
            call.target = None;
        }
    }

    /// Whether a path begins with a variable of a macro.
    fn is_local(&self, path: &str) -> bool {
        let first = path.split('.').next().unwrap_or_default();
        self.scopes.iter().any(|(name, _)| name == first)
    }

    fn field(&mut self, at: usize, operand: &Type, field: &str) -> Type {
        match operand {
            Type::Dyn | Type::Param(_) => Type::Dyn,
            Type::Map(_, value) => (**value).clone(),
            Type::Object(object) => match object.fields.get(field) {
                Some(field) => field.of.clone(),
                None => self.fault(at, format!("undefined field '{field}'")),
            },
            Type::Optional(of) => {
                let of = self.field(at, &of.clone(), field);
                if matches!(of, Type::Optional(_)) { of } else { Type::optional(of) }
            }
            other => self.fault(at, format!("type '{other}' does not support field selection")),
        }
    }

    fn call(&mut self, at: usize, call: &mut Call) -> Type {
        let method = call.target.is_some();
        let args: Vec<Type> =
            call.target.iter_mut().chain(&mut call.args).map(|arg| self.check(arg)).collect();
        self.overload(at, &call.function, method, &args)
    }

    /// The result of a function for arguments, the receiver being the first.
    fn overload(&mut self, at: usize, function: &str, method: bool, args: &[Type]) -> Type {
        // Patches are written where there are patch types.
        let known = self.declared.has_patches() || function != "jsonpatch.escapeKey";
        let Some(signatures) = FUNCTIONS.get(function).filter(|_| known) else {
            return self.fault(at, undeclared(function));
        };
        let mut result: Option<Type> = None;
        for signature in signatures.iter().filter(|s| s.method == method && s.params.len() == args.len()) {
            let mut bound = Bound::new();
            if !signature
                .params
                .iter()
                .zip(args)
                .all(|(wanted, actual)| fit::fits(wanted, actual, &mut bound))
            {
                continue;
            }
            let of = fit::filled(&signature.result, &bound);
            result = Some(match result {
                Some(known) if known != of => Type::Dyn,
                _ => of,
            });
        }
        result.unwrap_or_else(|| {
            let shown = |args: &[Type]| args.iter().map(Type::to_string).collect::<Vec<_>>().join(", ");
            let applied = match args {
                [receiver, rest @ ..] if method => format!("{receiver}.({})", shown(rest)),
                all => format!("({})", shown(all)),
            };
            self.fault(at, format!("found no matching overload for '{function}' applied to '{applied}'"))
        })
    }

    fn list(&mut self, elements: &mut [Element]) -> Type {
        let mut all = None;
        for element in elements {
            let mut of = self.check(&mut element.value);
            if element.optional {
                of = self.unwrapped(element.value.at, of);
            }
            all = Some(self.same(element.value.at, all, of));
        }
        Type::list(all.unwrap_or(fit::OPEN))
    }

    fn map(&mut self, entries: &mut [Entry]) -> Type {
        let (mut keys, mut values) = (None, None);
        for entry in entries {
            let key = self.check(&mut entry.key);
            keys = Some(self.same(entry.key.at, keys, key));
            let mut value = self.check(&mut entry.value);
            if entry.optional {
                value = self.unwrapped(entry.value.at, value);
            }
            values = Some(self.same(entry.value.at, values, value));
        }
        Type::map(keys.unwrap_or(fit::OPEN), values.unwrap_or(fit::OPEN))
    }

    /// What an optional element holds.
    fn unwrapped(&mut self, at: usize, of: Type) -> Type {
        match of {
            Type::Optional(of) => (*of).clone(),
            Type::Dyn => Type::Dyn,
            other => self.fault(at, format!("expected type 'optional_type({other})' but found '{other}'")),
        }
    }

    /// Elements of a literal are of one type.
    fn same(&mut self, at: usize, known: Option<Type>, of: Type) -> Type {
        match known {
            None => of,
            Some(known) => match fit::joined(&known, &of) {
                Some(joined) => joined,
                None => self.fault(at, format!("expected type '{known}' but found '{of}'")),
            },
        }
    }

    fn object(&mut self, at: usize, object: &mut Object) -> Type {
        let patch = self.declared.has_patches() && object.name == "JSONPatch";
        let part =
            self.declared.has_patches() && (object.name == "Object" || object.name.starts_with("Object."));
        if !patch && !part {
            let message = undeclared(&object.name);
            self.fault(at, message);
        }
        for field in &mut object.fields {
            let of = self.check(&mut field.value);
            if patch {
                let wanted = match field.name.as_str() {
                    "op" | "path" | "from" => Type::String,
                    "value" => Type::Dyn,
                    name => self.fault(field.at, format!("undefined field '{name}'")),
                };
                if !fit::fits(&wanted, &of, &mut Bound::new()) {
                    self.fault(
                        field.at,
                        format!(
                            "expected type of field '{}' is '{wanted}' but provided type is '{of}'",
                            field.name
                        ),
                    );
                }
            }
        }
        Type::Object(Arc::new(ObjectType::new(&object.name, [])))
    }
}

fn undeclared(name: &str) -> String {
    format!("undeclared reference to '{name}' (in container '')")
}

fn literal(value: &Value) -> Type {
    match value {
        Value::Bool(_) => Type::Bool,
        Value::Int(_) => Type::Int,
        Value::Uint(_) => Type::Uint,
        Value::Double(_) => Type::Double,
        Value::String(_) => Type::String,
        Value::Bytes(_) => Type::Bytes,
        _ => Type::Null,
    }
}
