//! The path and query of a call.

use cox_api::{Request, Verb};

/// The request target, as in `/apis/apps/v1/namespaces/ns/deployments/web/status?dryRun=All`.
pub(super) fn of(request: &Request) -> String {
    let resource = &request.resource;
    let mut target = if resource.group.is_empty() {
        format!("/api/{}", resource.version)
    } else {
        format!("/apis/{}/{}", resource.group, resource.version)
    };
    // A namespace is itself named in `namespaces/NAME`, never inside a namespace.
    if let Some(namespace) = &request.namespace {
        target.push_str("/namespaces/");
        escape(&mut target, namespace);
    }
    target.push('/');
    target.push_str(&resource.plural);
    for part in [&request.name, &request.subresource].into_iter().flatten() {
        target.push('/');
        escape(&mut target, part);
    }
    let mut query = Query { target, separator: '?' };
    let options = &request.options;
    if request.verb == Verb::Watch {
        query.put("watch", "true");
    }
    query.text("labelSelector", options.label_selector.as_deref());
    query.text("fieldSelector", options.field_selector.as_deref());
    query.shown("limit", options.limit);
    query.text("continue", options.continue_token.as_deref());
    query.text("resourceVersion", options.resource_version.as_deref());
    query.text("resourceVersionMatch", options.resource_version_match.as_deref());
    query.shown("sendInitialEvents", options.send_initial_events);
    query.shown("allowWatchBookmarks", options.allow_watch_bookmarks.then_some(true));
    query.shown("timeoutSeconds", options.timeout_seconds);
    query.text("dryRun", options.dry_run.then_some("All"));
    query.text("fieldManager", options.field_manager.as_deref());
    query.text("fieldValidation", options.field_validation.as_deref());
    query.shown("force", options.force);
    query.shown("gracePeriodSeconds", options.grace_period_seconds);
    query.text("propagationPolicy", options.propagation_policy.as_deref());
    query.shown("orphanDependents", options.orphan_dependents);
    query.shown(
        "ignoreStoreReadErrorWithClusterBreakingPotential",
        options.ignore_store_read_error.then_some(true),
    );
    query.target
}

struct Query {
    target: String,
    separator: char,
}

impl Query {
    fn put(&mut self, key: &str, value: &str) {
        self.target.push(self.separator);
        self.separator = '&';
        self.target.push_str(key);
        self.target.push('=');
        escape(&mut self.target, value);
    }

    fn text(&mut self, key: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.put(key, value);
        }
    }

    fn shown(&mut self, key: &str, value: Option<impl ToString>) {
        if let Some(value) = value {
            self.put(key, &value.to_string());
        }
    }
}

fn escape(out: &mut String, text: &str) {
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b':' => {
                out.push(char::from(byte));
            }
            _ => {
                out.push('%');
                out.push(char::from(b"0123456789ABCDEF"[usize::from(byte >> 4)]));
                out.push(char::from(b"0123456789ABCDEF"[usize::from(byte & 15)]));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cox_api::Resource;

    #[test]
    fn targets() {
        let mut pods = Request::new(Verb::Watch, Resource::new("", "v1", "pods")).namespace("ns");
        pods.options.field_selector = Some("spec.nodeName=n1".into());
        pods.options.allow_watch_bookmarks = true;
        assert_eq!(
            of(&pods),
            "/api/v1/namespaces/ns/pods?watch=true&fieldSelector=spec.nodeName%3Dn1&allowWatchBookmarks=true"
        );
        let status = Request::new(Verb::Patch, Resource::new("apps", "v1", "deployments"))
            .namespace("ns")
            .name("web")
            .subresource("status");
        assert_eq!(of(&status), "/apis/apps/v1/namespaces/ns/deployments/web/status");
        let node = Request::new(Verb::Get, Resource::new("", "v1", "nodes")).name("n1");
        assert_eq!(of(&node), "/api/v1/nodes/n1");
        let role = Request::new(Verb::Get, Resource::new("rbac.authorization.k8s.io", "v1", "clusterroles"));
        assert_eq!(
            of(&role.name("system:node")),
            "/apis/rbac.authorization.k8s.io/v1/clusterroles/system:node"
        );
    }
}
