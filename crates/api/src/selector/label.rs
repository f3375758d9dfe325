//! Label selectors: what they ask, and what they match.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde_json::{Map, Value};

use super::{SelectorError, parse};
use crate::field::{FieldErrors, Path};
use crate::meta::names;

/// How a requirement compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Operator {
    In,
    NotIn,
    Exists,
    DoesNotExist,
    GreaterThan,
    LessThan,
    Equals,
    DoubleEquals,
    NotEquals,
}

/// One condition on one label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirement {
    /// The label's key.
    pub key: Box<str>,
    /// How the values are meant.
    pub operator: Operator,
    /// Sorted, each once.
    pub values: Vec<Box<str>>,
}

/// Something that has labels.
pub trait Labels {
    /// The value of a label.
    fn label(&self, key: &str) -> Option<&str>;
}

impl Labels for BTreeMap<Box<str>, Box<str>> {
    fn label(&self, key: &str) -> Option<&str> {
        self.get(key).map(|value| &**value)
    }
}

impl Labels for BTreeMap<String, String> {
    fn label(&self, key: &str) -> Option<&str> {
        self.get(key).map(String::as_str)
    }
}

impl Labels for Map<String, Value> {
    fn label(&self, key: &str) -> Option<&str> {
        self.get(key).and_then(Value::as_str)
    }
}

impl Labels for Value {
    fn label(&self, key: &str) -> Option<&str> {
        self.get(key).and_then(Value::as_str)
    }
}

impl Requirement {
    /// A condition whose key and values have been checked.
    ///
    /// # Errors
    /// Upstream's words (several faults in brackets) for a bad key, a bad value, or values that don't fit.
    pub fn new(
        key: &str,
        operator: Operator,
        mut values: Vec<Box<str>>,
    ) -> Result<Requirement, SelectorError> {
        values.sort_unstable();
        values.dedup();
        let mut errors = FieldErrors::new();
        check_key(key, &Path::new("key"), &mut errors);
        let path = Path::new("values");
        let shown = || Value::from(values.iter().map(|value| &**value).collect::<Vec<&str>>());
        match operator {
            Operator::In | Operator::NotIn if values.is_empty() => {
                errors.invalid(&path, &shown(), "for 'in', 'notin' operators, values set can't be empty");
            }
            Operator::Equals | Operator::DoubleEquals | Operator::NotEquals if values.len() != 1 => {
                errors.invalid(&path, &shown(), "exact-match compatibility requires one single value");
            }
            Operator::Exists | Operator::DoesNotExist if !values.is_empty() => {
                errors.invalid(&path, &shown(), "values set must be empty for exists and does not exist");
            }
            Operator::GreaterThan | Operator::LessThan => {
                if values.len() != 1 {
                    errors.invalid(
                        &path,
                        &shown(),
                        "for 'Gt', 'Lt' operators, exactly one value is required",
                    );
                }
                for (at, value) in
                    values.iter().enumerate().filter(|(_, value)| value.parse::<i64>().is_err())
                {
                    let detail = "for 'Gt', 'Lt' operators, the value must be an integer";
                    errors.invalid(&path.index(at), &Value::from(&**value), detail);
                }
            }
            _ => {}
        }
        for (at, value) in values.iter().enumerate() {
            let messages = names::label_value(value);
            if !messages.is_empty() {
                errors.invalid(&path.index(at).key(key), &Value::from(&**value), messages.join("; "));
            }
        }
        let texts: Vec<String> = errors.0.iter().map(ToString::to_string).collect();
        match texts.as_slice() {
            [] => Ok(Requirement { key: key.into(), operator, values }),
            [one] => Err(SelectorError(one.clone())),
            many => Err(SelectorError(format!("[{}]", many.join(", ")))),
        }
    }

    /// Whether labels meet it.
    pub fn matches(&self, labels: &(impl Labels + ?Sized)) -> bool {
        let value = labels.label(&self.key);
        let listed = |value: &str| self.values.iter().any(|known| &**known == value);
        match self.operator {
            Operator::In | Operator::Equals | Operator::DoubleEquals => value.is_some_and(listed),
            Operator::NotIn | Operator::NotEquals => !value.is_some_and(listed),
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
            Operator::GreaterThan | Operator::LessThan => {
                let number = |text: &str| text.parse::<i64>().ok();
                match (value.and_then(number), self.values.first().and_then(|text| number(text))) {
                    (Some(value), Some(bound)) if self.operator == Operator::GreaterThan => value > bound,
                    (Some(value), Some(bound)) => value < bound,
                    _ => false,
                }
            }
        }
    }
}

pub(super) fn check_key(key: &str, path: &Path<'_>, errors: &mut FieldErrors) {
    let messages = names::qualified_name(key);
    if !messages.is_empty() {
        errors.invalid(path, &Value::from(key), messages.join("; "));
    }
}

/// Conditions on labels, all of which must hold; without any it matches everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LabelSelector {
    requirements: Vec<Requirement>,
    nothing: bool,
}

impl LabelSelector {
    /// Matches everything.
    pub fn everything() -> LabelSelector {
        LabelSelector::default()
    }

    /// Matches nothing: what an absent selector of an object means.
    pub fn nothing() -> LabelSelector {
        LabelSelector { requirements: Vec::new(), nothing: true }
    }

    /// The selector of a plain map, as Services and ReplicationControllers have. No map, or an empty one,
    /// matches everything.
    pub fn of_map(labels: &Value) -> LabelSelector {
        let requirements = labels
            .as_object()
            .into_iter()
            .flatten()
            .map(|(key, value)| Requirement {
                key: key.as_str().into(),
                operator: Operator::Equals,
                values: vec![value.as_str().unwrap_or_default().into()],
            })
            .collect();
        LabelSelector { requirements, nothing: false }
    }

    /// The selector of a `metav1.LabelSelector`; an absent one (null) matches nothing, an empty one everything.
    ///
    /// # Errors
    /// For unknown operators, and for keys and values that no label may have.
    pub fn of_object(selector: &Value) -> Result<LabelSelector, SelectorError> {
        if selector.is_null() {
            return Ok(LabelSelector::nothing());
        }
        let mut requirements = Vec::new();
        for (key, value) in selector["matchLabels"].as_object().into_iter().flatten() {
            let value = value.as_str().unwrap_or_default().into();
            requirements.push(Requirement::new(key, Operator::Equals, vec![value])?);
        }
        for expression in selector["matchExpressions"].as_array().into_iter().flatten() {
            let operator = match expression["operator"].as_str().unwrap_or_default() {
                "In" => Operator::In,
                "NotIn" => Operator::NotIn,
                "Exists" => Operator::Exists,
                "DoesNotExist" => Operator::DoesNotExist,
                other => {
                    return Err(SelectorError(format!("{other:?} is not a valid label selector operator")));
                }
            };
            let values = expression["values"].as_array().into_iter().flatten();
            let values = values.map(|value| value.as_str().unwrap_or_default().into()).collect();
            let key = expression["key"].as_str().unwrap_or_default();
            requirements.push(Requirement::new(key, operator, values)?);
        }
        requirements.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(LabelSelector { requirements, nothing: false })
    }

    /// The conditions.
    pub fn requirements(&self) -> &[Requirement] {
        &self.requirements
    }

    /// Whether it matches everything.
    pub fn is_everything(&self) -> bool {
        self.requirements.is_empty() && !self.nothing
    }

    /// Whether all conditions hold.
    pub fn matches(&self, labels: &(impl Labels + ?Sized)) -> bool {
        !self.nothing && self.requirements.iter().all(|requirement| requirement.matches(labels))
    }
}

impl FromStr for LabelSelector {
    type Err = SelectorError;

    /// Reads the text of a query parameter: `a=b,c!=d,e in (f,g),!h,i>5`.
    fn from_str(text: &str) -> Result<LabelSelector, SelectorError> {
        let mut requirements = parse::requirements(text)?;
        requirements.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(LabelSelector { requirements, nothing: false })
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = &self.key;
        let first = self.values.first().map_or("", |value| &**value);
        match self.operator {
            Operator::Exists => write!(f, "{key}"),
            Operator::DoesNotExist => write!(f, "!{key}"),
            Operator::Equals => write!(f, "{key}={first}"),
            Operator::DoubleEquals => write!(f, "{key}=={first}"),
            Operator::NotEquals => write!(f, "{key}!={first}"),
            Operator::GreaterThan => write!(f, "{key}>{first}"),
            Operator::LessThan => write!(f, "{key}<{first}"),
            Operator::In => write!(f, "{key} in ({})", self.values.join(",")),
            Operator::NotIn => write!(f, "{key} notin ({})", self.values.join(",")),
        }
    }
}

impl fmt::Display for LabelSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, requirement) in self.requirements.iter().enumerate() {
            if at > 0 {
                f.write_str(",")?;
            }
            requirement.fmt(f)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn selector(text: &str) -> LabelSelector {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn texts_select() {
        let labels = json!({"app": "x", "tier": "front", "n": "5", "e": ""});
        for (text, expected) in [
            ("", true),
            ("app=x", true),
            ("app==y", false),
            ("app!=y", true),
            ("none!=y", true),
            ("app", true),
            ("!app", false),
            (" app in ( x , y ) ", true),
            ("none notin (x)", true),
            ("e=", true),
            ("e in ()", true),
            ("n>4,n<6", true),
            ("app>4", false),
            ("in in (in)", false),
            ("app=x,!none,tier notin (back)", true),
        ] {
            assert_eq!(selector(text).matches(&labels), expected, "{text}");
        }
    }

    #[test]
    fn faults_have_upstreams_words() {
        for (text, expected) in [
            (
                "n>x",
                "unable to parse requirement: values[0]: Invalid value: \"x\": for 'Gt', 'Lt' operators, the value must be an integer",
            ),
            ("a in (", "unable to parse requirement: found '', expected: ',', ')' or identifier"),
            ("a in (b", "unable to parse requirement: found '', expected: ',' or ')'"),
            ("a in b", "unable to parse requirement: found 'b' expected: '('"),
            ("a=b,", "found '', expected: identifier after ','"),
            (",a", "found ',', expected: !, identifier, or 'end of string'"),
            ("a b=c", "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt"),
            ("a=b c", "found 'c', expected: ',' or 'end of string'"),
            (
                "/k=v",
                "unable to parse requirement: <nil>: Invalid value: \"/k\": prefix part must be non-empty",
            ),
            ("a=b=c", "found '=', expected: ',' or 'end of string'"),
        ] {
            assert_eq!(text.parse::<LabelSelector>(), Err(SelectorError(expected.into())), "{text}");
        }
    }

    #[test]
    fn objects_select() {
        let labels = json!({"a": "1"});
        let of = |value: Value| LabelSelector::of_object(&value);
        assert!(!of(Value::Null).unwrap().matches(&labels));
        assert!(of(json!({})).unwrap().matches(&labels));
        let both = json!({"matchLabels": {"a": "1"}, "matchExpressions": [{"key": "b", "operator": "NotIn", "values": ["2"]}]});
        assert!(of(both.clone()).unwrap().matches(&labels));
        assert_eq!(of(both).unwrap().to_string(), "a=1,b notin (2)");
        assert!(of(json!({"matchExpressions": [{"key": "b", "operator": "Is"}]})).is_err());
        assert!(LabelSelector::of_map(&json!({"a": "1"})).matches(&labels));
    }
}
