//! The parameters of policies: objects that a binding names.
//! Source: <https://kubernetes.io/docs/reference/access-authn-authz/validating-admission-policy/#parameter-resources>

use cox_api::selector::LabelSelector;
use cox_api::{Kind, Scope, kinds};
use serde_json::Value;

use super::super::super::text;
use super::super::subject::Subject;
use crate::server::ApiServer;

/// `paramKind` of a policy.
pub(super) struct ParamKind {
    group: String,
    version: String,
    kind: String,
}

impl ParamKind {
    pub(super) fn of(value: &Value) -> Option<ParamKind> {
        let api_version = value["apiVersion"].as_str()?;
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        Some(ParamKind {
            group: group.to_owned(),
            version: version.to_owned(),
            kind: text(&value["kind"]).to_owned(),
        })
    }

    fn find(&self, server: &ApiServer) -> Option<&'static dyn Kind> {
        kinds::by_kind(&self.group, &self.version, &self.kind)
            .or_else(|| server.definitions().by_kind(&self.group, &self.version, &self.kind))
    }

    /// Whether there is such a kind.
    ///
    /// # Errors
    /// In upstream's words.
    pub(super) fn check(&self, server: &ApiServer) -> Result<(), String> {
        let ParamKind { group, version, kind } = self;
        let slash = if group.is_empty() { "" } else { "/" };
        match self.find(server) {
            Some(_) => Ok(()),
            None => Err(format!(
                "failed to find resource referenced by paramKind: '{group}{slash}{version}, Kind={kind}'"
            )),
        }
    }
}

/// The parameters that a binding names: null where the policy has none, or the binding names none.
///
/// # Errors
/// In upstream's words.
pub(super) fn collect(
    kind: Option<&ParamKind>,
    reference: &Value,
    subject: &Subject<'_>,
) -> Result<Vec<Value>, String> {
    let Some(kind) =
        kind.and_then(|kind| kind.find(subject.attempt.server)).filter(|_| reference.is_object())
    else {
        return Ok(vec![Value::Null]);
    };
    let own = text(&reference["namespace"]);
    let namespace = match (kind.info().scope, own) {
        (Scope::Cluster, "") => "",
        (Scope::Cluster, _) => {
            return Err("paramRef.namespace must not be provided for a cluster-scoped `paramKind`".to_owned());
        }
        (Scope::Namespaced, "") if subject.namespace.is_empty() => {
            return Err(
                "cannot use namespaced paramRef in policy binding that matches cluster-scoped resources"
                    .to_owned(),
            );
        }
        (Scope::Namespaced, "") => subject.namespace,
        (Scope::Namespaced, own) => own,
    };
    let db = subject.attempt.server.db();
    let prefix = kind.stored_as().unwrap_or(kind).info().store_prefix;
    let shown = |object: cox_api::Object| {
        let mut value = kind.from_stored(object.value());
        value["apiVersion"] = kind.info().api_version().into();
        value["kind"] = kind.info().kind.into();
        value
    };
    let found: Vec<Value> = match text(&reference["name"]) {
        "" => {
            let selector =
                LabelSelector::of_object(&reference["selector"]).map_err(|error| error.to_string())?;
            let objects = db.list(prefix, Some(namespace)).into_iter().map(shown);
            objects.filter(|object| selector.matches(&object["metadata"]["labels"])).collect()
        }
        name => db.get(prefix, namespace, name).map(shown).into_iter().collect(),
    };
    if found.is_empty() && text(&reference["parameterNotFoundAction"]) == "Deny" {
        return Err("no params found for policy binding with `Deny` parameterNotFoundAction".to_owned());
    }
    Ok(found)
}
