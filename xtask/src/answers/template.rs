//! `{{...}}` in requests: variables of the scenario and values of earlier answers.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// What templates can refer to.
pub struct Vars {
    /// `ns`, `u`, ...
    pub names: BTreeMap<String, String>,
    /// The answers so far, by the step's name: `{"status": .., "headers": .., "body": ..}`.
    pub steps: BTreeMap<String, Value>,
}

impl Vars {
    /// A value with every template in it replaced, and `$base` forms carried out.
    pub fn render(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => self.render_text(text),
            Value::Array(items) => items.iter().map(|item| self.render(item)).collect(),
            Value::Object(map) if map.contains_key("$base") => self.render_base(map),
            Value::Object(map) => Value::Object(
                map.iter().map(|(key, value)| (self.render_string(key), self.render(value))).collect(),
            ),
            other => other.clone(),
        }
    }

    /// A text with every template in it replaced by text.
    pub fn render_string(&self, text: &str) -> String {
        match self.render_text(text) {
            Value::String(text) => text,
            other => other.to_string(),
        }
    }

    fn render_base(&self, map: &Map<String, Value>) -> Value {
        let mut base = self.render(&map["$base"]);
        if let Some(set) = map.get("$set").and_then(Value::as_object) {
            for (path, value) in set {
                set_at(&mut base, &split_path(&self.render_string(path)), self.render(value));
            }
        }
        if let Some(unset) = map.get("$unset").and_then(Value::as_array) {
            for path in unset.iter().filter_map(Value::as_str) {
                let path = split_path(&self.render_string(path));
                make_way(&mut base, &path);
                unset_at(&mut base, &path);
            }
        }
        base
    }

    fn render_text(&self, text: &str) -> Value {
        // A string that is nothing but a template takes the value's own type.
        if let Some(inner) = text.strip_prefix("{{").and_then(|rest| rest.strip_suffix("}}"))
            && !inner.contains("}}")
        {
            return self.lookup(inner);
        }
        let mut out = String::new();
        let mut rest = text;
        while let Some(start) = rest.find("{{") {
            let Some(len) = rest[start..].find("}}") else { break };
            out.push_str(&rest[..start]);
            match self.lookup(&rest[start + 2..start + len]) {
                Value::String(text) => out.push_str(&text),
                other => out.push_str(&other.to_string()),
            }
            rest = &rest[start + len + 2..];
        }
        out.push_str(rest);
        Value::String(out)
    }

    fn lookup(&self, expression: &str) -> Value {
        let expression = expression.trim();
        if let Some(rest) = expression.strip_prefix("repeat ")
            && let Some((text, times)) = rest.rsplit_once(' ')
            && let Ok(times) = times.parse()
        {
            return Value::String(text.repeat(times));
        }
        if let Some(rest) = expression.strip_prefix("steps[")
            && let Some((name, path)) = rest.split_once(']')
        {
            return self
                .steps
                .get(name)
                .and_then(|step| get_at(step, &split_path(path)))
                .cloned()
                .unwrap_or_else(|| "missing".into());
        }
        self.names.get(expression).cloned().map_or_else(|| "missing".into(), Value::String)
    }
}

/// `a.b[0].c` as steps; a step of a list is its number, `*` any. Keys with dots stand in quotes: `a["b.c"]`.
pub fn split_path(path: &str) -> Vec<String> {
    let mut steps = Vec::new();
    let mut rest = path;
    while !rest.is_empty() {
        rest = rest.strip_prefix('.').unwrap_or(rest);
        if let Some(bracket) = rest.strip_prefix('[') {
            let end = bracket.find(']').unwrap_or(bracket.len());
            steps.push(bracket[..end].trim_matches('"').trim_matches('\'').to_owned());
            rest = bracket.get(end + 1..).unwrap_or("");
        } else {
            let end = rest.find(['.', '[']).unwrap_or(rest.len());
            if end > 0 {
                steps.push(rest[..end].to_owned());
            }
            rest = &rest[end..];
        }
    }
    steps
}

fn get_at<'a>(value: &'a Value, path: &[String]) -> Option<&'a Value> {
    path.iter().try_fold(value, |value, step| match value {
        Value::Array(items) => items.get(step.parse::<usize>().ok()?),
        Value::Object(map) => map.get(step),
        _ => None,
    })
}

fn set_at(value: &mut Value, path: &[String], new: Value) {
    let Some((first, rest)) = path.split_first() else {
        *value = new;
        return;
    };
    if let Value::Array(items) = value {
        if let Ok(index) = first.parse::<usize>() {
            if index == items.len() {
                items.push(Value::Null);
            }
            if let Some(item) = items.get_mut(index) {
                set_at(item, rest, new);
            }
        }
        return;
    }
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    if let Some(map) = value.as_object_mut() {
        set_at(map.entry(first.clone()).or_insert(Value::Null), rest, new);
    }
}

/// Makes the objects on the way to what a path names.
fn make_way(value: &mut Value, path: &[String]) {
    let Some((_, way)) = path.split_last() else { return };
    for end in 1..=way.len() {
        if get_at(value, &way[..end]).is_none() {
            set_at(value, &way[..end], Value::Object(Map::new()));
        }
    }
}

/// Removes what a path names; `*` means every element.
pub fn unset_at(value: &mut Value, path: &[String]) {
    let Some((first, rest)) = path.split_first() else { return };
    match value {
        Value::Array(items) if first == "*" => {
            if rest.is_empty() {
                items.clear();
            } else {
                items.iter_mut().for_each(|item| unset_at(item, rest));
            }
        }
        Value::Object(map) if first == "*" => {
            if rest.is_empty() {
                map.clear();
            } else {
                map.values_mut().for_each(|item| unset_at(item, rest));
            }
        }
        Value::Array(items) => {
            if let Some(index) = first.parse::<usize>().ok().filter(|index| *index < items.len()) {
                if rest.is_empty() {
                    items.remove(index);
                } else {
                    unset_at(&mut items[index], rest);
                }
            }
        }
        Value::Object(map) => {
            if rest.is_empty() {
                map.remove(first);
            } else if let Some(inner) = map.get_mut(first) {
                unset_at(inner, rest);
            }
        }
        _ => {}
    }
}

/// Applies `change` to every value that a path names.
pub fn each_at(value: &mut Value, path: &[String], change: &mut dyn FnMut(&mut Value)) {
    let Some((first, rest)) = path.split_first() else {
        change(value);
        return;
    };
    match value {
        Value::Array(items) if first == "*" => items.iter_mut().for_each(|item| each_at(item, rest, change)),
        Value::Object(map) if first == "*" => map.values_mut().for_each(|item| each_at(item, rest, change)),
        Value::Array(items) => {
            if let Some(item) = first.parse::<usize>().ok().and_then(|index| items.get_mut(index)) {
                each_at(item, rest, change);
            }
        }
        Value::Object(map) => {
            if let Some(inner) = map.get_mut(first) {
                each_at(inner, rest, change);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn templates_take_types_and_bases_are_changed() {
        let vars = Vars {
            names: [("ns".to_owned(), "n1".to_owned())].into(),
            steps: [("a b".to_owned(), json!({"body": {"metadata": {"generation": 3}, "list": [{"x": 1}]}}))]
                .into(),
        };
        assert_eq!(vars.render(&json!("{{steps[a b].body.metadata.generation}}")), json!(3));
        assert_eq!(vars.render(&json!("x-{{ns}}-{{steps[a b].body.list[0].x}}")), json!("x-n1-1"));
        assert_eq!(vars.render(&json!("{{steps[no].body}}")), json!("missing"));
        let based = json!({"$base": "{{steps[a b].body}}", "$set": {"spec.a": 1}, "$unset": ["metadata", "status.b"]});
        assert_eq!(vars.render(&based), json!({"list": [{"x": 1}], "spec": {"a": 1}, "status": {}}));
    }
}
