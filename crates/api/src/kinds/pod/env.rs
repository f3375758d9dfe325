//! Environment variables of containers.

use serde_json::Value;

use super::references;
use crate::field::{FieldErrors, Path};
use crate::kinds::common::check::{self, bad_text};
use crate::kinds::common::walk::{get, list, text};
use crate::meta::names;

/// `env`.
pub fn variables(errors: &mut FieldErrors, path: &Path<'_>, container: &Value) {
    for (index, variable) in list(container, "env").iter().enumerate() {
        let path = path.index(index);
        let name = text(variable, "name");
        if name.is_empty() {
            errors.required(&path.child("name"), "");
        } else {
            check::messages(errors, &path.child("name"), name, names::env_name(name));
        }
        if let Some(from) = get(variable, "valueFrom") {
            value_from(errors, &path.child("valueFrom"), from, !text(variable, "value").is_empty());
        }
    }
}

fn value_from(errors: &mut FieldErrors, path: &Path<'_>, from: &Value, has_value: bool) {
    let mut sources = 0;
    if let Some(source) = get(from, "fieldRef") {
        sources += 1;
        references::field(errors, &path.child("fieldRef"), source, references::ENV_FIELDS);
    }
    if let Some(source) = get(from, "resourceFieldRef") {
        sources += 1;
        references::resource(errors, &path.child("resourceFieldRef"), source, false);
    }
    for key in ["configMapKeyRef", "secretKeyRef"] {
        if let Some(source) = get(from, key) {
            sources += 1;
            key_of_object(errors, &path.child(key), source);
        }
    }
    if let Some(source) = get(from, "fileKeyRef") {
        sources += 1;
        key_of_file(errors, &path.child("fileKeyRef"), source);
    }
    if sources == 0 {
        let detail = "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`";
        bad_text(errors, path, "", detail);
    } else if has_value {
        bad_text(errors, path, "", "may not be specified when `value` is not empty");
    } else if sources > 1 {
        bad_text(errors, path, "", "may not have more than one field specified at a time");
    }
}

fn key_of_object(errors: &mut FieldErrors, path: &Path<'_>, source: &Value) {
    check::subdomain(errors, &path.child("name"), text(source, "name"));
    let key = text(source, "key");
    if key.is_empty() {
        errors.required(&path.child("key"), "");
    } else {
        check::messages(errors, &path.child("key"), key, names::config_key(key));
    }
}

fn key_of_file(errors: &mut FieldErrors, path: &Path<'_>, source: &Value) {
    let key = text(source, "key");
    if key.is_empty() {
        errors.required(&path.child("key"), "");
    } else {
        check::messages(errors, &path.child("key"), key, names::env_name(key));
    }
    let volume = text(source, "volumeName");
    if volume.is_empty() {
        errors.required(&path.child("volumeName"), "");
    } else {
        check::label(errors, &path.child("volumeName"), volume);
    }
    let file = text(source, "path");
    if file.is_empty() {
        errors.required(&path.child("path"), "");
    } else {
        super::paths::no_backsteps(errors, &path.child("path"), file);
    }
}

/// `envFrom`.
pub fn sources(errors: &mut FieldErrors, path: &Path<'_>, container: &Value) {
    for (index, source) in list(container, "envFrom").iter().enumerate() {
        let item = path.index(index);
        let prefix = text(source, "prefix");
        if !prefix.is_empty() {
            check::messages(errors, &item.child("prefix"), prefix, names::env_name(prefix));
        }
        let mut count = 0;
        for key in ["configMapRef", "secretRef"] {
            let Some(reference) = get(source, key) else { continue };
            count += 1;
            let item = item.child(key);
            let name = text(reference, "name");
            if name.is_empty() {
                errors.required(&item.child("name"), "");
            } else {
                check::subdomain(errors, &item.child("name"), name);
            }
        }
        if count == 0 {
            bad_text(errors, path, "", "must specify one of: `configMapRef` or `secretRef`");
        } else if count > 1 {
            bad_text(errors, path, "", "may not have more than one field specified at a time");
        }
    }
}

/// Files of variables are in directories that the pod itself makes.
pub fn file_volumes(errors: &mut FieldErrors, path: &Path<'_>, spec: &Value) {
    super::containers::visit(spec, path, &mut |container, path| {
        for (index, variable) in list(container, "env").iter().enumerate() {
            let reference = get(variable, "valueFrom").and_then(|from| get(from, "fileKeyRef"));
            let Some(reference) = reference else { continue };
            let name = text(reference, "volumeName");
            let path = path.child("env");
            let path = path.index(index);
            let path = path.child("valueFrom.fileKeyRef.volumeName");
            match list(spec, "volumes").iter().find(|volume| text(volume, "name") == name) {
                None => errors.not_found(&path, &name.into()),
                Some(volume) if get(volume, "emptyDir").is_none() => {
                    bad_text(errors, &path, name, "referenced volume must be of type emptyDir");
                }
                Some(_) => {}
            }
        }
    });
}
