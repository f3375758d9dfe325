//! The form of a recorded scenario.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::Value;

/// An ordered list of exchanges in namespaces of its own.
#[derive(Deserialize)]
pub struct Scenario {
    pub name: String,
    pub topic: String,
    #[serde(default = "default_order")]
    pub order: i64,
    #[serde(default, rename = "managedFields")]
    pub managed_fields: bool,
    #[serde(default)]
    pub namespaces: BTreeMap<String, Namespace>,
    pub steps: Vec<Step>,
    #[serde(default)]
    pub cleanup: Vec<String>,
    /// Whether it changes what scenarios played beside it see (defaults that hold for the whole cluster), or they
    /// change what it sees (the version of the whole store).
    #[serde(skip)]
    pub alone: bool,
}

/// What a request says that makes its object the default of every namespace.
const CLUSTER_DEFAULTS: [&str; 3] = [
    "storageclass.kubernetes.io/is-default-class",
    "ingressclass.kubernetes.io/is-default-class",
    "\"globalDefault\": true",
];

/// Answers whose version is compared, though it is that of the whole store: lists of custom resources.
const LISTS_BY_VERSION: [&str; 1] = ["\"continue\": \"\", \"resourceVersion\": \"<rv:"];

/// How a namespace is made before the first step.
#[derive(Deserialize)]
pub struct Namespace {
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    #[serde(default = "yes", rename = "serviceAccount")]
    pub service_account: bool,
}

/// One exchange.
#[derive(Deserialize)]
pub struct Step {
    pub name: String,
    pub request: Request,
    #[serde(default)]
    pub delay: f64,
    #[serde(default, rename = "retrySeconds")]
    pub retry_seconds: f64,
    #[serde(default)]
    pub ignore: Vec<String>,
    #[serde(default)]
    pub unordered: Vec<String>,
    pub response: Response,
}

/// What is sent.
#[derive(Deserialize)]
pub struct Request {
    pub method: String,
    pub path: String,
    #[serde(default)]
    pub query: BTreeMap<String, Value>,
    #[serde(default)]
    pub headers: BTreeMap<String, Value>,
    pub body: Option<Value>,
    pub text: Option<String>,
}

/// What upstream answered.
#[derive(Deserialize)]
pub struct Response {
    pub status: u16,
    #[serde(default)]
    pub headers: BTreeMap<String, Value>,
    #[serde(default)]
    pub body: Value,
}

fn default_order() -> i64 {
    50
}

fn yes() -> bool {
    true
}

/// Reads the scenarios named (`TOPIC` or `TOPIC/NAME`, or all), in playing order.
pub fn load(from: &Path, what: &[String]) -> Result<Vec<Scenario>> {
    let mut scenarios: Vec<Scenario> = Vec::new();
    let topics = std::fs::read_dir(from).with_context(|| format!("reading {}", from.display()))?;
    for topic in topics {
        let topic = topic?.path();
        if !topic.is_dir() {
            continue;
        }
        for file in std::fs::read_dir(&topic)? {
            let file = file?.path();
            let text = std::fs::read_to_string(&file)?;
            let mut scenario: Scenario =
                serde_json::from_str(&text).with_context(|| format!("reading {}", file.display()))?;
            scenario.alone =
                CLUSTER_DEFAULTS.iter().chain(&LISTS_BY_VERSION).any(|words| text.contains(words));
            let wanted = |name: &String| *name == scenario.topic || *name == scenario.name;
            if what.is_empty() || what.iter().any(wanted) {
                scenarios.push(scenario);
            }
        }
    }
    scenarios.sort_by(|a, b| (a.order, &a.name).cmp(&(b.order, &b.name)));
    Ok(scenarios)
}
