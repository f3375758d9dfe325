//! Everything that is measured, as text.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use cox_api::kinds;
use serde_json::Value;

use super::flows::{FlowCounts, REASONS};
use super::histogram::{ANSWER, EVENT, FINER_THAN_SLI, IDENTITY, REQUEST, Read, WAIT};
use super::identity::{DECISIONS, LOGINS, NAMES};
use super::labels::{DryRun, Verb, code_text};
use super::process;
use super::requests::Used;
use super::text::Text;
use crate::flow::LevelSeats;
use crate::server::ApiServer;

const NANOSECONDS: f64 = 1e9;

/// Writes what is measured of a server; `version` is what `/version` says.
pub(crate) fn render(server: &ApiServer, version: &Value) -> String {
    let mut text = Text::default();
    let metrics = &server.service().metrics;
    in_flight(&mut text, server);
    flows(&mut text, server);
    requests(&mut text, &metrics.requests.used());
    watches(&mut text, server);
    objects(&mut text, server);
    identity(&mut text, server);
    audit(&mut text, server);
    text.about(
        "apiserver_tls_handshake_errors_total",
        "counter",
        "[ALPHA] Number of requests dropped with 'TLS handshake error from' error",
    );
    text.sample("apiserver_tls_handshake_errors_total", &[], load(&metrics.tls_errors));
    build(&mut text, version);
    process::write(&mut text);
    text.into_string()
}

fn load(count: &AtomicU64) -> u64 {
    count.load(Ordering::Relaxed)
}

fn in_flight(text: &mut Text, server: &ApiServer) {
    const NAME: &str = "apiserver_current_inflight_requests";
    let help = "[STABLE] Maximal number of currently used inflight request limit of this apiserver per request kind in last second.";
    text.about(NAME, "gauge", help);
    let (reads, writes) = server.service().in_flight.highest(server.env().elapsed().as_secs());
    text.sample(NAME, &[("request_kind", "mutating")], writes);
    text.sample(NAME, &[("request_kind", "readOnly")], reads);
}

fn flows(text: &mut Text, server: &ApiServer) {
    let flow = &server.service().flow;
    let seats = flow.seats();
    let mut seats_of = |name: &str, help: &str, number: &dyn Fn(&LevelSeats) -> usize| {
        text.about(name, "gauge", help);
        for level in &seats {
            text.sample(name, &[("priority_level", &level.name)], number(level));
        }
    };
    seats_of(
        "apiserver_flowcontrol_current_limit_seats",
        "[ALPHA] current derived number of execution seats available to each priority level",
        &|level| level.current,
    );
    seats_of(
        "apiserver_flowcontrol_lower_limit_seats",
        "[ALPHA] Configured lower bound on number of execution seats available to each priority level",
        &|level| level.min,
    );
    seats_of(
        "apiserver_flowcontrol_nominal_limit_seats",
        "[BETA] Nominal number of execution seats configured for each priority level",
        &|level| level.nominal,
    );
    seats_of(
        "apiserver_flowcontrol_upper_limit_seats",
        "[ALPHA] Configured upper bound on number of execution seats available to each priority level",
        &|level| level.max,
    );
    let counts = flow.counts();
    let of = |(schema, level, _): &'_ (String, String, _)| (schema.clone(), level.clone());
    let mut each = |name: &str, kind: &str, help: &str, number: &dyn Fn(&FlowCounts) -> Option<i64>| {
        text.about(name, kind, help);
        for one in &counts {
            if let Some(number) = number(&one.2) {
                let (schema, level) = of(one);
                text.sample(name, &[("flow_schema", &schema), ("priority_level", &level)], number);
            }
        }
    };
    each(
        "apiserver_flowcontrol_current_executing_requests",
        "gauge",
        "[BETA] Number of requests in initial (for a WATCH) or any (for a non-WATCH) execution stage in the API Priority and Fairness subsystem",
        &|counts| Some(counts.executing.load(Ordering::Relaxed)),
    );
    each(
        "apiserver_flowcontrol_current_inqueue_requests",
        "gauge",
        "[BETA] Number of requests currently pending in queues of the API Priority and Fairness subsystem",
        &|counts| Some(counts.waiting.load(Ordering::Relaxed)),
    );
    each(
        "apiserver_flowcontrol_dispatched_requests_total",
        "counter",
        "[BETA] Number of requests executed by API Priority and Fairness subsystem",
        &|counts| i64::try_from(load(&counts.dispatched)).ok().filter(|count| *count > 0),
    );
    const REJECTED: &str = "apiserver_flowcontrol_rejected_requests_total";
    text.about(
        REJECTED,
        "counter",
        "[BETA] Number of requests rejected by API Priority and Fairness subsystem",
    );
    for (schema, level, counts) in &counts {
        for (reason, count) in REASONS.iter().zip(&counts.rejected).filter(|(_, count)| load(count) > 0) {
            let labels = [("flow_schema", schema.as_str()), ("priority_level", level), ("reason", reason)];
            text.sample(REJECTED, &labels, load(count));
        }
    }
    const WAITS: &str = "apiserver_flowcontrol_request_wait_duration_seconds";
    text.about(WAITS, "histogram", "[BETA] Length of time a request spent waiting in its queue");
    for (schema, level, counts) in &counts {
        for (execute, waits) in ["false", "true"].into_iter().zip(&counts.waits) {
            let read = waits.read();
            if read.count() > 0 {
                let labels = [("execute", execute), ("flow_schema", schema), ("priority_level", level)];
                text.histogram(WAITS, &labels, &WAIT, &read, NANOSECONDS, 0);
            }
        }
    }
}

/// The labels that all metrics of requests share, around those of one.
fn labels<'a>(used: &Used<'a>, code: Option<&'a str>, dry_run: Option<DryRun>) -> Vec<(&'a str, &'a str)> {
    let mut labels = Vec::with_capacity(9);
    labels.extend(code.map(|code| ("code", code)));
    labels.push(("component", used.route.component));
    labels.extend(dry_run.map(|dry_run| ("dry_run", dry_run.as_str())));
    labels.extend([
        ("group", used.route.group),
        ("resource", used.route.resource),
        ("scope", used.scope.as_str()),
        ("subresource", used.route.subresource),
        ("verb", used.verb.as_str()),
        ("version", used.route.version),
    ]);
    labels
}

fn requests(text: &mut Text, used: &[Used<'_>]) {
    const LONG: &str = "apiserver_longrunning_requests";
    let help = "[STABLE] Gauge of all active long-running apiserver requests broken out by verb, group, version, resource, scope and component. Not all requests are tracked this way.";
    text.about(LONG, "gauge", help);
    for used in used {
        let number = used.slot.long_running.load(Ordering::Relaxed);
        if number != 0 || matches!(used.verb, Verb::Watch | Verb::Connect) {
            text.sample(LONG, &labels(used, None, None), number);
        }
    }
    const TIME: &str = "apiserver_request_duration_seconds";
    let help = "[STABLE] Response latency distribution in seconds for each verb, dry run value, group, version, resource, subresource, scope and component.";
    text.about(TIME, "histogram", help);
    for used in used {
        for (dry_run, answered) in answered(used) {
            text.histogram(
                TIME,
                &labels(used, None, Some(dry_run)),
                &REQUEST,
                &answered.time.read(),
                NANOSECONDS,
                0,
            );
        }
    }
    // There are no webhooks whose time it would leave out.
    const SLI: &str = "apiserver_request_sli_duration_seconds";
    let help = "[ALPHA] Response latency distribution (not counting webhook duration and priority & fairness queue wait times) in seconds for each verb, group, version, resource, subresource, scope and component.";
    text.about(SLI, "histogram", help);
    for used in used {
        let mut sum = Read::none(&REQUEST);
        answered(used).for_each(|(_, answered)| sum.add(&answered.time.read()));
        if let Some([whole, served]) = used.slot.queued.get().map(|both| &**both) {
            sum.subtract(&whole.read());
            sum.add(&served.read());
        }
        if sum.count() > 0 {
            text.histogram(SLI, &labels(used, None, None), &REQUEST, &sum, NANOSECONDS, FINER_THAN_SLI);
        }
    }
    const ENDED: &str = "apiserver_request_terminations_total";
    text.about(ENDED, "counter", "[ALPHA] Number of requests which apiserver terminated in self-defense.");
    for used in used {
        for (code, count) in [("429", load(&used.slot.too_many)), ("504", load(&used.slot.too_long))] {
            if count > 0 {
                text.sample(ENDED, &labels(used, Some(code), None), count);
            }
        }
    }
    const TOTAL: &str = "apiserver_request_total";
    let help = "[STABLE] Counter of apiserver requests broken out for each verb, dry run value, group, version, resource, scope, component, and HTTP response code.";
    text.about(TOTAL, "counter", help);
    for used in used {
        for (dry_run, answered) in answered(used) {
            for (place, count) in answered.codes.iter().map(load).enumerate().filter(|(_, count)| *count > 0)
            {
                text.sample(TOTAL, &labels(used, Some(&code_text(place)), Some(dry_run)), count);
            }
        }
    }
    const OLD: &str = "apiserver_requested_deprecated_apis";
    let help = "[STABLE] Gauge of deprecated APIs that have been requested, broken out by API group, version, resource, subresource, and removed_release.";
    text.about(OLD, "gauge", help);
    let asked = used
        .iter()
        .filter(|used| used.route.deprecated && answered(used).next().is_some())
        .map(|used| used.route);
    let asked: BTreeMap<_, _> =
        asked.map(|route| ((route.group, route.resource, route.subresource), route.version)).collect();
    for ((group, resource, subresource), version) in asked {
        let labels = [
            ("group", group),
            ("removed_release", ""),
            ("resource", resource),
            ("subresource", subresource),
            ("version", version),
        ];
        text.sample(OLD, &labels, 1);
    }
    const SIZE: &str = "apiserver_response_sizes";
    let help = "[STABLE] Response size distribution in bytes for each group, version, verb, resource, subresource, scope and component.";
    text.about(SIZE, "histogram", help);
    for used in used {
        if let Some(sizes) = used.slot.sizes.get() {
            text.histogram(SIZE, &labels(used, None, None), &ANSWER, &sizes.read(), 1.0, 0);
        }
    }
}

fn answered<'a>(used: &Used<'a>) -> impl Iterator<Item = (DryRun, &'a super::requests::Answered)> {
    let answered = DryRun::ALL.into_iter().zip(&used.slot.answered);
    answered.filter_map(|(dry_run, answered)| Some((dry_run, &**answered.get()?)))
}

fn watches(text: &mut Text, server: &ApiServer) {
    const SIZE: &str = "apiserver_watch_events_sizes";
    let watched: Vec<_> = server.service().metrics.requests.watched().collect();
    text.about(SIZE, "histogram", "[ALPHA] Watch event size distribution in bytes");
    for (route, counts) in &watched {
        let labels = [("group", route.group), ("resource", route.resource), ("version", route.version)];
        text.histogram(SIZE, &labels, &EVENT, &counts.sizes.read(), 1.0, 0);
    }
    const EVENTS: &str = "apiserver_watch_events_total";
    text.about(EVENTS, "counter", "[ALPHA] Number of events sent in watch clients");
    for (route, counts) in &watched {
        let labels = [("group", route.group), ("resource", route.resource), ("version", route.version)];
        text.sample(EVENTS, &labels, load(&counts.events));
    }
}

fn objects(text: &mut Text, server: &ApiServer) {
    let counts: BTreeMap<_, _> = server.db().store().counts().into_iter().collect();
    let stored = kinds::ALL.iter().filter(|kind| kind.stored_as().is_none()).map(|kind| kind.info());
    let stored: BTreeMap<_, _> = stored
        .map(|info| ((info.group, info.plural), counts.get(info.store_prefix).copied().unwrap_or(0)))
        .collect();
    const RESOURCE: &str = "apiserver_resource_objects";
    let help = "Number of stored objects at the time of last check split by kind. In case of a fetching error, the value will be -1.";
    text.about(RESOURCE, "gauge", &format!("[ALPHA] {help}"));
    for ((group, plural), count) in &stored {
        text.sample(RESOURCE, &[("group", group), ("resource", plural)], count);
    }
    const STORAGE: &str = "apiserver_storage_objects";
    let old =
        "[STABLE] (Deprecated since 1.34.0) [DEPRECATED, consider using apiserver_resource_objects instead]";
    text.about(STORAGE, "gauge", &format!("{old} {help}"));
    for ((group, plural), count) in &stored {
        text.sample(STORAGE, &[("resource", &cox_api::status::qualified(group, plural))], count);
    }
}

fn identity(text: &mut Text, server: &ApiServer) {
    let identity = &server.service().metrics.identity;
    const USERS: &str = "authenticated_user_requests";
    text.about(USERS, "counter", "[ALPHA] Counter of authenticated requests broken out by username.");
    for (name, count) in NAMES.iter().zip(&identity.users).filter(|(_, count)| load(count) > 0) {
        text.sample(USERS, &[("username", name)], load(count));
    }
    let logins: Vec<_> = LOGINS.iter().zip(identity.logins.iter().map(|one| one.read())).collect();
    const LOGIN: &str = "authentication_attempts";
    text.about(LOGIN, "counter", "[ALPHA] Counter of authenticated attempts.");
    for (result, read) in logins.iter().filter(|(_, read)| read.count() > 0) {
        text.sample(LOGIN, &[("result", result)], read.count());
    }
    const LOGIN_TIME: &str = "authentication_duration_seconds";
    text.about(LOGIN_TIME, "histogram", "[ALPHA] Authentication duration in seconds broken out by result.");
    for (result, read) in logins.iter().filter(|(_, read)| read.count() > 0) {
        text.histogram(LOGIN_TIME, &[("result", result)], &IDENTITY, read, NANOSECONDS, 0);
    }
    let decisions: Vec<_> = DECISIONS.iter().zip(identity.decisions.iter().map(|one| one.read())).collect();
    const DECISION: &str = "authorization_attempts_total";
    let help = "[ALPHA] Counter of authorization attempts broken down by result. It can be either 'allowed', 'denied', 'no-opinion' or 'error'.";
    text.about(DECISION, "counter", help);
    for (result, read) in decisions.iter().filter(|(_, read)| read.count() > 0) {
        text.sample(DECISION, &[("result", result)], read.count());
    }
    const DECISION_TIME: &str = "authorization_duration_seconds";
    text.about(DECISION_TIME, "histogram", "[ALPHA] Authorization duration in seconds broken out by result.");
    for (result, read) in decisions.iter().filter(|(_, read)| read.count() > 0) {
        text.histogram(DECISION_TIME, &[("result", result)], &IDENTITY, read, NANOSECONDS, 0);
    }
}

fn audit(text: &mut Text, server: &ApiServer) {
    let Some(audit) = &server.service().audit else { return };
    let (levels, counts) = audit.counts();
    const ERRORS: &str = "apiserver_audit_error_total";
    let help = "[ALPHA] Counter of audit events that failed to be audited properly. Plugin identifies the plugin affected by the error.";
    text.about(ERRORS, "counter", help);
    // Under the names of upstream's two plugins: the queue and the file.
    text.sample(ERRORS, &[("plugin", "buffered")], load(&counts.dropped));
    text.sample(ERRORS, &[("plugin", "log")], load(&counts.failed));
    const EVENTS: &str = "apiserver_audit_event_total";
    text.about(EVENTS, "counter", "[ALPHA] Counter of audit events generated and sent to the audit backend.");
    text.sample(EVENTS, &[], load(&counts.events));
    const LEVELS: &str = "apiserver_audit_level_total";
    text.about(LEVELS, "counter", "[ALPHA] Counter of policy levels for audit events (1 per request).");
    for (level, count) in levels {
        text.sample(LEVELS, &[("level", level)], count);
    }
}

fn build(text: &mut Text, version: &Value) {
    const NAME: &str = "kubernetes_build_info";
    let help = "[BETA] A metric with a constant '1' value labeled by major, minor, git version, git commit, git tree state, build date, Go version, and compiler from which Kubernetes was built, and platform on which it is running.";
    text.about(NAME, "gauge", help);
    let of = |key: &str| version[key].as_str().unwrap_or_default();
    let labels = [
        ("build_date", of("buildDate")),
        ("compiler", of("compiler")),
        ("git_commit", of("gitCommit")),
        ("git_tree_state", of("gitTreeState")),
        ("git_version", of("gitVersion")),
        ("go_version", of("goVersion")),
        ("major", of("major")),
        ("minor", of("minor")),
        ("platform", of("platform")),
    ];
    text.sample(NAME, &labels, 1);
}
