//! Claims and ingresses that name no class get the default one.

use cox_api::Status;
use serde_json::Value;

use super::{Attempt, Plugin, text};

/// The newest of the classes marked as default; of equally old ones the first by name.
fn default_class(attempt: &Attempt<'_>, prefix: &str, annotations: &[&str]) -> Option<String> {
    let classes = attempt.server.db().list(prefix, None);
    let mut defaults: Vec<(String, String)> = classes
        .iter()
        .map(cox_api::Object::value)
        .filter(|class| annotations.iter().any(|key| class["metadata"]["annotations"][*key] == "true"))
        .map(|class| {
            (
                text(&class["metadata"]["creationTimestamp"]).to_owned(),
                text(&class["metadata"]["name"]).to_owned(),
            )
        })
        .collect();
    defaults.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    defaults.into_iter().next().map(|(_, name)| name)
}

pub(super) struct DefaultStorageClass;

impl Plugin for DefaultStorageClass {
    fn admit(&self, attempt: &Attempt<'_>, claim: &mut Value, _: &mut Vec<String>) -> Result<(), Status> {
        const ANNOTATIONS: [&str; 2] = [
            "storageclass.kubernetes.io/is-default-class",
            "storageclass.beta.kubernetes.io/is-default-class",
        ];
        if !attempt.creates("", "persistentvolumeclaims")
            || claim["spec"].get("storageClassName").is_some_and(|name| !name.is_null())
            || claim["metadata"]["annotations"].get("volume.beta.kubernetes.io/storage-class").is_some()
        {
            return Ok(());
        }
        if let Some(name) = default_class(attempt, "storageclasses", &ANNOTATIONS) {
            claim["spec"]["storageClassName"] = name.into();
        }
        Ok(())
    }
}

pub(super) struct DefaultIngressClass;

impl Plugin for DefaultIngressClass {
    fn admit(&self, attempt: &Attempt<'_>, ingress: &mut Value, _: &mut Vec<String>) -> Result<(), Status> {
        if !attempt.creates("networking.k8s.io", "ingresses")
            || ingress["spec"].get("ingressClassName").is_some_and(|name| !name.is_null())
            || ingress["metadata"]["annotations"].get("kubernetes.io/ingress.class").is_some()
        {
            return Ok(());
        }
        const ANNOTATION: &str = "ingressclass.kubernetes.io/is-default-class";
        if let Some(name) = default_class(attempt, "ingressclasses", &[ANNOTATION]) {
            ingress["spec"]["ingressClassName"] = name.into();
        }
        Ok(())
    }
}
