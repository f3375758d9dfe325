//! `/livez`, `/readyz` and the old `/healthz`.
//! Source: <https://kubernetes.io/docs/reference/using-api/health-checks/>

use std::collections::BTreeSet;

use super::reply::{Answered, text};
use super::target::Query;
use crate::server::ApiServer;

/// What each of them checks.
const CHECKS: [&str; 5] = [
    "ping",
    "log",
    "etcd",
    "poststarthook/rbac/bootstrap-roles",
    "poststarthook/scheduling/bootstrap-system-priority-classes",
];
/// What `/readyz` checks besides.
const READY: [&str; 2] = ["etcd-readiness", "shutdown"];

/// The paths of the probes.
pub(super) const PROBES: [&str; 3] = ["healthz", "livez", "readyz"];

/// What a probe checks, in order.
pub(super) fn checks(probe: &str) -> impl Iterator<Item = &'static str> {
    let more = if probe == "readyz" { &READY[..] } else { &[] };
    CHECKS.into_iter().chain(more.iter().copied())
}

/// Why a check fails. Roles and priority classes are there before anybody is listened to, and logs are written without
/// waiting.
fn failure(server: &ApiServer, check: &str) -> Option<String> {
    match check {
        "etcd" | "etcd-readiness" => server.db().store().failure().map(|error| error.to_string()),
        "shutdown" => server.service().drain.is_announced().then(|| "process is shutting down".to_owned()),
        _ => None,
    }
}

/// Answers a probe, or one check of it. None: there is no such check.
pub(super) fn answer(server: &ApiServer, probe: &str, check: &str, query: &Query) -> Option<Answered> {
    if !check.is_empty() {
        checks(probe).find(|known| *known == check)?;
        return Some(match failure(server, check) {
            None => text(200, "ok"),
            Some(why) => text(500, format!("internal server error: {why}\n")),
        });
    }
    let mut excluded: BTreeSet<&str> = query.all("exclude").filter(|name| !name.is_empty()).collect();
    let (mut lines, mut failed) = (String::new(), false);
    for name in checks(probe) {
        let line = if excluded.remove(name) {
            format!("[+]{name} excluded: ok\n")
        } else if let Some(why) = failure(server, name) {
            failed = true;
            tracing::warn!(probe, check = name, why, "failed");
            // Everybody may ask; the reason is for those who may ask for the check itself.
            format!("[-]{name} failed: reason withheld\n")
        } else {
            format!("[+]{name} ok\n")
        };
        lines.push_str(&line);
    }
    if !excluded.is_empty() {
        let names: Vec<String> = excluded.iter().map(|name| format!("{name:?}")).collect();
        let names = names.join(", ");
        lines.push_str(&format!("warn: some health checks cannot be excluded: no matches for {names}\n"));
    }
    Some(if failed {
        text(500, format!("{lines}{probe} check failed\n"))
    } else if query.get("verbose").is_none() {
        text(200, "ok")
    } else {
        text(200, format!("{lines}{probe} check passed\n"))
    })
}
