//! The parameters of a request as options, with upstream's words for what is wrong with them.

use cox_api::{Options, Status, Verb};

use super::target::Query;

/// Reads the parameters of a verb.
///
/// # Errors
/// 400 for a number that is none.
pub fn parse(verb: Verb, query: &Query) -> Result<Options, Status> {
    let text = |key: &str| query.get(key).filter(|value| !value.is_empty()).map(str::to_owned);
    let number = |key: &str| -> Result<Option<i64>, Status> {
        match query.get(key).filter(|value| !value.is_empty()) {
            None => Ok(None),
            Some(value) => value.parse().map(Some).map_err(|error: std::num::ParseIntError| {
                let why = match error.kind() {
                    std::num::IntErrorKind::PosOverflow | std::num::IntErrorKind::NegOverflow => {
                        "value out of range"
                    }
                    _ => "invalid syntax",
                };
                Status::bad_request(format!("strconv.ParseInt: parsing {value:?}: {why}"))
            }),
        }
    };
    let mut options = Options::default();
    if matches!(verb, Verb::List | Verb::Watch | Verb::DeleteCollection) {
        options.label_selector = text("labelSelector");
        options.field_selector = text("fieldSelector");
        options.limit =
            number("limit")?.and_then(|limit| u64::try_from(limit).ok()).filter(|&limit| limit > 0);
        options.continue_token = text("continue");
        options.resource_version_match = text("resourceVersionMatch");
        options.send_initial_events = query.flag("sendInitialEvents");
        options.allow_watch_bookmarks = query.flag("allowWatchBookmarks").unwrap_or(false);
        options.timeout_seconds = number("timeoutSeconds")?.and_then(|seconds| u64::try_from(seconds).ok());
    }
    if verb.is_read() || verb == Verb::DeleteCollection {
        options.resource_version = text("resourceVersion");
    }
    if matches!(verb, Verb::Delete | Verb::DeleteCollection) {
        options.grace_period_seconds = number("gracePeriodSeconds")?;
        options.propagation_policy = text("propagationPolicy");
        options.orphan_dependents = query.flag("orphanDependents");
        options.ignore_store_read_error =
            query.flag("ignoreStoreReadErrorWithClusterBreakingPotential").unwrap_or(false);
    }
    if matches!(verb, Verb::Create | Verb::Update | Verb::Patch) {
        options.field_manager = text("fieldManager");
        options.field_validation = text("fieldValidation");
        if verb == Verb::Patch {
            options.force = query.flag("force");
        }
    }
    if !verb.is_read() {
        let words: Vec<&str> = query.all("dryRun").collect();
        options.dry_run = !words.is_empty();
        if words.iter().any(|&word| word != "All") {
            options.unknown_dry_run = words.into_iter().map(str::to_owned).collect();
        }
    }
    Ok(options)
}
