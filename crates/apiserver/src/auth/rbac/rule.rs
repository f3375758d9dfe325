//! One rule of a role, and what it covers.
//! Source: <https://kubernetes.io/docs/reference/access-authn-authz/rbac/>

use serde::{Deserialize, Serialize};

use crate::auth::Attributes;

/// `rbac.authorization.k8s.io/v1` `PolicyRule`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[allow(missing_docs)]
pub struct PolicyRule {
    pub verbs: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub api_groups: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub resource_names: Vec<String>,
    #[serde(rename = "nonResourceURLs", skip_serializing_if = "Vec::is_empty")]
    pub non_resource_urls: Vec<String>,
}

fn has(list: &[String], word: &str) -> bool {
    list.iter().any(|known| known == "*" || known == word)
}

impl PolicyRule {
    /// Whether the rule allows the attempt.
    pub fn allows(&self, attributes: &Attributes<'_>) -> bool {
        if attributes.resource.is_empty() {
            return has(&self.verbs, attributes.verb) && self.covers_path(attributes.path);
        }
        has(&self.verbs, attributes.verb)
            && has(&self.api_groups, attributes.group)
            && self.covers_resource(attributes.resource, attributes.subresource)
            && (self.resource_names.is_empty() || self.resource_names.iter().any(|n| n == attributes.name))
    }

    fn covers_resource(&self, resource: &str, subresource: &str) -> bool {
        self.resources.iter().any(|known| {
            if known == "*" {
                return true;
            }
            match known.split_once('/') {
                None => subresource.is_empty() && known == resource,
                Some((whole, part)) => {
                    part == subresource && !part.is_empty() && (whole == "*" || whole == resource)
                }
            }
        })
    }

    fn covers_path(&self, path: &str) -> bool {
        self.non_resource_urls.iter().any(|known| {
            known == "*"
                || known == path
                || known.strip_suffix('*').is_some_and(|start| path.starts_with(start))
        })
    }

    /// Whether everything that `part` allows is allowed by this rule; `part` is one verb on one thing
    /// ([`PolicyRule::broken_down`]).
    fn covers(&self, part: &PolicyRule) -> bool {
        let all = |own: &[String], asked: &[String]| {
            own.iter().any(|word| word == "*") || asked.iter().all(|word| own.contains(word))
        };
        let resources = || {
            part.resources.iter().all(|asked| {
                self.resources.iter().any(|own| {
                    own == "*"
                        || own == asked
                        || own.strip_prefix("*/").is_some_and(|sub| {
                            asked.split_once('/').is_some_and(|(_, asked_sub)| asked_sub == sub)
                        })
                })
            })
        };
        let names = || {
            self.resource_names.is_empty()
                || (!part.resource_names.is_empty()
                    && part.resource_names.iter().all(|name| self.resource_names.contains(name)))
        };
        let paths = || {
            part.non_resource_urls.iter().all(|asked| {
                self.non_resource_urls.iter().any(|own| {
                    own == "*"
                        || own == asked
                        || own.strip_suffix('*').is_some_and(|start| asked.starts_with(start))
                })
            })
        };
        all(&self.verbs, &part.verbs)
            && all(&self.api_groups, &part.api_groups)
            && resources()
            && names()
            && paths()
    }

    /// The rule as rules of one verb on one thing each.
    fn broken_down(&self) -> Vec<PolicyRule> {
        let mut parts = Vec::new();
        for group in &self.api_groups {
            for resource in &self.resources {
                for verb in &self.verbs {
                    let base = PolicyRule {
                        verbs: vec![verb.clone()],
                        api_groups: vec![group.clone()],
                        resources: vec![resource.clone()],
                        ..PolicyRule::default()
                    };
                    if self.resource_names.is_empty() {
                        parts.push(base);
                    } else {
                        parts.extend(
                            self.resource_names.iter().map(|name| PolicyRule {
                                resource_names: vec![name.clone()],
                                ..base.clone()
                            }),
                        );
                    }
                }
            }
        }
        for url in &self.non_resource_urls {
            for verb in &self.verbs {
                parts.push(PolicyRule {
                    verbs: vec![verb.clone()],
                    non_resource_urls: vec![url.clone()],
                    ..PolicyRule::default()
                });
            }
        }
        parts
    }

    /// As upstream's messages show a rule: `{APIGroups:[""], Resources:["pods"], Verbs:["get"]}`.
    pub fn compact(&self) -> String {
        let list = |words: &[String]| {
            let quoted: Vec<String> = words.iter().map(|word| format!("{word:?}")).collect();
            format!("[{}]", quoted.join(" "))
        };
        let mut text = String::from("{");
        let parts = [
            ("APIGroups", &self.api_groups),
            ("Resources", &self.resources),
            ("ResourceNames", &self.resource_names),
            ("NonResourceURLs", &self.non_resource_urls),
            ("Verbs", &self.verbs),
        ];
        for (name, words) in parts {
            if words.is_empty() {
                continue;
            }
            if text.len() > 1 {
                text.push_str(", ");
            }
            text.push_str(&format!("{name}:{}", list(words)));
        }
        text.push('}');
        text
    }
}

/// What of `asked` isn't covered by `owned`: one verb on one thing each, put together again by resource.
pub fn uncovered(owned: &[PolicyRule], asked: &[PolicyRule]) -> Vec<PolicyRule> {
    let mut missing: Vec<PolicyRule> = Vec::new();
    for part in asked.iter().flat_map(PolicyRule::broken_down) {
        if owned.iter().any(|rule| rule.covers(&part)) {
            continue;
        }
        // Verbs of the same thing go together, as upstream's compaction does.
        let same = missing.iter_mut().find(|known| {
            known.api_groups == part.api_groups
                && known.resources == part.resources
                && known.resource_names == part.resource_names
                && known.non_resource_urls.is_empty()
                && part.non_resource_urls.is_empty()
        });
        match same {
            Some(known) => {
                for verb in part.verbs {
                    if !known.verbs.contains(&verb) {
                        known.verbs.push(verb);
                    }
                }
            }
            None => missing.push(part),
        }
    }
    missing
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::User;

    fn rule(verbs: &[&str], groups: &[&str], resources: &[&str]) -> PolicyRule {
        let own = |words: &[&str]| words.iter().map(|&w| w.to_owned()).collect();
        PolicyRule {
            verbs: own(verbs),
            api_groups: own(groups),
            resources: own(resources),
            ..Default::default()
        }
    }

    #[test]
    fn subresources_are_things_of_their_own() {
        let user = User::new("jane", &[]);
        let pods = rule(&["get"], &[""], &["pods"]);
        let mut attempt = Attributes::resource(&user, "get", "", "pods");
        assert!(pods.allows(&attempt));
        attempt.subresource = "log";
        assert!(!pods.allows(&attempt));
        assert!(rule(&["*"], &["*"], &["*/log"]).allows(&attempt));
        assert!(rule(&["*"], &["*"], &["*"]).allows(&attempt));
    }

    #[test]
    fn what_is_missing_is_said_by_resource() {
        let owned = [rule(&["get"], &[""], &["pods"])];
        let missing = uncovered(&owned, &[rule(&["get", "list", "watch"], &[""], &["pods", "secrets"])]);
        let texts: Vec<String> = missing.iter().map(PolicyRule::compact).collect();
        assert_eq!(
            texts,
            [
                r#"{APIGroups:[""], Resources:["pods"], Verbs:["list" "watch"]}"#,
                r#"{APIGroups:[""], Resources:["secrets"], Verbs:["get" "list" "watch"]}"#,
            ]
        );
    }
}
