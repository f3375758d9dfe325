//! Base64 as Go's `encoding/base64` takes it: line ends are skipped, and faults have a position.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// The same bytes in canonical base64.
pub fn canonical(text: &str) -> Result<String, String> {
    if STANDARD.decode(text).is_ok() {
        return Ok(text.to_owned());
    }
    decode(text)
        .map(|bytes| STANDARD.encode(bytes))
        .map_err(|at| format!("illegal base64 data at input byte {at}"))
}

fn digit(byte: u8) -> Option<u8> {
    Some(match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    })
}

/// The error is where the fault is.
fn decode(text: &str) -> Result<Vec<u8>, usize> {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len() / 4 * 3);
    let mut at = 0;
    let skip_lines = |at: &mut usize| {
        while matches!(bytes.get(*at), Some(b'\n' | b'\r')) {
            *at += 1;
        }
    };
    loop {
        let mut group = [0u8; 4];
        let mut count = 0;
        let mut last = false;
        while count < 4 {
            skip_lines(&mut at);
            let Some(&byte) = bytes.get(at) else {
                if count == 0 {
                    return Ok(out);
                }
                return Err(at - count);
            };
            at += 1;
            if let Some(digit) = digit(byte) {
                group[count] = digit;
                count += 1;
                continue;
            }
            if byte != b'=' || count < 2 {
                return Err(at - 1);
            }
            if count == 2 {
                skip_lines(&mut at);
                match bytes.get(at) {
                    None => return Err(bytes.len()),
                    Some(b'=') => at += 1,
                    Some(_) => return Err(at - 1),
                }
            }
            skip_lines(&mut at);
            if at < bytes.len() {
                return Err(at);
            }
            last = true;
            break;
        }
        let [a, b, c, d] = group;
        let whole = [(a << 2) | (b >> 4), (b << 4) | (c >> 2), (c << 6) | d];
        out.extend_from_slice(&whole[..count.saturating_sub(1)]);
        if last {
            return Ok(out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::canonical;

    #[test]
    fn line_ends_are_skipped_and_faults_are_placed() {
        assert_eq!(canonical("aGVsbG8=").as_deref(), Ok("aGVsbG8="));
        assert_eq!(canonical("aGVs\nbG8=\n").as_deref(), Ok("aGVsbG8="));
        assert_eq!(canonical("aGVsbG9=").as_deref(), Ok("aGVsbG8="));
        for (text, at) in
            [("%%%", 0), ("aGVs%", 4), ("aGVsbG8", 4), ("aGVsbG8=x", 8), ("a===", 1), ("aG=s", 2)]
        {
            assert_eq!(canonical(text), Err(format!("illegal base64 data at input byte {at}")), "{text}");
        }
    }
}
