//! Places of fields as messages show them: `.spec.ports[name="a"].port`.

use serde_json::Value;

/// A whole path of steps.
pub fn show_path<'a>(steps: impl IntoIterator<Item = &'a str>) -> String {
    steps.into_iter().map(show_step).collect()
}

/// One step.
pub fn show_step(step: &str) -> String {
    let Some((kind, rest)) = step.split_once(':') else { return step.to_owned() };
    let value = || serde_json::from_str::<Value>(rest).unwrap_or_default();
    match kind {
        "f" => format!(".{rest}"),
        "k" => {
            let key = value();
            let parts: Vec<String> =
                key.as_object().into_iter().flatten().map(|(key, value)| format!("{key}={value}")).collect();
            format!("[{}]", parts.join(","))
        }
        "v" => format!("[={}]", value()),
        _ => format!("[{rest}]"),
    }
}

#[cfg(test)]
mod tests {
    use super::show_path;

    #[test]
    fn steps_are_shown() {
        let steps = ["f:spec", "f:ports", "k:{\"port\":80,\"protocol\":\"TCP\"}", "f:name", "v:\"x\"", "i:0"];
        assert_eq!(show_path(steps), ".spec.ports[port=80,protocol=\"TCP\"].name[=\"x\"][0]");
    }
}
