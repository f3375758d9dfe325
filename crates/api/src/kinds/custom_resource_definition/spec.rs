//! Validation of a definition.
//! Source: `k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/validation`.

use serde_json::{Map, Value, json};

use super::{names, schema};
use crate::custom::path::SimplePath;
use crate::field::{FieldErrors, Path};
use crate::kinds::common::check::{bad_text, required, required_one_of};
use crate::kinds::common::walk::{flag, flag_ptr, get, list, map, text, texts};
use crate::meta;
use crate::meta::names::{dns1035_label, dns1123_subdomain};

const SPEC: Path<'static> = Path::new("spec");
const COLUMN_TYPES: &[&str] = &["boolean", "date", "integer", "number", "string"];
const COLUMN_FORMATS: &[&str] =
    &["byte", "date", "date-time", "double", "float", "int32", "int64", "password"];
/// So many fields of a kind can be selected by.
const SELECTABLE_MAX: usize = 8;
/// Groups of the project, and what says that it has agreed to a definition in them.
const PROTECTED: [&str; 2] = [".k8s.io", ".kubernetes.io"];
const APPROVAL: &str = "api-approved.kubernetes.io";

/// Checks the metadata of a new definition; its name follows from its names.
pub fn validate_metadata(object: &Value, errors: &mut FieldErrors) {
    let name = text(&object["metadata"], "name");
    meta::validate_create(object, &super::INFO, crate::kind::NameRule::Subdomain, errors);
    let wanted = format!("{}.{}", text(&object["spec"]["names"], "plural"), text(&object["spec"], "group"));
    if name != wanted && !name.is_empty() {
        let path = Path::new("metadata");
        bad_text(errors, &path.child("name"), name, "must be spec.names.plural+\".\"+spec.group");
    }
}

/// Checks a definition. `old`: what it was, which makes what stood there already fine.
pub fn validate(object: &Value, old: Option<&Value>, errors: &mut FieldErrors) {
    let spec = &object["spec"];
    validate_group(text(spec, "group"), errors);
    required_one_of(errors, &SPEC.child("scope"), text(spec, "scope"), &["Cluster", "Namespaced"]);
    validate_versions(spec, errors);
    let names_path = SPEC.child("names");
    for key in ["plural", "singular", "kind", "listKind"] {
        required(errors, &names_path.child(key), text(&spec["names"], key));
    }
    names::validate(&spec["names"], &names_path, errors);
    validate_conversion(&spec["conversion"], errors);
    if flag_ptr(spec, "preserveUnknownFields") == Some(true) {
        errors.invalid(
            &SPEC.child("preserveUnknownFields"),
            &true.into(),
            "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead",
        );
    }
    validate_status(object, errors);
    validate_approval(object, old, errors);
}

fn validate_group(group: &str, errors: &mut FieldErrors) {
    let path = SPEC.child("group");
    let wrong = dns1123_subdomain(group);
    if group.is_empty() {
        errors.required(&path, "");
    } else if !wrong.is_empty() {
        bad_text(errors, &path, group, wrong.join(","));
    } else if !group.contains('.') {
        bad_text(errors, &path, group, "should be a domain with at least one dot");
    }
}

/// Groups of the project need its word.
fn validate_approval(object: &Value, old: Option<&Value>, errors: &mut FieldErrors) {
    let group = text(&object["spec"], "group");
    let protected =
        group == "k8s.io" || group == "kubernetes.io" || PROTECTED.iter().any(|end| group.ends_with(end));
    let word = |object: &Value| text(&object["metadata"]["annotations"], APPROVAL).to_owned();
    if !protected || old.is_some_and(|old| word(old) == word(object)) {
        return;
    }
    let metadata = Path::new("metadata");
    let annotations = metadata.child("annotations");
    let path = annotations.key(APPROVAL);
    let word = word(object);
    let see = "see https://github.com/kubernetes/enhancements/pull/1111";
    if word.is_empty() {
        errors.required(&path, format!("protected groups must have approval annotation {APPROVAL:?}, {see}"));
    } else if !word.starts_with("unapproved") && !is_link(&word) {
        let words = format!(
            "protected groups must have approval annotation {APPROVAL:?} with either a URL or a reason starting with \"unapproved\", {see}"
        );
        bad_text(errors, &path, &word, words);
    }
}

fn is_link(text: &str) -> bool {
    text.split_once("://").is_some_and(|(scheme, rest)| {
        !scheme.is_empty() && rest.split('/').next().is_some_and(|host| !host.is_empty())
    })
}

/// What of versions may be the same in all of them: upstream then tells its faults once, above the versions.
fn shared<'v>(versions: &'v [Value], key: &str) -> Option<&'v Value> {
    let first = &versions.first()?[key];
    versions.iter().all(|version| &version[key] == first).then_some(first)
}

fn validate_versions(spec: &Value, errors: &mut FieldErrors) {
    let versions = list(spec, "versions");
    let path = SPEC.child("versions");
    for (at, version) in versions.iter().enumerate() {
        let wrong = dns1035_label(text(version, "name"));
        if !wrong.is_empty() {
            bad_text(errors, &path.index(at).child("name"), text(version, "name"), wrong.join(","));
        }
        if !flag(version, "deprecated") && get(version, "deprecationWarning").is_some() {
            let place = path.index(at);
            let words = "can only be set for deprecated versions";
            errors.invalid(&place.child("deprecationWarning"), &version["deprecationWarning"], words);
        }
    }
    let unique = versions
        .iter()
        .enumerate()
        .all(|(at, version)| versions[..at].iter().all(|known| text(known, "name") != text(version, "name")));
    if !unique {
        errors.invalid_shown(&path, shown(versions), "must contain unique version names");
    }
    if versions.iter().filter(|version| flag(version, "storage")).count() != 1 {
        errors.invalid_shown(
            &path,
            shown(versions),
            "must have exactly one version marked as storage version",
        );
    }
    if let Some(first) = versions.first() {
        let wrong = dns1035_label(text(first, "name"));
        if !wrong.is_empty() {
            bad_text(errors, &SPEC.child("version"), text(first, "name"), wrong.join(","));
        }
    }
    for (at, version) in versions.iter().enumerate() {
        let place = path.index(at);
        if version.pointer("/schema/openAPIV3Schema").is_none_or(Value::is_null) {
            errors.required(&place.child("schema").child("openAPIV3Schema"), "");
        }
    }
    each(versions, "schema", "validation", &mut |version, path| {
        if let Some(schema) = get(&version["schema"], "openAPIV3Schema") {
            schema::validate(schema, &path.child("openAPIV3Schema"), errors);
        }
    });
    each(versions, "subresources", "subresources", &mut |version, path| {
        validate_scale(&version["subresources"]["scale"], &path.child("scale"), errors);
    });
    each(versions, "additionalPrinterColumns", "additionalPrinterColumns", &mut |version, path| {
        for (at, column) in list(version, "additionalPrinterColumns").iter().enumerate() {
            validate_column(column, &path.index(at), errors);
        }
    });
    each(versions, "selectableFields", "selectableFields", &mut |version, path| {
        validate_selectable(version, path, errors);
    });
}

/// Runs a check of a part of each version, once where it is the same in all.
fn each(versions: &[Value], key: &str, above: &str, run: &mut dyn FnMut(&Value, &Path<'_>)) {
    if shared(versions, key).is_some() {
        run(&versions[0], &SPEC.child(above));
        return;
    }
    let path = SPEC.child("versions");
    for (at, version) in versions.iter().enumerate() {
        run(version, &path.index(at).child(key));
    }
}

/// Versions as upstream's internal form is written.
fn shown(versions: &[Value]) -> String {
    let keep = |version: &Value, key: &str| match shared(versions, key) {
        Some(_) => Value::Null,
        None => version[key].clone(),
    };
    let all: Vec<String> = versions
        .iter()
        .map(|version| {
            let warning = version.get("deprecationWarning").cloned().unwrap_or(Value::Null);
            format!(
                "{{\"Name\":{},\"Served\":{},\"Storage\":{},\"Deprecated\":{},\"DeprecationWarning\":{warning},\"Schema\":{},\"Subresources\":{},\"AdditionalPrinterColumns\":{},\"SelectableFields\":{}}}",
                json!(text(version, "name")),
                flag(version, "served"),
                flag(version, "storage"),
                flag(version, "deprecated"),
                keep(version, "schema"),
                keep(version, "subresources"),
                keep(version, "additionalPrinterColumns"),
                keep(version, "selectableFields"),
            )
        })
        .collect();
    format!("[{}]", all.join(","))
}

/// A path of plain steps that starts with a dot.
fn simple_path(errors: &mut FieldErrors, path: &Path<'_>, text: &str) -> bool {
    if !text.starts_with('.') {
        bad_text(errors, path, text, "must be a simple json path starting with .");
        return false;
    }
    if SimplePath::parse(text).is_none() {
        bad_text(errors, path, text, "must be a simple json path starting with .");
        return false;
    }
    true
}

fn validate_scale(scale: &Value, path: &Path<'_>, errors: &mut FieldErrors) {
    if !scale.is_object() {
        return;
    }
    for (key, root) in [("specReplicasPath", ".spec."), ("statusReplicasPath", ".status.")] {
        let path = path.child(key);
        let field = text(scale, key);
        if field.is_empty() {
            errors.required(&path, "");
        } else if simple_path(errors, &path, field) && !field.starts_with(root) {
            let words = format!("should be a json path under {}", &root[..root.len() - 1]);
            bad_text(errors, &path, field, words);
        }
    }
    let selector = text(scale, "labelSelectorPath");
    let path = path.child("labelSelectorPath");
    if !selector.is_empty()
        && simple_path(errors, &path, selector)
        && !selector.starts_with(".spec.")
        && !selector.starts_with(".status.")
    {
        bad_text(errors, &path, selector, "should be a json path under either .spec or .status");
    }
}

fn validate_column(column: &Value, path: &Path<'_>, errors: &mut FieldErrors) {
    required(errors, &path.child("name"), text(column, "name"));
    let kind = text(column, "type");
    if kind.is_empty() {
        errors.required(&path.child("type"), format!("must be one of {}", COLUMN_TYPES.join(",")));
    } else if !COLUMN_TYPES.contains(&kind) {
        let words = format!("must be one of {}", COLUMN_TYPES.join(","));
        bad_text(errors, &path.child("type"), kind, words);
    }
    let format = text(column, "format");
    if !format.is_empty() && !COLUMN_FORMATS.contains(&format) {
        let words = format!("must be one of {}", COLUMN_FORMATS.join(","));
        bad_text(errors, &path.child("format"), format, words);
    }
    let place = path.child("JSONPath");
    let named = text(column, "jsonPath");
    if named.is_empty() {
        errors.required(&place, "");
    } else if !named.starts_with('.') {
        bad_text(errors, &place, named, "must be a simple json path starting with .");
    } else if let Err(why) = crate::custom::path::JsonPath::parse(named) {
        bad_text(errors, &place, named, format!("is an invalid jsonpath: {why}"));
    }
}

fn validate_selectable(version: &Value, path: &Path<'_>, errors: &mut FieldErrors) {
    let fields = list(version, "selectableFields");
    if fields.len() > SELECTABLE_MAX {
        errors.too_many(path, fields.len(), SELECTABLE_MAX);
    }
    let mut seen: Vec<&str> = Vec::new();
    for (at, field) in fields.iter().enumerate() {
        let path = path.index(at);
        let path = path.child("jsonPath");
        let named = text(field, "jsonPath");
        if named.is_empty() {
            errors.required(&path, "");
            continue;
        }
        if seen.contains(&named) {
            errors.duplicate(&path, &named.into());
        }
        seen.push(named);
        if named.starts_with(".metadata") {
            bad_text(errors, &path, named, "must not point to fields in metadata");
            continue;
        }
        let Some(steps) = SimplePath::parse(named) else {
            bad_text(errors, &path, named, "must be a simple json path in the format of .foo.bar");
            continue;
        };
        let schema = &version["schema"]["openAPIV3Schema"];
        let place = steps.steps().iter().try_fold(schema, |place, step| map(place, "properties").get(step));
        match place {
            None => bad_text(errors, &path, named, "must be a field path to a field in the schema"),
            Some(place) if !matches!(text(place, "type"), "string" | "boolean" | "integer") => {
                bad_text(
                    errors,
                    &path,
                    named,
                    "must point to a field of type string, boolean or integer. Enum string fields and strings with formats are allowed.",
                );
            }
            Some(_) => {}
        }
    }
}

fn validate_conversion(conversion: &Value, errors: &mut FieldErrors) {
    let path = SPEC.child("conversion");
    let strategy = text(conversion, "strategy");
    required_one_of(errors, &path.child("strategy"), strategy, &["None", "Webhook"]);
    let webhook = &conversion["webhook"];
    let config = get(webhook, "clientConfig");
    let versions: Vec<&str> = texts(webhook, "conversionReviewVersions").collect();
    let config_path = path.child("webhookClientConfig");
    let versions_path = path.child("conversionReviewVersions");
    if strategy == "Webhook" {
        if config.is_none() {
            errors.required(&config_path, "required when strategy is set to Webhook");
        }
        if versions.is_empty() {
            errors.required(&versions_path, "");
        } else if !versions.iter().any(|version| matches!(*version, "v1" | "v1beta1")) {
            let words = "must include at least one of v1, v1beta1";
            errors.invalid(&versions_path, &json!(versions), words);
        } else if config.is_some() {
            // Not upstream's: what isn't there is refused.
            errors
                .forbidden(&path.child("strategy"), "conversion by webhooks is not supported by this server");
        }
        return;
    }
    let words = "should not be set when strategy is not set to Webhook";
    if config.is_some() {
        errors.forbidden(&config_path, words);
    }
    if !versions.is_empty() {
        errors.forbidden(&versions_path, words);
    }
}

/// Checks the status.
pub fn validate_status(object: &Value, errors: &mut FieldErrors) {
    let status = &object["status"];
    let path = Path::new("status");
    names::validate(&status["acceptedNames"], &path.child("acceptedNames"), errors);
    let stored: Vec<&str> = texts(status, "storedVersions").collect();
    let path = path.child("storedVersions");
    if stored.is_empty() {
        errors.invalid(&path, &Value::Null, "must have at least one stored version");
        return;
    }
    let versions = list(&object["spec"], "versions");
    let mut known: Map<String, Value> = Map::new();
    for version in versions {
        known.insert(text(version, "name").to_owned(), flag(version, "storage").into());
    }
    for (at, name) in stored.iter().enumerate() {
        if !known.contains_key(*name) {
            let words = format!(
                "missing from spec.versions; {name} was previously a storage version, and must remain in spec.versions until a storage migration ensures no data remains persisted in {name} and removes {name} from status.storedVersions"
            );
            bad_text(errors, &path.index(at), name, words);
        }
    }
    for (name, _) in known.iter().filter(|(_, storage)| **storage == true) {
        if !stored.contains(&name.as_str()) {
            errors.invalid(&path, &json!(stored), format!("must have the storage version {name}"));
        }
    }
}
