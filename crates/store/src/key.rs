//! Names of objects in the store: `/registry/<prefix>/<namespace>/<name>`, as upstream's.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use cox_api::Header;

/// What every key starts with.
pub(crate) const ROOT: &str = "/registry/";

/// The name of an object in the store. Keys are ordered by their text, which is upstream's order of lists.
/// Cloning is cheap.
#[derive(Clone)]
pub struct Key {
    text: Arc<str>,
    /// Where the part after the prefix starts.
    path: usize,
}

impl Key {
    /// The key of an object; `namespace` is empty for objects without one. The prefix is the kind's
    /// [`store_prefix`](cox_api::KindInfo::store_prefix) and may hold slashes (`services/specs`).
    pub fn new(prefix: &str, namespace: &str, name: &str) -> Key {
        let text = if namespace.is_empty() {
            format!("{ROOT}{prefix}/{name}")
        } else {
            format!("{ROOT}{prefix}/{namespace}/{name}")
        };
        Key { text: text.into(), path: ROOT.len() + prefix.len() + 1 }
    }

    /// A key that a backend kept. Where the prefix ends follows from the object's own namespace and name;
    /// an object that doesn't carry them (a RangeAllocation) is named by the last part. Nothing for a text
    /// that isn't below `/registry/`.
    pub fn parse<'t>(text: &'t str, header: &Header) -> Option<Key> {
        let below = text.strip_prefix(ROOT)?;
        let above = |text: &'t str, last: &str| -> Option<&'t str> {
            text.strip_suffix(last).filter(|_| !last.is_empty())?.strip_suffix('/')
        };
        let prefix = above(below, &header.name)
            .and_then(
                |rest| if header.namespace.is_empty() { Some(rest) } else { above(rest, &header.namespace) },
            )
            .or_else(|| below.rsplit_once('/').map(|(prefix, _)| prefix))?;
        if prefix.is_empty() {
            return None;
        }
        Some(Key { path: ROOT.len() + prefix.len() + 1, text: text.into() })
    }

    /// As in `pods`.
    pub fn prefix(&self) -> &str {
        &self.text[ROOT.len()..self.path - 1]
    }

    /// `<namespace>/<name>`, or `<name>` for objects without a namespace.
    pub fn path(&self) -> &str {
        &self.text[self.path..]
    }

    /// The whole text.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Borrow<str> for Key {
    fn borrow(&self) -> &str {
        &self.text
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Key) -> bool {
        self.text == other.text
    }
}

impl Eq for Key {}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Key) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Key {
    fn cmp(&self, other: &Key) -> std::cmp::Ordering {
        self.text.cmp(&other.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(namespace: &str, name: &str) -> Header {
        Header { namespace: namespace.into(), name: name.into(), ..Header::default() }
    }

    #[test]
    fn a_key_knows_its_parts() {
        let key = Key::new("services/specs", "n", "web");
        assert_eq!(key.as_str(), "/registry/services/specs/n/web");
        assert_eq!((key.prefix(), key.path()), ("services/specs", "n/web"));
        let key = Key::new("minions", "", "node-1");
        assert_eq!((key.prefix(), key.path()), ("minions", "node-1"));
    }

    #[test]
    fn the_prefix_follows_from_the_object() {
        let parse = |text: &str, header: Header| {
            Key::parse(text, &header).map(|key| (key.prefix().to_owned(), key.path().to_owned()))
        };
        let parts = |prefix: &str, path: &str| Some((prefix.to_owned(), path.to_owned()));
        assert_eq!(
            parse("/registry/services/specs/n/web", header("n", "web")),
            parts("services/specs", "n/web")
        );
        assert_eq!(parse("/registry/minions/a", header("", "a")), parts("minions", "a"));
        assert_eq!(parse("/registry/ranges/serviceips", header("", "")), parts("ranges", "serviceips"));
        // A suffix that only looks like the name is no match.
        assert_eq!(parse("/registry/leases/n/my-web", header("", "web")), parts("leases/n", "my-web"));
        assert_eq!(parse("/elsewhere/a/b", header("a", "b")), None);
        assert_eq!(parse("/registry/alone", header("", "alone")), None);
    }
}
