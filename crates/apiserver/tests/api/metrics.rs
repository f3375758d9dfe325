//! What is measured.

use serde_json::json;

use crate::web::Web;

async fn scraped(web: &Web) -> String {
    let (code, media_type, text) = web.call("GET", "/metrics", &[], "").await;
    assert_eq!((code, media_type.as_str()), (200, "text/plain; version=0.0.4; charset=utf-8"));
    text.as_str().unwrap().to_owned()
}

fn sample<'a>(text: &'a str, start: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(start)?.strip_prefix(' '))
}

fn labels(resource: &str, scope: &str, verb: &str) -> String {
    format!(
        "group=\"\",resource=\"{resource}\",scope=\"{scope}\",subresource=\"\",verb=\"{verb}\",version=\"v1\""
    )
}

#[tokio::test]
async fn requests_are_counted_by_what_they_are_for() {
    let web = Web::new().await;
    let maps = "/api/v1/namespaces/n/configmaps";
    let made = |name: &str| json!({"metadata": {"name": name}}).to_string();
    assert_eq!(web.call("POST", maps, &[], made("a")).await.0, 201);
    assert_eq!(web.call("POST", maps, &[], made("a")).await.0, 409);
    assert_eq!(web.call("POST", &format!("{maps}?dryRun=All"), &[], made("b")).await.0, 201);
    for _ in 0..3 {
        assert_eq!(web.get(&format!("{maps}/a")).await.0, 200);
    }
    web.get("/api/v1/configmaps").await;
    let apply = [("content-type", "application/apply-patch+yaml")];
    let applied = "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"a\"}}";
    assert_eq!(web.call("PATCH", &format!("{maps}/a?fieldManager=m"), &apply, applied).await.0, 200);
    web.call("GET", &format!("{maps}?watch=1&timeoutSeconds=1"), &[], "").await;
    web.get("/readyz").await;
    let text = scraped(&web).await;
    let total = |code: &str, dry_run: &str, rest: &str| {
        let start = format!(
            "apiserver_request_total{{code=\"{code}\",component=\"apiserver\",dry_run=\"{dry_run}\",{rest}}}"
        );
        sample(&text, &start).unwrap_or("none").to_owned()
    };
    assert_eq!(total("201", "", &labels("configmaps", "resource", "POST")), "1");
    assert_eq!(total("409", "", &labels("configmaps", "resource", "POST")), "1");
    assert_eq!(total("201", "All", &labels("configmaps", "resource", "POST")), "1");
    assert_eq!(total("200", "", &labels("configmaps", "resource", "GET")), "3");
    assert_eq!(total("200", "", &labels("configmaps", "cluster", "LIST")), "1");
    assert_eq!(total("200", "", &labels("configmaps", "resource", "APPLY")), "1");
    assert_eq!(total("200", "", &labels("configmaps", "namespace", "WATCH")), "1");
    let path = "code=\"200\",component=\"\",dry_run=\"\",group=\"\",resource=\"\",scope=\"\",subresource=\"/readyz\",verb=\"GET\",version=\"\"";
    assert_eq!(sample(&text, &format!("apiserver_request_total{{{path}}}")), Some("1"));
    let got = labels("configmaps", "resource", "GET");
    let timed = format!(
        "apiserver_request_duration_seconds_bucket{{component=\"apiserver\",dry_run=\"\",{got},le=\"+Inf\"}}"
    );
    assert_eq!(sample(&text, &timed), Some("3"));
    let sli = format!("apiserver_request_sli_duration_seconds_count{{component=\"apiserver\",{got}}}");
    assert_eq!(sample(&text, &sli), Some("3"));
    let sized = format!("apiserver_response_sizes_bucket{{component=\"apiserver\",{got},le=\"1000\"}}");
    assert_eq!(sample(&text, &sized), Some("3"));
    let watched = format!(
        "apiserver_longrunning_requests{{component=\"apiserver\",{}}}",
        labels("configmaps", "namespace", "WATCH")
    );
    assert_eq!(sample(&text, &watched), Some("0"), "the watch is over");
    let events = "apiserver_watch_events_total{group=\"\",resource=\"configmaps\",version=\"v1\"}";
    assert_eq!(sample(&text, events), Some("1"));
    assert_eq!(sample(&text, "apiserver_resource_objects{group=\"\",resource=\"configmaps\"}"), Some("1"));
    assert_eq!(sample(&text, "apiserver_storage_objects{resource=\"deployments.apps\"}"), Some("0"));
    assert!(
        sample(&text, "authentication_attempts{result=\"success\"}").unwrap().parse::<u64>().unwrap() >= 10
    );
    let start: f64 = sample(&text, "process_start_time_seconds").unwrap().parse().unwrap();
    assert!(start > 1.7e9);
    assert!(
        text.contains("kubernetes_build_info{") && sample(&text, "process_resident_memory_bytes").is_some()
    );
}

#[tokio::test]
async fn what_is_not_served_or_not_allowed_makes_no_labels() {
    let web = Web::new().await;
    web.get("/api/v1/namespaces/n/rubbish").await;
    web.get("/apis/rubbish.example.com/v1/things").await;
    web.get("/rubbish").await;
    web.get("/api/v1/namespaces/n/configmaps/a/rubbish").await;
    for method in ["RUBBISH1", "RUBBISH2"] {
        web.call(method, "/api/v1/namespaces/n/configmaps", &[], "").await;
    }
    let refused = web.call("GET", "/api/v1/secrets", &[("impersonate-user", "jane")], "").await;
    assert_eq!(refused.0, 403);
    assert_eq!(web.call("GET", "/api/v1/secrets", &[("authorization", "Bearer wrong")], "").await.0, 401);
    let text = scraped(&web).await;
    assert!(!text.to_lowercase().contains("rubbish"), "{text}");
    assert!(
        !text.lines().any(|line| line.starts_with("apiserver_request_total{") && line.contains("secrets")),
        "{text}"
    );
    assert_eq!(sample(&text, "authentication_attempts{result=\"error\"}"), Some("1"));
    let denied = sample(&text, "authorization_attempts_total{result=\"no-opinion\"}");
    assert_eq!(denied, Some("1"));
}

#[tokio::test]
async fn whoever_may_not_see_it_does_not() {
    let web = Web::new().await;
    assert_eq!(web.call("GET", "/metrics", &[("impersonate-user", "jane")], "").await.0, 403);
    let group = [("impersonate-user", "prometheus"), ("impersonate-group", "system:monitoring")];
    assert_eq!(web.call("GET", "/metrics", &group, "").await.0, 200);
}

#[tokio::test]
async fn a_request_that_took_too_long_is_counted_as_ended() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let web = Web::new().await;
    let mut stream = web.connect().await;
    let head = format!(
        "POST /api/v1/namespaces/n/configmaps?timeout=20ms HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\n\
         content-length: 100\r\n\r\n{{",
        crate::web::TOKEN
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut start = [0; 12];
    stream.read_exact(&mut start).await.unwrap();
    assert_eq!(&start, b"HTTP/1.1 504");
    let text = scraped(&web).await;
    let rest = format!("code=\"504\",component=\"apiserver\",{}", labels("configmaps", "resource", "POST"));
    assert_eq!(
        sample(&text, &format!("apiserver_request_terminations_total{{{rest}}}")),
        Some("1"),
        "{text}"
    );
}
