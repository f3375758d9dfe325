//! Text to expressions, by recursive descent with a limit on depth.
//! Source: <https://github.com/google/cel-spec/blob/master/doc/langdef.md#syntax>

pub(crate) mod ast;
mod lexer;
mod literal;
mod macros;
mod words;

use ast::{Call, Element, Entry, Expr, Field, Node, Object, Select};
use lexer::{Spanned, Token};

use crate::error::{CompileError, Issue};
use crate::value::Value;

/// The longest expression, in code points (cel-go's default).
pub const LENGTH_MAX: usize = 100_000;
/// How deeply expressions may be nested (cel-go's default).
pub const DEPTH_MAX: usize = 250;

/// Words that may not name variables.
const RESERVED: [&str; 15] = [
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
    "var",
];
const RESERVED_TOO: [&str; 2] = ["void", "while"];

/// What is wrong, and where in code points.
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    pub at: usize,
    pub message: String,
}

pub(crate) fn fault(at: usize, message: String) -> Fault {
    Fault { at, message }
}

/// Whether a text can name a variable.
/// Source: <https://github.com/google/cel-spec/blob/master/doc/langdef.md#syntax> (`IDENT`)
#[must_use]
pub fn is_identifier(text: &str) -> bool {
    let mut chars = text.chars();
    chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
        && !reserved(text)
        && !matches!(text, "in" | "true" | "false" | "null")
}

fn reserved(word: &str) -> bool {
    RESERVED.contains(&word) || RESERVED_TOO.contains(&word)
}

/// An expression.
pub(crate) fn parse(source: &str) -> Result<Expr, CompileError> {
    let chars: Vec<char> = source.chars().collect();
    if chars.len() > LENGTH_MAX {
        return Err(CompileError::plain(format!(
            "ERROR: :1:1: expression code point size exceeds limit: size: {}, limit {LENGTH_MAX}",
            chars.len()
        )));
    }
    let result = lexer::tokens(&chars).and_then(|tokens| {
        let mut parser = Parser { tokens, at: 0, depth: 0 };
        let expr = parser.expr()?;
        if !parser.is_end() {
            return Err(parser.unexpected("<EOF>"));
        }
        Ok(expr)
    });
    match result {
        Ok(expr) if expr.depth() > DEPTH_MAX => Err(too_deep()),
        Ok(expr) => Ok(expr),
        Err(fault) if fault.message == TOO_DEEP => Err(too_deep()),
        Err(fault) if fault.message.starts_with("Syntax error") => {
            Err(words::of(source).unwrap_or_else(|| CompileError::at(source, vec![issue(fault)])))
        }
        Err(fault) => Err(CompileError::at(source, vec![issue(fault)])),
    }
}

const TOO_DEEP: &str = "too deep";

fn too_deep() -> CompileError {
    CompileError::plain(format!("ERROR: <input>:-1:0: expression recursion limit exceeded: {DEPTH_MAX}"))
}

fn issue(fault: Fault) -> Issue {
    Issue { at: fault.at, message: fault.message }
}

struct Parser {
    tokens: Vec<Spanned>,
    at: usize,
    depth: usize,
}

/// Binary operators with their precedence, the loosest first.
const BINARY: [(&str, &str, u8); 14] = [
    ("||", "_||_", 1),
    ("&&", "_&&_", 2),
    ("<", "_<_", 3),
    ("<=", "_<=_", 3),
    (">=", "_>=_", 3),
    (">", "_>_", 3),
    ("==", "_==_", 3),
    ("!=", "_!=_", 3),
    ("in", "@in", 3),
    ("+", "_+_", 4),
    ("-", "_-_", 4),
    ("*", "_*_", 5),
    ("/", "_/_", 5),
    ("%", "_%_", 5),
];

impl Parser {
    fn peek(&self) -> &Spanned {
        // The last token is the end, and nothing goes beyond it.
        &self.tokens[self.at.min(self.tokens.len() - 1)]
    }

    fn is(&self, sign: &str) -> bool {
        matches!(&self.peek().token, Token::Sign(s) if *s == sign)
    }

    fn is_end(&self) -> bool {
        self.peek().token == Token::End
    }

    /// Over a sign, if it stands here: where it stood.
    fn take(&mut self, sign: &str) -> Option<usize> {
        let at = self.peek().at;
        self.is(sign).then(|| {
            self.at += 1;
            at
        })
    }

    fn expect(&mut self, sign: &str) -> Result<usize, Fault> {
        self.take(sign).ok_or_else(|| self.unexpected(&format!("'{sign}'")))
    }

    fn unexpected(&self, expected: &str) -> Fault {
        let here = self.peek();
        fault(here.at, format!("Syntax error: mismatched input '{}' expecting {expected}", here.text))
    }

    fn expr(&mut self) -> Result<Expr, Fault> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(fault(self.peek().at, TOO_DEEP.to_owned()));
        }
        let condition = self.binary(1)?;
        let result = match self.take("?") {
            None => condition,
            Some(at) => {
                let yes = self.binary(1)?;
                self.expect(":")?;
                let no = self.expr()?;
                call(at, "_?_:_", vec![condition, yes, no])
            }
        };
        self.depth -= 1;
        Ok(result)
    }

    fn binary(&mut self, least: u8) -> Result<Expr, Fault> {
        let mut left = self.unary()?;
        loop {
            let here = self.peek();
            let Token::Sign(sign) = here.token else { return Ok(left) };
            let Some((_, function, precedence)) = BINARY.into_iter().find(|(s, ..)| *s == sign) else {
                return Ok(left);
            };
            if precedence < least {
                return Ok(left);
            }
            if precedence > 2 {
                let at = here.at;
                self.at += 1;
                let right = self.binary(precedence + 1)?;
                left = call(at, function, vec![left, right]);
                continue;
            }
            let (mut terms, mut ats) = (vec![left], Vec::new());
            while let Some(at) = self.take(sign) {
                ats.push(at);
                terms.push(self.binary(precedence + 1)?);
            }
            left = balanced(function, terms, &ats);
        }
    }

    fn unary(&mut self) -> Result<Expr, Fault> {
        for (sign, function) in [("!", "!_"), ("-", "-_")] {
            let Some(at) = self.take(sign) else { continue };
            let mut times = 1;
            while self.take(sign).is_some() {
                times += 1;
            }
            if sign == "-" && times % 2 == 1 {
                let negative = match &self.peek().token {
                    Token::Int(text) => Some(integer(at, text, true)?),
                    Token::Float(value) => Some(Value::Double(-value)),
                    _ => None,
                };
                if let Some(value) = negative {
                    self.at += 1;
                    return self.member(Expr { at, node: Node::Literal(value) });
                }
            }
            let operand = self.primary()?;
            let operand = self.member(operand)?;
            return Ok(if times % 2 == 1 { call(at, function, vec![operand]) } else { operand });
        }
        let primary = self.primary()?;
        self.member(primary)
    }

    /// Selections, indexes, method calls and message literals behind an expression.
    fn member(&mut self, mut expr: Expr) -> Result<Expr, Fault> {
        loop {
            if let Some(at) = self.take(".") {
                let optional = self.take("?").is_some();
                let name = self.ident()?;
                if !optional && let Some(open) = self.take("(") {
                    let args = self.args(")")?;
                    expr = if macros::is_bind(&expr, &name, args.len()) {
                        macros::bind(open, args)?
                    } else if macros::is_macro(&name, args.len()) {
                        macros::expand(open, &name, expr, args)?
                    } else {
                        let method = Call { function: name, target: Some(expr), args };
                        Expr { at: open, node: Node::Call(Box::new(method)) }
                    };
                    continue;
                }
                let select = Select { operand: expr, field: name, optional, test: false };
                expr = Expr { at, node: Node::Select(Box::new(select)) };
            } else if let Some(at) = self.take("[") {
                let optional = self.take("?").is_some();
                let index = self.expr()?;
                self.expect("]")?;
                expr = call(at, if optional { "_[?_]" } else { "_[_]" }, vec![expr, index]);
            } else if self.is("{")
                && let Some(name) = dotted(&expr)
            {
                let at = self.peek().at;
                self.at += 1;
                expr = Expr { at, node: Node::Object(Box::new(Object { name, fields: self.fields()? })) };
            } else {
                return Ok(expr);
            }
        }
    }

    fn ident(&mut self) -> Result<String, Fault> {
        match &self.peek().token {
            Token::Ident(name) => {
                let name = name.clone();
                self.at += 1;
                Ok(name)
            }
            _ => Err(self.unexpected("IDENTIFIER")),
        }
    }

    fn args(&mut self, close: &str) -> Result<Vec<Expr>, Fault> {
        let mut args = Vec::new();
        if self.take(close).is_some() {
            return Ok(args);
        }
        loop {
            args.push(self.expr()?);
            if self.take(",").is_none() {
                self.expect(close)?;
                return Ok(args);
            }
        }
    }

    fn primary(&mut self) -> Result<Expr, Fault> {
        let Spanned { token, at, .. } = self.peek().clone();
        let literal = match token {
            Token::Int(text) => Some(integer(at, &text, false)?),
            Token::Uint(text) => {
                let parsed = match text.strip_prefix("0x") {
                    Some(hex) => u64::from_str_radix(hex, 16),
                    None => text.parse(),
                };
                Some(Value::Uint(parsed.map_err(|_| fault(at, "invalid uint literal".to_owned()))?))
            }
            Token::Float(value) => Some(Value::Double(value)),
            Token::Text(text) => Some(Value::from(text)),
            Token::Bytes(bytes) => Some(Value::Bytes(bytes.into())),
            Token::Sign("true") => Some(Value::Bool(true)),
            Token::Sign("false") => Some(Value::Bool(false)),
            Token::Sign("null") => Some(Value::Null),
            Token::Sign("(") => {
                self.at += 1;
                let inner = self.expr()?;
                self.expect(")")?;
                return Ok(inner);
            }
            Token::Sign("[") => {
                self.at += 1;
                return Ok(Expr { at, node: Node::List(self.elements()?) });
            }
            Token::Sign("{") => {
                self.at += 1;
                return Ok(Expr { at, node: Node::Map(self.entries()?) });
            }
            Token::Sign(".") | Token::Ident(_) => {
                self.take(".");
                let name = self.ident()?;
                return self.named(at, name);
            }
            Token::Sign(_) | Token::End => None,
        };
        let value = literal.ok_or_else(|| self.unexpected("an expression"))?;
        self.at += 1;
        Ok(Expr { at, node: Node::Literal(value) })
    }

    /// A variable or the call of a function.
    fn named(&mut self, at: usize, name: String) -> Result<Expr, Fault> {
        if let Some(open) = self.take("(") {
            let args = self.args(")")?;
            if name == "has" && args.len() == 1 {
                return macros::has(open, args);
            }
            return Ok(call(open, &name, args));
        }
        if reserved(&name) {
            return Err(fault(at, format!("reserved identifier: {name}")));
        }
        Ok(Expr { at, node: Node::Ident(name) })
    }

    fn elements(&mut self) -> Result<Vec<Element>, Fault> {
        let mut elements = Vec::new();
        while self.take("]").is_none() {
            let optional = self.take("?").is_some();
            elements.push(Element { value: self.expr()?, optional });
            if self.take(",").is_none() {
                self.expect("]")?;
                break;
            }
        }
        Ok(elements)
    }

    fn entries(&mut self) -> Result<Vec<Entry>, Fault> {
        let mut entries = Vec::new();
        while self.take("}").is_none() {
            let optional = self.take("?").is_some();
            let key = self.expr()?;
            self.expect(":")?;
            entries.push(Entry { key, value: self.expr()?, optional });
            if self.take(",").is_none() {
                self.expect("}")?;
                break;
            }
        }
        Ok(entries)
    }

    fn fields(&mut self) -> Result<Vec<Field>, Fault> {
        let mut fields = Vec::new();
        while self.take("}").is_none() {
            let optional = self.take("?").is_some();
            let name = self.ident()?;
            let at = self.expect(":")?;
            fields.push(Field { at, name, value: self.expr()?, optional });
            if self.take(",").is_none() {
                self.expect("}")?;
                break;
            }
        }
        Ok(fields)
    }
}

/// The dotted name an expression is, if it is one.
pub(crate) fn dotted(expr: &Expr) -> Option<String> {
    match &expr.node {
        Node::Ident(name) => Some(name.clone()),
        Node::Select(select) if !select.test && !select.optional => {
            Some(format!("{}.{}", dotted(&select.operand)?, select.field))
        }
        _ => None,
    }
}

fn call(at: usize, function: &str, args: Vec<Expr>) -> Expr {
    Expr { at, node: Node::Call(Box::new(Call { function: function.to_owned(), target: None, args })) }
}

/// A chain of `&&` or `||` as a tree that is no deeper than it must be.
fn balanced(function: &str, mut terms: Vec<Expr>, ats: &[usize]) -> Expr {
    if terms.len() == 1 {
        return terms.remove(0);
    }
    let middle = terms.len() / 2 + terms.len() % 2;
    let right = terms.split_off(middle);
    let at = ats[middle - 1];
    let left = balanced(function, terms, &ats[..middle - 1]);
    call(at, function, vec![left, balanced(function, right, &ats[middle..])])
}

fn integer(at: usize, text: &str, negative: bool) -> Result<Value, Fault> {
    let sign = if negative { "-" } else { "" };
    let parsed = match text.strip_prefix("0x") {
        Some(hex) => i64::from_str_radix(&format!("{sign}{hex}"), 16),
        None => format!("{sign}{text}").parse(),
    };
    parsed.map(Value::Int).map_err(|_| fault(at, "invalid int literal".to_owned()))
}
