//! Priority and fairness: one user's flood is that user's own trouble.

use std::time::Duration;

use bytes::Bytes;
use cox_apiserver::User;
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::support::World;
use crate::web::Web;

const LEVELS: &str = "flowcontrol.apiserver.k8s.io/prioritylevelconfigurations";
const SCHEMAS: &str = "flowcontrol.apiserver.k8s.io/flowschemas";
const MAPS: &str = "/api/v1/namespaces/n/configmaps";
/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// An answer: code, headers, body.
async fn ask(web: &Web, token: &str, path: &str) -> (u16, http::HeaderMap, String) {
    let request = http::Request::builder()
        .uri(path)
        .header("host", "localhost")
        .header("authorization", format!("Bearer {token}"));
    let answer = web.send(request.body(Full::new(Bytes::new())).unwrap()).await;
    let (head, body) = answer.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    (head.status.as_u16(), head.headers, String::from_utf8_lossy(&body).into_owned())
}

/// A level of two seats for two users who may do everything, each with queues of their own.
async fn tight() -> Web {
    let web = Web::with(|config| {
        // With two shares more than the built-in levels have, each share is a seat.
        (config.limits.reads_max, config.limits.writes_max) = (200, 47);
        for user in ["flood", "quiet"] {
            config.static_tokens.push((format!("{user}-token"), User::new(user, &[])));
        }
    })
    .await;
    let subjects = ["flood", "quiet"]
        .map(|name| json!({"kind": "User", "name": name, "apiGroup": "rbac.authorization.k8s.io"}));
    let binding = json!({"metadata": {"name": "both"}, "subjects": subjects,
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"}});
    web.world.create("rbac.authorization.k8s.io/clusterrolebindings", "", binding).await.unwrap();
    let level = json!({"metadata": {"name": "tight"}, "spec": {"type": "Limited", "limited":
        {"nominalConcurrencyShares": 2, "borrowingLimitPercent": 0, "limitResponse":
            {"type": "Queue", "queuing": {"queues": 512, "handSize": 2, "queueLengthLimit": 3}}}}});
    let level = web.world.create(LEVELS, "", level).await.unwrap();
    let subjects = ["flood", "quiet"].map(|name| json!({"kind": "User", "user": {"name": name}}));
    let schema = json!({"metadata": {"name": "both"}, "spec": {"matchingPrecedence": 5,
        "priorityLevelConfiguration": {"name": "tight"}, "distinguisherMethod": {"type": "ByUser"},
        "rules": [{"subjects": subjects,
            "resourceRules": [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "namespaces": ["*"]}]}]}});
    let schema = web.world.create(SCHEMAS, "", schema).await.unwrap();
    // It is taken in by and by; the answers say when.
    let taken = async {
        loop {
            let (code, headers, _) = ask(&web, "quiet-token", MAPS).await;
            assert_eq!(code, 200);
            if headers["x-kubernetes-pf-prioritylevel-uid"] == level["metadata"]["uid"].as_str().unwrap() {
                assert_eq!(
                    headers["x-kubernetes-pf-flowschema-uid"],
                    schema["metadata"]["uid"].as_str().unwrap()
                );
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, taken).await.expect("the level is used");
    web
}

/// A request of the flood whose body doesn't end.
struct Slow(TlsStream<TcpStream>);

const BODY: &str = r#"{"metadata":{"generateName":"a"}}"#;

impl Slow {
    async fn start(web: &Web) -> Slow {
        let mut stream = web.connect().await;
        let head = format!(
            "POST {MAPS} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer flood-token\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{}",
            BODY.len(),
            &BODY[..10]
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        Slow(stream)
    }

    /// Sends the rest, and waits for the answer.
    async fn end(mut self) {
        self.0.write_all(&BODY.as_bytes()[10..]).await.unwrap();
        let mut start = [0; 12];
        self.0.read_exact(&mut start).await.unwrap();
        assert_eq!(&start, b"HTTP/1.1 201");
    }
}

async fn sample(web: &Web, name: &str, more: &str) -> u64 {
    let (code, _, text) = ask(web, crate::web::TOKEN, "/metrics").await;
    assert_eq!(code, 200, "the masters are let in");
    let start =
        format!("apiserver_flowcontrol_{name}{{flow_schema=\"both\",priority_level=\"tight\"{more}}} ");
    let number = text.lines().find_map(|line| line.strip_prefix(&start));
    number.map_or(0, |number| number.parse().unwrap())
}

async fn until(web: &Web, executing: u64, waiting: u64) {
    let reached = async {
        loop {
            let now = (
                sample(web, "current_executing_requests", "").await,
                sample(web, "current_inqueue_requests", "").await,
            );
            if now == (executing, waiting) {
                return;
            }
        }
    };
    let reached = tokio::time::timeout(PATIENCE, reached).await;
    assert!(reached.is_ok(), "{executing} are being answered, {waiting} wait");
}

#[tokio::test]
async fn a_flood_is_refused_and_nobody_else_is() {
    let web = tight().await;
    let mut flood = Vec::new();
    for number in 1..=8 {
        flood.push(Slow::start(&web).await);
        until(&web, number.min(2), number.saturating_sub(2)).await;
    }
    // Both seats are taken, three wait in each of the flood's two queues.
    let (code, headers, text) = ask(&web, "flood-token", MAPS).await;
    assert_eq!((code, text.as_str()), (429, "Too many requests, please try again later.\n"));
    assert_eq!(headers["retry-after"], "1");
    assert_eq!(headers["content-type"], "text/plain; charset=utf-8");
    assert!(headers.contains_key("x-kubernetes-pf-flowschema-uid"));
    assert_eq!(sample(&web, "rejected_requests_total", ",reason=\"queue-full\"").await, 1);
    // Somebody else waits in a queue of their own, and the masters don't wait at all.
    let quiet = ask(&web, "quiet-token", MAPS);
    tokio::pin!(quiet);
    tokio::select! {
        biased;
        answer = &mut quiet => panic!("{answer:?} without a seat"),
        () = until(&web, 2, 7) => {}
    }
    assert_eq!(web.get(MAPS).await.0, 200);
    // Of the flood each queue had its turn; then it is the other's, though more of the flood have waited longer.
    flood.remove(0).end().await;
    until(&web, 2, 6).await;
    flood.remove(0).end().await;
    let (code, headers, _) = tokio::time::timeout(PATIENCE, quiet).await.expect("its turn came");
    assert_eq!((code, headers.get("retry-after")), (200, None));
    assert!(sample(&web, "current_inqueue_requests", "").await >= 4, "the flood waits on");
    for slow in flood {
        slow.end().await;
    }
    until(&web, 0, 0).await;
    let (_, _, text) = ask(&web, crate::web::TOKEN, "/metrics").await;
    let waits = "apiserver_flowcontrol_request_wait_duration_seconds_count{execute=\"false\",flow_schema=\"both\",priority_level=\"tight\"} 1";
    assert!(text.contains(waits), "{text}");
    for (name, number) in [("nominal", 2), ("lower", 2), ("upper", 2), ("current", 2)] {
        let line = format!("apiserver_flowcontrol_{name}_limit_seats{{priority_level=\"tight\"}} {number}\n");
        assert!(text.contains(&line), "{line}");
    }
}

#[tokio::test]
async fn who_goes_away_makes_room_and_watches_hold_no_seat() {
    let web = tight().await;
    let get = async |path: &str| {
        let mut stream = web.connect().await;
        let head =
            format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer flood-token\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        stream
    };
    let mut watches = Vec::new();
    for _ in 0..3 {
        let mut stream = get(&format!("{MAPS}?watch=1")).await;
        let mut start = [0; 12];
        tokio::time::timeout(PATIENCE, stream.read_exact(&mut start)).await.unwrap().unwrap();
        assert_eq!(&start, b"HTTP/1.1 200");
        watches.push(stream);
    }
    until(&web, 0, 0).await;
    let flood = [Slow::start(&web).await, Slow::start(&web).await];
    until(&web, 2, 0).await;
    let waiting = [get(MAPS).await, get(MAPS).await];
    until(&web, 2, 2).await;
    drop(waiting);
    until(&web, 2, 0).await;
    assert_eq!(sample(&web, "rejected_requests_total", ",reason=\"cancelled\"").await, 2);
    for slow in flood {
        slow.end().await;
    }
    until(&web, 0, 0).await;
}

#[tokio::test]
async fn waiting_takes_a_quarter_of_the_requests_time() {
    let web = tight().await;
    let _flood = [Slow::start(&web).await, Slow::start(&web).await];
    until(&web, 2, 0).await;
    let began = std::time::Instant::now();
    let (code, ..) = ask(&web, "quiet-token", &format!("{MAPS}?timeout=2s")).await;
    assert_eq!(code, 429);
    let waited = began.elapsed();
    assert!(waited >= Duration::from_millis(500) && waited < Duration::from_millis(1900), "{waited:?}");
    assert_eq!(sample(&web, "rejected_requests_total", ",reason=\"time-out\"").await, 1);
}

async fn dangling(world: &World, schema: &str, wanted: &str) -> Value {
    let told = async {
        loop {
            let object = world.get(SCHEMAS, "", schema).await.unwrap();
            if object["status"]["conditions"][0]["status"] == wanted {
                return object;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, told).await.expect("the condition")
}

#[tokio::test]
async fn a_schema_says_whether_its_level_is_there() {
    let world = World::new().await;
    dangling(&world, "catch-all", "False").await;
    let schema = json!({"metadata": {"name": "s"}, "spec": {"priorityLevelConfiguration": {"name": "l"}}});
    world.create(SCHEMAS, "", schema).await.unwrap();
    let object = dangling(&world, "s", "True").await;
    let condition = &object["status"]["conditions"][0];
    assert_eq!((&condition["type"], &condition["reason"]), (&json!("Dangling"), &json!("NotFound")));
    let entries = object["metadata"]["managedFields"].as_array().unwrap();
    let entry = entries.iter().find(|entry| entry["subresource"] == "status").unwrap();
    assert_eq!(entry["manager"], "api-priority-and-fairness-config-consumer-v1");
    assert_eq!(entry["operation"], "Apply");
    let spec = json!({"type": "Limited", "limited": {"limitResponse": {"type": "Reject"}}});
    world.create(LEVELS, "", json!({"metadata": {"name": "l"}, "spec": spec})).await.unwrap();
    let object = dangling(&world, "s", "False").await;
    assert_eq!(object["status"]["conditions"][0]["reason"], "Found");
    world.delete(LEVELS, "", "l", json!({})).await.unwrap();
    dangling(&world, "s", "True").await;
}

#[tokio::test]
async fn built_in_objects_are_kept_unless_the_user_says_no() {
    let world = World::new().await;
    let shares = |shares: i64, keep: &str| {
        json!({"metadata": {"annotations": {"apf.kubernetes.io/autoupdate-spec": keep}},
        "spec": {"limited": {"nominalConcurrencyShares": shares}}})
    };
    world.merge(LEVELS, "", "system", shares(77, "true")).await.unwrap();
    world.merge(LEVELS, "", "node-high", shares(77, "false")).await.unwrap();
    world.delete(LEVELS, "", "exempt", json!({})).await.unwrap();
    world.delete(SCHEMAS, "", "probes", json!({})).await.unwrap();
    let refused = world.merge(LEVELS, "", "catch-all", shares(77, "true")).await.unwrap_err();
    assert!(refused.message().ends_with("spec of 'catch-all' must equal the fixed value"), "{refused}");
    let world = world.restarted().await;
    let of = async |name: &str| {
        world.get(LEVELS, "", name).await.unwrap()["spec"]["limited"]["nominalConcurrencyShares"].clone()
    };
    assert_eq!((of("system").await, of("node-high").await), (json!(30), json!(77)));
    let exempt = world.get(LEVELS, "", "exempt").await.unwrap();
    assert_eq!(
        exempt["metadata"]["managedFields"][0]["manager"],
        "api-priority-and-fairness-config-producer-v1"
    );
    assert_eq!(world.get(SCHEMAS, "", "probes").await.unwrap()["spec"]["matchingPrecedence"], 2);
}
