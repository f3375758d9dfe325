//! Field selectors: equality of a few fields that a kind names.

use std::fmt;
use std::str::FromStr;

use super::SelectorError;
use crate::kind::{Kind, Scope};
use crate::object::Header;

/// One condition on one field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldTerm {
    /// As in `spec.nodeName`.
    pub field: Box<str>,
    /// Whether the field must equal the value, or must not.
    pub equal: bool,
    /// The value, unescaped.
    pub value: Box<str>,
}

/// Conditions on fields, all of which must hold; without any it matches everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldSelector {
    terms: Vec<FieldTerm>,
}

impl FieldSelector {
    /// Matches everything.
    pub fn everything() -> FieldSelector {
        FieldSelector::default()
    }

    /// The conditions.
    pub fn terms(&self) -> &[FieldTerm] {
        &self.terms
    }

    /// Whether it matches everything.
    pub fn is_everything(&self) -> bool {
        self.terms.is_empty()
    }

    /// The value that a field must have, where the selector says one.
    pub fn required(&self, field: &str) -> Option<&str> {
        self.terms.iter().find(|term| term.equal && &*term.field == field).map(|term| &*term.value)
    }

    /// Whether the kind can select by every field.
    ///
    /// # Errors
    /// Upstream's words for the first that it can't.
    pub fn check(&self, kind: &dyn Kind) -> Result<(), SelectorError> {
        let known = kind.selectable(&serde_json::Value::Null);
        // Kinds outside of namespaces that list their fields don't list the namespace; the others take it.
        let namespace = known.is_empty() || kind.info().scope == Scope::Namespaced;
        for term in &self.terms {
            let field = &*term.field;
            let common = field == "metadata.name" || (field == "metadata.namespace" && namespace);
            if !common && !known.iter().any(|(known, _)| *known == field) {
                return Err(SelectorError(kind.unknown_field_text(field)));
            }
        }
        Ok(())
    }

    /// The same selector by the names of the stored form, for kinds that are stored as another one.
    #[must_use]
    pub fn stored(&self, kind: &dyn Kind) -> FieldSelector {
        let stored =
            |term: &FieldTerm| FieldTerm { field: kind.stored_field(&term.field).into(), ..term.clone() };
        FieldSelector { terms: self.terms.iter().map(stored).collect() }
    }

    /// Whether all conditions hold for an object.
    pub fn matches(&self, header: &Header) -> bool {
        self.matches_with(|field| header.field(field))
    }

    /// Whether all conditions hold for fields looked up by `value`; a field that isn't there is empty.
    pub fn matches_with<'a>(&self, value: impl Fn(&str) -> Option<&'a str>) -> bool {
        self.terms.iter().all(|term| (value(&term.field).unwrap_or_default() == &*term.value) == term.equal)
    }
}

impl FromStr for FieldSelector {
    type Err = SelectorError;

    /// Reads the text of a query parameter: `metadata.name=x,status.phase!=Running`, where `\` escapes a comma,
    /// an equals sign or itself in a value.
    fn from_str(text: &str) -> Result<FieldSelector, SelectorError> {
        let mut parts = split_terms(text);
        parts.sort_unstable();
        let mut terms = Vec::new();
        for part in parts.into_iter().filter(|part| !part.is_empty()) {
            let (field, equal, value) = split_term(part).ok_or_else(|| {
                SelectorError(format!("invalid selector: '{text}'; can't understand '{part}'"))
            })?;
            terms.push(FieldTerm { field: field.into(), equal, value: unescape(value)?.into() });
        }
        Ok(FieldSelector { terms })
    }
}

fn split_terms(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut start, mut escaped) = (0, false);
    for (at, letter) in text.char_indices() {
        match letter {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            ',' => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

fn split_term(term: &str) -> Option<(&str, bool, &str)> {
    (0..term.len()).filter(|at| term.is_char_boundary(*at)).find_map(|at| {
        [("!=", false), ("==", true), ("=", true)]
            .into_iter()
            .find_map(|(operator, equal)| Some((&term[..at], equal, term[at..].strip_prefix(operator)?)))
    })
}

fn unescape(value: &str) -> Result<String, SelectorError> {
    let mut plain = String::with_capacity(value.len());
    let mut letters = value.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => match letters.next() {
                Some(escaped @ ('\\' | ',' | '=')) => plain.push(escaped),
                other => {
                    let sequence: String = std::iter::once('\\').chain(other).collect();
                    let text = format!("invalid field selector: invalid escape sequence: {sequence}");
                    return Err(SelectorError(text));
                }
            },
            ',' | '=' => {
                let text =
                    format!("invalid field selector: unescaped character in value: {}", u32::from(letter));
                return Err(SelectorError(text));
            }
            letter => plain.push(letter),
        }
    }
    Ok(plain)
}

impl fmt::Display for FieldSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, term) in self.terms.iter().enumerate() {
            let comma = if at > 0 { "," } else { "" };
            let operator = if term.equal { "=" } else { "!=" };
            let value = term.value.replace('\\', "\\\\").replace(',', "\\,").replace('=', "\\=");
            write!(f, "{comma}{}{operator}{value}", term.field)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn faulty(text: &str) -> String {
        text.parse::<FieldSelector>().expect_err(text).0
    }

    #[test]
    fn terms_are_read() {
        let selector: FieldSelector = r"b!=x\,y,a==1,,c=".parse().unwrap();
        assert_eq!(selector.to_string(), r"a=1,b!=x\,y,c=");
        assert_eq!(selector.required("a"), Some("1"));
        assert_eq!(selector.required("b"), None);
        let fields = [("a", "1"), ("b", "x,y")];
        let look = |field: &str| fields.iter().find(|(name, _)| *name == field).map(|(_, value)| *value);
        assert!(!selector.matches_with(look));
        assert!("a=1,c=".parse::<FieldSelector>().unwrap().matches_with(look));
    }

    #[test]
    fn faults_have_upstreams_words() {
        assert_eq!(faulty("nonsense"), "invalid selector: 'nonsense'; can't understand 'nonsense'");
        assert_eq!(faulty("a=b=c"), "invalid field selector: unescaped character in value: 61");
        assert_eq!(faulty(r"a=\x"), r"invalid field selector: invalid escape sequence: \x");
        assert_eq!(faulty("a=\\"), "invalid field selector: invalid escape sequence: \\");
    }

    #[test]
    fn kinds_say_what_they_know() {
        let lease = crate::kinds::by_resource("coordination.k8s.io", "v1", "leases").unwrap();
        let selector: FieldSelector = "metadata.name=a,spec.x=1".parse().unwrap();
        assert_eq!(
            selector.check(lease).unwrap_err().0,
            "\"spec.x\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\""
        );
    }

    proptest! {
        #[test]
        fn texts_are_read_back(value in "[a-z,=\\\\]{0,8}", equal in any::<bool>()) {
            let term = FieldTerm { field: "a.b".into(), equal, value: value.as_str().into() };
            let selector = FieldSelector { terms: vec![term] };
            prop_assert_eq!(selector.to_string().parse::<FieldSelector>().unwrap(), selector);
        }
    }

    #[test]
    fn kinds_have_their_fields_and_words() {
        let check = |plural: (&str, &str, &str), text: &str| {
            let kind = crate::kinds::by_resource(plural.0, plural.1, plural.2).expect("it is served");
            let selector: FieldSelector = text.parse().expect("it is a selector");
            selector.check(kind).map_err(|error| error.to_string())
        };
        for (resource, text, expected) in [
            (("", "v1", "nodes"), "spec.unschedulable=true", Ok(())),
            (
                ("", "v1", "nodes"),
                "metadata.namespace=x",
                Err("field label not supported: metadata.namespace"),
            ),
            (
                ("", "v1", "namespaces"),
                "metadata.namespace=x",
                Err("field label not supported: metadata.namespace"),
            ),
            (("", "v1", "persistentvolumes"), "metadata.namespace=x", Ok(())),
            (("", "v1", "services"), "spec.clusterIP=None,metadata.namespace=x", Ok(())),
            (("", "v1", "secrets"), "data=x", Err("field label not supported: data")),
            (
                ("batch", "v1", "jobs"),
                "status.active=1",
                Err("field label \"status.active\" not supported for batchv1.Job"),
            ),
            (
                ("storage.k8s.io", "v1", "storageclasses"),
                "provisioner=x",
                Err(
                    "\"provisioner\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\"",
                ),
            ),
        ] {
            assert_eq!(check(resource, text), expected.map_err(str::to_owned), "{text}");
        }
    }
}
