//! What a cron job may say.

use jiff::tz::TimeZone;
use serde_json::Value;

use crate::cron::Schedule;
use crate::field::{FieldErrors, Path};
use crate::kinds::common::check::{self, field_non_negative};
use crate::kinds::common::label_selector;
use crate::kinds::common::walk::{flag, get, text, text_ptr};
use crate::kinds::job;

/// The spec, new or changed.
pub fn spec(errors: &mut FieldErrors, path: &Path<'_>, spec: &Value, old: Option<&Value>) {
    schedule(errors, &path.child("schedule"), spec, old);
    field_non_negative(errors, spec, path, "startingDeadlineSeconds");
    let zone = text_ptr(spec, "timeZone");
    if let Some(zone) = zone.filter(|_| old.is_none_or(|old| text_ptr(old, "timeZone") != zone)) {
        time_zone(errors, &path.child("timeZone"), zone);
    }
    let policy = text(spec, "concurrencyPolicy");
    let words = ["Allow", "Forbid", "Replace"];
    check::required_one_of(errors, &path.child("concurrencyPolicy"), policy, &words);
    let made = &spec["jobTemplate"]["spec"];
    let place = path.child("jobTemplate.spec");
    job::checks::spec(errors, &place, made);
    if let Some(selector) = get(made, "selector") {
        let shown = label_selector::json(selector);
        errors.invalid_shown(&place.child("selector"), shown, "`selector` will be auto-generated");
    }
    if flag(made, "manualSelector") {
        errors.not_supported(&place.child("manualSelector"), &true.into(), &["nil", "false"]);
    }
    field_non_negative(errors, spec, path, "successfulJobsHistoryLimit");
    field_non_negative(errors, spec, path, "failedJobsHistoryLimit");
}

fn schedule(errors: &mut FieldErrors, path: &Path<'_>, spec: &Value, old: Option<&Value>) {
    let schedule = text(spec, "schedule");
    if schedule.is_empty() {
        return errors.required(path, "");
    }
    if let Err(fault) = Schedule::parse(schedule) {
        errors.invalid(path, &schedule.into(), fault);
    }
    if !schedule.contains("TZ") {
        return;
    }
    // Zones in schedules once were taken; where there is one it may stay.
    if !old.is_some_and(|old| text(old, "schedule").contains("TZ")) {
        let detail = "cannot use TZ or CRON_TZ in schedule, use timeZone field instead";
        errors.invalid(path, &schedule.into(), detail);
    } else if text_ptr(spec, "timeZone").is_some() {
        let detail = "cannot use both timeZone field and TZ or CRON_TZ in schedule";
        errors.invalid(path, &schedule.into(), detail);
    }
}

fn time_zone(errors: &mut FieldErrors, path: &Path<'_>, zone: &str) {
    let mut fault = |detail: String| errors.invalid(path, &zone.into(), detail);
    if zone.is_empty() {
        return fault("timeZone must be nil or non-empty string".to_owned());
    }
    let part_is_good = |part: &str| {
        (1..=14).contains(&part.len())
            && !part.starts_with('-')
            && !matches!(part, "." | "..")
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_+".contains(&byte))
    };
    if !zone.split('/').all(part_is_good) {
        return fault(format!("unknown time zone {zone}"));
    }
    if zone.eq_ignore_ascii_case("Local") {
        fault(
            "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones".to_owned(),
        );
    }
    if zone != "Local" && !is_known(zone) {
        fault(format!("unknown time zone {zone}"));
    }
}

/// Whether there is such a zone, by exactly that name.
fn is_known(zone: &str) -> bool {
    zone == "UTC" || TimeZone::get(zone).is_ok_and(|found| found.iana_name() == Some(zone))
}
