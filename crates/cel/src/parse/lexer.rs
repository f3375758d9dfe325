//! Text to tokens.
//! Source: <https://github.com/google/cel-spec/blob/master/doc/langdef.md#syntax>

use super::literal;
use super::{Fault, fault};

/// A token and where it begins, in code points.
#[derive(Clone, Debug)]
pub(super) struct Spanned {
    pub token: Token,
    pub at: usize,
    /// As it was written.
    pub text: String,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    Ident(String),
    Int(String),
    Uint(String),
    Float(f64),
    Text(String),
    Bytes(Vec<u8>),
    /// An operator or bracket, or one of `in`, `true`, `false`, `null`.
    Sign(&'static str),
    End,
}

/// Longest first.
const SIGNS: [&str; 26] = [
    "==", "!=", "<=", ">=", "&&", "||", "<", ">", "[", "]", "{", "}", "(", ")", ".", ",", "-", "!", "?", ":",
    "+", "*", "/", "%", "&", "|",
];
const WORDS: [&str; 4] = ["in", "true", "false", "null"];

/// All tokens of a text, the last one being [`Token::End`].
pub(super) fn tokens(source: &[char]) -> Result<Vec<Spanned>, Fault> {
    let mut lexer = Lexer { source, at: 0 };
    let mut out = Vec::new();
    loop {
        lexer.skip();
        let start = lexer.at;
        let token = lexer.token()?;
        let end = token == Token::End;
        let text = if end { "<EOF>".to_owned() } else { source[start..lexer.at].iter().collect() };
        out.push(Spanned { token, at: start, text });
        if end {
            return Ok(out);
        }
    }
}

struct Lexer<'a> {
    source: &'a [char],
    at: usize,
}

impl Lexer<'_> {
    fn peek(&self, ahead: usize) -> Option<char> {
        self.source.get(self.at + ahead).copied()
    }

    /// Over white space and comments.
    fn skip(&mut self) {
        while let Some(c) = self.peek(0) {
            if matches!(c, ' ' | '\t' | '\n' | '\r' | '\u{c}') {
                self.at += 1;
            } else if c == '/' && self.peek(1) == Some('/') {
                while self.peek(0).is_some_and(|c| c != '\n') {
                    self.at += 1;
                }
            } else {
                return;
            }
        }
    }

    fn token(&mut self) -> Result<Token, Fault> {
        let Some(c) = self.peek(0) else { return Ok(Token::End) };
        if let Some(prefix) = self.literal_prefix() {
            return self.text(prefix);
        }
        if c.is_ascii_digit() || (c == '.' && self.peek(1).is_some_and(|d| d.is_ascii_digit())) {
            return self.number();
        }
        if c.is_ascii_alphabetic() || c == '_' {
            let start = self.at;
            while self.peek(0).is_some_and(|c| c.is_ascii_alphanumeric() || c == '_') {
                self.at += 1;
            }
            let word: String = self.source[start..self.at].iter().collect();
            return Ok(match WORDS.iter().find(|w| **w == word) {
                Some(sign) => Token::Sign(sign),
                None => Token::Ident(word),
            });
        }
        for sign in SIGNS {
            if sign.chars().enumerate().all(|(i, c)| self.peek(i) == Some(c)) {
                if matches!(sign, "&" | "|") {
                    break;
                }
                self.at += sign.len();
                return Ok(Token::Sign(sign));
            }
        }
        Err(fault(self.at, format!("Syntax error: token recognition error at: '{c}'")))
    }

    /// How many of the letters `r`, `b` (in any order and case) stand before a quote here.
    fn literal_prefix(&self) -> Option<usize> {
        (0..=2).find(|n| {
            matches!(self.peek(*n), Some('"' | '\''))
                && (0..*n).all(|i| matches!(self.peek(i), Some('r' | 'R' | 'b' | 'B')))
        })
    }

    fn text(&mut self, prefix: usize) -> Result<Token, Fault> {
        let start = self.at;
        let letters: Vec<char> =
            (0..prefix).filter_map(|i| self.peek(i)).map(|c| c.to_ascii_lowercase()).collect();
        let (raw, bytes) = (letters.contains(&'r'), letters.contains(&'b'));
        self.at += prefix;
        let quote = self.source[self.at];
        let triple = self.peek(1) == Some(quote) && self.peek(2) == Some(quote);
        let width = if triple { 3 } else { 1 };
        self.at += width;
        let from = self.at;
        loop {
            match self.peek(0) {
                Some(c)
                    if c == quote && (!triple || (self.peek(1) == Some(c) && self.peek(2) == Some(c))) =>
                {
                    break;
                }
                Some('\n' | '\r') if !triple => return Err(unfinished(self.source, start, self.at)),
                Some('\\') if !raw => self.at += 2,
                Some(_) => self.at += 1,
                None => return Err(unfinished(self.source, start, self.source.len())),
            }
        }
        if self.at > self.source.len() {
            return Err(unfinished(self.source, start, self.source.len()));
        }
        let body = &self.source[from..self.at];
        self.at += width;
        if bytes {
            let value =
                if raw { Ok(body.iter().collect::<String>().into_bytes()) } else { literal::bytes(body) };
            return value.map(Token::Bytes).map_err(|m| fault(start, m));
        }
        let value = if raw { Ok(body.iter().collect()) } else { literal::text(body) };
        value.map(Token::Text).map_err(|m| fault(start, m))
    }

    fn number(&mut self) -> Result<Token, Fault> {
        let start = self.at;
        if self.peek(0) == Some('0')
            && self.peek(1) == Some('x')
            && self.peek(2).is_some_and(|c| c.is_ascii_hexdigit())
        {
            self.at += 2;
            while self.peek(0).is_some_and(|c| c.is_ascii_hexdigit()) {
                self.at += 1;
            }
            return Ok(self.integer(start));
        }
        self.digits();
        let mut float = false;
        if self.peek(0) == Some('.') && self.peek(1).is_some_and(|c| c.is_ascii_digit()) {
            float = true;
            self.at += 1;
            self.digits();
        }
        if matches!(self.peek(0), Some('e' | 'E')) {
            let sign = usize::from(matches!(self.peek(1), Some('+' | '-')));
            if self.peek(1 + sign).is_some_and(|c| c.is_ascii_digit()) {
                float = true;
                self.at += 1 + sign;
                self.digits();
            }
        }
        if !float {
            return Ok(self.integer(start));
        }
        let text: String = self.source[start..self.at].iter().collect();
        text.parse().map(Token::Float).map_err(|_| fault(start, "invalid double literal".to_owned()))
    }

    fn digits(&mut self) {
        while self.peek(0).is_some_and(|c| c.is_ascii_digit()) {
            self.at += 1;
        }
    }

    fn integer(&mut self, start: usize) -> Token {
        let text: String = self.source[start..self.at].iter().collect();
        if matches!(self.peek(0), Some('u' | 'U')) {
            self.at += 1;
            return Token::Uint(text);
        }
        Token::Int(text)
    }
}

fn unfinished(source: &[char], start: usize, end: usize) -> Fault {
    let text: String = source[start..end].iter().collect();
    fault(start, format!("Syntax error: token recognition error at: '{text}'"))
}
