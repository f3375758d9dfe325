//! From the text of a label selector to its requirements, as `k8s.io/apimachinery/pkg/labels` reads it.

use super::SelectorError;
use super::label::{Operator, Requirement, check_key};
use crate::field::{FieldErrors, Path};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token {
    End,
    Error,
    Identifier,
    Comma,
    Open,
    Close,
    Not,
    Equals,
    DoubleEquals,
    NotEquals,
    In,
    NotIn,
    Greater,
    Less,
}

const SYMBOLS: [(&str, Token); 9] = [
    (")", Token::Close),
    (",", Token::Comma),
    ("!", Token::Not),
    ("==", Token::DoubleEquals),
    ("=", Token::Equals),
    (">", Token::Greater),
    ("<", Token::Less),
    ("!=", Token::NotEquals),
    ("(", Token::Open),
];

fn is_symbol(letter: char) -> bool {
    matches!(letter, '=' | '!' | '(' | ')' | ',' | '>' | '<')
}

fn is_space(letter: char) -> bool {
    matches!(letter, ' ' | '\t' | '\r' | '\n')
}

/// Cuts off the next token.
fn lex(text: &str) -> (Token, &str, &str) {
    let text = text.trim_start_matches(is_space);
    let Some(first) = text.chars().next() else { return (Token::End, "", "") };
    if !is_symbol(first) {
        let end = text.find(|letter| is_symbol(letter) || is_space(letter)).unwrap_or(text.len());
        let (word, rest) = text.split_at(end);
        let token = match word {
            "in" => Token::In,
            "notin" => Token::NotIn,
            _ => Token::Identifier,
        };
        return (token, word, rest);
    }
    // The longest symbol; all prefixes of one are symbols themselves.
    for length in [2, 1] {
        if let Some((symbol, token)) =
            SYMBOLS.iter().find(|(symbol, _)| symbol.len() == length && text.starts_with(symbol))
        {
            return (*token, symbol, &text[length..]);
        }
    }
    (Token::Error, &text[..first.len_utf8()], &text[first.len_utf8()..])
}

/// Whether `in` and `notin` may be operators here; elsewhere they are words like others.
#[derive(Clone, Copy, PartialEq)]
enum Context {
    KeyAndOperator,
    Values,
}

struct Parser<'a> {
    rest: &'a str,
}

impl<'a> Parser<'a> {
    fn peek(&self, context: Context) -> (Token, &'a str) {
        let (token, word, _) = lex(self.rest);
        (in_context(token, context), word)
    }

    fn next(&mut self, context: Context) -> (Token, &'a str) {
        let (token, word, rest) = lex(self.rest);
        self.rest = rest;
        (in_context(token, context), word)
    }

    fn requirement(&mut self) -> Result<Requirement, SelectorError> {
        let (mut token, mut key) = self.next(Context::Values);
        let negated = token == Token::Not;
        if negated {
            (token, key) = self.next(Context::Values);
        }
        if token != Token::Identifier {
            return fault(format!("found '{key}', expected: identifier"));
        }
        let mut errors = FieldErrors::new();
        check_key(key, &Path::new("<nil>"), &mut errors);
        if let Some(error) = errors.0.first() {
            return fault(error.to_string());
        }
        if negated {
            return Requirement::new(key, Operator::DoesNotExist, Vec::new());
        }
        if matches!(self.peek(Context::Values).0, Token::End | Token::Comma) {
            return Requirement::new(key, Operator::Exists, Vec::new());
        }
        let operator = self.operator()?;
        let values = match operator {
            Operator::In | Operator::NotIn => self.values()?,
            _ => vec![self.exact()?],
        };
        Requirement::new(key, operator, values)
    }

    fn operator(&mut self) -> Result<Operator, SelectorError> {
        let (token, word) = self.next(Context::KeyAndOperator);
        Ok(match token {
            Token::In => Operator::In,
            Token::NotIn => Operator::NotIn,
            Token::Equals => Operator::Equals,
            Token::DoubleEquals => Operator::DoubleEquals,
            Token::NotEquals => Operator::NotEquals,
            Token::Greater => Operator::GreaterThan,
            Token::Less => Operator::LessThan,
            _ => return fault(format!("found '{word}', expected: in, notin, =, ==, !=, gt, lt")),
        })
    }

    fn exact(&mut self) -> Result<Box<str>, SelectorError> {
        if matches!(self.peek(Context::Values).0, Token::End | Token::Comma) {
            return Ok("".into());
        }
        match self.next(Context::Values) {
            (Token::Identifier, word) => Ok(word.into()),
            (_, word) => fault(format!("found '{word}', expected: identifier")),
        }
    }

    fn values(&mut self) -> Result<Vec<Box<str>>, SelectorError> {
        let (token, word) = self.next(Context::Values);
        if token != Token::Open {
            return fault(format!("found '{word}' expected: '('"));
        }
        match self.peek(Context::Values) {
            (Token::Identifier | Token::Comma, word) => {
                let values = self.listed()?;
                if self.next(Context::Values).0 != Token::Close {
                    return fault(format!("found '{word}', expected: ')'"));
                }
                Ok(values)
            }
            (Token::Close, _) => {
                self.next(Context::Values);
                Ok(vec!["".into()])
            }
            (_, word) => fault(format!("found '{word}', expected: ',', ')' or identifier")),
        }
    }

    fn listed(&mut self) -> Result<Vec<Box<str>>, SelectorError> {
        let mut values: Vec<Box<str>> = Vec::new();
        loop {
            match self.next(Context::Values) {
                (Token::Identifier, word) => {
                    values.push(word.into());
                    match self.peek(Context::Values) {
                        (Token::Comma, _) => {}
                        (Token::Close, _) => return Ok(values),
                        (_, word) => return fault(format!("found '{word}', expected: ',' or ')'")),
                    }
                }
                (Token::Comma, _) => {
                    if values.is_empty() {
                        values.push("".into());
                    }
                    match self.peek(Context::Values).0 {
                        Token::Close => {
                            values.push("".into());
                            return Ok(values);
                        }
                        Token::Comma => {
                            self.next(Context::Values);
                            values.push("".into());
                        }
                        _ => {}
                    }
                }
                (_, word) => return fault(format!("found '{word}', expected: ',', or identifier")),
            }
        }
    }
}

fn in_context(token: Token, context: Context) -> Token {
    match token {
        Token::In | Token::NotIn if context == Context::Values => Token::Identifier,
        token => token,
    }
}

fn fault<T>(text: String) -> Result<T, SelectorError> {
    Err(SelectorError(text))
}

/// The requirements in the order of the text.
pub(super) fn requirements(text: &str) -> Result<Vec<Requirement>, SelectorError> {
    let mut parser = Parser { rest: text };
    let mut requirements = Vec::new();
    loop {
        match parser.peek(Context::Values) {
            (Token::Identifier | Token::Not, _) => {
                let requirement = parser.requirement();
                requirements.push(
                    requirement
                        .map_err(|error| SelectorError(format!("unable to parse requirement: {error}")))?,
                );
                match parser.next(Context::Values) {
                    (Token::End, _) => return Ok(requirements),
                    (Token::Comma, _) => {
                        let (token, word) = parser.peek(Context::Values);
                        if !matches!(token, Token::Identifier | Token::Not) {
                            return fault(format!("found '{word}', expected: identifier after ','"));
                        }
                    }
                    (_, word) => return fault(format!("found '{word}', expected: ',' or 'end of string'")),
                }
            }
            (Token::End, _) => return Ok(requirements),
            (_, word) => {
                return fault(format!("found '{word}', expected: !, identifier, or 'end of string'"));
            }
        }
    }
}
