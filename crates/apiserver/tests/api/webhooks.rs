//! Webhooks: small HTTPS servers that have a say in what is written.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use base64::Engine;
use bytes::Bytes;
use cox_api::{Body, PatchKind, Request, Status, Transport, Verb};
use cox_apiserver::pki::Pki;
use cox_apiserver::proxy::{ByteStream, Dialer};
use cox_apiserver::{AuditConfig, LogFile, Policy, User};
use cox_env::Env;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::support::{World, pod, resource};
use crate::web::Web;

type Answer = dyn Fn(&Value) -> Value + Send + Sync;

/// A webhook, what it was asked, and the authority of its certificate.
struct Hook {
    address: SocketAddr,
    bundle: String,
    asked: Arc<Mutex<Vec<Value>>>,
}

impl Hook {
    /// `answer` makes a response out of a request; its uid is filled in.
    async fn new(answer: impl Fn(&Value) -> Value + Send + Sync + 'static) -> Hook {
        let env = Env::real();
        let pki = Pki::in_memory(&env).unwrap();
        let identity = pki.server("webhook", &["127.0.0.1".into(), "hook.n.svc".into()]).unwrap();
        let acceptor = TlsAcceptor::from(pki.server_config(&identity).unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (known, answer): (_, Arc<Answer>) = (asked.clone(), Arc::new(answer));
        env.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let Ok(stream) = acceptor.accept(stream).await else { continue };
                let (known, answer) = (known.clone(), answer.clone());
                tokio::spawn(async move {
                    let service =
                        hyper::service::service_fn(move |request: http::Request<hyper::body::Incoming>| {
                            let (known, answer) = (known.clone(), answer.clone());
                            async move { Ok::<_, hyper::Error>(respond(request, &known, &*answer).await) }
                        });
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        let bundle = base64::prelude::BASE64_STANDARD.encode(pki.ca_pem());
        Hook { address, bundle, asked }
    }

    fn url(&self) -> Value {
        json!({"url": format!("https://{}/check", self.address), "caBundle": self.bundle})
    }

    fn asked(&self) -> Vec<Value> {
        std::mem::take(&mut *self.asked.lock())
    }
}

async fn respond(
    request: http::Request<hyper::body::Incoming>,
    asked: &Mutex<Vec<Value>>,
    answer: &Answer,
) -> http::Response<Full<Bytes>> {
    assert_eq!(request.method(), "POST");
    assert_eq!(request.headers()["content-type"], "application/json");
    let uri = request.uri().to_string();
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let mut review: Value = serde_json::from_slice(&body).unwrap();
    let mut response = answer(&review["request"]);
    if let Some(millis) = response["sleep"].as_u64() {
        tokio::time::sleep(Duration::from_millis(millis)).await;
    }
    if let Some(code) = response["http"].as_u64() {
        let code = u16::try_from(code).unwrap();
        return http::Response::builder().status(code).body(Full::new(Bytes::from("broken"))).unwrap();
    }
    response["uid"] = review["request"]["uid"].clone();
    if response["patch"].is_array() {
        let patch = response["patch"].to_string();
        response["patch"] = base64::prelude::BASE64_STANDARD.encode(patch).into();
        response["patchType"] = "JSONPatch".into();
    }
    review["request"]["uri"] = uri.into();
    asked.lock().push(review["request"].take());
    let answer = json!({"apiVersion": review["apiVersion"], "kind": "AdmissionReview", "response": response});
    http::Response::new(Full::new(Bytes::from(answer.to_string())))
}

const VALIDATING: &str = "admissionregistration.k8s.io/validatingwebhookconfigurations";
const MUTATING: &str = "admissionregistration.k8s.io/mutatingwebhookconfigurations";

/// A webhook for all that is done to configmaps, with changes.
fn hook(name: &str, client: Value, changes: Value) -> Value {
    let mut hook = json!({
        "name": format!("{name}.example.com"), "clientConfig": client, "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
        "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"], "operations": ["*"]}],
    });
    for (key, value) in changes.as_object().unwrap() {
        hook[key] = value.clone();
    }
    hook
}

async fn configure(world: &World, what: &str, name: &str, hooks: Vec<Value>) {
    world.create(what, "", json!({"metadata": {"name": name}, "webhooks": hooks})).await.unwrap();
}

fn map(name: &str) -> Value {
    json!({"metadata": {"name": name}, "data": {"a": "1"}})
}

fn message<T: std::fmt::Debug>(outcome: Result<T, Status>) -> String {
    outcome.unwrap_err().message().to_owned()
}

#[tokio::test]
async fn one_that_refuses() {
    let world = World::new().await;
    let deny = Hook::new(|request| match request["object"]["metadata"]["name"].as_str() {
        Some("bad") => {
            json!({"allowed": false, "status": {"code": 403, "reason": "Forbidden", "message": "bad name"}})
        }
        Some("silent") => json!({"allowed": false}),
        _ => json!({"allowed": true, "warnings": ["mind"]}),
    })
    .await;
    configure(&world, VALIDATING, "deny", vec![hook("deny", deny.url(), json!({}))]).await;
    let refused = world.create("configmaps", "n", map("bad")).await.unwrap_err();
    assert_eq!(refused.code(), 403);
    assert_eq!(refused.message(), "admission webhook \"deny.example.com\" denied the request: bad name");
    let refused = world.create("configmaps", "n", map("silent")).await.unwrap_err();
    assert_eq!(refused.code(), 400);
    assert_eq!(
        refused.message(),
        "admission webhook \"deny.example.com\" denied the request without explanation"
    );
    assert!(world.get("configmaps", "n", "bad").await.unwrap_err().is_not_found());
    deny.asked();
    world.create("configmaps", "n", map("good")).await.unwrap();
    let asked = deny.asked();
    let request = &asked[0];
    assert_eq!(request["uri"], "/check?timeout=10s");
    for (key, value) in [
        ("operation", json!("CREATE")),
        ("name", json!("good")),
        ("namespace", json!("n")),
        ("kind", json!({"group": "", "version": "v1", "kind": "ConfigMap"})),
        ("requestResource", json!({"group": "", "version": "v1", "resource": "configmaps"})),
        ("dryRun", json!(false)),
        ("oldObject", Value::Null),
    ] {
        assert_eq!(request[key], value, "{key}");
    }
    assert_eq!(request["userInfo"]["username"], "admin");
    assert_eq!(request["options"]["kind"], "CreateOptions");
    assert_eq!(request["object"]["apiVersion"], "v1");
    assert_eq!(request["object"]["data"], json!({"a": "1"}));
    // Updates bring both objects, deletions the old one.
    world.merge("configmaps", "n", "good", json!({"data": {"a": "2"}})).await.unwrap();
    world.delete("configmaps", "n", "good", json!({})).await.unwrap();
    let asked = deny.asked();
    assert_eq!(asked[0]["operation"], "UPDATE");
    assert_eq!(
        (&asked[0]["oldObject"]["data"]["a"], &asked[0]["object"]["data"]["a"]),
        (&json!("1"), &json!("2"))
    );
    assert_eq!((&asked[1]["operation"], &asked[1]["object"]), (&json!("DELETE"), &Value::Null));
    assert_eq!(asked[1]["oldObject"]["data"]["a"], "2");
    // Nobody else is concerned.
    world.create("secrets", "n", json!({"metadata": {"name": "bad"}})).await.unwrap();
    assert!(deny.asked().is_empty());
}

#[tokio::test]
async fn ones_that_change_things_see_each_others_changes() {
    let world = World::new().await;
    let first = Hook::new(|request| {
        let old = request["object"]["data"]["n"].as_str().unwrap_or("0").parse::<u32>().unwrap();
        json!({"allowed": true, "patch": [{"op": "add", "path": "/data/n", "value": (old + 1).to_string()}]})
    })
    .await;
    let second = Hook::new(|request| {
        let seen = request["object"]["data"]["n"].clone();
        json!({"allowed": true, "patch": [{"op": "add", "path": "/data/seen", "value": seen}]})
    })
    .await;
    configure(
        &world,
        MUTATING,
        "a",
        vec![hook("first", first.url(), json!({"reinvocationPolicy": "IfNeeded"}))],
    )
    .await;
    configure(&world, MUTATING, "b", vec![hook("second", second.url(), json!({}))]).await;
    let made = world.create("configmaps", "n", map("m")).await.unwrap();
    // The first was asked again after the second had changed the object, the second wasn't.
    assert_eq!(made["data"], json!({"a": "1", "n": "2", "seen": "1"}));
    assert_eq!((first.asked().len(), second.asked().len()), (2, 1));
    let stored = world.get("configmaps", "n", "m").await.unwrap();
    assert_eq!(stored["data"]["n"], "2");
}

#[tokio::test]
async fn what_they_make_is_filled_in_and_checked() {
    let world = World::new().await;
    let inject = Hook::new(|request| {
        let name = if request["name"] == "broken" { "Bad_Name" } else { "side" };
        let container = json!({"name": name, "image": "img"});
        json!({"allowed": true, "patch": [{"op": "add", "path": "/spec/containers/-", "value": container}]})
    })
    .await;
    let rules = json!({"rules": [{"apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"], "operations": ["CREATE"]}]});
    configure(&world, MUTATING, "inject", vec![hook("inject", inject.url(), rules)]).await;
    let made = world.create("pods", "n", pod("p")).await.unwrap();
    let side = &made["spec"]["containers"][1];
    assert_eq!(side["terminationMessagePath"], "/dev/termination-log");
    // What is built in has looked at the new container as well: it mounts the token.
    assert!(side["volumeMounts"][0]["name"].as_str().unwrap().starts_with("kube-api-access-"));
    let refused = message(world.create("pods", "n", pod("broken")).await);
    assert!(refused.contains("spec.containers[1].name: Invalid value: \"Bad_Name\""), "{refused}");
}

#[tokio::test]
async fn ones_that_cannot_be_asked() {
    let world = World::new().await;
    let slow = Hook::new(|request| match request["name"].as_str() {
        Some("broken") => json!({"http": 500}),
        _ => json!({"sleep": 30_000}),
    })
    .await;
    let brief = |policy: &str| json!({"timeoutSeconds": 1, "failurePolicy": policy});
    configure(&world, VALIDATING, "h", vec![hook("slow", slow.url(), brief("Fail"))]).await;
    let began = Instant::now();
    let refused = world.create("configmaps", "n", map("late")).await.unwrap_err();
    assert!(began.elapsed() < Duration::from_secs(10));
    assert_eq!(refused.code(), 500);
    let url = format!("https://{}/check?timeout=1s", slow.address);
    assert_eq!(
        refused.message(),
        format!(
            "Internal error occurred: failed calling webhook \"slow.example.com\": failed to call webhook: Post \"{url}\": context deadline exceeded"
        )
    );
    assert_eq!(
        message(world.create("configmaps", "n", map("broken")).await),
        "Internal error occurred: failed calling webhook \"slow.example.com\": failed to call webhook: an error on the server (\"broken\") has prevented the request from succeeding"
    );
    // Nothing is held meanwhile: others write, and the configuration itself can be taken away.
    let other = tokio::join!(world.create("configmaps", "n", map("late")), async {
        let began = Instant::now();
        world.create("secrets", "n", json!({"metadata": {"name": "quick"}})).await.unwrap();
        began.elapsed()
    });
    assert!(other.1 < Duration::from_millis(900), "{:?}", other.1);
    world.delete(VALIDATING, "", "h", json!({})).await.unwrap();
    configure(&world, VALIDATING, "h", vec![hook("slow", slow.url(), brief("Ignore"))]).await;
    world.create("configmaps", "n", map("late")).await.unwrap();
    // A certificate of an authority that the bundle doesn't have.
    world.delete(VALIDATING, "", "h", json!({})).await.unwrap();
    let other = Hook::new(|_| json!({"allowed": true})).await;
    let mut client = other.url();
    client["caBundle"] = slow.bundle.as_str().into();
    configure(&world, VALIDATING, "h", vec![hook("strange", client, json!({}))]).await;
    let refused = message(world.create("configmaps", "n", map("x")).await);
    assert!(
        refused.ends_with("tls: failed to verify certificate: x509: certificate signed by unknown authority"),
        "{refused}"
    );
}

#[tokio::test]
async fn selectors_and_conditions() {
    let world = World::new().await;
    let deny = Hook::new(|_| json!({"allowed": false})).await;
    let condition = |text: &str| json!([{"name": "c", "expression": text}]);
    configure(&world, VALIDATING, "h", vec![
        hook("a", deny.url(), json!({"namespaceSelector": {"matchLabels": {"watched": "yes"}}})),
        hook("b", deny.url(), json!({"objectSelector": {"matchLabels": {"watched": "yes"}}})),
        hook("c", deny.url(), json!({"matchConditions": condition(
            "request.operation == 'CREATE' && object.metadata.name.startsWith('c-') && !authorizer.group('').resource('configmaps').namespace('n').check('delete').allowed()")})),
        hook("d", deny.url(), json!({"matchConditions": condition("object.metadata.name == 'd' && object.none.x")})),
        hook("e", deny.url(), json!({"failurePolicy": "Ignore", "matchConditions": condition("object.metadata.name == 'e' && object.none.x")})),
    ]).await;
    world.create("configmaps", "n", map("free")).await.unwrap();
    world
        .create("namespaces", "", json!({"metadata": {"name": "w", "labels": {"watched": "yes"}}}))
        .await
        .unwrap();
    let denied =
        |who: &str| format!("admission webhook \"{who}.example.com\" denied the request without explanation");
    assert_eq!(message(world.create("configmaps", "w", map("x")).await), denied("a"));
    let labelled = json!({"metadata": {"name": "l", "labels": {"watched": "yes"}}});
    assert_eq!(message(world.create("configmaps", "n", labelled).await), denied("b"));
    // The administrator may delete, so the condition doesn't hold; somebody else may not.
    world.create("configmaps", "n", map("c-1")).await.unwrap();
    let role = json!({"metadata": {"name": "maker"}, "rules": [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["create"]}]});
    world.create("rbac.authorization.k8s.io/roles", "n", role).await.unwrap();
    let binding = json!({"metadata": {"name": "maker"}, "subjects": [{"kind": "User", "name": "jo", "apiGroup": "rbac.authorization.k8s.io"}],
        "roleRef": {"kind": "Role", "name": "maker", "apiGroup": "rbac.authorization.k8s.io"}});
    world.create("rbac.authorization.k8s.io/rolebindings", "n", binding).await.unwrap();
    let create = |name: &str| {
        Request::new(Verb::Create, resource("configmaps")).namespace("n").body(Body::Json(map(name)))
    };
    let jo = world.as_user(User::new("jo", &[]));
    assert_eq!(message(jo.call(create("c-2")).await), denied("c"));
    jo.call(create("other")).await.unwrap();
    let refused = world.create("configmaps", "n", map("d")).await.unwrap_err();
    assert_eq!(refused.code(), 403);
    assert_eq!(
        refused.message(),
        "configmaps \"d\" is forbidden: expression 'object.metadata.name == 'd' && object.none.x' resulted in error: no such key: none"
    );
    world.create("configmaps", "n", map("e")).await.unwrap();
}

#[tokio::test]
async fn a_dry_run_is_said_to_be_one() {
    let world = World::new().await;
    let look = Hook::new(|request| json!({"allowed": request["dryRun"] == true})).await;
    configure(
        &world,
        VALIDATING,
        "h",
        vec![hook("look", look.url(), json!({"sideEffects": "NoneOnDryRun"}))],
    )
    .await;
    let mut request =
        Request::new(Verb::Create, resource("configmaps")).namespace("n").body(Body::Json(map("m")));
    request.options.dry_run = true;
    world.call(request).await.unwrap();
    let asked = look.asked();
    assert_eq!(asked[0]["options"]["dryRun"], json!(["All"]));
    world.create("configmaps", "n", map("m")).await.unwrap_err();
}

#[tokio::test]
async fn other_forms_of_the_same_objects_count() {
    let world = World::new().await;
    let look = Hook::new(|_| json!({"allowed": true})).await;
    let rule = |policy: &str| {
        json!({"matchPolicy": policy, "rules": [{"apiGroups": ["autoscaling"], "apiVersions": ["v1"],
        "resources": ["horizontalpodautoscalers"], "operations": ["*"]}]})
    };
    configure(&world, VALIDATING, "h", vec![hook("look", look.url(), rule("Equivalent"))]).await;
    configure(
        &world,
        VALIDATING,
        "i",
        vec![hook("exact", json!({"url": "https://127.0.0.1:1/"}), rule("Exact"))],
    )
    .await;
    let autoscaler = json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "h"},
        "spec": {"maxReplicas": 3, "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"},
        "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 40}}}]}});
    let resource = cox_api::Resource::new("autoscaling", "v2", "horizontalpodautoscalers");
    world
        .call(Request::new(Verb::Create, resource).namespace("n").body(Body::Json(autoscaler)))
        .await
        .unwrap();
    let asked = look.asked();
    assert_eq!(
        asked[0]["kind"],
        json!({"group": "autoscaling", "version": "v1", "kind": "HorizontalPodAutoscaler"})
    );
    assert_eq!(asked[0]["requestKind"]["version"], "v2");
    assert_eq!(asked[0]["object"]["apiVersion"], "autoscaling/v1");
    assert_eq!(asked[0]["object"]["spec"]["targetCPUUtilizationPercentage"], 40);
}

/// Brings whoever asks for the pod to a port of this machine.
struct ToHook(SocketAddr);

#[async_trait]
impl Dialer for ToHook {
    async fn dial(&self, address: SocketAddr) -> std::io::Result<Box<dyn ByteStream>> {
        assert_eq!(address.to_string(), "10.42.0.9:8443");
        Ok(Box::new(TcpStream::connect(self.0).await?))
    }
}

#[tokio::test]
async fn one_that_is_a_service() {
    let deny = Hook::new(|_| json!({"allowed": false, "status": {"message": "no"}})).await;
    let address = deny.address;
    let world = World::with(|config| config.dialer = Arc::new(ToHook(address))).await;
    let client =
        json!({"service": {"name": "hook", "namespace": "n", "path": "/v"}, "caBundle": deny.bundle});
    configure(&world, VALIDATING, "h", vec![hook("svc", client, json!({}))]).await;
    let failed = |why: &str| {
        format!(
            "Internal error occurred: failed calling webhook \"svc.example.com\": failed to call webhook: Post \"https://hook.n.svc:443/v?timeout=10s\": {why}"
        )
    };
    assert_eq!(
        message(world.create("configmaps", "n", map("x")).await),
        failed("services \"hook\" not found")
    );
    let service = json!({"metadata": {"name": "hook"}, "spec": {"ports": [{"port": 443, "targetPort": 8443}], "selector": {"app": "h"}}});
    world.create("services", "n", service).await.unwrap();
    let endpoints = json!({"metadata": {"name": "hook"}, "subsets": [{"addresses": [{"ip": "10.42.0.9"}], "ports": [{"port": 8443}]}]});
    world.create("endpoints", "n", endpoints).await.unwrap();
    assert_eq!(
        message(world.create("configmaps", "n", map("x")).await),
        "admission webhook \"svc.example.com\" denied the request: no"
    );
    assert_eq!(deny.asked()[0]["uri"], "/v?timeout=10s");
}

#[tokio::test]
async fn connections_and_the_webhooks_own_configuration() {
    let deny = Hook::new(|_| json!({"allowed": false, "status": {"message": "no"}})).await;
    let web = Web::new().await;
    let everything = json!({"rules": [{"apiGroups": ["*"], "apiVersions": ["*"], "resources": ["pods/exec", "validatingwebhookconfigurations"], "operations": ["*"]}]});
    configure(&web.world, VALIDATING, "h", vec![hook("all", deny.url(), everything)]).await;
    web.world.create("pods", "n", pod("p")).await.unwrap();
    let (code, _, body) =
        web.call("POST", "/api/v1/namespaces/n/pods/p/exec?command=sh&stdin=true", &[], String::new()).await;
    assert_eq!(code, 400, "{body}");
    assert!(
        body.to_string().contains("admission webhook \\\"all.example.com\\\" denied the request: no"),
        "{body}"
    );
    let asked = deny.asked();
    assert_eq!(asked[0]["operation"], "CONNECT");
    assert_eq!(asked[0]["kind"], json!({"group": "", "version": "v1", "kind": "PodExecOptions"}));
    assert_eq!(asked[0]["subResource"], "exec");
    assert_eq!(asked[0]["object"]["command"], json!(["sh"]));
    // Who decides is beyond its own decisions.
    web.world.delete(VALIDATING, "", "h", json!({})).await.unwrap();
    assert!(deny.asked().is_empty());
}

#[tokio::test]
async fn patches_are_made_again_on_what_others_wrote() {
    let world = Arc::new(World::new().await);
    world.create("configmaps", "n", map("m")).await.unwrap();
    let writer = world.clone();
    // While the webhook thinks, somebody else writes.
    let look = Hook::new(move |request| {
        let first = request["object"]["data"]["b"].is_null();
        json!({"allowed": true, "sleep": if first { 300 } else { 0 }})
    })
    .await;
    let rules = json!({"matchConditions": [{"name": "c", "expression": "has(object.data.slow)"}]});
    configure(&world, VALIDATING, "h", vec![hook("look", look.url(), rules)]).await;
    let patch = Request::new(Verb::Patch, resource("configmaps")).namespace("n").name("m");
    let patch = patch.body(Body::Patch(PatchKind::Merge, json!({"data": {"slow": "1"}})));
    let (patched, _) = tokio::join!(world.call(patch), async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        writer.merge("configmaps", "n", "m", json!({"data": {"b": "2"}})).await.unwrap();
    });
    patched.unwrap();
    let map = world.get("configmaps", "n", "m").await.unwrap();
    assert_eq!(map["data"], json!({"a": "1", "b": "2", "slow": "1"}));
    assert_eq!(look.asked().len(), 2);
}

#[tokio::test]
async fn subresources_are_shown_as_clients_see_them() {
    let world = World::new().await;
    let look = Hook::new(|request| match request["object"]["spec"]["replicas"].as_i64() {
        Some(replicas @ 6..) => {
            json!({"allowed": false, "status": {"message": format!("{replicas} are too many")}})
        }
        _ => json!({"allowed": true}),
    })
    .await;
    let halve = Hook::new(|request| {
        json!({"allowed": true, "patch": [{"op": "replace", "path": "/spec/replicas", "value": request["object"]["spec"]["replicas"].as_i64().unwrap() / 2}]})
    })
    .await;
    let rules = |resource: &str, operation: &str| json!({"rules": [{"apiGroups": ["*"], "apiVersions": ["*"], "resources": [resource], "operations": [operation]}]});
    configure(
        &world,
        VALIDATING,
        "h",
        vec![
            hook("scale", look.url(), rules("deployments/scale", "UPDATE")),
            hook("bind", look.url(), rules("pods/binding", "*")),
            hook("evict", look.url(), rules("pods/eviction", "*")),
        ],
    )
    .await;
    configure(&world, MUTATING, "h", vec![hook("halve", halve.url(), rules("deployments/scale", "UPDATE"))])
        .await;
    let deployment = json!({"metadata": {"name": "d"}, "spec": {"selector": {"matchLabels": {"a": "b"}}, "template": {
        "metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "img"}]}}}});
    world.create("apps/deployments", "n", deployment).await.unwrap();
    let scaled = |replicas: i32| {
        world.merge("apps/deployments:scale", "n", "d", json!({"spec": {"replicas": replicas}}))
    };
    assert_eq!(scaled(8).await.unwrap()["spec"]["replicas"], 4);
    assert_eq!(
        message(scaled(20).await),
        "admission webhook \"scale.example.com\" denied the request: 10 are too many"
    );
    let asked = look.asked();
    assert_eq!(asked[0]["kind"], json!({"group": "autoscaling", "version": "v1", "kind": "Scale"}));
    assert_eq!(asked[0]["resource"]["resource"], "deployments");
    assert_eq!(
        (&asked[0]["oldObject"]["spec"]["replicas"], &asked[0]["object"]["spec"]["replicas"]),
        (&json!(1), &json!(4))
    );
    assert_eq!(world.get("apps/deployments", "n", "d").await.unwrap()["spec"]["replicas"], 4);
    world.create("pods", "n", pod("p")).await.unwrap();
    let on_pod = |sub: &str, object: Value| {
        let request = Request::new(Verb::Create, resource("pods")).namespace("n").name("p").subresource(sub);
        world.call(request.body(Body::Json(object)))
    };
    let binding = json!({"apiVersion": "v1", "kind": "Binding", "metadata": {"name": "p"}, "target": {"kind": "Node", "name": "x"}});
    on_pod("binding", binding).await.unwrap();
    let eviction = json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "p"}});
    on_pod("eviction", eviction).await.unwrap();
    let asked = look.asked();
    let shown: Vec<(&str, &str)> = asked
        .iter()
        .map(|r| (r["operation"].as_str().unwrap(), r["object"]["kind"].as_str().unwrap()))
        .collect();
    assert_eq!(shown, [("CREATE", "Binding"), ("CREATE", "Eviction")]);
}

#[tokio::test]
async fn a_server_starts_whatever_webhooks_say() {
    let world = World::new().await;
    let role = "rbac.authorization.k8s.io/clusterroles";
    world.delete(role, "", "edit", json!({})).await.unwrap();
    // Nobody answers there, and it has a say in everything.
    let all = json!({"rules": [{"apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*/*"], "operations": ["*"]}]});
    configure(&world, VALIDATING, "h", vec![hook("all", json!({"url": "https://127.0.0.1:1/"}), all)]).await;
    let refused = message(world.create("configmaps", "n", map("x")).await);
    assert!(refused.ends_with("dial tcp 127.0.0.1:1: connect: connection refused"), "{refused}");
    let world = world.restarted().await;
    world.get(role, "", "edit").await.unwrap();
    assert!(message(world.create("configmaps", "n", map("x")).await).contains("failed calling webhook"));
    world.delete(VALIDATING, "", "h", json!({})).await.unwrap();
    world.create("configmaps", "n", map("x")).await.unwrap();
}

#[tokio::test]
async fn what_webhooks_did_stands_in_the_audit_log() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit.log");
    let file = LogFile { path: path.clone(), bytes_max: 1 << 30, backups_max: 0, age_max: Duration::ZERO };
    let policy =
        Policy::parse("apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: [{level: Metadata}]\n").unwrap();
    let web = Web::with(|config| config.audit = Some(AuditConfig { policy, file })).await;
    let set = Hook::new(|_| {
        json!({"allowed": true, "auditAnnotations": {"why": "because"}, "patch": [{"op": "add", "path": "/data/set", "value": "1"}]})
    })
    .await;
    configure(
        &web.world,
        MUTATING,
        "h",
        vec![
            hook("set", set.url(), json!({})),
            hook("gone", json!({"url": "https://127.0.0.1:1/"}), json!({"failurePolicy": "Ignore"})),
        ],
    )
    .await;
    let (code, _, body) = web
        .call("POST", "/api/v1/namespaces/n/configmaps", &[("audit-id", "mine")], map("m").to_string())
        .await;
    assert_eq!((code, &body["data"]["set"]), (201, &json!("1")));
    let event = loop {
        let text = std::fs::read_to_string(&path).unwrap();
        let mut events = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        if let Some(event) = events.find(|e| e["auditID"] == "mine" && e["stage"] == "ResponseComplete") {
            break event;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    let told = &event["annotations"];
    assert_eq!(told["set.example.com/why"], "because");
    let about: Value =
        serde_json::from_str(told["mutation.webhook.admission.k8s.io/round_0_index_0"].as_str().unwrap())
            .unwrap();
    assert_eq!(about, json!({"configuration": "h", "webhook": "set.example.com", "mutated": true}));
    assert_eq!(told["failed-open.mutation.webhook.admission.k8s.io/round_0_index_1"], "gone.example.com");
}
