//! Checks of LimitRanges.

use serde_json::Value;

use crate::field::{FieldErrors, Path};
use crate::kinds::common::check;
use crate::kinds::common::walk::{list, map, text};
use crate::kinds::pod::{quantities::quantity, resources};
use crate::quantity::Quantity;

/// Types that need no domain before them.
const TYPES: [&str; 3] = ["Pod", "Container", "PersistentVolumeClaim"];

/// Checks an object.
pub fn object(object: &Value, errors: &mut FieldErrors) {
    let root = Path::new("spec");
    let root = root.child("limits");
    let limits = list(&object["spec"], "limits");
    for (at, limit) in limits.iter().enumerate() {
        let path = root.index(at);
        let kind = text(limit, "type");
        let before = errors.0.len();
        check::qualified(errors, &path.child("type"), kind);
        if errors.0.len() == before && !kind.contains('/') && !TYPES.contains(&kind) {
            let detail = "must be a standard limit type or fully qualified";
            errors.invalid(&path.child("type"), &kind.into(), detail);
        }
        if limits[..at].iter().any(|earlier| text(earlier, "type") == kind) {
            errors.duplicate(&path.child("type"), &kind.into());
        }
        names(limit, kind, &path, errors);
        amounts(limit, &path, errors);
    }
}

fn names(limit: &Value, kind: &str, path: &Path<'_>, errors: &mut FieldErrors) {
    let check = |key: &str, errors: &mut FieldErrors| {
        for name in map(limit, key).keys() {
            let path = path.child(key);
            if matches!(kind, "Pod" | "Container") {
                resources::container_resource_name(errors, &path.key(name), name);
            } else {
                resources::known_resource_name(errors, &path.key(name), name);
            }
        }
    };
    check("max", errors);
    check("min", errors);
    for key in ["default", "defaultRequest"] {
        if kind != "Pod" {
            check(key, errors);
        } else if !map(limit, key).is_empty() {
            errors.forbidden(&path.child(key), "may not be specified when `type` is 'Pod'");
        }
    }
    if kind == "PersistentVolumeClaim"
        && !["min", "max"].iter().any(|key| map(limit, key).contains_key("storage"))
    {
        let detail = "either minimum or maximum storage value is required, but neither was provided";
        errors.required(&path.child("limits"), detail);
    }
    check("maxLimitRequestRatio", errors);
}

fn amounts(limit: &Value, path: &Path<'_>, errors: &mut FieldErrors) {
    let mut names: Vec<&String> = ["max", "min", "default", "defaultRequest", "maxLimitRequestRatio"]
        .iter()
        .flat_map(|key| map(limit, key).keys())
        .collect();
    names.sort_unstable();
    names.dedup();
    for name in names {
        let of = |key: &str| map(limit, key).get(name).map(quantity);
        let (least, most) = (of("min"), of("max"));
        let (default, request, ratio) = (of("default"), of("defaultRequest"), of("maxLimitRequestRatio"));
        let mut wrong = |key: &str, shown: Quantity, detail: String| {
            errors.invalid(&path.child(key).key(name), &shown.to_string().into(), detail);
        };
        if let (Some(min), Some(max)) = (least, most)
            && min > max
        {
            wrong("min", min, format!("min value {min} is greater than max value {max}"));
        }
        if let (Some(request), Some(min)) = (request, least)
            && min > request
        {
            let detail = format!("min value {min} is greater than default request value {request}");
            wrong("defaultRequest", request, detail);
        }
        if let (Some(request), Some(max)) = (request, most)
            && request > max
        {
            let detail = format!("default request value {request} is greater than max value {max}");
            wrong("defaultRequest", request, detail);
        }
        if let (Some(request), Some(default)) = (request, default)
            && request > default
        {
            let detail =
                format!("default request value {request} is greater than default limit value {default}");
            wrong("defaultRequest", request, detail);
        }
        if let (Some(default), Some(min)) = (default, least)
            && min > default
        {
            wrong("default", min, format!("min value {min} is greater than default value {default}"));
        }
        if let (Some(default), Some(max)) = (default, most)
            && default > max
        {
            wrong("default", max, format!("default value {default} is greater than max value {max}"));
        }
        let key = "maxLimitRequestRatio";
        if let Some(ratio) = ratio
            && ratio < Quantity::new(1, ratio.format())
        {
            wrong(key, ratio, format!("ratio {ratio} is less than 1"));
        }
        if let (Some(ratio), Some(min), Some(max)) = (ratio, least, most) {
            let bound = max.as_f64() / min.as_f64();
            if ratio.as_f64() > bound {
                wrong(key, ratio, format!("ratio {ratio} is greater than max/min = {bound:.6}"));
            }
        }
        if let (Some(default), Some(request)) = (default, request)
            && !resources::may_overcommit(name)
            && default != request
        {
            let detail =
                format!("default value {default} must equal to defaultRequest value {request} in {name}");
            wrong("defaultRequest", request, detail);
        }
    }
}
