//! Expressions as they were written, macros already recognized.

use crate::value::Value;

/// An expression and where it stands: the offset, in code points, of the token that makes it what it is (the
/// operator, the dot of a selection, the bracket of a call).
#[derive(Clone, Debug)]
pub(crate) struct Expr {
    pub at: usize,
    pub node: Node,
}

/// What an expression is.
#[derive(Clone, Debug)]
pub(crate) enum Node {
    Literal(Value),
    Ident(String),
    Select(Box<Select>),
    /// Operators are calls of functions such as `_+_`; an index is `_[_]`, an optional one `_[?_]`.
    Call(Box<Call>),
    List(Vec<Element>),
    Map(Vec<Entry>),
    /// `Type{field: value}`.
    Object(Box<Object>),
    Macro(Box<Macro>),
}

/// `operand.field`, `operand.?field`, or `has(operand.field)`.
#[derive(Clone, Debug)]
pub(crate) struct Select {
    pub operand: Expr,
    pub field: String,
    pub optional: bool,
    pub test: bool,
}

/// A call of a function, of a target where it is written as a method.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub function: String,
    pub target: Option<Expr>,
    pub args: Vec<Expr>,
}

/// An element of a list literal; an optional one (`?x`) may be missing.
#[derive(Clone, Debug)]
pub(crate) struct Element {
    pub value: Expr,
    pub optional: bool,
}

/// An entry of a map literal.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub key: Expr,
    pub value: Expr,
    pub optional: bool,
}

/// A message literal.
#[derive(Clone, Debug)]
pub(crate) struct Object {
    pub name: String,
    pub fields: Vec<Field>,
}

/// A field of a message literal.
#[derive(Clone, Debug)]
pub(crate) struct Field {
    pub at: usize,
    pub name: String,
    pub value: Expr,
    pub optional: bool,
}

/// A macro over the elements of a list, the keys of a map or the value of an optional.
#[derive(Clone, Debug)]
pub(crate) struct Macro {
    pub kind: MacroKind,
    pub range: Expr,
    pub first: String,
    /// With two variables: index and element, or key and value.
    pub second: Option<String>,
    pub filter: Option<Expr>,
    pub body: Expr,
}

/// Which macro.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MacroKind {
    All,
    Exists,
    ExistsOne,
    Map,
    Filter,
    OptMap,
    OptFlatMap,
    TransformList,
    TransformMap,
    TransformMapEntry,
    /// `cel.bind`: `range` is the one value.
    Bind,
}

impl Expr {
    /// The levels of expressions below and including this one.
    pub(crate) fn depth(&self) -> usize {
        1 + match &self.node {
            Node::Literal(_) | Node::Ident(_) => 0,
            Node::Select(select) => select.operand.depth(),
            Node::Call(call) => call.target.iter().chain(&call.args).map(Expr::depth).max().unwrap_or(0),
            Node::List(elements) => elements.iter().map(|e| e.value.depth()).max().unwrap_or(0),
            Node::Map(entries) => {
                entries.iter().map(|e| e.key.depth().max(e.value.depth())).max().unwrap_or(0)
            }
            Node::Object(object) => object.fields.iter().map(|f| f.value.depth()).max().unwrap_or(0),
            Node::Macro(m) => {
                m.range.depth().max(m.body.depth()).max(m.filter.as_ref().map_or(0, Expr::depth))
            }
        }
    }
}
