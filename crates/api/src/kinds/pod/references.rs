//! References of containers and volumes to fields and resources of the pod (the downward API).

use serde_json::Value;

use super::quantities::quantity;
use crate::field::{FieldErrors, Path};
use crate::kinds::common::check::{self, bad_text};
use crate::kinds::common::walk::{get, text};

/// Fields that environment variables may have.
pub const ENV_FIELDS: &[&str] = &[
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
];

/// Fields that files may have.
pub const FILE_FIELDS: &[&str] =
    &["metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid"];

/// Fields that upstream knows at all.
const KNOWN_FIELDS: &[&str] = &[
    "metadata.annotations",
    "metadata.labels",
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.restartPolicy",
    "spec.serviceAccountName",
    "spec.schedulerName",
    "status.phase",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
];

const RESOURCES: &[&str] = &[
    "limits.cpu",
    "limits.ephemeral-storage",
    "limits.memory",
    "requests.cpu",
    "requests.ephemeral-storage",
    "requests.memory",
];

const CPU_DIVISORS: &[&str] = &["1m", "1"];
const BYTE_DIVISORS: &[&str] =
    &["1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei"];

/// A `fieldRef`.
pub fn field(errors: &mut FieldErrors, path: &Path<'_>, reference: &Value, allowed: &[&str]) {
    let (version, field) = (text(reference, "apiVersion"), text(reference, "fieldPath"));
    if version.is_empty() {
        return errors.required(&path.child("apiVersion"), "");
    }
    if field.is_empty() {
        return errors.required(&path.child("fieldPath"), "");
    }
    let unusable = |errors: &mut FieldErrors, why: String| {
        bad_text(errors, &path.child("fieldPath"), field, format!("error converting fieldPath: {why}"));
    };
    if version != "v1" {
        return unusable(errors, format!("unsupported pod version: {version}"));
    }
    if let Some((parent, key)) = subscript(field) {
        match parent {
            "metadata.annotations" => check::qualified(errors, path, &key.to_lowercase()),
            "metadata.labels" => check::qualified(errors, path, key),
            _ => unusable(errors, format!("field label does not support subscript: {field}")),
        }
        return;
    }
    let field = if field == "spec.host" { "spec.nodeName" } else { field };
    if !KNOWN_FIELDS.contains(&field) {
        return unusable(errors, format!("field label not supported: {field}"));
    }
    check::one_of(errors, &path.child("fieldPath"), field, allowed);
}

/// `metadata.labels['a']` in its two parts.
fn subscript(field: &str) -> Option<(&str, &str)> {
    let (parent, key) = field.strip_suffix("']")?.split_once("['")?;
    (!parent.is_empty()).then_some((parent, key))
}

/// A `resourceFieldRef`; files must name the container.
pub fn resource(errors: &mut FieldErrors, path: &Path<'_>, reference: &Value, in_file: bool) {
    let name = text(reference, "resource");
    let huge = name.starts_with("requests.hugepages-") || name.starts_with("limits.hugepages-");
    if in_file && text(reference, "containerName").is_empty() {
        errors.required(&path.child("containerName"), "");
    } else if name.is_empty() {
        errors.required(&path.child("resource"), "");
    } else if !huge {
        check::one_of(errors, &path.child("resource"), name, RESOURCES);
    }
    let Some(divisor) = get(reference, "divisor").filter(|divisor| !quantity(divisor).is_zero()) else {
        return;
    };
    let what = match name.split_once('.').map_or("", |(_, resource)| resource) {
        "cpu" => "cpu",
        "memory" => "memory",
        "ephemeral-storage" => "local ephemeral storage",
        _ if huge => "hugepages",
        _ => return,
    };
    let allowed = if what == "cpu" { CPU_DIVISORS } else { BYTE_DIVISORS };
    if !divisor.as_str().is_some_and(|divisor| allowed.contains(&divisor)) {
        let words = if what == "cpu" { "1m and 1".to_owned() } else { BYTE_DIVISORS.join(", ") };
        let detail = format!("only divisor's values {words} are supported with the {what} resource");
        bad_text(errors, &path.child("divisor"), name, detail);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn faults(check: impl Fn(&mut FieldErrors)) -> Vec<String> {
        let mut errors = FieldErrors::new();
        check(&mut errors);
        errors.0.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn fields_are_known_ones() {
        let reference = |field: &str| json!({"apiVersion": "v1", "fieldPath": field});
        for good in ["metadata.name", "metadata.labels['a/b']", "status.podIPs", "spec.host"] {
            assert!(faults(|e| field(e, &Path::new("f"), &reference(good), ENV_FIELDS)).is_empty(), "{good}");
        }
        for (bad, start) in [
            (
                "metadata.labels",
                "f.fieldPath: Unsupported value: \"metadata.labels\": supported values: \"metadata.name\"",
            ),
            (
                "spec.x",
                "f.fieldPath: Invalid value: \"spec.x\": error converting fieldPath: field label not supported: spec.x",
            ),
            (
                "spec.x['y']",
                "f.fieldPath: Invalid value: \"spec.x['y']\": error converting fieldPath: field label does not",
            ),
        ] {
            let found = faults(|e| field(e, &Path::new("f"), &reference(bad), ENV_FIELDS));
            assert!(found.len() == 1 && found[0].starts_with(start), "{found:?}");
        }
    }

    #[test]
    fn divisors_fit_the_resource() {
        let reference = |name: &str, divisor: &str| json!({"resource": name, "divisor": divisor});
        for (name, divisor, good) in [
            ("limits.cpu", "1m", true),
            ("limits.cpu", "0", true),
            ("limits.cpu", "3", false),
            ("requests.memory", "1Mi", true),
            ("requests.memory", "2Mi", false),
            ("limits.hugepages-2Mi", "1Mi", true),
            ("limits.gpu", "1", false),
        ] {
            let found = faults(|e| resource(e, &Path::new("f"), &reference(name, divisor), false));
            assert_eq!(found.is_empty(), good, "{name} {divisor} {found:?}");
        }
    }
}
