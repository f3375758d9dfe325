//! Checks of Events in their stored form. Upstream's messages name the stored fields whatever the version.

use serde_json::Value;

use crate::field::{FieldErrors, Path};
use crate::kinds::common::check::{self, bad_text};
use crate::kinds::common::walk::{get, int, text};
use crate::kinds::pod::internal;
use crate::meta::names;

/// Longest words of an event, in bytes.
const WORD_BYTES_MAX: usize = 128;
/// Longest message of an event, in bytes.
const MESSAGE_BYTES_MAX: usize = 1024;

/// What every version checks; events without `eventTime` are old ones, of which less is asked.
pub fn common(object: &Value, controller_field: &str, errors: &mut FieldErrors) {
    let namespace = text(&object["metadata"], "namespace");
    let about = text(&object["involvedObject"], "namespace");
    let timed = get(object, "eventTime").is_some();
    let fits = match (timed, about) {
        (false, "") => matches!(namespace, "" | "default"),
        (false, about) => about == namespace,
        (true, "") => matches!(namespace, "default" | "kube-system"),
        // An event of something elsewhere is the business of who reports it.
        (true, _) => true,
    };
    if !fits {
        let path = Path::new("involvedObject");
        bad_text(errors, &path.child("namespace"), about, "does not match event.namespace");
    }
    if timed {
        let controller = text(object, "reportingComponent");
        let path = Path::new(controller_field);
        check::required(errors, &path, controller);
        check::qualified(errors, &path, controller);
        for key in ["reportingInstance", "action", "reason"] {
            let path = Path::new(key);
            check::required(errors, &path, text(object, key));
            at_most(errors, &path, text(object, key), WORD_BYTES_MAX);
        }
        at_most(errors, &Path::new("message"), text(object, "message"), MESSAGE_BYTES_MAX);
    }
    check::messages(errors, &Path::new("namespace"), namespace, names::dns1123_subdomain(namespace));
}

fn at_most(errors: &mut FieldErrors, path: &Path<'_>, text: &str, bytes_max: usize) {
    if text.len() > bytes_max {
        bad_text(errors, path, "", format!("can have at most {bytes_max} characters"));
    }
}

/// What `events.k8s.io/v1` asks of new events besides.
pub fn newer(object: &Value, errors: &mut FieldErrors) {
    series(object, errors);
    if get(object, "eventTime").is_none() {
        errors.required(&Path::new("eventTime"), "");
    }
    let kind = text(object, "type");
    if !matches!(kind, "Normal" | "Warning") {
        bad_text(errors, &Path::new("type"), "", format!("has invalid value: {kind}"));
    }
    let unset = "needs to be unset";
    for key in ["firstTimestamp", "lastTimestamp"] {
        if get(object, key).is_some() {
            bad_text(errors, &Path::new(key), "", unset);
        }
    }
    if int(object, "count") != 0 {
        bad_text(errors, &Path::new("count"), "", unset);
    }
    let source = &object["source"];
    if !text(source, "component").is_empty() || !text(source, "host").is_empty() {
        bad_text(errors, &Path::new("source"), "", unset);
    }
}

fn series(object: &Value, errors: &mut FieldErrors) {
    let Some(series) = get(object, "series") else { return };
    if int(series, "count") < 2 {
        bad_text(errors, &Path::new("series.count"), "", "should be at least 2");
    }
    if get(series, "lastObservedTime").is_none() {
        errors.required(&Path::new("series.lastObservedTime"), "");
    }
}

/// What `events.k8s.io/v1` lets an update change: the series.
pub fn update(new: &Value, old: &Value, errors: &mut FieldErrors) {
    if get(new, "series") != get(old, "series") {
        series(new, errors);
    }
    let reference = |value: &Value| internal::json("ObjectReference", value);
    let mut stays = |key: &str, shown: &str, show: &dyn Fn(&Value) -> String| {
        check::immutable(errors, &Path::new(shown), get(new, key), get(old, key), show);
    };
    stays("involvedObject", "involvedObject", &reference);
    // Upstream asks for the reason twice.
    for key in [
        "reason",
        "reason",
        "message",
        "source",
        "firstTimestamp",
        "lastTimestamp",
        "count",
        "type",
        "eventTime",
        "action",
    ] {
        stays(key, key, &Value::to_string);
    }
    stays("related", "related", &reference);
    stays("reportingComponent", "reportingController", &Value::to_string);
    stays("reportingInstance", "reportingInstance", &Value::to_string);
}
