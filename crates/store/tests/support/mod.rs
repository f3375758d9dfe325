//! What every test of the store needs: a medium that can be opened again, and objects.
#![allow(dead_code)]

use std::sync::Arc;

use cox_api::{Header, Object};
use cox_env::Env;
use cox_store::{Describe, Embedded, Error, Key, Limits, Memory, Store};
use serde_json::{Value, json};

/// Where a store keeps its data. Opening it twice, one after the other, is a restart.
pub enum Medium {
    Memory(Memory),
    Embedded(tempfile::TempDir),
}

impl Medium {
    pub fn memory() -> Medium {
        Medium::Memory(Memory::new(Env::real()))
    }

    pub fn shared() -> Medium {
        Medium::Memory(Memory::shared(Env::real()))
    }

    pub fn embedded() -> Medium {
        Medium::Embedded(tempfile::tempdir().expect("a temporary directory"))
    }

    pub async fn open(&self) -> Store {
        self.open_with(Limits::default()).await
    }

    pub async fn open_with(&self, limits: Limits) -> Store {
        let env = Env::real();
        match self {
            Medium::Memory(memory) => Store::open(env, Box::new(memory.clone()), limits, describe()).await,
            Medium::Embedded(dir) => {
                let backend = Embedded::open(dir.path()).await.expect("the directory opens");
                Store::open(env, Box::new(backend), limits, describe()).await
            }
        }
        .expect("the store opens")
    }
}

/// As the kinds would do it: `spec.nodeName` is selectable.
pub fn describe() -> Describe {
    Arc::new(|_, value| header(value))
}

fn header(value: &Value) -> Header {
    let fields = value["spec"]["nodeName"].as_str().map(|node| ("spec.nodeName", node.to_owned()));
    Header::of(value, fields.into_iter().collect())
}

pub fn object_of(value: &Value) -> Object {
    Object::new(value, header(value), 0)
}

/// A pod with a number in it.
pub fn pod(namespace: &str, name: &str, number: u64) -> Object {
    pod_on(namespace, name, number, "")
}

pub fn pod_on(namespace: &str, name: &str, number: u64, node: &str) -> Object {
    object_of(&json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "uid": format!("uid-{name}"), "labels": {"app": name}},
        "spec": {"nodeName": node, "number": number}}))
}

pub fn number(object: &Object) -> u64 {
    object.value()["spec"]["number"].as_u64().expect("a number")
}

pub fn key(namespace: &str, name: &str) -> Key {
    Key::new("pods", namespace, name)
}

/// What a failed expectation found.
pub fn conflict(result: Result<cox_store::Committed, Error>) -> Option<Object> {
    match result {
        Err(Error::Conflict { current, .. }) => current,
        other => panic!("{other:?} is no conflict"),
    }
}
