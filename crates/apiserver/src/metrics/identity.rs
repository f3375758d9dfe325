//! Who asked, and whether they might.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::histogram::{Histogram, IDENTITY};

/// Names that are shown as they are; others are shown together, so that there can't be many.
/// Source: upstream's `compressUsername`.
const SHOWN: [&str; 5] =
    ["admin", "client", "kube_proxy", "kubelet", "system:serviceaccount:kube-system:default"];
pub(super) const NAMES: [&str; 7] = [SHOWN[0], SHOWN[1], SHOWN[2], SHOWN[3], SHOWN[4], "email_id", "other"];

fn name_place(name: &str) -> usize {
    SHOWN.iter().position(|shown| *shown == name).unwrap_or(if name.contains('@') { 5 } else { 6 })
}

/// How authentication ended.
#[derive(Clone, Copy)]
#[allow(missing_docs)]
pub(crate) enum Login {
    Success,
    /// Nothing was shown that says who asks.
    Failure,
    /// What was shown is wrong.
    Error,
}

/// Logins, by how they ended.
pub(crate) struct Identity {
    pub(super) users: [AtomicU64; NAMES.len()],
    /// Success, failure, error.
    pub(super) logins: [Histogram; 3],
    /// Allowed, and those that no authorizer allows.
    pub(super) decisions: [Histogram; 2],
}

pub(super) const LOGINS: [&str; 3] = ["success", "failure", "error"];
/// Upstream's authorizers forbid nothing by themselves: who isn't allowed has none in favour.
pub(super) const DECISIONS: [&str; 2] = ["allowed", "no-opinion"];

impl Identity {
    pub(super) fn new() -> Identity {
        Identity {
            users: [const { AtomicU64::new(0) }; NAMES.len()],
            logins: std::array::from_fn(|_| Histogram::new(&IDENTITY)),
            decisions: std::array::from_fn(|_| Histogram::new(&IDENTITY)),
        }
    }

    /// Somebody was asked who they are.
    pub(crate) fn login(&self, login: Login, name: &str, time: Duration) {
        if matches!(login, Login::Success) {
            self.users[name_place(name)].fetch_add(1, Ordering::Relaxed);
        }
        self.logins[login as usize].observe(nanoseconds(time));
    }

    /// It was decided whether they may.
    pub(crate) fn decision(&self, allowed: bool, time: Duration) {
        self.decisions[usize::from(!allowed)].observe(nanoseconds(time));
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_names_are_shown() {
        let shown = |name: &str| NAMES[name_place(name)];
        assert_eq!(shown("admin"), "admin");
        assert_eq!(shown("jane@example.com"), "email_id");
        assert_eq!(shown("system:node:a"), "other");
    }
}
