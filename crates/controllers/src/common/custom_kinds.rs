//! Kinds that users make, followed as they come and go.

use std::collections::BTreeMap;
use std::sync::Arc;

use cox_api::custom::Version;
use cox_api::kind::KindInfo;
use cox_api::{Object, Resource};
use cox_client::{Informed, Scope, SharedInformers};
use parking_lot::Mutex;
use serde_json::Value;

use super::resources;

/// The resource of definitions.
pub(crate) fn definitions() -> Resource {
    Resource::new("apiextensions.k8s.io", "v1", "customresourcedefinitions")
}

/// Calls `come` for every kind of a definition that is served, now and later, in the version that its objects are
/// stored in or else the first that is served; and `go` when it is served no longer. Both must be quick.
pub(crate) fn follow(
    informers: &SharedInformers,
    come: impl Fn(&'static KindInfo, Informed) + Send + Sync + 'static,
    go: impl Fn(&'static KindInfo) + Send + Sync + 'static,
) -> Informed {
    let known: Arc<Mutex<BTreeMap<Box<str>, &'static KindInfo>>> = Arc::default();
    let all = informers.resource(definitions(), Scope::everything());
    let informers = informers.clone();
    all.on_change(move |old, new| {
        let Some(name) = new.or(old).map(Object::name) else { return };
        let now = new.and_then(|definition| served(definition.parsed()));
        let before = known.lock().get(name).copied();
        if now == before {
            return;
        }
        if let Some(before) = before {
            known.lock().remove(name);
            informers.forget(&resources::resource(before), &Scope::everything());
            go(before);
        }
        if let Some(now) = now {
            known.lock().insert(name.into(), now);
            come(now, informers.resource(resources::resource(now), Scope::everything()));
        }
    });
    all
}

/// The kind of a definition, where it is served.
fn served(definition: &Value) -> Option<&'static KindInfo> {
    let conditions = definition["status"]["conditions"].as_array().into_iter().flatten();
    let established = |condition: &Value| condition["type"] == "Established" && condition["status"] == "True";
    if !conditions.into_iter().any(established) {
        return None;
    }
    let versions = definition["spec"]["versions"].as_array()?;
    let of = |key: &str| versions.iter().find(|version| version["served"] == true && version[key] == true);
    let version = of("storage").or_else(|| of("served"))?;
    // A process that has seen too many definitions collects no more of them.
    Some(Version::of(definition, version["name"].as_str()?).ok()??.info)
}
