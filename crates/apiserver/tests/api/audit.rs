//! The audit log.

use std::path::PathBuf;
use std::time::Duration;

use cox_apiserver::{AuditConfig, LogFile, Policy};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::web::Web;

const POLICY: &str = "apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
omitManagedFields: true
rules:
- {level: None, nonResourceURLs: [/metrics], users: [admin]}
- {level: Metadata, resources: [{group: '', resources: [secrets]}]}
- {level: RequestResponse, resources: [{group: '', resources: [configmaps]}]}
- {level: Request, resources: [{group: '', resources: [services]}], omitStages: [ResponseComplete]}
- {level: Metadata, nonResourceURLs: ['*'], verbs: [get]}
- {level: None, resources: [{group: ''}]}
- {level: Metadata}
";

struct Audited {
    web: Web,
    path: PathBuf,
    _dir: TempDir,
}

impl Audited {
    async fn new() -> Audited {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit.log");
        let file =
            LogFile { path: path.clone(), bytes_max: 1 << 30, backups_max: 0, age_max: Duration::ZERO };
        let config = AuditConfig { policy: Policy::parse(POLICY).unwrap(), file };
        let web = Web::with(|settings| settings.audit = Some(config)).await;
        Audited { web, path, _dir: dir }
    }

    /// The events, once `last` is among them: a stream's end is recorded when the server sees it.
    async fn events(&self, last: impl Fn(&Value) -> bool) -> Vec<Value> {
        let read = async {
            loop {
                let text = std::fs::read_to_string(&self.path).unwrap();
                let whole = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
                let events: Vec<Value> = whole.map(|line| serde_json::from_str(line).unwrap()).collect();
                if events.iter().any(&last) {
                    return events;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), read).await.expect("the last event is written")
    }
}

fn only(events: &[Value], fits: impl Fn(&Value) -> bool) -> &Value {
    let found: Vec<&Value> = events.iter().filter(|event| fits(event)).collect();
    assert_eq!(found.len(), 1, "{found:#?}");
    found[0]
}

#[tokio::test]
async fn a_request_is_recorded_as_much_as_its_rule_says() {
    let audited = Audited::new().await;
    let web = &audited.web;
    let secret = json!({"metadata": {"name": "s"}, "stringData": {"password": "hunter2"}}).to_string();
    let headers = [("audit-id", "mine"), ("user-agent", "me/1"), ("x-forwarded-for", "10.1.2.3, nonsense")];
    assert_eq!(
        web.call("POST", "/api/v1/namespaces/n/secrets?fieldManager=m", &headers, secret).await.0,
        201
    );
    let map = json!({"metadata": {"name": "a"}, "data": {"k": "v"}}).to_string();
    assert_eq!(
        web.call("POST", "/api/v1/namespaces/n/configmaps", &[("audit-id", "made")], map).await.0,
        201
    );
    let patch = [("content-type", "application/merge-patch+json"), ("audit-id", "patched")];
    web.call("PATCH", "/api/v1/namespaces/n/configmaps/a", &patch, "{\"data\":{\"k\":\"w\"}}").await;
    web.call("GET", "/api/v1/namespaces/n/configmaps", &[("audit-id", "listed")], "").await;
    web.call("GET", "/api/v1/namespaces/n/configmaps/none", &[("audit-id", "missed")], "").await;
    web.call("DELETE", "/api/v1/namespaces/n/configmaps/a", &[("audit-id", "deleted")], "").await;
    web.call("GET", "/api/v1/namespaces/n/pods", &[("audit-id", "unrecorded")], "").await;
    let service = json!({"metadata": {"name": "x"}, "spec": {"ports": [{"port": 1}]}}).to_string();
    web.call("POST", "/api/v1/namespaces/n/services", &[("audit-id", "no stage left")], service).await;
    web.call("GET", "/api/v1/namespaces/n/configmaps", &[("audit-id", "last")], "").await;
    let events = audited.events(|event| event["auditID"] == "last").await;
    let of = |id: &str| only(&events, |event| event["auditID"] == id).clone();

    let secret = of("mine");
    assert_eq!(
        (&secret["kind"], &secret["apiVersion"], &secret["level"]),
        (&json!("Event"), &json!("audit.k8s.io/v1"), &json!("Metadata"))
    );
    assert_eq!((&secret["stage"], &secret["verb"]), (&json!("ResponseComplete"), &json!("create")));
    assert_eq!(secret["requestURI"], "/api/v1/namespaces/n/secrets?fieldManager=m");
    assert_eq!(
        secret["user"],
        json!({"username": "admin", "groups": ["system:masters", "system:authenticated"]})
    );
    assert_eq!(
        (&secret["userAgent"], &secret["sourceIPs"]),
        (&json!("me/1"), &json!(["10.1.2.3", "127.0.0.1"]))
    );
    let object = json!({"resource": "secrets", "namespace": "n", "name": "s", "apiVersion": "v1"});
    assert_eq!(secret["objectRef"], object);
    assert_eq!(secret["responseStatus"], json!({"metadata": {}, "code": 201}));
    assert!(!secret.to_string().contains("hunter2") && secret.get("requestObject").is_none());
    let decided = json!({"authorization.k8s.io/decision": "allow", "authorization.k8s.io/reason": ""});
    assert_eq!(secret["annotations"], decided);
    let times =
        ["requestReceivedTimestamp", "stageTimestamp"].map(|key| secret[key].as_str().unwrap().to_owned());
    assert!(times[0] <= times[1] && times[0].len() == "2006-01-02T15:04:05.000000Z".len(), "{times:?}");

    let made = of("made");
    assert_eq!(made["requestObject"], json!({"metadata": {"name": "a"}, "data": {"k": "v"}}));
    assert_eq!(made["responseObject"]["data"], json!({"k": "v"}));
    assert_eq!(made["responseObject"]["metadata"].get("managedFields"), None);
    assert_eq!(of("patched")["requestObject"], json!({"data": {"k": "w"}}));
    assert_eq!(of("patched")["objectRef"]["name"], "a");
    assert_eq!(of("listed")["responseObject"]["items"][0]["metadata"]["name"], "a");
    let missed = of("missed");
    assert_eq!(
        missed["responseStatus"],
        json!({"metadata": {}, "status": "Failure", "reason": "NotFound", "message": "configmaps \"none\" not found",
            "details": {"name": "none", "kind": "configmaps"}, "code": 404})
    );
    assert_eq!(
        (&of("deleted")["verb"], &of("deleted")["responseStatus"]["status"]),
        (&json!("delete"), &json!("Success"))
    );
    assert!(
        !events.iter().any(|event| event["auditID"] == "unrecorded" || event["auditID"] == "no stage left")
    );
}

#[tokio::test]
async fn who_acts_as_whom_and_who_may_not() {
    let audited = Audited::new().await;
    let web = &audited.web;
    let jane = [("impersonate-user", "jane"), ("audit-id", "jane")];
    assert_eq!(web.call("GET", "/api/v1/namespaces/n/secrets/s", &jane, "").await.0, 403);
    let wrong = [("authorization", "Bearer wrong"), ("audit-id", "nobody")];
    assert_eq!(web.call("GET", "/api/v1/namespaces/n/secrets/s", &wrong, "").await.0, 401);
    let events = audited.events(|event| event["auditID"] == "nobody").await;
    let event = only(&events, |event| event["auditID"] == "jane");
    assert_eq!(
        (&event["user"]["username"], &event["impersonatedUser"]["username"]),
        (&json!("admin"), &json!("jane"))
    );
    assert_eq!(event["annotations"]["authorization.k8s.io/decision"], "forbid");
    assert_eq!(
        (&event["responseStatus"]["code"], &event["responseStatus"]["reason"]),
        (&json!(403), &json!("Forbidden"))
    );
    let event = only(&events, |event| event["auditID"] == "nobody");
    assert_eq!((&event["stage"], &event["user"]), (&json!("ResponseStarted"), &json!({})));
    let status = json!({"metadata": {}, "message": "Authentication failed, attempted: bearer", "code": 401});
    assert_eq!(event["responseStatus"], status);
}

#[tokio::test]
async fn a_watch_is_recorded_when_it_starts_and_when_it_ends() {
    let audited = Audited::new().await;
    let path = "/api/v1/namespaces/n/configmaps?watch=1&timeoutSeconds=1";
    audited.web.call("GET", path, &[("audit-id", "watch")], "").await;
    let events =
        audited.events(|event| event["auditID"] == "watch" && event["stage"] == "ResponseComplete").await;
    let stages: Vec<&Value> =
        events.iter().filter(|event| event["auditID"] == "watch").map(|event| &event["stage"]).collect();
    assert_eq!(stages, ["ResponseStarted", "ResponseComplete"]);
    assert!(events.iter().all(|event| event["auditID"] != "watch" || event["verb"] == "watch"));
}

#[tokio::test]
async fn the_parts_of_this_process_are_recorded_too() {
    let audited = Audited::new().await;
    audited.web.world.create("configmaps", "n", json!({"metadata": {"name": "inside"}})).await.unwrap();
    audited.web.world.get("configmaps", "n", "none").await.unwrap_err();
    // What is closed is written to its end.
    audited.web.world.server.close().await;
    let events = audited.events(|_| true).await;
    let event = only(&events, |event| event["verb"] == "create" && event["objectRef"]["name"] == "inside");
    assert_eq!(event["requestURI"], "/api/v1/namespaces/n/configmaps");
    assert_eq!((&event["userAgent"], event.get("sourceIPs")), (&json!("test"), None));
    assert_eq!(event["responseObject"]["metadata"]["name"], "inside");
    let event = only(&events, |event| event["objectRef"]["name"] == "none");
    assert_eq!(event["responseStatus"]["code"], 404);
}

#[tokio::test]
async fn every_answer_has_the_number_of_its_request() {
    let web = Web::new().await;
    let ask = |id: Option<&str>| {
        let mut request = http::Request::builder().uri("/readyz").header("host", "localhost");
        if let Some(id) = id {
            request = request.header("audit-id", id);
        }
        request.body(http_body_util::Full::new(bytes::Bytes::new())).unwrap()
    };
    let given = web.send(ask(Some("7-of-mine"))).await;
    assert_eq!(given.headers()["audit-id"], "7-of-mine");
    let (one, two) = (web.send(ask(None)).await, web.send(ask(None)).await);
    assert_eq!(one.headers()["audit-id"].len(), 36);
    assert_ne!(one.headers()["audit-id"], two.headers()["audit-id"]);
}

#[tokio::test]
async fn what_is_recorded_is_counted() {
    let audited = Audited::new().await;
    audited.web.get("/api/v1/namespaces/n/configmaps").await;
    let (_, _, text) = audited.web.call("GET", "/metrics", &[], "").await;
    let text = text.as_str().unwrap();
    for line in [
        "apiserver_audit_error_total{plugin=\"buffered\"} 0",
        "apiserver_audit_level_total{level=\"RequestResponse\"} 1",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    let events = text.lines().find_map(|line| line.strip_prefix("apiserver_audit_event_total ")).unwrap();
    assert!(events.parse::<u64>().unwrap() >= 1);
}
