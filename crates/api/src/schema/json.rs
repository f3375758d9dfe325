//! A reader of JSON bytes that complains in the words of Go's `encoding/json`.

use serde_json::Number;

use super::source::{DEPTH_MAX, Source, Token};

#[derive(Clone, Copy, PartialEq)]
enum Open {
    Array,
    Object,
}

/// JSON bytes.
pub struct Json<'a> {
    bytes: &'a [u8],
    at: usize,
    /// What is open, and whether it has an element.
    open: Vec<(Open, bool)>,
    number: (usize, usize),
}

impl<'a> Json<'a> {
    /// Reads from bytes.
    pub fn new(bytes: &'a [u8]) -> Json<'a> {
        Json { bytes, at: 0, open: Vec::new(), number: (0, 0) }
    }

    /// Checks that nothing follows the value that was read.
    pub fn end(mut self) -> Result<(), String> {
        match self.skip_blanks() {
            None => Ok(()),
            Some(byte) => Err(invalid(byte, "after top-level value")),
        }
    }

    fn skip_blanks(&mut self) -> Option<u8> {
        while let Some(byte) = self.bytes.get(self.at) {
            if !matches!(byte, b' ' | b'\t' | b'\r' | b'\n') {
                return Some(*byte);
            }
            self.at += 1;
        }
        None
    }

    fn byte(&mut self) -> Result<u8, String> {
        let byte = self.bytes.get(self.at).copied().ok_or_else(ended)?;
        self.at += 1;
        Ok(byte)
    }

    fn push(&mut self, open: Open) -> Result<(), String> {
        if self.open.len() >= DEPTH_MAX {
            return Err("exceeded max depth".into());
        }
        self.open.push((open, false));
        Ok(())
    }

    fn word(&mut self, word: &'static str) -> Result<(), String> {
        for expected in word.bytes().skip(1) {
            let byte = self.byte()?;
            if byte != expected {
                return Err(invalid(byte, &format!("in literal {word} (expecting {})", quoted(expected))));
            }
        }
        Ok(())
    }

    fn digits(&mut self) {
        while self.bytes.get(self.at).is_some_and(u8::is_ascii_digit) {
            self.at += 1;
        }
    }

    /// Reads a number whose first byte was read.
    fn read_number(&mut self, first: u8) -> Result<Number, String> {
        let start = self.at - 1;
        let leading = if first == b'-' { self.byte()? } else { first };
        match leading {
            b'0' => {}
            b'1'..=b'9' => self.digits(),
            byte => return Err(invalid(byte, "in numeric literal")),
        }
        let mut whole = true;
        if self.bytes.get(self.at) == Some(&b'.') {
            whole = false;
            self.at += 1;
            let byte = self.byte()?;
            if !byte.is_ascii_digit() {
                return Err(invalid(byte, "after decimal point in numeric literal"));
            }
            self.digits();
        }
        if matches!(self.bytes.get(self.at), Some(b'e' | b'E')) {
            whole = false;
            self.at += 1;
            let mut byte = self.byte()?;
            if matches!(byte, b'+' | b'-') {
                byte = self.byte()?;
            }
            if !byte.is_ascii_digit() {
                return Err(invalid(byte, "in exponent of numeric literal"));
            }
            self.digits();
        }
        self.number = (start, self.at);
        let text = self.literal();
        let number = match (whole, text.parse::<i64>(), text.parse::<u64>()) {
            (true, Ok(int), _) => Some(Number::from(int)),
            (true, _, Ok(int)) => Some(Number::from(int)),
            _ => text.parse::<f64>().ok().and_then(Number::from_f64),
        };
        number.ok_or_else(|| format!("json: cannot unmarshal number {text} into Go value of type float64"))
    }

    /// Reads a string whose first quote was read.
    fn string(&mut self) -> Result<String, String> {
        let mut out = String::new();
        loop {
            let start = self.at;
            let stop = self.bytes[start..]
                .iter()
                .position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20))
                .ok_or_else(ended)?;
            let piece = String::from_utf8_lossy(&self.bytes[start..start + stop]);
            self.at = start + stop + 1;
            match self.bytes[start + stop] {
                b'"' if out.is_empty() => return Ok(piece.into_owned()),
                b'"' => {
                    out.push_str(&piece);
                    return Ok(out);
                }
                b'\\' => {
                    out.push_str(&piece);
                    self.escape(&mut out)?;
                }
                byte => return Err(invalid(byte, "in string literal")),
            }
        }
    }

    fn escape(&mut self, out: &mut String) -> Result<(), String> {
        let letter = match self.byte()? {
            byte @ (b'"' | b'\\' | b'/') => char::from(byte),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let first = self.hex()?;
                let mut code = u32::from(first);
                // Half a pair is replaced, and what follows stands for itself.
                if (0xd800..0xdc00).contains(&first) && self.bytes[self.at..].starts_with(b"\\u") {
                    let before = self.at;
                    self.at += 2;
                    let second = self.hex()?;
                    if (0xdc00..0xe000).contains(&second) {
                        code = 0x10000 + ((u32::from(first) - 0xd800) << 10) + (u32::from(second) - 0xdc00);
                    } else {
                        self.at = before;
                    }
                }
                char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER)
            }
            byte => return Err(invalid(byte, "in string escape code")),
        };
        out.push(letter);
        Ok(())
    }

    fn hex(&mut self) -> Result<u16, String> {
        let mut code = 0;
        for _ in 0..4 {
            let byte = self.byte()?;
            let digit = char::from(byte)
                .to_digit(16)
                .ok_or_else(|| invalid(byte, "in \\u hexadecimal character escape"))?;
            code = code * 16 + digit as u16;
        }
        Ok(code)
    }
}

impl Source for Json<'_> {
    fn next_value(&mut self) -> Result<Token, String> {
        self.skip_blanks();
        Ok(match self.byte()? {
            b'{' => {
                self.push(Open::Object)?;
                Token::Object
            }
            b'[' => {
                self.push(Open::Array)?;
                Token::Array
            }
            b'"' => Token::String(self.string()?),
            b'n' => {
                self.word("null")?;
                Token::Null
            }
            b't' => {
                self.word("true")?;
                Token::Bool(true)
            }
            b'f' => {
                self.word("false")?;
                Token::Bool(false)
            }
            byte @ (b'-' | b'0'..=b'9') => Token::Number(self.read_number(byte)?),
            byte => return Err(invalid(byte, "looking for beginning of value")),
        })
    }

    fn next_key(&mut self) -> Result<Option<String>, String> {
        let Some((Open::Object, started)) = self.open.last().copied() else { return Ok(None) };
        let mut byte = self.skip_blanks().ok_or_else(ended)?;
        if byte == b'}' {
            self.at += 1;
            self.open.pop();
            return Ok(None);
        }
        if started {
            if byte != b',' {
                return Err(invalid(byte, "after object key:value pair"));
            }
            self.at += 1;
            byte = self.skip_blanks().ok_or_else(ended)?;
        }
        if byte != b'"' {
            return Err(invalid(byte, "looking for beginning of object key string"));
        }
        self.at += 1;
        let key = self.string()?;
        let byte = self.skip_blanks().ok_or_else(ended)?;
        if byte != b':' {
            return Err(invalid(byte, "after object key"));
        }
        self.at += 1;
        if let Some((_, started)) = self.open.last_mut() {
            *started = true;
        }
        Ok(Some(key))
    }

    fn next_item(&mut self) -> Result<bool, String> {
        let Some((Open::Array, started)) = self.open.last().copied() else { return Ok(false) };
        let byte = self.skip_blanks().ok_or_else(ended)?;
        if byte == b']' {
            self.at += 1;
            self.open.pop();
            return Ok(false);
        }
        if started {
            if byte != b',' {
                return Err(invalid(byte, "after array element"));
            }
            self.at += 1;
        }
        if let Some((_, started)) = self.open.last_mut() {
            *started = true;
        }
        Ok(true)
    }

    fn literal(&self) -> String {
        String::from_utf8_lossy(&self.bytes[self.number.0..self.number.1]).into_owned()
    }
}

fn ended() -> String {
    "unexpected end of JSON input".into()
}

fn invalid(byte: u8, wher: &str) -> String {
    format!("invalid character {} {wher}", quoted(byte))
}

/// A byte as Go quotes it in these messages.
fn quoted(byte: u8) -> String {
    match byte {
        b'\'' => "'\\''".into(),
        b'"' => "'\"'".into(),
        b'\\' => "'\\\\'".into(),
        b'\n' => "'\\n'".into(),
        b'\r' => "'\\r'".into(),
        b'\t' => "'\\t'".into(),
        0x07 => "'\\a'".into(),
        0x08 => "'\\b'".into(),
        0x0b => "'\\v'".into(),
        0x0c => "'\\f'".into(),
        0..0x20 | 0x7f => format!("'\\x{byte:02x}'"),
        0x80..0xa0 | 0xad => format!("'\\u{byte:04x}'"),
        _ => format!("'{}'", char::from(byte)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<serde_json::Value, String> {
        let mut json = Json::new(text.as_bytes());
        let token = json.next_value()?;
        let value = json.rest(token)?;
        json.end()?;
        Ok(value)
    }

    #[test]
    fn reads_what_serde_json_reads() {
        for text in [
            r#"{"a": [1, -2, 3.5e2, true, false, null, "x\n\"\u00e9\ud83d\ude00"], "b": {}, "c": []}"#,
            "18446744073709551615",
            "-9223372036854775808",
            r#" "tail" "#,
        ] {
            assert_eq!(read(text), Ok(serde_json::from_str(text).unwrap()), "{text}");
        }
        assert_eq!(read(r#""\ud800x""#), Ok("\u{fffd}x".into()));
    }

    #[test]
    fn complains_like_go() {
        for (text, words) in [
            ("", "unexpected end of JSON input"),
            ("{", "unexpected end of JSON input"),
            (r#"{"a":"b",}"#, "invalid character '}' looking for beginning of object key string"),
            ("{}{}", "invalid character '{' after top-level value"),
            ("[1 2]", "invalid character '2' after array element"),
            (r#"{"a" 1}"#, "invalid character '1' after object key"),
            (r#"{"a":1 "b"}"#, "invalid character '\"' after object key:value pair"),
            ("[1,]", "invalid character ']' looking for beginning of value"),
            ("nul1", "invalid character '1' in literal null (expecting 'l')"),
            ("-x", "invalid character 'x' in numeric literal"),
            ("1.x", "invalid character 'x' after decimal point in numeric literal"),
            ("\"\u{1}\"", "invalid character '\\x01' in string literal"),
            (r#""\q""#, "invalid character 'q' in string escape code"),
            (r#""\u12g4""#, "invalid character 'g' in \\u hexadecimal character escape"),
        ] {
            assert_eq!(read(text), Err(words.to_owned()), "{text}");
        }
        assert_eq!(read(&"[".repeat(1_000_000)), Err("exceeded max depth".to_owned()));
    }

    proptest::proptest! {
        #[test]
        fn agrees_with_serde_json(pieces in proptest::collection::vec(
            proptest::sample::select(&["{", "}", "[", "]", ",", ":", "\"a\"", "\"\\u00e9\\n\"", "1", "-7", "1.5e3",
                "null", "true", "false", " ", "\"", "\\", "tru", "-", ".", "e", "\u{1}", "\u{e9}"][..]), 0..12))
        {
            let text = pieces.concat();
            let expected = serde_json::from_str::<serde_json::Value>(&text).ok();
            proptest::prop_assert_eq!(read(&text).ok(), expected, "{}", text);
        }
    }
}
