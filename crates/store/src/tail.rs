//! Following a backend that others write to as well, and reading what it keeps.

use std::sync::Arc;
use std::time::Duration;

use cox_api::Object;
use cox_env::Env;
use futures::StreamExt;

use crate::backend::{Backend, Record, Tailed};
use crate::cache::Cache;
use crate::error::BackendError;
use crate::key::Key;
use crate::limits::Limits;
use crate::shard::Change;
use crate::store::Describe;

/// Between a broken tail and the next try.
const PAUSE: Duration = Duration::from_millis(100);

/// The object of a record.
pub(crate) fn object_of(
    key: &str,
    revision: u64,
    record: Record,
    describe: &Describe,
) -> Result<Object, BackendError> {
    match record {
        Record::Object(object) if object.revision() == revision => Ok(object),
        Record::Object(object) => Ok(object.at(revision)),
        Record::Json(json) => {
            let value = serde_json::from_slice(&json)
                .map_err(|error| BackendError::Damaged { key: key.to_owned(), why: error.to_string() })?;
            let header = describe(key, &value);
            Ok(Object::new(&value, header, revision))
        }
    }
}

fn key_of(text: &str, object: &Object) -> Result<Key, BackendError> {
    Key::parse(text, object.header())
        .ok_or_else(|| BackendError::Damaged { key: text.to_owned(), why: "not below /registry/".into() })
}

/// Fills an empty cache.
pub(crate) async fn load(
    backend: &dyn Backend,
    cache: &Cache,
    describe: &Describe,
) -> Result<(), BackendError> {
    let mut each = |entry: crate::backend::Entry| {
        let object = object_of(&entry.key, entry.revision, entry.record, describe)?;
        cache.load(key_of(&entry.key, &object)?, object);
        Ok(())
    };
    let loaded = backend.load(&mut each).await?;
    assert!(loaded.revision > 0, "a backend's revisions start at 1");
    cache.loaded(loaded.revision);
    Ok(())
}

/// Applies what happens in a backend. Never ends.
pub(crate) async fn follow(
    env: Env,
    backend: Arc<dyn Backend>,
    cache: Arc<Cache>,
    limits: Limits,
    describe: Describe,
) {
    loop {
        let error = match backend.tail(cache.revision()).await {
            Err(error) => error,
            Ok(mut events) => loop {
                match events.next().await {
                    None => break BackendError::Unavailable("the tail ended".into()),
                    Some(Err(error)) => break error,
                    Some(Ok(tailed)) => {
                        if let Err(error) = apply(&cache, tailed, &describe) {
                            break error;
                        }
                    }
                }
            },
        };
        match error {
            BackendError::Closed => return,
            BackendError::Compacted(_) => {
                tracing::warn!("the store's history is gone, loading everything anew");
                let fresh = Cache::new(env.clone(), limits.clone());
                match load(&*backend, &fresh, &describe).await {
                    Ok(()) => cache.replace(fresh),
                    Err(error) => {
                        tracing::warn!(%error, "can't load the store");
                        env.sleep(PAUSE).await;
                    }
                }
            }
            error => {
                tracing::warn!(%error, "can't follow the store");
                env.sleep(PAUSE).await;
            }
        }
    }
}

fn apply(cache: &Cache, tailed: Tailed, describe: &Describe) -> Result<(), BackendError> {
    let revision = tailed.revision;
    let mut changes = Vec::with_capacity(tailed.changes.len());
    for (text, record) in tailed.changes {
        let (key, after) = match record {
            Some(record) => {
                let object = object_of(&text, revision, record, describe)?;
                (key_of(&text, &object)?, Some(object))
            }
            None => match cache.find(&text) {
                Some(key) => (key, None),
                None => continue,
            },
        };
        changes.push(Change { key, revision, after });
    }
    cache.apply(&changes);
    cache.reached(revision);
    Ok(())
}
