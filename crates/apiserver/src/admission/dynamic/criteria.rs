//! What a webhook or a policy has a say in: rules, and selectors of namespaces and objects.
//! Source: <https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/#matching-requests-rules>

use cox_api::selector::LabelSelector;
use cox_api::{KindInfo, Status};
use serde_json::Value;

use super::super::{each, text};
use super::subject::{Form, Subject};

/// Which requests are meant.
pub(super) struct Criteria {
    rules: Vec<Rule>,
    excluded: Vec<Rule>,
    /// Only the resources as rules name them, and not those that are other forms of the same objects.
    exact: bool,
    namespaces: LabelSelector,
    objects: LabelSelector,
}

struct Rule {
    operations: Vec<String>,
    groups: Vec<String>,
    versions: Vec<String>,
    /// Resource and subresource.
    resources: Vec<(String, String)>,
    scope: String,
    /// Empty for all.
    names: Vec<String>,
}

fn words(value: &Value) -> Vec<String> {
    each(value).filter_map(Value::as_str).map(str::to_owned).collect()
}

fn has(words: &[String], word: &str) -> bool {
    words.iter().any(|known| known == "*" || known == word)
}

impl Rule {
    fn of(rule: &Value) -> Rule {
        let split = |text: String| match text.split_once('/') {
            Some((resource, sub)) => (resource.to_owned(), sub.to_owned()),
            None => (text, String::new()),
        };
        Rule {
            operations: words(&rule["operations"]),
            groups: words(&rule["apiGroups"]),
            versions: words(&rule["apiVersions"]),
            resources: words(&rule["resources"]).into_iter().map(split).collect(),
            scope: text(&rule["scope"]).to_owned(),
            names: words(&rule["resourceNames"]),
        }
    }

    fn fits(&self, subject: &Subject<'_>, info: &KindInfo) -> bool {
        let part = |known: &str, word: &str| known == "*" || known == word;
        let namespaced = !subject.is_namespace() && !subject.namespace.is_empty();
        let scope = match self.scope.as_str() {
            "Namespaced" => namespaced,
            "Cluster" => !namespaced,
            _ => true,
        };
        scope
            && has(&self.operations, subject.operation)
            && has(&self.groups, info.group)
            && has(&self.versions, info.version)
            && self
                .resources
                .iter()
                .any(|(resource, sub)| part(resource, info.plural) && part(sub, subject.attempt.subresource))
            && (self.names.is_empty() || self.names.iter().any(|name| *name == subject.name))
    }
}

impl Criteria {
    /// Of a webhook, or of `MatchResources`; `rules` is where the rules are.
    pub(super) fn of(value: &Value, rules: &str) -> Criteria {
        let selector = |key: &str| {
            let selector = &value[key];
            if selector.is_null() {
                return LabelSelector::everything();
            }
            // What validation let in is a selector; what came in otherwise selects nothing.
            LabelSelector::of_object(selector).unwrap_or_else(|_| LabelSelector::nothing())
        };
        Criteria {
            rules: each(&value[rules]).map(Rule::of).collect(),
            excluded: each(&value["excludeResourceRules"]).map(Rule::of).collect(),
            exact: text(&value["matchPolicy"]) == "Exact",
            namespaces: selector("namespaceSelector"),
            objects: selector("objectSelector"),
        }
    }

    /// Whether any rule is written down.
    pub(super) fn has_rules(&self) -> bool {
        !self.rules.is_empty()
    }

    /// The form of the object that a request is to be shown in; none where the request isn't meant.
    ///
    /// # Errors
    /// 404 where the namespace isn't there.
    pub(super) fn matching(&self, subject: &Subject<'_>) -> Result<Option<Form>, Status> {
        if !self.selects(subject)? {
            return Ok(None);
        }
        let any = |rules: &[Rule], info: &KindInfo| rules.iter().any(|rule| rule.fits(subject, info));
        let forms = subject.forms();
        if any(&self.excluded, forms[0].info())
            || (!self.exact && forms.iter().any(|f| any(&self.excluded, f.info())))
        {
            return Ok(None);
        }
        let forms = if self.exact { &forms[..1] } else { &forms[..] };
        Ok(forms.iter().copied().find(|form| any(&self.rules, form.info())))
    }

    /// Whether the selectors select the request, whatever the rules say.
    ///
    /// # Errors
    /// 404 where the namespace isn't there.
    pub(super) fn selects(&self, subject: &Subject<'_>) -> Result<bool, Status> {
        if !self.namespaces.is_everything()
            && let Some(labels) = subject.namespace_labels()?
            && !self.namespaces.matches(&labels)
        {
            return Ok(false);
        }
        Ok(self.objects.is_everything()
            || [subject.object, subject.attempt.old]
                .into_iter()
                .flatten()
                .any(|object| self.objects.matches(&object["metadata"]["labels"])))
    }
}
