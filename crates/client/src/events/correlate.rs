//! What becomes of an event: a new object, one more count of an old one, or nothing. The rules are those of
//! upstream's event correlator (`client-go/tools/record`).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::EventType;

/// Events of one object that may be written at once; then one more every [`SPAM_REFILL`].
const SPAM_BURST: f64 = 25.0;
const SPAM_REFILL: Duration = Duration::from_secs(300);
/// So many different messages of one object, type and reason within [`SIMILAR_WINDOW`] are joined into one event.
const SIMILAR_MAX: usize = 10;
const SIMILAR_WINDOW: Duration = Duration::from_secs(600);
/// Entries remembered; the ones unused for longest go first.
const ENTRIES_MAX: usize = 4096;
/// What a joined event's message starts with.
const SIMILAR_PREFIX: &str = "(combined from similar events): ";

/// What makes two events the same.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Identity {
    /// kind, namespace, name, uid, apiVersion and field path of the object.
    pub(super) object: [String; 6],
    pub(super) kind: EventType,
    pub(super) reason: String,
    pub(super) message: String,
}

/// What to do.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// Write nothing.
    Drop,
    /// A new event with this message.
    Create { message: String },
    /// The event of this name has now been seen `count` times; its message may have changed.
    Count { name: String, count: i32, message: String },
}

struct Bucket {
    tokens: f64,
    at: Duration,
    used: Duration,
}

struct Similar {
    messages: BTreeSet<String>,
    at: Duration,
    used: Duration,
}

struct Written {
    name: String,
    count: i32,
    used: Duration,
}

/// Remembers what was written.
#[derive(Default)]
pub(super) struct Correlator {
    buckets: BTreeMap<[String; 6], Bucket>,
    similar: BTreeMap<([String; 6], EventType, String), Similar>,
    written: BTreeMap<Identity, Written>,
}

impl Correlator {
    /// Decides about an event at `now`; the caller tells the name of a new one by [`Correlator::created`].
    pub(super) fn decide(&mut self, event: &Identity, now: Duration) -> (Identity, Decision) {
        let group = (event.object.clone(), event.kind, event.reason.clone());
        let similar = self.similar.entry(group).or_insert_with(|| Similar {
            messages: BTreeSet::new(),
            at: now,
            used: now,
        });
        if now.saturating_sub(similar.at) > SIMILAR_WINDOW {
            similar.messages.clear();
        }
        similar.at = now;
        similar.used = now;
        similar.messages.insert(event.message.clone());
        let joined = similar.messages.len() >= SIMILAR_MAX;
        if joined {
            similar.messages.pop_first();
        }
        let mut identity = event.clone();
        let message = if joined {
            identity.message = String::new();
            format!("{SIMILAR_PREFIX}{}", event.message)
        } else {
            event.message.clone()
        };
        let decision = if !self.allowed(&event.object, now) {
            Decision::Drop
        } else if let Some(written) = self.written.get_mut(&identity) {
            written.count += 1;
            written.used = now;
            Decision::Count { name: written.name.clone(), count: written.count, message }
        } else {
            Decision::Create { message }
        };
        self.forget_oldest();
        (identity, decision)
    }

    /// Remembers the name of an event that was created.
    pub(super) fn created(&mut self, identity: Identity, name: String, now: Duration) {
        self.written.insert(identity, Written { name, count: 1, used: now });
    }

    /// Forgets an event that isn't there any more.
    pub(super) fn lost(&mut self, identity: &Identity) {
        self.written.remove(identity);
    }

    fn allowed(&mut self, object: &[String; 6], now: Duration) -> bool {
        let bucket = self.buckets.entry(object.clone()).or_insert_with(|| Bucket {
            tokens: SPAM_BURST,
            at: now,
            used: now,
        });
        let refill = now.saturating_sub(bucket.at).as_secs_f64() / SPAM_REFILL.as_secs_f64();
        bucket.tokens = (bucket.tokens + refill).min(SPAM_BURST);
        bucket.at = now;
        bucket.used = now;
        if bucket.tokens < 1.0 {
            return false;
        }
        bucket.tokens -= 1.0;
        true
    }

    fn forget_oldest(&mut self) {
        halve(&mut self.buckets, |entry| entry.used);
        halve(&mut self.similar, |entry| entry.used);
        halve(&mut self.written, |entry| entry.used);
    }
}

/// Drops the older half of a map that is full.
fn halve<K: Ord, V>(map: &mut BTreeMap<K, V>, used: impl Fn(&V) -> Duration) {
    if map.len() < ENTRIES_MAX {
        return;
    }
    let mut times: Vec<Duration> = map.values().map(&used).collect();
    times.sort_unstable();
    let middle = times[times.len() / 2];
    let mut left = ENTRIES_MAX / 2;
    map.retain(|_, value| {
        let keep = used(value) >= middle && left > 0;
        left -= usize::from(keep);
        keep
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(reason: &str, message: &str) -> Identity {
        let object = ["Pod", "ns", "web", "u", "v1", ""].map(str::to_owned);
        Identity { object, kind: EventType::Normal, reason: reason.into(), message: message.into() }
    }

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn repetitions_are_counted() {
        let mut correlator = Correlator::default();
        let (identity, first) = correlator.decide(&event("Pulled", "m"), at(0));
        assert_eq!(first, Decision::Create { message: "m".into() });
        correlator.created(identity, "web.1".into(), at(0));
        let (identity, second) = correlator.decide(&event("Pulled", "m"), at(1));
        assert_eq!(second, Decision::Count { name: "web.1".into(), count: 2, message: "m".into() });
        correlator.lost(&identity);
        assert_eq!(
            correlator.decide(&event("Pulled", "m"), at(2)).1,
            Decision::Create { message: "m".into() }
        );
    }

    #[test]
    fn similar_events_are_joined() {
        let mut correlator = Correlator::default();
        let mut created = 0;
        for number in 0..15 {
            let (identity, decision) = correlator.decide(&event("Failed", &format!("m{number}")), at(number));
            match decision {
                Decision::Create { message } => {
                    created += 1;
                    assert_eq!(message.starts_with(SIMILAR_PREFIX), number >= 9, "{message}");
                    correlator.created(identity, format!("web.{number}"), at(number));
                }
                Decision::Count { name, message, .. } => {
                    assert_eq!(name, "web.9");
                    assert!(message.starts_with(SIMILAR_PREFIX));
                }
                Decision::Drop => panic!("not yet spam"),
            }
        }
        assert_eq!(created, 10);
    }

    #[test]
    fn spam_is_dropped_and_refills() {
        let mut correlator = Correlator::default();
        let decisions: Vec<bool> = (0..30)
            .map(|number| {
                let reason = format!("R{number}");
                correlator.decide(&event(&reason, "m"), at(0)).1 != Decision::Drop
            })
            .collect();
        assert_eq!(decisions.iter().filter(|kept| **kept).count(), 25);
        assert_ne!(correlator.decide(&event("Later", "m"), at(301)).1, Decision::Drop);
    }
}
