//! `Warning` headers, kept short as upstream does it: clients limit the headers that they take.

/// Headers may have so many characters in all. Once they have more, each text is cut.
const CHARACTERS_MAX: usize = 4 * 1024;
/// To so many characters.
const TEXT_CHARACTERS_MAX: usize = 256;

/// The values of the headers, each text once.
pub fn shown(texts: &[String]) -> Vec<String> {
    let mut distinct: Vec<&str> = Vec::new();
    for text in texts.iter().filter(|text| !text.is_empty()) {
        if !distinct.contains(&text.as_str()) {
            distinct.push(text);
        }
    }
    let whole: Vec<String> = distinct.iter().map(|text| header(text.chars())).collect();
    if whole.iter().map(|value| value.chars().count()).sum::<usize>() <= CHARACTERS_MAX {
        return whole;
    }
    let mut written = 0;
    let mut cut = Vec::new();
    for text in distinct {
        if written >= CHARACTERS_MAX {
            break;
        }
        let value = header(text.chars().take(TEXT_CHARACTERS_MAX));
        written += value.chars().count();
        cut.push(value);
    }
    cut
}

/// `299 - "text"`; what a header can't hold is left out.
fn header(text: impl Iterator<Item = char>) -> String {
    let mut value = String::from("299 - \"");
    for character in text.filter(|character| !character.is_control()) {
        if matches!(character, '"' | '\\') {
            value.push('\\');
        }
        value.push(character);
    }
    value.push('"');
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_quoted_and_stand_once() {
        let texts = ["unknown field \"a\"", "x\ny", "", "unknown field \"a\""].map(str::to_owned);
        assert_eq!(shown(&texts), ["299 - \"unknown field \\\"a\\\"\"", "299 - \"xy\""]);
    }

    #[test]
    fn many_and_long_texts_are_cut() {
        let long = shown(&["x".repeat(100_000)]);
        assert_eq!(long, [format!("299 - \"{}\"", "x".repeat(256))]);
        let texts: Vec<String> = (0..100).map(|at| format!("{at} {}", "é".repeat(300))).collect();
        let cut = shown(&texts);
        assert_eq!(cut.len(), 4096 / 264 + 1);
        let few: Vec<String> = (0..10).map(|at| format!("{at} {}", "x".repeat(300))).collect();
        assert_eq!(shown(&few).iter().map(String::len).max(), Some(310));
    }
}
