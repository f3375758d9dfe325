//! Tokens for service accounts on request.
//! Source: <https://kubernetes.io/docs/reference/kubernetes-api/authentication-resources/token-request-v1/>

use async_trait::async_trait;
use cox_api::schema;
use cox_api::{Body, FieldErrors, Path, Response, Status, Verb};
use serde_json::{Value, json};

use super::Special;
use crate::admission::{Attempt, Operation};
use crate::auth::{Bound, Reference};
use crate::core::body::{self, Expected};
use crate::core::call::{Call, meta};
use crate::core::create::settle_namespace;

const DEFAULT_SECONDS: i64 = 3600;
const MIN_SECONDS: i64 = 600;
const MAX_SECONDS: i64 = 1 << 32;
/// What the kubelet asks for pods is stretched to a year, so that old clients go on; the token says from when on
/// its use is worth a warning.
const EXTENDED_REQUEST: i64 = 3607;
const EXTENDED_SECONDS: i64 = 365 * 86_400;

pub(super) struct TokenOf;

#[async_trait]
impl Special for TokenOf {
    async fn call(&self, call: &mut Call<'_>, _: Verb, body: Body) -> Result<Response, Status> {
        let type_id = schema::type_of("authentication.k8s.io", "v1", "TokenRequest")
            .ok_or_else(|| Status::internal("the schema table has no TokenRequest"))?;
        let expected = Expected::of_type("authentication.k8s.io", "v1", "TokenRequest", type_id);
        let strictness = body::strictness(call.options, "CreateOptions")?;
        let decoded = body::decode(body, expected, strictness)?;
        call.warnings.extend(decoded.warnings);
        let mut request = decoded.value;
        settle_namespace(call, &mut request)?;
        let given = meta(&request, "name");
        if !given.is_empty() && given != call.name {
            let mut errors = FieldErrors::new();
            let detail = "must match the service account name if specified";
            errors.invalid(&Path::new("metadata.name"), &given.into(), detail);
            return Err(Status::invalid("authentication.k8s.io", "TokenRequest", call.name, &errors.0));
        }
        let account =
            call.server.db().get_key(&call.key(call.name)).ok_or_else(|| call.not_found(call.name))?;
        if !request["spec"].is_object() {
            request["spec"] = json!({});
        }
        let spec = &mut request["spec"];
        if spec["audiences"].as_array().is_none_or(Vec::is_empty) {
            spec["audiences"] = json!(call.server.tokens().audiences());
        }
        if spec["expirationSeconds"].is_null() {
            spec["expirationSeconds"] = DEFAULT_SECONDS.into();
        }
        if spec.get("boundObjectRef").is_none() {
            spec["boundObjectRef"] = Value::Null;
        }
        let asked = spec["expirationSeconds"].as_i64().unwrap_or(DEFAULT_SECONDS);
        check_seconds(asked)?;
        let attempt = Attempt::of(call, Operation::Create, call.name.to_owned(), None);
        let admission = call.server.admission();
        admission.mutate_asked(&attempt, &mut request, &mut call.notes()).await?;
        admission.validate(&attempt, Some(&request), &mut call.notes()).await?;
        let spec = &request["spec"];
        let mut bound = bound_object(call, &spec["boundObjectRef"].clone())?;
        let audiences: Vec<String> = serde_json::from_value(spec["audiences"].clone()).unwrap_or_default();
        let mut seconds = asked;
        let now = call.server.env().now().as_second();
        let own = audiences.iter().all(|audience| call.server.tokens().audiences().contains(audience));
        if asked == EXTENDED_REQUEST && bound.pod.is_some() && own {
            bound.warnafter = Some(now + asked);
            seconds = EXTENDED_SECONDS;
        }
        let reference = Reference { name: call.name.to_owned(), uid: account.uid().to_owned() };
        let token = call
            .server
            .tokens()
            .issue((call.namespace, reference), bound, audiences, seconds)
            .map_err(Status::internal)?;
        let expires = jiff::Timestamp::from_second(now + asked).unwrap_or(jiff::Timestamp::MAX);
        let metadata = json!({"name": call.name, "namespace": call.namespace, "uid": account.uid(),
            "creationTimestamp": call.now});
        request["metadata"] = metadata;
        request["status"] = json!({"token": token,
            "expirationTimestamp": expires.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()});
        Ok(Response::Value { code: 201, value: request })
    }
}

fn check_seconds(seconds: i64) -> Result<(), Status> {
    let mut errors = FieldErrors::new();
    let path = Path::new("spec.expirationSeconds");
    if seconds < MIN_SECONDS {
        errors.invalid(&path, &seconds.into(), "may not specify a duration less than 10 minutes");
    }
    if seconds > MAX_SECONDS {
        errors.invalid(&path, &seconds.into(), "may not specify a duration larger than 2^32 seconds");
    }
    if errors.is_empty() {
        return Ok(());
    }
    Err(Status::invalid("authentication.k8s.io", "TokenRequest", "", &errors.0))
}

/// What the token is bound to, which has to be there.
fn bound_object(call: &Call<'_>, reference: &Value) -> Result<Bound, Status> {
    let mut bound = Bound::default();
    if reference.is_null() {
        return Ok(bound);
    }
    let text = |key: &str| reference[key].as_str().unwrap_or_default();
    let (kind, name, asked_uid) = (text("kind"), text("name"), text("uid"));
    let (prefix, plural, namespace) = match (text("apiVersion"), kind) {
        ("v1", "Pod") => ("pods", "pods", call.namespace),
        ("v1", "Secret") => ("secrets", "secrets", call.namespace),
        ("v1", "Node") => ("minions", "nodes", ""),
        (version, kind) => {
            let (group, version) = version.split_once('/').unwrap_or(("", version));
            return Err(Status::bad_request(format!(
                "cannot bind token to object of type {group}/{version}, Kind={kind}"
            )));
        }
    };
    let object =
        call.server.db().get(prefix, namespace, name).ok_or_else(|| Status::not_found("", plural, name))?;
    if kind == "Pod" && object.value()["spec"]["serviceAccountName"] != call.name {
        return Err(Status::bad_request(format!(
            "cannot bind token for serviceaccount {:?} to pod running with different serviceaccount name.",
            call.name
        )));
    }
    if !asked_uid.is_empty() && asked_uid != object.uid() {
        let why = format!(
            "the UID in the bound object reference ({asked_uid}) does not match the UID in record. The object might have been deleted and then recreated"
        );
        return Err(Status::conflict("", kind, name, &why));
    }
    let made = Reference { name: name.to_owned(), uid: object.uid().to_owned() };
    match kind {
        "Pod" => {
            let node = object.value()["spec"]["nodeName"].as_str().unwrap_or_default().to_owned();
            if !node.is_empty() {
                let uid = call.server.db().get("minions", "", &node).map(|node| node.uid().to_owned());
                bound.node = Some(Reference { name: node, uid: uid.unwrap_or_default() });
            }
            bound.pod = Some(made);
        }
        "Secret" => bound.secret = Some(made),
        _ => bound.node = Some(made),
    }
    Ok(bound)
}
