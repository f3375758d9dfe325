//! The values that labels of requests can have: few, whatever clients send.
//! Source: <https://kubernetes.io/docs/reference/instrumentation/metrics/>, and upstream's `CleanVerb`, `CanonicalVerb`,
//! `cleanDryRun` and the route's scope.

/// What was done, as metrics call it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub(crate) enum Verb {
    Get,
    List,
    Watch,
    Post,
    Put,
    Patch,
    Apply,
    Delete,
    Connect,
    Other,
}

impl Verb {
    pub(super) const ALL: [Verb; 10] = [
        Verb::Get,
        Verb::List,
        Verb::Watch,
        Verb::Post,
        Verb::Put,
        Verb::Patch,
        Verb::Apply,
        Verb::Delete,
        Verb::Connect,
        Verb::Other,
    ];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Verb::Get => "GET",
            Verb::List => "LIST",
            Verb::Watch => "WATCH",
            Verb::Post => "POST",
            Verb::Put => "PUT",
            Verb::Patch => "PATCH",
            Verb::Apply => "APPLY",
            Verb::Delete => "DELETE",
            Verb::Connect => "CONNECT",
            Verb::Other => "other",
        }
    }
}

/// What it was done to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub(crate) enum Scope {
    None,
    Resource,
    Namespace,
    Cluster,
}

impl Scope {
    pub(super) const ALL: [Scope; 4] = [Scope::None, Scope::Resource, Scope::Namespace, Scope::Cluster];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Scope::None => "",
            Scope::Resource => "resource",
            Scope::Namespace => "namespace",
            Scope::Cluster => "cluster",
        }
    }
}

/// Whether anything was to be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub(crate) enum DryRun {
    No,
    All,
    Invalid,
}

impl DryRun {
    pub(super) const ALL: [DryRun; 3] = [DryRun::No, DryRun::All, DryRun::Invalid];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            DryRun::No => "",
            DryRun::All => "All",
            DryRun::Invalid => "invalid",
        }
    }
}

/// HTTP codes that are counted one by one. A backend of the `proxy` subresource may send others: these are counted
/// together, as `other`.
pub(super) const CODES: [u16; 42] = [
    100, 101, 200, 201, 202, 203, 204, 205, 206, 300, 301, 302, 303, 304, 305, 307, 308, 400, 401, 402, 403,
    404, 405, 406, 407, 408, 409, 410, 411, 412, 413, 414, 415, 416, 422, 429, 500, 501, 502, 503, 504, 505,
];

/// How a code is written, by its place in [`CODES`]; what is beyond them is `other`.
pub(super) fn code_text(place: usize) -> String {
    CODES.get(place).map_or_else(|| "other".to_owned(), u16::to_string)
}

/// The place of a code.
pub(super) fn code_place(code: u16) -> usize {
    CODES.binary_search(&code).unwrap_or(CODES.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_a_place() {
        assert!(CODES.is_sorted());
        let texts: Vec<String> = [200, 409, 504, 299].map(|code| code_text(code_place(code))).into();
        assert_eq!(texts, ["200", "409", "504", "other"]);
    }
}
