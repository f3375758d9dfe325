//! What the checks share: the containers of a pod, and how lists of them are told.

use serde_json::Value;

use super::super::{each, text};

/// Every container of a pod, of whatever sort.
pub(super) fn containers(pod: &Value) -> impl Iterator<Item = &Value> {
    ["initContainers", "containers", "ephemeralContainers"].iter().flat_map(|part| each(&pod["spec"][*part]))
}

/// The names of the containers that `bad` picks.
pub(super) fn picked(pod: &Value, bad: impl Fn(&Value) -> bool) -> Vec<String> {
    containers(pod).filter(|one| bad(one)).map(|one| text(&one["name"]).to_owned()).collect()
}

/// `"a", "b"`.
pub(super) fn quoted(words: &[String]) -> String {
    let words: Vec<String> = words.iter().map(|word| format!("{word:?}")).collect();
    words.join(", ")
}

/// `container "a"`, `containers "a", "b"`.
pub(super) fn named(word: &str, names: &[String]) -> String {
    if names.len() == 1 { format!("{word} {}", quoted(names)) } else { format!("{word}s {}", quoted(names)) }
}

/// Adds a word that isn't there, and keeps the order.
pub(super) fn note(words: &mut Vec<String>, word: &str) {
    if let Err(at) = words.binary_search_by(|known| known.as_str().cmp(word)) {
        words.insert(at, word.to_owned());
    }
}

/// Whether the pod's users are its own: `hostUsers: false`.
pub(super) fn has_own_users(pod: &Value) -> bool {
    pod["spec"]["hostUsers"] == false
}

/// Whether the pod is for Windows.
pub(super) fn is_windows(pod: &Value) -> bool {
    pod["spec"]["os"]["name"] == "windows"
}
