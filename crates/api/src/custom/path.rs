//! Paths that definitions name: plain ones to a field, and JSONPath for columns.
//! Source: <https://kubernetes.io/docs/reference/kubectl/jsonpath/>

use serde_json::{Map, Value};

/// A path of field names: `.spec.replicas`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SimplePath(Vec<String>);

impl SimplePath {
    /// Reads one; none where it is no plain path.
    pub fn parse(text: &str) -> Option<SimplePath> {
        let steps: Vec<String> = text.strip_prefix('.')?.split('.').map(str::to_owned).collect();
        let plain = |step: &String| {
            !step.is_empty()
                && step.chars().all(|letter| letter.is_ascii_alphanumeric() || "_-".contains(letter))
        };
        steps.iter().all(plain).then_some(SimplePath(steps))
    }

    /// The names on the way.
    pub fn steps(&self) -> &[String] {
        &self.0
    }

    /// What stands there.
    pub fn get<'v>(&self, value: &'v Value) -> Option<&'v Value> {
        self.0.iter().try_fold(value, |value, step| value.get(step)).filter(|value| !value.is_null())
    }

    /// Puts something there; false where something that is no object stands in the way.
    pub fn set(&self, value: &mut Value, to: Value) -> bool {
        let Some((last, way)) = self.0.split_last() else { return false };
        let mut place = value;
        for step in way {
            let Some(map) = place.as_object_mut() else { return false };
            place = map.entry(step.clone()).or_insert_with(|| Value::Object(Map::new()));
        }
        match place.as_object_mut() {
            Some(map) => {
                map.insert(last.clone(), to);
                true
            }
            None => false,
        }
    }
}

/// A JSONPath as kubectl has it, compiled.
#[derive(Clone, Debug)]
pub struct JsonPath(serde_json_path::JsonPath);

impl JsonPath {
    /// Reads one that starts with a dot.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<JsonPath, String> {
        let standard = standard(text)?;
        serde_json_path::JsonPath::parse(&standard).map(JsonPath).map_err(|error| error.to_string())
    }

    /// The first thing that it finds.
    pub fn first<'v>(&self, value: &'v Value) -> Option<&'v Value> {
        self.0.query(value).first()
    }
}

/// Kubernetes' form in that of RFC 9535: names may have dashes, and escaped dots.
fn standard(text: &str) -> Result<String, String> {
    let mut out = String::from("$");
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '.' => {
                if letters.next_if_eq(&'.').is_some() {
                    out.push_str("..");
                }
                let mut name = String::new();
                while let Some(letter) = letters.next_if(|letter| !matches!(letter, '.' | '[')) {
                    match letter {
                        '\\' => name.extend(letters.next()),
                        letter => name.push(letter),
                    }
                }
                match name.as_str() {
                    "" => {}
                    "*" => out.push_str("[*]"),
                    name => out.push_str(&format!("[{}]", Value::from(name))),
                }
            }
            '[' => {
                let mut depth = 1;
                let mut quote = None;
                out.push('[');
                while depth > 0 {
                    let letter = letters.next().ok_or("unterminated array")?;
                    match (quote, letter) {
                        (None, '\'' | '"') => quote = Some(letter),
                        (Some(open), letter) if open == letter => quote = None,
                        (None, '[') => depth += 1,
                        (None, ']') => depth -= 1,
                        _ => {}
                    }
                    out.push(letter);
                }
            }
            other => {
                return Err(format!(
                    "unrecognized character in action: U+{:04X} '{other}'",
                    u32::from(other)
                ));
            }
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn paths_find_what_kubectl_finds() {
        let value = json!({"spec": {"n": 1, "a-b": 2}, "metadata": {"annotations": {"x.io/y": "z"}},
            "status": {"conditions": [{"type": "A", "status": "no"}, {"type": "Ready", "status": "yes"}]}});
        for (path, found) in [
            (".spec.n", json!(1)),
            (".spec.a-b", json!(2)),
            (".metadata.annotations.x\\.io/y", json!("z")),
            (".metadata.annotations['x.io/y']", json!("z")),
            (".status.conditions[0].status", json!("no")),
            (".status.conditions[-1:].status", json!("yes")),
            (".status.conditions[?(@.type==\"Ready\")].status", json!("yes")),
            (".status.conditions[?(@.type=='Ready')].status", json!("yes")),
            (".status.conditions[*].type", json!("A")),
            ("..status.conditions[1].type", json!("Ready")),
        ] {
            let parsed = JsonPath::parse(path).expect(path);
            assert_eq!(parsed.first(&value), Some(&found), "{path}");
        }
        assert_eq!(JsonPath::parse(".spec.none").expect("a path").first(&value), None);
        for path in [".a[", ".a[b", "spec", ".a[?(@.x=]"] {
            assert!(JsonPath::parse(path).is_err(), "{path}");
        }
    }

    #[test]
    fn plain_paths_read_and_write() {
        let path = SimplePath::parse(".spec.replicas").expect("a plain path");
        let mut value = json!({});
        assert!(path.set(&mut value, json!(3)));
        assert_eq!(path.get(&value), Some(&json!(3)));
        assert!(!path.set(&mut json!({"spec": 1}), json!(3)));
        for text in ["", ".", "spec", ".spec[0]", ".a..b"] {
            assert_eq!(SimplePath::parse(text), None, "{text}");
        }
    }
}
