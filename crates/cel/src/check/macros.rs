//! The types of macros.

use super::{Checker, fit};
use crate::parse::ast::{Macro, MacroKind};
use crate::types::Type;

impl Checker<'_> {
    pub(super) fn expanded(&mut self, at: usize, m: &mut Macro) -> Type {
        let range = self.check(&mut m.range);
        if m.kind == MacroKind::Bind && !self.declared.has_binds() {
            return self.fault(at, super::undeclared("cel"));
        }
        let (first, second) = match m.kind {
            MacroKind::Bind => (range.clone(), Type::Dyn),
            MacroKind::OptMap | MacroKind::OptFlatMap => match range {
                Type::Optional(ref of) => ((**of).clone(), Type::Dyn),
                Type::Dyn => (Type::Dyn, Type::Dyn),
                ref other => {
                    let message =
                        format!("found no matching overload for 'hasValue' applied to '{other}.()'");
                    (self.fault(m.range.at, message), Type::Dyn)
                }
            },
            _ => self.elements(m, &range),
        };
        let scopes = self.scopes.len();
        self.scopes.push((m.first.clone(), fit::settled(&first)));
        if let Some(name) = &m.second {
            self.scopes.push((name.clone(), fit::settled(&second)));
        }
        if let Some(filter) = &mut m.filter {
            let of = self.check(filter);
            self.overload(at, "_?_:_", false, &[of, Type::Dyn, Type::Dyn]);
        }
        let body = self.check(&mut m.body);
        self.scopes.truncate(scopes);
        let key = match range {
            Type::Map(key, _) => (*key).clone(),
            Type::List(_) => Type::Int,
            _ => Type::Dyn,
        };
        match m.kind {
            MacroKind::All => self.overload(at, "_&&_", false, &[Type::Bool, body]),
            MacroKind::Exists => self.overload(at, "_||_", false, &[Type::Bool, body]),
            MacroKind::ExistsOne => {
                self.overload(at, "_?_:_", false, &[body, Type::Int, Type::Int]);
                Type::Bool
            }
            MacroKind::Filter => {
                let list = Type::list(first);
                self.overload(at, "_?_:_", false, &[body, list.clone(), list])
            }
            MacroKind::Map | MacroKind::TransformList => Type::list(body),
            MacroKind::TransformMap => Type::map(key, body),
            MacroKind::TransformMapEntry => match body {
                Type::Map(..) | Type::Dyn => body,
                other => {
                    let message = format!(
                        "found no matching overload for 'cel.@mapInsert' applied to '(map(dyn, dyn), {other})'"
                    );
                    self.fault(at, message)
                }
            },
            MacroKind::Bind => body,
            MacroKind::OptMap => Type::optional(body),
            MacroKind::OptFlatMap => match body {
                Type::Optional(_) | Type::Dyn => body,
                other => {
                    let message = format!(
                        "found no matching overload for '_?_:_' applied to '(bool, {other}, optional_type(dyn))'"
                    );
                    self.fault(at, message)
                }
            },
        }
    }

    /// The types of a macro's variables.
    fn elements(&mut self, m: &Macro, range: &Type) -> (Type, Type) {
        let two = m.second.is_some();
        match range {
            Type::List(of) if two => (Type::Int, (**of).clone()),
            Type::List(of) => ((**of).clone(), Type::Dyn),
            Type::Map(key, value) => ((**key).clone(), (**value).clone()),
            Type::Dyn | Type::Param(_) => (Type::Dyn, Type::Dyn),
            other => {
                let message = format!(
                    "expression of type '{other}' cannot be range of a comprehension (must be list, map, or dynamic)"
                );
                (self.fault(m.range.at, message), Type::Dyn)
            }
        }
    }
}
