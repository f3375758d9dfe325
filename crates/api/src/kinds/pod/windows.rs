//! Fields of pods for Windows, and the operating system that a pod is for.

use serde_json::Value;

use super::containers::visit;
use crate::field::{FieldErrors, Path};
use crate::kinds::common::check::{self, bad_text};
use crate::kinds::common::walk::{at, flag, flag_ptr, get, list, text, text_ptr};
use crate::meta::names;

const SPEC_BYTES_MAX: usize = 64 * 1024;
const DOMAIN_BYTES_MAX: usize = 256;
const USER_BYTES_MAX: usize = 104;

/// `windowsOptions`.
pub fn options(errors: &mut FieldErrors, path: &Path<'_>, options: &Value) {
    if let Some(name) = text_ptr(options, "gmsaCredentialSpecName") {
        check::messages(errors, &path.child("gmsaCredentialSpecName"), name, names::dns1123_subdomain(name));
    }
    if let Some(spec) = text_ptr(options, "gmsaCredentialSpec") {
        let path = path.child("gmsaCredentialSpec");
        if spec.is_empty() {
            bad_text(errors, &path, spec, "gmsaCredentialSpec cannot be an empty string");
        } else if spec.len() > SPEC_BYTES_MAX {
            bad_text(errors, &path, spec, "gmsaCredentialSpec size must be under 64 KiB");
        }
    }
    if let Some(user) = text_ptr(options, "runAsUserName") {
        for fault in user_faults(user) {
            bad_text(errors, &path.child("runAsUserName"), user, fault);
        }
    }
}

fn user_faults(name: &str) -> Vec<String> {
    if name.is_empty() {
        return vec!["runAsUserName cannot be an empty string".to_owned()];
    }
    if name.chars().any(|c| c.is_ascii_control()) {
        return vec!["runAsUserName cannot contain control characters".to_owned()];
    }
    let parts: Vec<&str> = name.split('\\').collect();
    let (domain, user) = match parts.as_slice() {
        [user] => (None, *user),
        [domain, user] => (Some(*domain), *user),
        _ => return vec!["runAsUserName cannot contain more than one backslash".to_owned()],
    };
    let mut faults = Vec::new();
    if let Some(domain) = domain {
        if domain.len() >= DOMAIN_BYTES_MAX {
            faults.push(format!("runAsUserName's Domain length must be under {DOMAIN_BYTES_MAX} characters"));
        }
        let net_bios = (1..=15).contains(&domain.chars().count())
            && !domain.starts_with('.')
            && !domain.contains(['\\', '/', ':', '*', '?', '"', '<', '>', '|']);
        let dns = domain.split('.').all(|label| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
                && !label.starts_with('-')
                && !label.ends_with('-')
        });
        if !net_bios && !dns {
            faults.push("runAsUserName's Domain doesn't match the NetBios nor the DNS format".to_owned());
        }
    }
    if user.is_empty() {
        faults.push("runAsUserName's User cannot be empty".to_owned());
    } else if user.len() > USER_BYTES_MAX {
        faults
            .push(format!("runAsUserName's User length must not be longer than {USER_BYTES_MAX} characters"));
    }
    if !user.is_empty() && user.chars().all(|c| matches!(c, '.' | ' ')) {
        faults.push("runAsUserName's User cannot contain only periods or spaces".to_owned());
    }
    if user.contains(['"', '/', '\\', ':', ';', '|', '=', ',', '+', '*', '?', '<', '>', '@', '[', ']']) {
        let words = "runAsUserName's User cannot contain the following characters: \"/\\:;|=,+*?<>@[]";
        faults.push(words.to_owned());
    }
    faults
}

/// Either all containers run as processes of the host, or none.
pub fn host_process(errors: &mut FieldErrors, path: &Path<'_>, spec: &Value) {
    const OPTION: [&str; 3] = ["securityContext", "windowsOptions", "hostProcess"];
    let of_pod = at(spec, &OPTION).and_then(Value::as_bool);
    let (mut count, mut host) = (0, 0);
    visit(spec, path, &mut |container, path| {
        count += 1;
        let own = at(container, &OPTION).and_then(Value::as_bool);
        if let (Some(of_pod), Some(own)) = (of_pod, own)
            && of_pod != own
        {
            let detail =
                format!("pod hostProcess value must be identical if both are specified, was {of_pod}");
            let path = path.child("securityContext.windowsOptions.hostProcess");
            errors.invalid(&path, &own.into(), detail);
        }
        if own.or(of_pod) == Some(true) {
            host += 1;
        }
    });
    if host == 0 {
        return;
    }
    if host != count {
        let detail =
            "If pod contains any hostProcess containers then all containers must be HostProcess containers";
        bad_text(errors, path, "", detail);
    }
    if !flag(spec, "hostNetwork") {
        let detail = "hostNetwork must be true if pod contains any hostProcess containers";
        errors.invalid(&path.child("hostNetwork"), &false.into(), detail);
    }
}

/// `spec.os`, and fields that the other system has.
pub fn os(errors: &mut FieldErrors, path: &Path<'_>, spec: &Value) {
    let Some(os) = get(spec, "os") else { return };
    match text(os, "name") {
        "" => errors.required(&path.child("os").child("name"), ""),
        "linux" => not_for_linux(errors, path, spec),
        "windows" => not_for_windows(errors, path, spec),
        other => errors.not_supported(&path.child("os"), &other.into(), &["linux", "windows"]),
    }
}

fn not_for_linux(errors: &mut FieldErrors, path: &Path<'_>, spec: &Value) {
    let mut check = |owner: &Value, path: &Path<'_>| {
        if at(owner, &["securityContext", "windowsOptions"]).is_some() {
            let path = path.child("securityContext.windowsOptions");
            errors.forbidden(&path, "windows options cannot be set for a linux pod");
        }
    };
    check(spec, path);
    visit(spec, path, &mut check);
}

fn not_for_windows(errors: &mut FieldErrors, path: &Path<'_>, spec: &Value) {
    const DETAIL: &str = "cannot be set for a windows pod";
    let nothing = Value::Null;
    let context = get(spec, "securityContext").unwrap_or(&nothing);
    // In upstream's order, which mixes fields of the spec with those of its security context.
    for key in [
        "appArmorProfile",
        "seLinuxOptions",
        "*hostUsers",
        "*hostPID",
        "*hostIPC",
        "seccompProfile",
        "fsGroup",
        "fsGroupChangePolicy",
        "sysctls",
        "*shareProcessNamespace",
        "runAsUser",
        "runAsGroup",
        "supplementalGroups",
        "supplementalGroupsPolicy",
        "seLinuxChangePolicy",
    ] {
        match key.strip_prefix('*') {
            Some(key) => {
                let set = if key.starts_with("host") && key != "hostUsers" {
                    flag(spec, key)
                } else {
                    flag_ptr(spec, key).is_some()
                };
                if set {
                    errors.forbidden(&path.child(key), DETAIL);
                }
            }
            None => {
                let set = get(context, key).is_some() && (key != "sysctls" || !list(context, key).is_empty());
                if set {
                    errors.forbidden(&path.child("securityContext").child(key), DETAIL);
                }
            }
        }
    }
    visit(spec, path, &mut |container, path| {
        let Some(context) = get(container, "securityContext") else { return };
        let path = path.child("securityContext");
        for key in [
            "appArmorProfile",
            "seLinuxOptions",
            "seccompProfile",
            "capabilities",
            "readOnlyRootFilesystem",
            "privileged",
            "allowPrivilegeEscalation",
            "procMount",
            "runAsUser",
            "runAsGroup",
        ] {
            if get(context, key).is_some() {
                errors.forbidden(&path.child(key), DETAIL);
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_of_windows() {
        for (name, faults) in [
            ("x", 0),
            ("DOM\\x", 0),
            ("a.b.example.com\\x", 0),
            ("", 1),
            ("a\\b\\c", 1),
            ("...", 1),
            ("a@b", 1),
        ] {
            assert_eq!(user_faults(name).len(), faults, "{name}");
        }
    }
}
