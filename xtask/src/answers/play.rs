//! Plays one scenario: makes its namespaces, sends its requests, compares, cleans up.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::Result;
use rand::Rng;
use serde_json::{Value, json};

use super::compare::Bindings;
use super::diff::{Answer, differences};
use super::scenario::{Scenario, Step};
use super::template::Vars;
use crate::server::{Call, Target};

/// How long one request may take; longer than any recorded watch.
const REQUEST_SECONDS_MAX: u64 = 30;

/// What became of a scenario: each step with its differences.
pub struct Played {
    pub name: String,
    pub topic: String,
    pub steps: Vec<(String, Vec<String>)>,
}

/// Plays a scenario.
pub async fn play(target: &Target, scenario: &Scenario) -> Result<Played> {
    let u = fresh_u();
    let mut names = BTreeMap::from([("u".to_owned(), u.clone())]);
    for variable in scenario.namespaces.keys() {
        let suffix = variable.trim_start_matches("ns");
        names.insert(
            variable.clone(),
            if suffix.is_empty() { format!("ns-{u}") } else { format!("ns{suffix}-{u}") },
        );
    }
    for (variable, options) in &scenario.namespaces {
        let name = &names[variable];
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": options.labels}});
        send(target, "POST", "/api/v1/namespaces", Some(namespace)).await?;
        if options.service_account {
            let account =
                json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}});
            send(target, "POST", &format!("/api/v1/namespaces/{name}/serviceaccounts"), Some(account))
                .await?;
        }
    }
    let mut vars = Vars { names, steps: BTreeMap::new() };
    let mut bindings = Bindings::default();
    let mut steps = Vec::new();
    for step in &scenario.steps {
        let found = match play_step(target, scenario, step, &mut vars, &mut bindings).await {
            Ok(found) => found,
            Err(error) => vec![format!("no answer: {error:#}")],
        };
        steps.push((step.name.clone(), found));
    }
    clean_up(target, scenario, &vars).await;
    Ok(Played { name: scenario.name.clone(), topic: scenario.topic.clone(), steps })
}

async fn play_step(
    target: &Target,
    scenario: &Scenario,
    step: &Step,
    vars: &mut Vars,
    bindings: &mut Bindings,
) -> Result<Vec<String>> {
    if step.delay > 0.0 {
        tokio::time::sleep(Duration::from_secs_f64(step.delay)).await;
    }
    let until = Instant::now() + Duration::from_secs_f64(step.retry_seconds);
    loop {
        let call = call_of(step, vars);
        let raw = target.send(call, Duration::from_secs(REQUEST_SECONDS_MAX)).await?;
        let recorded = json!({"status": raw.status, "body": raw.json(), "headers": {}});
        let answer = Answer {
            status: raw.status,
            content_type: raw.header("content-type"),
            warnings: raw.headers_all("warning"),
            retry_after: raw.header("retry-after"),
            body: raw.json(),
        };
        let names = vars_only(vars);
        let expected = Answer {
            status: step.response.status,
            content_type: step
                .response
                .headers
                .get("content-type")
                .and_then(Value::as_str)
                .map(str::to_owned),
            warnings: texts(step.response.headers.get("warning").map(|warnings| names.render(warnings))),
            retry_after: texts(step.response.headers.get("retry-after").cloned()).pop(),
            body: names.render(&step.response.body),
        };
        let mut tried = Bindings::default();
        std::mem::swap(&mut tried, bindings);
        let found = differences(step, &expected, &answer, scenario.managed_fields, &mut tried);
        std::mem::swap(&mut tried, bindings);
        if found.is_empty() || Instant::now() >= until {
            vars.steps.insert(step.name.clone(), recorded);
            return Ok(found);
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Only the names are replaced in expected answers.
fn vars_only(vars: &Vars) -> Vars {
    Vars { names: vars.names.clone(), steps: BTreeMap::new() }
}

/// The texts of a header: none, one, or a list of them.
fn texts(header: Option<Value>) -> Vec<String> {
    match header {
        None => Vec::new(),
        Some(Value::Array(items)) => items.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        Some(Value::String(one)) => vec![one],
        Some(other) => vec![other.to_string()],
    }
}

/// A body as the recording client wrote it, a space after each comma and colon: messages quote it.
fn one_line(body: &Value) -> Vec<u8> {
    struct Spaced;
    impl serde_json::ser::Formatter for Spaced {
        fn begin_array_value<W: ?Sized + std::io::Write>(
            &mut self,
            writer: &mut W,
            first: bool,
        ) -> std::io::Result<()> {
            if first { Ok(()) } else { writer.write_all(b", ") }
        }
        fn begin_object_key<W: ?Sized + std::io::Write>(
            &mut self,
            writer: &mut W,
            first: bool,
        ) -> std::io::Result<()> {
            if first { Ok(()) } else { writer.write_all(b", ") }
        }
        fn begin_object_value<W: ?Sized + std::io::Write>(&mut self, writer: &mut W) -> std::io::Result<()> {
            writer.write_all(b": ")
        }
    }
    let mut out = Vec::new();
    let mut serializer = serde_json::Serializer::with_formatter(&mut out, Spaced);
    // Writing a JSON value into memory can't fail.
    let _ = serde::Serialize::serialize(body, &mut serializer);
    out
}

fn call_of(step: &Step, vars: &Vars) -> Call {
    let request = &step.request;
    let mut query = Vec::new();
    for (key, value) in &request.query {
        let values = match value {
            Value::Array(values) => values.clone(),
            one => vec![one.clone()],
        };
        for value in values {
            let text = match vars.render(&value) {
                Value::String(text) => text,
                other => other.to_string(),
            };
            query.push((vars.render_string(key), text));
        }
    }
    let body = match (&request.text, &request.body) {
        (Some(text), _) => Some(vars.render_string(text).into_bytes()),
        (None, Some(body)) => Some(one_line(&vars.render(body))),
        (None, None) => None,
    };
    let mut headers: Vec<(String, String)> =
        vec![("accept".into(), "application/json".into()), ("user-agent".into(), "client/1.0".into())];
    if body.is_some() {
        headers.push(("content-type".into(), "application/json".into()));
    }
    let mut authorize = true;
    for (key, value) in &request.headers {
        let key = key.to_lowercase();
        headers.retain(|(known, _)| *known != key);
        if key == "authorization" {
            authorize = false;
        }
        match value {
            Value::Null => {}
            Value::Array(values) => {
                for value in values.iter().filter_map(Value::as_str) {
                    headers.push((key.clone(), vars.render_string(value)));
                }
            }
            Value::String(text) => headers.push((key, vars.render_string(text))),
            other => headers.push((key, other.to_string())),
        }
    }
    Call {
        method: request.method.clone(),
        path: vars.render_string(&request.path),
        query,
        headers,
        body,
        authorize,
    }
}

async fn clean_up(target: &Target, scenario: &Scenario, vars: &Vars) {
    let namespaces =
        scenario.namespaces.keys().map(|variable| format!("/api/v1/namespaces/{}", vars.names[variable]));
    let named = scenario.cleanup.iter().map(|path| vars.render_string(path));
    for path in named.chain(namespaces) {
        let patch = json!({"metadata": {"finalizers": null}});
        let call = Call {
            method: "PATCH".into(),
            path: path.clone(),
            query: Vec::new(),
            headers: vec![("content-type".into(), "application/merge-patch+json".into())],
            body: Some(patch.to_string().into_bytes()),
            authorize: true,
        };
        // Whether it was there or not, and whatever it says: what counts was compared.
        let _ = target.send(call, Duration::from_secs(REQUEST_SECONDS_MAX)).await;
        let _ = send(target, "DELETE", &path, None).await;
    }
}

async fn send(target: &Target, method: &str, path: &str, body: Option<Value>) -> Result<u16> {
    let call = Call {
        method: method.into(),
        path: path.into(),
        query: Vec::new(),
        headers: vec![
            ("content-type".into(), "application/json".into()),
            ("user-agent".into(), "client/1.0".into()),
        ],
        body: body.map(|body| body.to_string().into_bytes()),
        authorize: true,
    };
    Ok(target.send(call, Duration::from_secs(REQUEST_SECONDS_MAX)).await?.status)
}

fn fresh_u() -> String {
    let mut rng = rand::rng();
    std::iter::once('x').chain((0..7).map(|_| char::from(rng.random_range(b'a'..=b'z')))).collect()
}
