//! What a request asks for, by its method, path and query alone: what limits and records go by.
//! Source: <https://kubernetes.io/docs/reference/access-authn-authz/authorization/#determine-the-request-verb>

use std::borrow::Cow;

use http::Method;

use super::target::{Query, ResourcePath, resource_path};
use crate::auth::{Attributes, User};
use crate::service::Sort;

/// What a request asks for.
pub(super) struct Info {
    /// The path as it was sent.
    pub(super) path: String,
    /// The query as it was sent.
    pub(super) query: Query,
    /// The path taken apart, where it is one of resources.
    pub(super) target: Option<ResourcePath>,
    /// As authorizers call it: `get`, `list`, `watch`; the method in lower case for other paths.
    pub(super) verb: Cow<'static, str>,
}

impl Info {
    /// Of a request.
    pub(super) fn of<B>(request: &http::Request<B>) -> Info {
        let path = request.uri().path().to_owned();
        let query = Query::parse(request.uri().query().unwrap_or_default());
        let target = resource_path(&path);
        let verb = match &target {
            Some(target) => verb(request.method(), target, &query),
            None => method(request.method()),
        };
        Info { path, query, target, verb }
    }

    /// What a user attempts by it.
    pub(super) fn attributes<'a>(&'a self, user: &'a User) -> Attributes<'a> {
        let Some(target) = &self.target else { return Attributes::path(user, &self.verb, &self.path) };
        // A list of one name is as good as a get.
        let selector = self.query.get("fieldSelector").unwrap_or_default();
        let selected = selector.strip_prefix("metadata.name=").unwrap_or_default();
        Attributes {
            subresource: target.subresource.as_deref().unwrap_or_default(),
            namespace: target.namespace.as_deref().unwrap_or_default(),
            name: target.name.as_deref().unwrap_or(selected),
            ..Attributes::resource(user, &self.verb, &target.resource.group, &target.resource.plural)
        }
    }

    /// Whether it lasts on purpose: no limit of time counts for it, nor, but for the beginning of a watch, of number.
    pub(super) fn is_long_running(&self) -> bool {
        let Some(target) = &self.target else { return false };
        const SUBRESOURCES: [&str; 5] = ["attach", "exec", "proxy", "log", "portforward"];
        self.verb == "watch" || target.subresource.as_deref().is_some_and(|sub| SUBRESOURCES.contains(&sub))
    }

    /// Whether it is a read or a write.
    pub(super) fn sort(&self) -> Sort {
        if matches!(&*self.verb, "get" | "list" | "watch") { Sort::Read } else { Sort::Write }
    }
}

fn method(method: &Method) -> Cow<'static, str> {
    match *method {
        Method::GET => "get".into(),
        Method::HEAD => "head".into(),
        Method::POST => "post".into(),
        Method::PUT => "put".into(),
        Method::PATCH => "patch".into(),
        Method::DELETE => "delete".into(),
        ref other => other.as_str().to_lowercase().into(),
    }
}

fn verb(of: &Method, target: &ResourcePath, query: &Query) -> Cow<'static, str> {
    let named = target.name.is_some();
    match *of {
        Method::GET | Method::HEAD if target.old_watch => "watch".into(),
        Method::GET | Method::HEAD if named => "get".into(),
        Method::GET | Method::HEAD if query.flag("watch").unwrap_or(false) => "watch".into(),
        Method::GET | Method::HEAD => "list".into(),
        Method::POST => "create".into(),
        Method::PUT => "update".into(),
        Method::PATCH => "patch".into(),
        Method::DELETE if named => "delete".into(),
        Method::DELETE => "deletecollection".into(),
        ref other => method(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verbs_and_what_lasts() {
        let of = |method: &str, uri: &str| {
            let info = Info::of(&http::Request::builder().method(method).uri(uri).body(()).unwrap());
            format!("{} {:?} {}", info.verb, info.sort(), info.is_long_running())
        };
        assert_eq!(of("GET", "/api/v1/pods"), "list Read false");
        assert_eq!(of("GET", "/api/v1/pods?watch=1"), "watch Read true");
        assert_eq!(of("GET", "/api/v1/pods?watch=false"), "list Read false");
        assert_eq!(of("GET", "/api/v1/namespaces/n/pods/p?watch=1"), "get Read false");
        assert_eq!(of("GET", "/api/v1/watch/namespaces/n/pods/p"), "watch Read true");
        assert_eq!(of("GET", "/api/v1/namespaces/n/pods/p/log"), "get Read true");
        assert_eq!(of("POST", "/api/v1/namespaces/n/pods/p/exec"), "create Write true");
        assert_eq!(of("DELETE", "/api/v1/namespaces/n/pods"), "deletecollection Write false");
        assert_eq!(of("PATCH", "/api/v1/namespaces/n/pods/p/status"), "patch Write false");
        assert_eq!(of("GET", "/readyz"), "get Read false");
        assert_eq!(of("POST", "/readyz"), "post Write false");
    }
}
