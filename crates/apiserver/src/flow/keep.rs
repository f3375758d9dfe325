//! The mandatory and suggested objects: made where they are missing, and kept.
//! Source: <https://kubernetes.io/docs/concepts/cluster-administration/flow-control/#maintenance-of-the-mandatory-and-suggested-configuration-objects>
//! and upstream's `ensurer`.

use cox_api::flow_control::{self, AUTO_UPDATE, BuiltIn, EXEMPT};
use cox_api::{Body, Object, Request, Resource, Status, Verb};
use futures::future::join_all;
use serde_json::Value;

use crate::go::parse_bool;
use crate::server::ApiServer;
use crate::start;

/// How these writes are recorded.
const MANAGER: &str = "api-priority-and-fairness-config-producer-v1";
/// The group of both kinds.
pub(super) const GROUP: &str = "flowcontrol.apiserver.k8s.io";
/// The kinds, which are stored under these names too.
pub(super) const LEVELS: &str = "prioritylevelconfigurations";
pub(super) const SCHEMAS: &str = "flowschemas";

/// What is to be written of an object that is there.
#[derive(Debug, PartialEq)]
enum Step {
    Update(Value),
    Delete,
}

fn annotation(object: &Value) -> Option<bool> {
    object["metadata"]["annotations"][AUTO_UPDATE].as_str().and_then(parse_bool)
}

/// Whether an object has the spec that it should have. What `exempt` says of its shares is the administrator's.
fn has_spec(object: &Value, wanted: &BuiltIn) -> bool {
    let mut spec = wanted.object["spec"].clone();
    if wanted.name() == EXEMPT && object["spec"]["exempt"].is_object() {
        spec["exempt"] = object["spec"]["exempt"].clone();
    }
    object["spec"] == spec
}

/// What an object becomes that should be kept as one of these.
fn revise(object: &Value, wanted: &BuiltIn) -> Option<Step> {
    let annotated = annotation(object);
    // Where nothing is said, an object that nobody has changed is kept.
    let unchanged = object["metadata"]["generation"] == 1;
    let keeps = wanted.mandatory || annotated.unwrap_or(unchanged);
    let restores = keeps && !has_spec(object, wanted);
    if !restores && annotated == Some(keeps) {
        return None;
    }
    let mut revised = object.clone();
    if restores {
        revised["spec"] = wanted.object["spec"].clone();
    }
    if annotated != Some(keeps) {
        revised["metadata"]["annotations"][AUTO_UPDATE] = keeps.to_string().into();
    }
    Some(Step::Update(revised))
}

/// What becomes of an object that no other version of the server would make either, for all that is known.
fn retire(object: &Value) -> Option<Step> {
    (annotation(object) == Some(true)).then_some(Step::Delete)
}

/// Makes what is missing and restores what has changed.
///
/// # Errors
/// What a write failed with, and of which object.
pub(crate) async fn ensure(server: &ApiServer) -> Result<(), (String, Status)> {
    for (plural, wanted) in [(SCHEMAS, flow_control::schemas()), (LEVELS, flow_control::levels())] {
        let there = server.db().list(plural, None);
        let kept = wanted.iter().map(|one| keep(server, plural, one, &there));
        join_all(kept).await.into_iter().collect::<Result<Vec<()>, _>>()?;
        for object in there.iter().filter(|object| wanted.iter().all(|one| one.name() != object.name())) {
            if let Some(step) = retire(&object.value()) {
                write(server, plural, object.name(), Some(step), None).await?;
            }
        }
    }
    Ok(())
}

async fn keep(
    server: &ApiServer,
    plural: &'static str,
    wanted: &'static BuiltIn,
    there: &[Object],
) -> Result<(), (String, Status)> {
    match there.iter().find(|object| object.name() == wanted.name()) {
        Some(object) => {
            let step = revise(&object.value(), wanted);
            write(server, plural, wanted.name(), step, None).await
        }
        None => write(server, plural, wanted.name(), None, Some(wanted.object.clone())).await,
    }
}

async fn write(
    server: &ApiServer,
    plural: &'static str,
    name: &str,
    step: Option<Step>,
    new: Option<Value>,
) -> Result<(), (String, Status)> {
    let request = |verb| Request::new(verb, Resource::new(GROUP, "v1", plural));
    let mut request = match (step, new) {
        (Some(Step::Update(object)), _) => request(Verb::Update).name(name).body(Body::Json(object)),
        (Some(Step::Delete), _) => request(Verb::Delete).name(name),
        (None, Some(object)) => request(Verb::Create).body(Body::Json(object)),
        (None, None) => return Ok(()),
    };
    request.options.field_manager = Some(MANAGER.into());
    match start::call(server, request).await {
        Ok(_) => Ok(()),
        // Somebody else was faster: it is looked at again.
        Err(status) if matches!(status.code(), 404 | 409) => Ok(()),
        Err(status) => Err((format!("{plural} {name}"), status)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn built_in(name: &str) -> &'static BuiltIn {
        flow_control::levels().iter().find(|one| one.name() == name).unwrap()
    }

    fn changed(name: &str, annotation: Value, generation: u64) -> Value {
        let mut object = built_in(name).object.clone();
        object["metadata"]["annotations"][AUTO_UPDATE] = annotation;
        object["metadata"]["generation"] = generation.into();
        object["spec"]["limited"]["nominalConcurrencyShares"] = 77.into();
        object
    }

    fn revised(name: &str, object: &Value) -> Option<(Value, Value)> {
        match revise(object, built_in(name))? {
            Step::Update(object) => Some((
                object["spec"]["limited"]["nominalConcurrencyShares"].clone(),
                object["metadata"]["annotations"][AUTO_UPDATE].clone(),
            )),
            Step::Delete => panic!("nothing is deleted"),
        }
    }

    #[test]
    fn suggested_ones_are_left_to_the_user_who_says_so() {
        assert_eq!(revise(&built_in("system").object, built_in("system")), None);
        assert_eq!(revised("system", &changed("system", json!("true"), 2)), Some((json!(30), json!("true"))));
        assert_eq!(revised("system", &changed("system", json!("false"), 2)), None);
        // Without a word it is told by whether it was ever changed.
        assert_eq!(revised("system", &changed("system", Value::Null, 1)), Some((json!(30), json!("true"))));
        assert_eq!(
            revised("system", &changed("system", json!("maybe"), 2)),
            Some((json!(77), json!("false")))
        );
    }

    #[test]
    fn mandatory_ones_are_always_restored() {
        let object = changed("catch-all", json!("false"), 2);
        assert_eq!(revised("catch-all", &object), Some((json!(5), json!("true"))));
        let mut exempt = built_in("exempt").object.clone();
        exempt["spec"]["exempt"]["nominalConcurrencyShares"] = 10.into();
        assert_eq!(revise(&exempt, built_in("exempt")), None, "shares of exempt are the administrator's");
        exempt["spec"].as_object_mut().unwrap().remove("exempt");
        assert!(revise(&exempt, built_in("exempt")).is_some());
    }

    #[test]
    fn what_is_no_longer_suggested_goes() {
        let with = |word: &str| json!({"metadata": {"name": "old", "annotations": {AUTO_UPDATE: word}}});
        assert_eq!(retire(&with("true")), Some(Step::Delete));
        assert_eq!(retire(&with("false")), None);
        assert_eq!(retire(&json!({"metadata": {"name": "mine"}})), None);
    }
}
