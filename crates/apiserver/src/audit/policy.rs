//! Which requests are recorded, and how much of them: the rules of an `audit.k8s.io/v1` Policy.
//! Source: <https://kubernetes.io/docs/reference/config-api/apiserver-audit.v1/>

use serde::Deserialize;

use crate::auth::{Attributes, User};
use crate::error::Error;

/// How much of a request is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[allow(missing_docs)]
pub enum Level {
    None,
    Metadata,
    Request,
    RequestResponse,
}

/// When an event is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[allow(missing_docs)]
pub enum Stage {
    RequestReceived,
    ResponseStarted,
    ResponseComplete,
    Panic,
}

impl Level {
    pub(super) const ALL: [Level; 4] = [Level::None, Level::Metadata, Level::Request, Level::RequestResponse];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Level::None => "None",
            Level::Metadata => "Metadata",
            Level::Request => "Request",
            Level::RequestResponse => "RequestResponse",
        }
    }
}

impl Stage {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Stage::RequestReceived => "RequestReceived",
            Stage::ResponseStarted => "ResponseStarted",
            Stage::ResponseComplete => "ResponseComplete",
            Stage::Panic => "Panic",
        }
    }
}

/// Which requests are recorded, and how much of them.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Policy {
    api_version: String,
    kind: String,
    #[serde(default, rename = "metadata")]
    _metadata: serde_json::Value,
    #[serde(default)]
    rules: Vec<Rule>,
    #[serde(default)]
    omit_stages: Vec<Stage>,
    #[serde(default)]
    omit_managed_fields: bool,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Rule {
    level: Level,
    #[serde(default)]
    users: Vec<String>,
    #[serde(default)]
    user_groups: Vec<String>,
    #[serde(default)]
    verbs: Vec<String>,
    #[serde(default)]
    resources: Vec<GroupResources>,
    #[serde(default)]
    namespaces: Vec<String>,
    #[serde(default, rename = "nonResourceURLs")]
    paths: Vec<String>,
    #[serde(default)]
    omit_stages: Vec<Stage>,
    omit_managed_fields: Option<bool>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct GroupResources {
    #[serde(default)]
    group: String,
    #[serde(default)]
    resources: Vec<String>,
    #[serde(default)]
    resource_names: Vec<String>,
}

/// What the policy says of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(super) level: Level,
    pub(super) omit_stages: Vec<Stage>,
    pub(super) omit_managed_fields: bool,
}

impl Policy {
    /// Reads a policy, in YAML or JSON.
    ///
    /// # Errors
    /// Where it is no policy, says what can't be, or says nothing.
    pub fn parse(text: &str) -> Result<Policy, Error> {
        let refuse = |reason: String| Error::Config { field: "audit-policy-file", reason };
        let policy: Policy = serde_saphyr::from_str(text).map_err(|error| refuse(error.to_string()))?;
        if (policy.api_version.as_str(), policy.kind.as_str()) != ("audit.k8s.io/v1", "Policy") {
            let what = format!("{}, kind {}", policy.api_version, policy.kind);
            return Err(refuse(format!("not an audit.k8s.io/v1 Policy but {what}")));
        }
        if policy.rules.is_empty() {
            return Err(refuse("loaded illegal policy with 0 rules".into()));
        }
        for (at, rule) in policy.rules.iter().enumerate() {
            rule.check().map_err(|reason| refuse(format!("rules[{at}].{reason}")))?;
        }
        Ok(policy)
    }

    /// What the first rule that fits says; nothing is recorded where none does. `user` is none for who couldn't show
    /// who they are.
    pub(crate) fn judge(&self, user: Option<&User>, attributes: &Attributes<'_>) -> Verdict {
        match self.rules.iter().find(|rule| rule.fits(user, attributes)) {
            Some(rule) => Verdict {
                level: rule.level,
                omit_stages: self.omit_stages.iter().chain(&rule.omit_stages).copied().collect(),
                omit_managed_fields: rule.omit_managed_fields.unwrap_or(self.omit_managed_fields),
            },
            None => Verdict { level: Level::None, omit_stages: Vec::new(), omit_managed_fields: false },
        }
    }
}

fn has(list: &[String], word: &str) -> bool {
    list.iter().any(|known| known == word)
}

impl Rule {
    fn check(&self) -> Result<(), String> {
        let of_resources = !self.resources.is_empty() || !self.namespaces.is_empty();
        if of_resources && !self.paths.is_empty() {
            return Err(
                "nonResourceURLs: rules cannot apply to both regular resources and non-resource URLs".into(),
            );
        }
        for path in self.paths.iter().filter(|path| *path != "*") {
            if !path.starts_with('/') {
                return Err(format!(
                    "nonResourceURLs: {path:?}: non-resource URL rules must begin with a '/' character"
                ));
            }
            if path[..path.len() - 1].contains('*') {
                let reason = "non-resource URL wildcards '*' must be the final character of the rule";
                return Err(format!("nonResourceURLs: {path:?}: {reason}"));
            }
        }
        let mut groups = self.resources.iter().map(|resources| resources.group.as_str());
        match groups.find(|group| group.contains('/')) {
            Some(group) => Err(format!("resources.group: {group:?}: a group has no version")),
            None => Ok(()),
        }
    }

    fn fits(&self, user: Option<&User>, asked: &Attributes<'_>) -> bool {
        let of_user = self.users.is_empty() || user.is_some_and(|user| has(&self.users, &user.name));
        let of_group = self.user_groups.is_empty()
            || user.is_some_and(|user| user.groups.iter().any(|group| has(&self.user_groups, group)));
        let of_verb = self.verbs.is_empty() || has(&self.verbs, asked.verb);
        if !(of_user && of_group && of_verb) {
            return false;
        }
        let is_resource = !asked.resource.is_empty();
        if !self.namespaces.is_empty() || !self.resources.is_empty() {
            let of_namespace = self.namespaces.is_empty() || has(&self.namespaces, asked.namespace);
            return is_resource && of_namespace && self.fits_resource(asked);
        }
        if !self.paths.is_empty() {
            return !is_resource && self.paths.iter().any(|path| path_fits(asked.path, path));
        }
        true
    }

    fn fits_resource(&self, asked: &Attributes<'_>) -> bool {
        if self.resources.is_empty() {
            return true;
        }
        let whole = if asked.subresource.is_empty() {
            asked.resource.to_owned()
        } else {
            format!("{}/{}", asked.resource, asked.subresource)
        };
        self.resources.iter().filter(|resources| resources.group == asked.group).any(|resources| {
            let named = resources.resource_names.is_empty() || has(&resources.resource_names, asked.name);
            let fits = |word: &String| {
                *word == whole
                    || word == "*"
                    || (!asked.subresource.is_empty() && word.strip_prefix("*/") == Some(asked.subresource))
                    || word.strip_suffix("/*") == Some(asked.resource)
            };
            resources.resources.is_empty() || (named && resources.resources.iter().any(fits))
        })
    }
}

fn path_fits(path: &str, rule: &str) -> bool {
    rule == "*" || rule == path || rule.strip_suffix('*').is_some_and(|start| path.starts_with(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Policy {
        Policy::parse(&format!("apiVersion: audit.k8s.io/v1\nkind: Policy\n{text}")).unwrap()
    }

    #[test]
    fn the_first_rule_that_fits_decides() {
        let policy = of("omitStages: [RequestReceived]
omitManagedFields: true
rules:
- {level: None, users: [system:kube-proxy], verbs: [watch]}
- {level: None, userGroups: [system:authenticated], nonResourceURLs: ['/api*', /version]}
- {level: Metadata, resources: [{group: '', resources: [secrets, pods/log, '*/status']}], omitManagedFields: false}
- {level: Request, resources: [{group: '', resources: [configmaps], resourceNames: [a]}], namespaces: [kube-system]}
- {level: RequestResponse, resources: [{group: apps}, {group: batch, resources: [jobs/*]}], omitStages: [Panic]}
- {level: Request, verbs: [create]}
");
        let jane = User::new("jane", &[]);
        let proxy = User::new("system:kube-proxy", &[]);
        let level = |user: &User, verb, group, resource, subresource, namespace, name| {
            let asked = Attributes {
                subresource,
                namespace,
                name,
                ..Attributes::resource(user, verb, group, resource)
            };
            policy.judge(Some(user), &asked).level
        };
        assert_eq!(level(&proxy, "watch", "", "secrets", "", "", ""), Level::None);
        assert_eq!(level(&proxy, "list", "", "secrets", "", "", ""), Level::Metadata);
        assert_eq!(level(&jane, "get", "", "pods", "log", "n", "p"), Level::Metadata);
        assert_eq!(level(&jane, "get", "", "pods", "", "n", "p"), Level::None);
        assert_eq!(level(&jane, "get", "", "nodes", "status", "", "n"), Level::Metadata);
        assert_eq!(level(&jane, "get", "", "configmaps", "", "kube-system", "a"), Level::Request);
        assert_eq!(level(&jane, "get", "", "configmaps", "", "kube-system", "b"), Level::None);
        assert_eq!(level(&jane, "get", "", "configmaps", "", "n", "a"), Level::None);
        assert_eq!(level(&jane, "get", "apps", "deployments", "scale", "n", "a"), Level::RequestResponse);
        assert_eq!(level(&jane, "create", "batch", "jobs", "status", "n", "a"), Level::RequestResponse);
        assert_eq!(level(&jane, "create", "batch", "cronjobs", "", "n", "a"), Level::Request);
        let path = |user, path| policy.judge(user, &Attributes::path(&jane, "get", path)).level;
        assert_eq!(path(Some(&jane), "/apis/apps"), Level::None);
        let verdict = policy.judge(Some(&jane), &Attributes::resource(&jane, "get", "apps", "deployments"));
        assert_eq!(verdict.omit_stages, [Stage::RequestReceived, Stage::Panic]);
        assert!(verdict.omit_managed_fields);
        assert!(
            !policy
                .judge(Some(&jane), &Attributes::resource(&jane, "get", "", "secrets"))
                .omit_managed_fields
        );
    }

    #[test]
    fn who_is_nobody_fits_no_rule_for_somebody() {
        let policy = of("rules: [{level: Request, users: [jane]}, {level: Metadata}]");
        let jane = User::new("jane", &[]);
        let asked = Attributes::path(&jane, "get", "/x");
        assert_eq!(policy.judge(Some(&jane), &asked).level, Level::Request);
        assert_eq!(policy.judge(None, &asked).level, Level::Metadata);
    }

    #[test]
    fn what_is_no_policy_is_refused() {
        let why = |text: &str| Policy::parse(text).unwrap_err().to_string();
        assert!(
            why("apiVersion: v1\nkind: Policy\nrules: [{level: None}]")
                .contains("not an audit.k8s.io/v1 Policy")
        );
        let head = "apiVersion: audit.k8s.io/v1\nkind: Policy\n";
        assert!(why(head).contains("0 rules"));
        assert!(why(&format!("{head}rules: [{{level: Everything}}]")).contains("Everything"));
        assert!(why(&format!("{head}rules: [{{level: None, user: [a]}}]")).contains("user"));
        assert!(
            why(&format!("{head}rules: [{{level: None, nonResourceURLs: [x]}}]")).contains("must begin with")
        );
        assert!(
            why(&format!("{head}rules: [{{level: None, nonResourceURLs: ['/*/x']}}]"))
                .contains("final character")
        );
        let both = "rules: [{level: None, nonResourceURLs: [/x], namespaces: [a]}]";
        assert!(why(&format!("{head}{both}")).contains("rules[0].nonResourceURLs"));
    }
}
