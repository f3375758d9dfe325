//! Keeps an informer's cache in step with the server: list, watch from there, list anew when history is gone.

use std::time::Duration;

use cox_api::{Object, Request, Status, Verb, WatchKind};
use cox_env::Env;
use futures::StreamExt;

use super::{Informed, Scope};
use crate::client::Client;
use crate::error::{Error, Result};
use crate::kind::Key;
use crate::options::ListOptions;

/// Objects in one page of a list.
const PAGE_OBJECTS: u64 = 500;
/// The first pause after a failure; doubled up to [`PAUSE_MAX`], with as much again by chance.
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// A watch ends by itself after 5 to 10 minutes, as upstream's reflectors ask for, so that a dead connection
/// doesn't stay unnoticed.
const WATCH_SECONDS_MIN: u64 = 300;

/// How a round of watching ended.
enum End {
    /// The server closed it; `events` tells whether it brought anything.
    Closed { events: bool },
    /// History is gone.
    Expired,
    /// The server can't stream lists.
    NoStreaming,
}

pub(super) async fn run(informed: Informed, scope: Scope, client: Client, env: Env) {
    let mut reflector = Reflector { informed, scope, client, env, streaming: true, position: None };
    let mut pause = PAUSE_MIN;
    loop {
        let started = reflector.env.elapsed();
        let outcome = reflector.round().await;
        let lasted = reflector.env.elapsed().saturating_sub(started);
        match outcome {
            Ok(End::Expired) => {
                reflector.position = None;
                continue;
            }
            Ok(End::NoStreaming) => {
                reflector.streaming = false;
                continue;
            }
            Ok(End::Closed { events }) => {
                // A server that closes at once would be asked in a tight loop.
                if events || lasted > Duration::from_secs(1) {
                    pause = PAUSE_MIN;
                    continue;
                }
            }
            Err(error) => {
                tracing::warn!(resource = %reflector.informed.resource(), %error, "watching failed");
            }
        }
        let jitter = reflector.env.chance().fraction();
        reflector.env.sleep(pause.mul_f64(1.0 + jitter)).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

struct Reflector {
    informed: Informed,
    scope: Scope,
    client: Client,
    env: Env,
    streaming: bool,
    /// The revision to go on from.
    position: Option<u64>,
}

impl Reflector {
    async fn round(&mut self) -> Result<End> {
        if self.position.is_none() && !self.streaming {
            self.list().await?;
        }
        self.watch().await
    }

    async fn list(&mut self) -> Result<()> {
        let mut options = ListOptions {
            label_selector: self.scope.label_selector.clone(),
            field_selector: self.scope.field_selector.clone(),
            limit: Some(PAGE_OBJECTS),
            ..ListOptions::default()
        };
        let mut objects = Vec::new();
        loop {
            let resource = self.informed.resource().clone();
            let page = self.client.list_objects(&resource, &self.scope.namespace, &options).await;
            let page = match page {
                // The snapshot behind the pages is gone: one list in one piece.
                Err(Error::Api(status)) if status.is_expired() && options.limit.is_some() => {
                    options.limit = None;
                    options.continue_token = None;
                    objects.clear();
                    continue;
                }
                page => page?,
            };
            objects.extend(page.items);
            options.continue_token = page.continue_token;
            if options.continue_token.is_none() {
                self.take_list(objects, page.revision);
                return Ok(());
            }
        }
    }

    fn take_list(&mut self, objects: Vec<Object>, revision: u64) {
        self.informed.0.replace(objects);
        self.position = Some(revision);
        self.informed.0.reached(revision, true);
    }

    async fn watch(&mut self) -> Result<End> {
        let mut request =
            Request::new(Verb::Watch, self.informed.resource().clone()).namespace(&self.scope.namespace);
        let options = &mut request.options;
        options.label_selector.clone_from(&self.scope.label_selector);
        options.field_selector.clone_from(&self.scope.field_selector);
        options.allow_watch_bookmarks = true;
        options.timeout_seconds = Some(WATCH_SECONDS_MIN + self.env.chance().below(WATCH_SECONDS_MIN));
        let mut initial = match self.position {
            Some(position) => {
                options.resource_version = Some(position.to_string());
                None
            }
            None => {
                options.send_initial_events = Some(true);
                options.resource_version_match = Some("NotOlderThan".into());
                Some(std::collections::BTreeMap::new())
            }
        };
        let mut watch = match self.client.watch_objects(request).await {
            Ok(watch) => watch,
            Err(Error::Api(status)) => return self.failed(status, initial.is_some()),
            Err(error) => return Err(error),
        };
        let mut events = false;
        while let Some(event) = watch.next().await {
            let event = match event {
                Ok(event) => event,
                Err(status) => return self.failed(status, initial.is_some()),
            };
            events = true;
            if let Some(objects) = &mut initial {
                if let Some(object) = event.object {
                    let key = Key::new(object.namespace(), object.name());
                    match event.kind {
                        WatchKind::Deleted => objects.remove(&key),
                        _ => objects.insert(key, object),
                    };
                }
                if event.initial_events_end {
                    let objects = initial.take().unwrap_or_default();
                    self.take_list(objects.into_values().collect(), event.revision);
                }
                continue;
            }
            match (event.kind, event.object) {
                (WatchKind::Added | WatchKind::Modified, Some(object)) => self.informed.0.upsert(object),
                (WatchKind::Deleted, Some(object)) => {
                    let key = Key::new(object.namespace(), object.name());
                    self.informed.0.remove(&key, Some(object));
                }
                _ => {}
            }
            if event.revision > 0 {
                self.position = Some(event.revision);
                self.informed.0.reached(event.revision, false);
            }
        }
        Ok(End::Closed { events })
    }

    fn failed(&self, status: Status, initial: bool) -> Result<End> {
        if status.is_expired() && self.position.is_some() {
            Ok(End::Expired)
        } else if initial && matches!(status.code(), 400 | 422) {
            Ok(End::NoStreaming)
        } else {
            Err(status.into())
        }
    }
}
