//! Where the checker reads from: bytes, or a value that is parsed already.

use serde_json::{Number, Value, map, value};

/// How deep values may be nested. Stored objects are read back by parsers that refuse more than 128.
pub const DEPTH_MAX: usize = 120;

/// How many list elements and map entries an object may have in all. Objects of the largest size that is stored
/// have fewer; without a limit, a few bytes each would become a struct's worth of memory each.
pub const VALUES_MAX: usize = 400_000;

/// The start of a value. Scalars are whole.
pub enum Token {
    Null,
    Bool(bool),
    Number(Number),
    String(String),
    /// Elements follow, see [`Source::next_item`].
    Array,
    /// Keys and values follow, see [`Source::next_key`].
    Object,
}

impl Token {
    /// What Go's decoder calls it.
    pub fn word(&self) -> &'static str {
        match self {
            Token::Null => "null",
            Token::Bool(_) => "bool",
            Token::Number(_) => "number",
            Token::String(_) => "string",
            Token::Array => "array",
            Token::Object => "object",
        }
    }
}

/// A stream of values. Errors are Go's words for malformed JSON.
pub trait Source {
    /// Reads a scalar, or opens an array or object.
    fn next_value(&mut self) -> Result<Token, String>;
    /// The next key of the innermost open object, or its end. The value comes next.
    fn next_key(&mut self) -> Result<Option<String>, String>;
    /// Whether the innermost open array goes on, with a value, or ends.
    fn next_item(&mut self) -> Result<bool, String>;
    /// The number that was read last, as it was written.
    fn literal(&self) -> String;

    /// Reads the rest of a value whose start was read, whatever is in it.
    fn rest(&mut self, token: Token) -> Result<Value, String> {
        Ok(match token {
            Token::Null => Value::Null,
            Token::Bool(bool) => bool.into(),
            Token::Number(number) => Value::Number(number),
            Token::String(text) => text.into(),
            Token::Array => {
                let mut items = Vec::new();
                while self.next_item()? {
                    let token = self.next_value()?;
                    items.push(self.rest(token)?);
                }
                Value::Array(items)
            }
            Token::Object => {
                let mut entries = serde_json::Map::new();
                while let Some(key) = self.next_key()? {
                    let token = self.next_value()?;
                    let entry = self.rest(token)?;
                    entries.insert(key, entry);
                }
                Value::Object(entries)
            }
        })
    }
}

enum Open {
    Array(std::vec::IntoIter<Value>),
    Object(map::IntoIter),
}

/// A value that is parsed already; keys come in its order.
pub struct Parsed {
    next: value::Value,
    open: Vec<Open>,
    number: Option<Number>,
}

impl Parsed {
    /// Reads from a value.
    pub fn new(value: Value) -> Parsed {
        Parsed { next: value, open: Vec::new(), number: None }
    }
}

impl Source for Parsed {
    fn next_value(&mut self) -> Result<Token, String> {
        if self.open.len() > DEPTH_MAX {
            return Err("exceeded max depth".into());
        }
        Ok(match self.next.take() {
            Value::Null => Token::Null,
            Value::Bool(bool) => Token::Bool(bool),
            Value::Number(number) => {
                self.number = Some(number.clone());
                Token::Number(number)
            }
            Value::String(text) => Token::String(text),
            Value::Array(items) => {
                self.open.push(Open::Array(items.into_iter()));
                Token::Array
            }
            Value::Object(entries) => {
                self.open.push(Open::Object(entries.into_iter()));
                Token::Object
            }
        })
    }

    fn next_key(&mut self) -> Result<Option<String>, String> {
        let Some(Open::Object(entries)) = self.open.last_mut() else { return Ok(None) };
        Ok(match entries.next() {
            Some((key, value)) => {
                self.next = value;
                Some(key)
            }
            None => {
                self.open.pop();
                None
            }
        })
    }

    fn next_item(&mut self) -> Result<bool, String> {
        let Some(Open::Array(items)) = self.open.last_mut() else { return Ok(false) };
        Ok(match items.next() {
            Some(value) => {
                self.next = value;
                true
            }
            None => {
                self.open.pop();
                false
            }
        })
    }

    fn literal(&self) -> String {
        self.number.as_ref().map(Number::to_string).unwrap_or_default()
    }
}
