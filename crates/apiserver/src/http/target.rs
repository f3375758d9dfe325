//! What a path and a method ask for.
//! Source: <https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-uris>

use cox_api::Resource;

/// A path below `/api/V` or `/apis/G/V`, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourcePath {
    /// Group, version and plural.
    pub resource: Resource,
    /// The namespace; none outside of namespaces.
    pub namespace: Option<String>,
    /// The object.
    pub name: Option<String>,
    /// The subresource.
    pub subresource: Option<String>,
    /// What follows the subresource (`proxy/...`), without the slash before it.
    pub rest: String,
    /// Whether the path has the old `watch/` in front.
    pub old_watch: bool,
}

/// Takes a path apart; none where it is no resource.
pub fn resource_path(path: &str) -> Option<ResourcePath> {
    let mut words = path.strip_prefix('/')?.splitn(3, '/');
    let (group, version, rest) = match words.next()? {
        "api" => ("", words.next()?, words.next()?),
        "apis" => {
            let group = words.next()?;
            let (version, rest) = words.next()?.split_once('/')?;
            (group, version, rest)
        }
        _ => return None,
    };
    let (old_watch, rest) = match rest.strip_prefix("watch/") {
        Some(rest) => (true, rest),
        None => (false, rest),
    };
    let mut parts = rest.splitn(2, '/');
    let first = parts.next().filter(|word| !word.is_empty())?;
    let after = parts.next().unwrap_or_default();
    let (namespace, plural, after) = if first == "namespaces" && !after.is_empty() {
        let (namespace, below) = after.split_once('/').unwrap_or((after, ""));
        let (plural, rest) = below.split_once('/').unwrap_or((below, ""));
        // `namespaces/N` and `namespaces/N/status` are the namespace itself.
        if plural.is_empty() || (matches!(plural, "status" | "finalize") && rest.is_empty()) {
            (Some(namespace), "namespaces", after)
        } else {
            (Some(namespace), plural, rest)
        }
    } else {
        (None, first, after)
    };
    let mut below = after.splitn(3, '/');
    let owned = |word: Option<&str>| word.filter(|word| !word.is_empty()).map(decode_percent);
    let name = owned(below.next());
    let subresource = owned(below.next());
    let rest = below.next().unwrap_or_default().to_owned();
    Some(ResourcePath {
        resource: Resource::new(group, version, plural),
        namespace: namespace.map(decode_percent),
        name,
        subresource,
        rest,
        old_watch,
    })
}

/// `%41` becomes `A`; broken escapes stay.
pub fn decode_percent(text: &str) -> String {
    decode(text, false)
}

fn decode(text: &str, plus_is_space: bool) -> String {
    if !text.contains(['%', '+']) {
        return text.to_owned();
    }
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let digit = |i: usize| bytes.get(i).and_then(|&b| char::from(b).to_digit(16));
        match bytes[at] {
            b'%' => {
                if let (Some(high), Some(low)) = (digit(at + 1), digit(at + 2)) {
                    out.push((high * 16 + low) as u8);
                    at += 3;
                    continue;
                }
                out.push(b'%');
            }
            b'+' if plus_is_space => out.push(b' '),
            byte => out.push(byte),
        }
        at += 1;
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// The parameters of a query, in order, decoded.
#[derive(Clone, Debug, Default)]
pub struct Query(Vec<(String, String)>);

impl Query {
    /// Takes a query apart.
    pub fn parse(query: &str) -> Query {
        Query(
            query
                .split('&')
                .filter(|pair| !pair.is_empty())
                .map(|pair| {
                    let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
                    (decode(key, true), decode(value, true))
                })
                .collect(),
        )
    }

    /// The first value of a parameter.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == key).map(|(_, value)| value.as_str())
    }

    /// Every value of a parameter.
    pub fn all<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(known, _)| known == key).map(|(_, value)| value.as_str())
    }

    /// All parameters.
    pub fn into_pairs(self) -> Vec<(String, String)> {
        self.0
    }

    /// A boolean as upstream reads it: everything but `false` and `0` is true.
    pub fn flag(&self, key: &str) -> Option<bool> {
        self.get(key).map(|value| !value.eq_ignore_ascii_case("false") && value != "0")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_taken_apart() {
        let of = |path: &str| {
            let path = resource_path(path).unwrap();
            format!(
                "{}|{}|{}|{}|{}",
                path.resource,
                path.namespace.unwrap_or_default(),
                path.name.unwrap_or_default(),
                path.subresource.unwrap_or_default(),
                path.rest
            )
        };
        assert_eq!(of("/api/v1/pods"), "pods||||");
        assert_eq!(of("/api/v1/namespaces"), "namespaces||||");
        assert_eq!(of("/api/v1/namespaces/a"), "namespaces|a|a||");
        assert_eq!(of("/api/v1/namespaces/a/finalize"), "namespaces|a|a|finalize|");
        assert_eq!(of("/api/v1/namespaces/a/pods/b/proxy/x/y"), "pods|a|b|proxy|x/y");
        assert_eq!(of("/apis/apps/v1/namespaces/a/deployments/b/scale"), "deployments.apps|a|b|scale|");
        assert_eq!(of("/api/v1/nodes/n%41"), "nodes||nA||");
        assert_eq!(resource_path("/apis/apps/v1"), None);
        assert_eq!(resource_path("/healthz"), None);
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig { failure_persistence: None, ..Default::default() })]

        #[test]
        fn whatever_the_path_it_is_taken_apart_or_not(pieces in proptest::collection::vec(proptest::sample::select(vec![
            "/", "api", "apis", "v1", "apps", "watch", "namespaces", "n", "pods", "p", "status", "proxy", "%2f", "%", "%4", "%00", "..",
            "é", "", "finalize", "?", ";", "//",
        ]), 0..14)) {
            let path = pieces.concat();
            if let Some(target) = resource_path(&path) {
                // What follows a proxy's name goes on as it came.
                proptest::prop_assert!(path.ends_with(&target.rest));
                proptest::prop_assert!(!target.resource.plural.is_empty() || target.namespace.is_some());
            }
            let _ = resource_path(&format!("/api/v1/{path}"));
            let query = Query::parse(&path);
            let _ = (query.get("a"), query.flag("watch"));
        }

        #[test]
        fn escapes_are_undone(text in ".{0,20}") {
            let escaped: String = text.bytes().map(|byte| format!("%{byte:02x}")).collect();
            proptest::prop_assert_eq!(decode_percent(&escaped), text.clone());
            let query = Query::parse(&format!("{escaped}={escaped}"));
            proptest::prop_assert!(text.is_empty() || query.get(&text) == Some(&text));
        }
    }

    #[test]
    fn queries_are_decoded() {
        let query = Query::parse("labelSelector=a%3Db+c&watch&dryRun=All&dryRun=x");
        assert_eq!(query.get("labelSelector"), Some("a=b c"));
        assert_eq!(query.flag("watch"), Some(true));
        assert_eq!(query.all("dryRun").count(), 2);
    }
}
