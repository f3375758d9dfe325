//! The escapes of string and bytes literals.
//! Source: <https://github.com/google/cel-spec/blob/master/doc/langdef.md#string-and-bytes-values>

/// The text of a string literal's inside.
pub(super) fn text(body: &[char]) -> Result<String, String> {
    let mut out = String::new();
    each(body, |piece| {
        match piece {
            Piece::Char(c) => out.push(c),
            // In a string `\xff` is a code point.
            Piece::Byte(byte) => out.push(char::from(byte)),
        }
    })?;
    Ok(out)
}

/// The bytes of a bytes literal's inside.
pub(super) fn bytes(body: &[char]) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    each(body, |piece| match piece {
        Piece::Char(c) => out.extend(c.to_string().bytes()),
        Piece::Byte(byte) => out.push(byte),
    })?;
    Ok(out)
}

enum Piece {
    Char(char),
    Byte(u8),
}

fn each(body: &[char], mut take: impl FnMut(Piece)) -> Result<(), String> {
    let mut at = 0;
    while at < body.len() {
        if body[at] != '\\' {
            take(Piece::Char(body[at]));
            at += 1;
            continue;
        }
        let escape = *body.get(at + 1).ok_or("unable to unescape string")?;
        at += 2;
        let simple = match escape {
            'a' => Some('\u{7}'),
            'b' => Some('\u{8}'),
            'f' => Some('\u{c}'),
            'n' => Some('\n'),
            'r' => Some('\r'),
            't' => Some('\t'),
            'v' => Some('\u{b}'),
            '\\' | '\'' | '"' | '`' | '?' => Some(escape),
            _ => None,
        };
        if let Some(c) = simple {
            take(Piece::Char(c));
            continue;
        }
        let (radix, from, digits) = match escape {
            'x' | 'X' => (16, at, 2),
            'u' => (16, at, 4),
            'U' => (16, at, 8),
            '0'..='3' => (8, at - 1, 3),
            _ => return Err("unable to unescape string".to_owned()),
        };
        let code: String = body.get(from..from + digits).ok_or("unable to unescape string")?.iter().collect();
        let code = u32::from_str_radix(&code, radix).map_err(|_| "unable to unescape string")?;
        at = from + digits;
        match u8::try_from(code) {
            Ok(byte) if digits < 4 => take(Piece::Byte(byte)),
            _ => take(Piece::Char(char::from_u32(code).ok_or("unable to unescape string")?)),
        }
    }
    Ok(())
}
