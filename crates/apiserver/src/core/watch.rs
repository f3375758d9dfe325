//! Watching: from a revision, or from what is there, through selectors.
//! Source: <https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes>

use std::collections::VecDeque;
use std::time::Duration;

use cox_api::{Kind, Object, Response, Scope, Status, WatchEvent, WatchKind};
use cox_env::Env;
use cox_store::{Event, EventKind, Interest, Watcher};
use futures::{StreamExt, stream};

use super::call::{Call, show};
use super::list::{Selection, check_options, parse_version};
use crate::db::failure;

/// How often a quiet watch says how far it is.
const BOOKMARK_EVERY: Duration = Duration::from_secs(60);

/// Starts a watch.
pub(crate) async fn watch(call: &mut Call<'_>) -> Result<Response, Status> {
    let options = call.options;
    check_options(options, true)?;
    let selection = Selection::of(call)?;
    let version = options.resource_version.as_deref().unwrap_or_default();
    let asked = parse_version(version).map_err(|why| Status::new(500, cox_api::Reason::Unknown, why))?;
    let db = call.server.db();
    let prefix = call.prefix();
    let namespace =
        (call.info().scope == Scope::Namespaced && !call.namespace.is_empty()).then_some(call.namespace);
    // What is there comes first where the client knows nothing yet, or asks for it.
    let initial = match options.send_initial_events {
        Some(initial) => initial,
        None => asked == 0,
    };
    let mut waiting = VecDeque::new();
    let from = if initial || asked == 0 {
        super::list::wait_for(call, asked).await?;
        let snapshot = db.snapshot(prefix);
        if initial {
            for (_, object) in snapshot.range(namespace, std::ops::Bound::Unbounded) {
                if !selection.matches(call.show_header(object).as_ref()) {
                    continue;
                }
                waiting.push_back(WatchEvent {
                    kind: WatchKind::Added,
                    revision: object.revision(),
                    object: Some(call.show(object.clone())),
                    initial_events_end: false,
                });
            }
            if options.send_initial_events == Some(true) && options.allow_watch_bookmarks {
                waiting.push_back(bookmark(snapshot.revision(), true));
            }
        }
        snapshot.revision()
    } else {
        asked
    };
    let interest = Interest {
        namespace: namespace.map(str::to_owned),
        name: selection.fields.required("metadata.name").map(str::to_owned),
        // Fields of another form than the stored one can't be looked up in the store's headers.
        field: if call.kind.stored_as().is_some() {
            None
        } else {
            selection
                .fields
                .terms()
                .iter()
                .find(|term| term.equal && !term.field.starts_with("metadata."))
                .map(|term| (term.field.to_string(), term.value.to_string()))
        },
    };
    let watcher = match db.store().watch(prefix, from, interest, None) {
        Ok(watcher) => watcher,
        // The watch itself is fine: what is wrong with its start is told as its only event, as upstream's cache does.
        Err(cox_store::Error::Expired { asked, oldest }) => {
            let expired = Status::expired(format!("too old resource version: {asked} ({oldest})"));
            return Ok(Response::Watch(stream::once(std::future::ready(Err(expired))).boxed()));
        }
        Err(other) => return Err(failure(&other)),
    };
    let time = options.timeout_seconds.filter(|&seconds| seconds > 0).map_or_else(
        || {
            let least = call.server.config().limits.watch_time_min;
            least + least.mul_f64(call.server.env().chance().fraction())
        },
        Duration::from_secs,
    );
    let feed = Feed {
        env: call.server.env().clone(),
        kind: call.kind,
        selection,
        watcher,
        waiting,
        bookmarks: options.allow_watch_bookmarks,
        end: call.server.env().elapsed() + time,
        next_bookmark: call.server.env().elapsed() + BOOKMARK_EVERY,
        said: from,
        over: false,
    };
    Ok(Response::Watch(stream::unfold(feed, Feed::next).boxed()))
}

fn bookmark(revision: u64, initial_events_end: bool) -> WatchEvent {
    WatchEvent { kind: WatchKind::Bookmark, revision, object: None, initial_events_end }
}

struct Feed {
    env: Env,
    kind: &'static dyn Kind,
    selection: Selection,
    watcher: Watcher,
    waiting: VecDeque<WatchEvent>,
    bookmarks: bool,
    /// Since the start of the clock.
    end: Duration,
    next_bookmark: Duration,
    /// The revision that the client knows of.
    said: u64,
    over: bool,
}

impl Feed {
    async fn next(mut self) -> Option<(Result<WatchEvent, Status>, Feed)> {
        if let Some(event) = self.waiting.pop_front() {
            return Some((Ok(event), self));
        }
        while !self.over {
            let now = self.env.elapsed();
            let until = if self.bookmarks { self.end.min(self.next_bookmark) } else { self.end };
            let sleep = self.env.clone();
            let event = tokio::select! {
                biased;
                event = self.watcher.next() => event,
                () = sleep.sleep(until.saturating_sub(now)) => {
                    let now = self.env.elapsed();
                    if now >= self.end {
                        return None;
                    }
                    self.next_bookmark = now + BOOKMARK_EVERY;
                    let progress = self.watcher.progress();
                    if progress > self.said {
                        self.said = progress;
                        return Some((Ok(bookmark(progress, false)), self));
                    }
                    continue;
                }
            };
            match event {
                None => return None,
                Some(Err(error)) => {
                    self.over = true;
                    return match error {
                        cox_store::Error::Closed => None,
                        error => Some((Err(failure(&error)), self)),
                    };
                }
                Some(Ok(event)) => {
                    if let Some(event) = self.of(&event) {
                        self.said = event.revision;
                        return Some((Ok(event), self));
                    }
                }
            }
        }
        None
    }

    /// What an event of the store is to this client: objects enter and leave by the selectors.
    fn of(&self, event: &Event) -> Option<WatchEvent> {
        let revision = event.revision();
        let object = show(self.kind, event.object.clone());
        let now = event.kind != EventKind::Deleted && self.selection.matches(object.header());
        let before = event.kind != EventKind::Created && self.before(event);
        let (kind, object) = match (before, now) {
            (false, false) => return None,
            (false, true) => (WatchKind::Added, object),
            (true, true) => (WatchKind::Modified, object),
            // The client gets the last form that it knew, at the revision of the event.
            (true, false) => {
                let last = event.previous.as_ref().map_or(object, |last| show(self.kind, last.clone()));
                (WatchKind::Deleted, last.at(revision))
            }
        };
        Some(WatchEvent { kind, revision, object: Some(object), initial_events_end: false })
    }

    fn before(&self, event: &Event) -> bool {
        let last: &Object = match (&event.previous, event.kind) {
            (Some(last), _) => last,
            (None, EventKind::Deleted) => &event.object,
            (None, _) => return false,
        };
        self.selection.matches(show(self.kind, last.clone()).header())
    }
}
