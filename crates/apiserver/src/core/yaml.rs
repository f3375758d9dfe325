//! YAML bodies: read as upstream's reader does, of repeated keys the last one counts and each is told.

use std::collections::HashSet;

use granit_parser::{ErrorKind, Event, Parser, ScanError};
use serde_json::Value;

/// Upstream tells so many repeated keys, and no more.
const REPEATED_MAX: usize = 100;

/// The first document of a text.
pub struct Yaml {
    pub value: Value,
    /// `line 4: key "a" already set in map`
    pub repeated: Vec<String>,
}

/// Reads the first document.
///
/// # Errors
/// What the reader says, in the words of upstream's one where it has them: `line 2: found character that cannot
/// start any token`.
pub fn parse(bytes: &[u8]) -> Result<Yaml, String> {
    let text = std::str::from_utf8(bytes).map_err(|error| error.to_string())?;
    let repeated = repeated_keys(text).map_err(|error| words(&error))?;
    let options = serde_saphyr::options! {
        duplicate_keys: serde_saphyr::options::DuplicateKeyPolicy::LastWins,
    };
    let mut documents: Vec<Value> = serde_saphyr::from_multiple_with_options(text, options)
        .map_err(|error| error.to_string().lines().next().unwrap_or_default().to_owned())?;
    let value = if documents.is_empty() { Value::Null } else { documents.swap_remove(0) };
    Ok(Yaml { value, repeated })
}

/// A mapping or a sequence that is being read.
enum Open {
    Mapping { keys: HashSet<String>, at_key: bool },
    Sequence,
}

impl Open {
    /// A node of it ended.
    fn step(&mut self) {
        if let Open::Mapping { at_key, .. } = self {
            *at_key = !*at_key;
        }
    }
}

/// Keys that stand again in their mapping, within the first document.
fn repeated_keys(text: &str) -> Result<Vec<String>, ScanError> {
    let mut repeated = Vec::new();
    let mut open: Vec<Open> = Vec::new();
    for next in Parser::new_from_str(text) {
        let (event, span) = next?;
        match event {
            Event::Scalar(key, ..) => {
                if let Some(Open::Mapping { keys, at_key: true }) = open.last_mut()
                    && !keys.insert(key.to_string())
                    && repeated.len() < REPEATED_MAX
                {
                    repeated.push(format!("line {}: key {key:?} already set in map", span.start.line()));
                }
                open.iter_mut().last().into_iter().for_each(Open::step);
            }
            Event::Alias(_) => open.iter_mut().last().into_iter().for_each(Open::step),
            Event::MappingStart(..) => open.push(Open::Mapping { keys: HashSet::new(), at_key: true }),
            Event::SequenceStart(..) => open.push(Open::Sequence),
            Event::MappingEnd | Event::SequenceEnd => {
                open.pop();
                open.iter_mut().last().into_iter().for_each(Open::step);
            }
            Event::DocumentEnd => break,
            _ => {}
        }
    }
    Ok(repeated)
}

fn words(error: &ScanError) -> String {
    let words = match error.kind() {
        ErrorKind::TabNotAllowed
        | ErrorKind::TabInBlockIndentation
        | ErrorKind::TabInIndentation
        | ErrorKind::UnexpectedCharacter { .. } => "found character that cannot start any token",
        ErrorKind::ExpectedNodeContent
        | ErrorKind::UnclosedFlowCollection { .. }
        | ErrorKind::UnexpectedEofFlowMapping
        | ErrorKind::UnexpectedEofFlowSequence => "did not find expected node content",
        ErrorKind::ExpectedBlockMappingKey => "did not find expected key",
        ErrorKind::ExpectedFlowMappingSeparator => "did not find expected ',' or '}'",
        ErrorKind::ExpectedFlowSequenceSeparator => "did not find expected ',' or ']'",
        ErrorKind::ExpectedBlockSequenceEntry => "did not find expected '-' indicator",
        ErrorKind::SimpleKeyExpected => "could not find expected ':'",
        ErrorKind::UnclosedQuotedScalar => "found unexpected end of stream",
        ErrorKind::UnknownQuotedScalarEscape => "found unknown escape character",
        _ => return format!("line {}: {error}", error.marker().line()),
    };
    format!("line {}: {words}", error.marker().line())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use serde_json::json;

    #[test]
    fn repeated_keys_are_told_with_their_lines() {
        let text = b"a: 1\nb:\n  c: {x: 1, x: 2}\n  d: [{y: 1}, {y: 2}]\na: &l 3\ne: *l\n---\na: 1\na: 2\n";
        let read = parse(text).expect("it is YAML");
        assert_eq!(read.value, json!({"a": 3, "b": {"c": {"x": 2}, "d": [{"y": 1}, {"y": 2}]}, "e": 3}));
        assert_eq!(
            read.repeated,
            ["line 3: key \"x\" already set in map", "line 5: key \"a\" already set in map"]
        );
    }

    /// Any JSON, as clients write it into applied configurations. U+007F is not allowed in YAML.
    fn json() -> impl Strategy<Value = Value> {
        let text = "[a-z:#\\-?&*!|>'\"%@` \n\t{}\\[\\],0-9é\u{1f600}\u{0}\u{85}\u{feff}\u{2028}]{0,8}";
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            (-1000i32..1000).prop_map(|number| Value::from(f64::from(number) / 8.0)),
            text.prop_map(Value::from),
            prop::sample::select(vec![
                "yes",
                "null",
                "~",
                "0x1f",
                "1e3",
                "1_000",
                ".inf",
                "2026-01-01",
                "=",
                "<<",
                "0o7",
                "012",
                "1:30"
            ])
            .prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 24, 4, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::vec((text, inner), 0..4)
                    .prop_map(|entries| entries.into_iter().collect::<serde_json::Map<_, _>>().into()),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(500) })]

        #[test]
        fn json_is_yaml(value in json()) {
            let read = parse(value.to_string().as_bytes()).map(|read| read.value);
            prop_assert_eq!(read.as_ref(), Ok(&value), "{}", value);
        }

        #[test]
        fn whatever_the_text_it_is_read_or_refused(pieces in prop::collection::vec(prop::sample::select(vec![
            "a", ": ", "\n", "  ", "- ", "? ", "&x ", "*x", "[", "]", "{", "}", ",", "#", "|\n", ">-\n", "'", "\"", "!!int ", "!t ",
            "---\n", "...\n", "%YAML 1.1\n", "<<: ", "\t", "\u{feff}", "1", "~", "\\", "é", "\r",
        ]), 0..30)) {
            let _ = parse(pieces.concat().as_bytes());
        }

        #[test]
        fn whatever_the_bytes_they_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = parse(&bytes);
        }
    }

    #[test]
    fn many_faults_are_told_shortly() {
        let read = parse("a: 1\n".repeat(10_000).as_bytes()).expect("it is YAML");
        assert_eq!(read.repeated.len(), REPEATED_MAX);
    }

    #[test]
    fn faults_are_told_in_upstreams_words() {
        let told = |text: &str| parse(text.as_bytes()).err().unwrap_or_default();
        assert_eq!(told("a:\n\t- b"), "line 2: found character that cannot start any token");
        assert_eq!(told("{"), "line 1: did not find expected node content");
    }
}
