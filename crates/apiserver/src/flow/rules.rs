//! Which requests a FlowSchema is for.
//! Source: the kind's reference, `rules`; upstream's `matchesFlowSchema`.

use serde::Deserialize;

use crate::auth::{Attributes, User, service_account_of};

const ALL: &str = "*";

/// `spec.rules`, as they are looked at for each request.
#[derive(Debug, Default)]
pub(super) struct Rules(Vec<Rule>);

#[derive(Debug)]
struct Rule {
    subjects: Vec<Subject>,
    resources: Vec<ResourceRule>,
    paths: Vec<PathRule>,
}

#[derive(Debug, PartialEq, Eq)]
enum Subject {
    Anybody,
    User(String),
    Group(String),
    /// All accounts of a namespace.
    Accounts(String),
    Account(String, String),
}

#[derive(Debug)]
struct ResourceRule {
    verbs: Words,
    groups: Words,
    /// Resource and subresource.
    resources: Option<Vec<(String, String)>>,
    namespaces: Words,
    cluster: bool,
}

#[derive(Debug)]
struct PathRule {
    verbs: Words,
    /// Each as it is, and what paths below it begin with; none for all.
    paths: Option<Vec<(String, String)>>,
}

/// Some words, or all there are.
#[derive(Debug)]
enum Words {
    All,
    These(Vec<String>),
}

impl Words {
    fn of(words: Vec<String>) -> Words {
        if words.iter().any(|word| word == ALL) { Words::All } else { Words::These(words) }
    }

    fn has(&self, word: &str) -> bool {
        match self {
            Words::All => true,
            Words::These(words) => words.iter().any(|known| known == word),
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[derive(Default)]
pub(super) struct RuleForm {
    subjects: Vec<SubjectForm>,
    resource_rules: Vec<ResourceForm>,
    non_resource_rules: Vec<PathForm>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct SubjectForm {
    kind: String,
    user: Option<NameForm>,
    group: Option<NameForm>,
    service_account: Option<NameForm>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct NameForm {
    name: String,
    namespace: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct ResourceForm {
    verbs: Vec<String>,
    api_groups: Vec<String>,
    resources: Vec<String>,
    namespaces: Vec<String>,
    cluster_scope: bool,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct PathForm {
    verbs: Vec<String>,
    #[serde(rename = "nonResourceURLs")]
    urls: Vec<String>,
}

impl Rules {
    pub(super) fn of(rules: Vec<RuleForm>) -> Rules {
        let rule = |rule: RuleForm| Rule {
            subjects: rule.subjects.into_iter().filter_map(Subject::of).collect(),
            resources: rule.resource_rules.into_iter().map(ResourceRule::of).collect(),
            paths: rule.non_resource_rules.into_iter().map(PathRule::of).collect(),
        };
        Rules(rules.into_iter().map(rule).collect())
    }

    /// Whether a request is one of these.
    pub(super) fn are_for(&self, request: &Attributes<'_>) -> bool {
        self.0.iter().any(|rule| {
            rule.subjects.iter().any(|subject| subject.is(request.user))
                && if request.resource.is_empty() {
                    rule.paths.iter().any(|paths| paths.is_for(request))
                } else {
                    rule.resources.iter().any(|resources| resources.is_for(request))
                }
        })
    }
}

impl Subject {
    /// What has no known kind is nobody.
    fn of(form: SubjectForm) -> Option<Subject> {
        match form.kind.as_str() {
            "User" => form.user.map(|user| Subject::named(user.name, Subject::User)),
            "Group" => form.group.map(|group| Subject::named(group.name, Subject::Group)),
            "ServiceAccount" => form.service_account.map(|account| {
                if account.name == ALL {
                    Subject::Accounts(account.namespace)
                } else {
                    Subject::Account(account.namespace, account.name)
                }
            }),
            _ => None,
        }
    }

    fn named(name: String, subject: fn(String) -> Subject) -> Subject {
        if name == ALL { Subject::Anybody } else { subject(name) }
    }

    fn is(&self, user: &User) -> bool {
        match self {
            Subject::Anybody => true,
            Subject::User(name) => *name == user.name,
            Subject::Group(group) => user.is_in(group),
            Subject::Accounts(namespace) => {
                service_account_of(&user.name).is_some_and(|(theirs, _)| theirs == namespace)
            }
            Subject::Account(namespace, name) => {
                service_account_of(&user.name) == Some((namespace.as_str(), name.as_str()))
            }
        }
    }
}

impl ResourceRule {
    fn of(form: ResourceForm) -> ResourceRule {
        let pair = |word: &String| {
            let (resource, subresource) = word.split_once('/').unwrap_or((word, ""));
            (resource.to_owned(), subresource.to_owned())
        };
        let all = form.resources.iter().any(|word| word == ALL);
        ResourceRule {
            verbs: Words::of(form.verbs),
            groups: Words::of(form.api_groups),
            resources: (!all).then(|| form.resources.iter().map(pair).collect()),
            namespaces: Words::of(form.namespaces),
            cluster: form.cluster_scope,
        }
    }

    fn is_for(&self, request: &Attributes<'_>) -> bool {
        let wanted = (request.resource, request.subresource);
        self.verbs.has(request.verb)
            && self.groups.has(request.group)
            && self.resources.as_ref().is_none_or(|all| {
                all.iter().any(|(resource, subresource)| (resource.as_str(), subresource.as_str()) == wanted)
            })
            && if request.namespace.is_empty() {
                self.cluster
            } else {
                self.namespaces.has(request.namespace)
            }
    }
}

impl PathRule {
    fn of(form: PathForm) -> PathRule {
        let below = |url: &String| {
            let prefix = url.strip_suffix('*').unwrap_or(url);
            let slash = if prefix.ends_with('/') { "" } else { "/" };
            (url.clone(), format!("{prefix}{slash}"))
        };
        let all = form.urls.iter().any(|url| url == ALL);
        PathRule {
            verbs: Words::of(form.verbs),
            paths: (!all).then(|| form.urls.iter().map(below).collect()),
        }
    }

    fn is_for(&self, request: &Attributes<'_>) -> bool {
        self.verbs.has(request.verb)
            && self.paths.as_ref().is_none_or(|paths| {
                paths.iter().any(|(path, below)| request.path == path || request.path.starts_with(below))
            })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn rules(rules: Value) -> Rules {
        Rules::of(serde_json::from_value(rules).unwrap())
    }

    fn everything_of(subject: Value) -> Rules {
        rules(json!([{"subjects": [subject],
            "resourceRules": [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "namespaces": ["*"], "clusterScope": true}],
            "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}]}]))
    }

    #[test]
    fn subjects_are_users_groups_and_accounts() {
        let jane = User::new("jane", &["devs"]);
        let account = User::service_account("kube-system", "sync", "u");
        let other = User::service_account("kube-system-2", "sync", "u");
        let is = |subject: Value, user: &User| {
            everything_of(subject).are_for(&Attributes::resource(user, "get", "", "nodes"))
        };
        let user = |name: &str| json!({"kind": "User", "user": {"name": name}});
        let group = |name: &str| json!({"kind": "Group", "group": {"name": name}});
        let accounts = |namespace: &str, name: &str| json!({"kind": "ServiceAccount", "serviceAccount": {"namespace": namespace, "name": name}});
        assert!(is(user("jane"), &jane) && is(user("*"), &jane) && !is(user("jan"), &jane));
        assert!(is(group("devs"), &jane) && is(group("*"), &jane) && !is(group("jane"), &jane));
        assert!(is(accounts("kube-system", "*"), &account) && is(accounts("kube-system", "sync"), &account));
        assert!(!is(accounts("kube-system", "*"), &other) && !is(accounts("kube-system", "syn"), &account));
        assert!(!is(accounts("kube-system", "*"), &jane));
        assert!(!is(json!({"kind": "Robot"}), &jane) && !is(json!({"kind": "User"}), &jane));
    }

    #[test]
    fn resources_have_verbs_groups_subresources_and_namespaces() {
        let of = |rule: Value| {
            rules(json!([{"subjects": [{"kind": "User", "user": {"name": "*"}}], "resourceRules": [rule]}]))
        };
        let jane = User::new("jane", &[]);
        let asked = |verb, group, resource, subresource, namespace| Attributes {
            subresource,
            namespace,
            ..Attributes::resource(&jane, verb, group, resource)
        };
        let pods = of(
            json!({"verbs": ["get", "list"], "apiGroups": [""], "resources": ["pods", "pods/log"], "namespaces": ["a", "b"]}),
        );
        assert!(pods.are_for(&asked("get", "", "pods", "", "a")));
        assert!(pods.are_for(&asked("get", "", "pods", "log", "b")));
        assert!(!pods.are_for(&asked("get", "", "pods", "status", "a")));
        assert!(!pods.are_for(&asked("watch", "", "pods", "", "a")));
        assert!(!pods.are_for(&asked("get", "apps", "pods", "", "a")));
        assert!(!pods.are_for(&asked("get", "", "pods", "", "c")));
        assert!(!pods.are_for(&asked("list", "", "pods", "", "")), "all namespaces are the cluster");
        assert!(!pods.are_for(&Attributes::path(&jane, "get", "/pods")));
        let cluster =
            of(json!({"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "clusterScope": true}));
        assert!(cluster.are_for(&asked("list", "", "pods", "", "")));
        assert!(!cluster.are_for(&asked("get", "", "pods", "", "a")));
        let all = of(json!({"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "namespaces": ["*"]}));
        assert!(all.are_for(&asked("get", "", "pods", "status", "a")), "all resources with all below them");
        assert!(!all.are_for(&asked("get", "", "nodes", "", "")));
    }

    #[test]
    fn paths_are_for_what_is_below_them_too() {
        let of = |urls: Value| {
            rules(json!([{"subjects": [{"kind": "Group", "group": {"name": "*"}}],
            "nonResourceRules": [{"verbs": ["get"], "nonResourceURLs": urls}]}]))
        };
        let jane = User::new("jane", &[]);
        let is = |rules: &Rules, path: &str| rules.are_for(&Attributes::path(&jane, "get", path));
        let health = of(json!(["/healthz", "/metrics/*"]));
        assert!(is(&health, "/healthz") && is(&health, "/healthz/ping") && is(&health, "/metrics/slis"));
        assert!(!is(&health, "/healthzz") && !is(&health, "/metrics") && !is(&health, "/"));
        assert!(is(&of(json!(["*"])), "/anything"));
        assert!(!health.are_for(&Attributes::path(&jane, "post", "/healthz")));
    }
}
