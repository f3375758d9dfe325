//! What somebody wants to do, as authorizers see it.

use cox_api::status::qualified;
use cox_api::{Reason, Request, Status};
use serde_json::json;

use super::User;

/// What somebody wants to do.
#[derive(Clone, Copy, Debug)]
pub struct Attributes<'a> {
    /// Who.
    pub user: &'a User,
    /// As in `get`; an HTTP method in lower case for paths that are no resources.
    pub verb: &'a str,
    /// Empty for the core group.
    pub group: &'a str,
    /// The plural; empty for paths that are no resources.
    pub resource: &'a str,
    /// Empty for the object itself.
    pub subresource: &'a str,
    /// Empty for the whole cluster.
    pub namespace: &'a str,
    /// Empty for collections.
    pub name: &'a str,
    /// The path, where it is no resource; otherwise empty.
    pub path: &'a str,
    /// The field selector of a list, watch or deletecollection; empty where there is none.
    pub field_selector: &'a str,
}

impl<'a> Attributes<'a> {
    /// An attempt on a path that is no resource.
    pub fn path(user: &'a User, verb: &'a str, path: &'a str) -> Attributes<'a> {
        Attributes {
            user,
            verb,
            group: "",
            resource: "",
            subresource: "",
            namespace: "",
            name: "",
            path,
            field_selector: "",
        }
    }

    /// An attempt on a resource of the cluster; the other parts are set by hand.
    pub fn resource(user: &'a User, verb: &'a str, group: &'a str, resource: &'a str) -> Attributes<'a> {
        Attributes { group, resource, ..Attributes::path(user, verb, "") }
    }

    /// What a call attempts.
    pub fn call(user: &'a User, request: &'a Request) -> Attributes<'a> {
        let field_selector = request.options.field_selector.as_deref().unwrap_or_default();
        // A list of one name is as good as a get, for rules that name names.
        let selected = field_selector.strip_prefix("metadata.name=").unwrap_or_default();
        Attributes {
            user,
            verb: request.verb.as_str(),
            group: &request.resource.group,
            resource: &request.resource.plural,
            subresource: request.subresource.as_deref().unwrap_or_default(),
            namespace: request.namespace.as_deref().unwrap_or_default(),
            name: request.name.as_deref().unwrap_or(selected),
            path: "",
            field_selector,
        }
    }

    /// Whether a verb leaves things as they are.
    pub fn is_read(&self) -> bool {
        matches!(self.verb, "get" | "list" | "watch")
    }

    /// 403 in upstream's words. `reason` is what the authorizers said, may be empty.
    pub fn refusal(&self, reason: &str) -> Status {
        let user = &self.user.name;
        let mut why = if self.resource.is_empty() {
            format!("User {user:?} cannot {} path {:?}", self.verb, self.path)
        } else {
            let mut resource = self.resource.to_owned();
            if !self.subresource.is_empty() {
                resource = format!("{resource}/{}", self.subresource);
            }
            let place = if self.namespace.is_empty() {
                "at the cluster scope".to_owned()
            } else {
                format!("in the namespace {:?}", self.namespace)
            };
            format!(
                "User {user:?} cannot {} resource {resource:?} in API group {:?} {place}",
                self.verb, self.group
            )
        };
        if !reason.is_empty() {
            why = format!("{why}: {reason}");
        }
        if self.resource.is_empty() {
            return Status::new(403, Reason::Forbidden, format!("forbidden: {why}")).with_details(json!({}));
        }
        let what = qualified(self.group, self.resource);
        let message = if self.name.is_empty() {
            format!("{what} is forbidden: {why}")
        } else {
            format!("{what} {:?} is forbidden: {why}", self.name)
        };
        let mut details = serde_json::Map::new();
        for (key, text) in [("name", self.name), ("group", self.group), ("kind", self.resource)] {
            if !text.is_empty() {
                details.insert(key.into(), text.into());
            }
        }
        Status::new(403, Reason::Forbidden, message).with_details(details.into())
    }
}
