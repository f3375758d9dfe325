//! Security contexts of pods and containers.

use std::sync::LazyLock;

use serde_json::Value;

use super::{internal, paths, windows};
use crate::field::{FieldErrors, Path};
use crate::kinds::common::check::{bad_text, one_of};
use crate::kinds::common::walk::{flag, flag_ptr, get, int_ptr, list, text, text_ptr};

/// User and group ids that Linux has.
const ID_MAX: i64 = i32::MAX as i64;
const PROFILE_BYTES_MAX: usize = 4095;
const SYSCTL_BYTES_MAX: usize = 253;

static SYSCTL_WORDS: LazyLock<String> = LazyLock::new(|| {
    let segment = "[a-z0-9]([-_a-z0-9]*[a-z0-9])?";
    format!("must have at most {SYSCTL_BYTES_MAX} characters and match regex ^({segment}[\\./])*{segment}$")
});

/// `spec.securityContext`, with the fields of the spec that upstream holds there.
pub fn pod(errors: &mut FieldErrors, path: &Path<'_>, spec: &Value) {
    let nothing = Value::Null;
    let context = get(spec, "securityContext").unwrap_or(&nothing);
    for key in ["fsGroup", "runAsUser", "runAsGroup"] {
        id(errors, &path.child(key), int_ptr(context, key));
    }
    let groups = path.child("supplementalGroups");
    for (index, group) in list(context, "supplementalGroups").iter().enumerate() {
        id(errors, &groups.index(index), group.as_i64());
    }
    if flag(spec, "shareProcessNamespace") && flag(spec, "hostPID") {
        let detail = "ShareProcessNamespace and HostPID cannot both be enabled";
        errors.invalid(&path.child("shareProcessNamespace"), &true.into(), detail);
    }
    sysctls(errors, &path.child("sysctls"), context, spec);
    if let Some(policy) = text_ptr(context, "fsGroupChangePolicy") {
        one_of(errors, &path.child("fsGroupChangePolicy"), policy, &["Always", "OnRootMismatch"]);
    }
    profiles(errors, path, context);
    if let Some(policy) = text_ptr(context, "supplementalGroupsPolicy") {
        one_of(errors, &path.child("supplementalGroupsPolicy"), policy, &["Merge", "Strict"]);
    }
    if let Some(policy) = text_ptr(context, "seLinuxChangePolicy") {
        // Mounting with a label is behind a closed gate. KEP-1710.
        one_of(errors, &path.child("seLinuxChangePolicy"), policy, &["Recursive"]);
    }
}

/// `securityContext` of a container.
pub fn container(errors: &mut FieldErrors, path: &Path<'_>, context: &Value, host_users: bool) {
    for key in ["runAsUser", "runAsGroup"] {
        id(errors, &path.child(key), int_ptr(context, key));
    }
    if let Some(mount) = text_ptr(context, "procMount") {
        let place = path.child("procMount");
        one_of(errors, &place, mount, &["Default", "Unmasked"]);
        if host_users && mount == "Unmasked" {
            bad_text(errors, &place, mount, "`hostUsers` must be false to use `Unmasked`");
        }
    }
    if let Some(profile) = get(context, "seccompProfile") {
        seccomp(errors, &path.child("seccompProfile"), profile);
    }
    if flag_ptr(context, "allowPrivilegeEscalation") == Some(false) {
        let mut contradiction = |what: &str| {
            let detail = format!("cannot set `allowPrivilegeEscalation` to false and {what}");
            errors.invalid_shown(path, internal::json("SecurityContext", context), detail);
        };
        if flag(context, "privileged") {
            contradiction("`privileged` to true");
        }
        let added = get(context, "capabilities").map_or(&[][..], |capabilities| list(capabilities, "add"));
        for _ in added.iter().filter(|capability| *capability == "CAP_SYS_ADMIN") {
            contradiction("`capabilities.Add` CAP_SYS_ADMIN");
        }
    }
    windows_and_apparmor(errors, path, context);
}

fn profiles(errors: &mut FieldErrors, path: &Path<'_>, context: &Value) {
    if let Some(profile) = get(context, "seccompProfile") {
        seccomp(errors, &path.child("seccompProfile"), profile);
    }
    windows_and_apparmor(errors, path, context);
}

fn windows_and_apparmor(errors: &mut FieldErrors, path: &Path<'_>, context: &Value) {
    if let Some(options) = get(context, "windowsOptions") {
        windows::options(errors, &path.child("windowsOptions"), options);
    }
    if let Some(profile) = get(context, "appArmorProfile") {
        apparmor(errors, &path.child("appArmorProfile"), profile);
    }
}

fn id(errors: &mut FieldErrors, path: &Path<'_>, id: Option<i64>) {
    if let Some(id) = id
        && !(0..=ID_MAX).contains(&id)
    {
        errors.invalid(path, &id.into(), format!("must be between 0 and {ID_MAX}, inclusive"));
    }
}

const PROFILE_TYPES: &[&str] = &["Localhost", "RuntimeDefault", "Unconfined"];

fn seccomp(errors: &mut FieldErrors, path: &Path<'_>, profile: &Value) {
    let kind = text(profile, "type");
    match kind {
        "" => errors.required(&path.child("type"), "type is required when seccompProfile is set"),
        kind => one_of(errors, &path.child("type"), kind, PROFILE_TYPES),
    }
    let place = path.child("localhostProfile");
    match (kind, text_ptr(profile, "localhostProfile")) {
        ("Localhost", None) => errors.required(&place, "must be set when seccomp type is Localhost"),
        ("Localhost", Some(file)) => paths::descending(errors, &place, file),
        (_, Some(_)) => errors.invalid_shown(
            &place,
            internal::json("SeccompProfile", profile),
            "can only be set when seccomp type is Localhost",
        ),
        (_, None) => {}
    }
}

fn apparmor(errors: &mut FieldErrors, path: &Path<'_>, profile: &Value) {
    let place = path.child("localhostProfile");
    let file = text_ptr(profile, "localhostProfile");
    match text(profile, "type") {
        "Localhost" => {
            let file = file.unwrap_or_default();
            if file.trim() != file {
                bad_text(errors, &place, file, "must not be padded with whitespace");
            } else if file.is_empty() {
                errors.required(&place, "must be set when AppArmor type is Localhost");
            }
            if file.len() > PROFILE_BYTES_MAX {
                errors.too_long(&place, PROFILE_BYTES_MAX);
            }
        }
        "RuntimeDefault" | "Unconfined" => {
            if let Some(file) = file {
                bad_text(errors, &place, file, "can only be set when AppArmor type is Localhost");
            }
        }
        "" => errors.required(&path.child("type"), "type is required when appArmorProfile is set"),
        other => errors.not_supported(&path.child("type"), &other.into(), PROFILE_TYPES),
    }
}

fn sysctls(errors: &mut FieldErrors, path: &Path<'_>, context: &Value, spec: &Value) {
    let all = list(context, "sysctls");
    for (index, sysctl) in all.iter().enumerate() {
        let path = path.index(index);
        let path = path.child("name");
        let name = text(sysctl, "name");
        if name.is_empty() {
            errors.required(&path, "");
        } else if !is_sysctl(name) {
            bad_text(errors, &path, name, SYSCTL_WORDS.as_str());
        } else if all[..index].iter().any(|earlier| text(earlier, "name") == name) {
            errors.duplicate(&path, &name.into());
        }
        let dotted = name.replace('/', ".");
        if flag(spec, "hostNetwork") && dotted.starts_with("net.") {
            bad_text(errors, &path, name, "may not be specified when 'hostNetwork' is true");
        } else if flag(spec, "hostIPC") && is_ipc(&dotted) {
            bad_text(errors, &path, name, "may not be specified when 'hostIPC' is true");
        }
    }
}

fn is_sysctl(name: &str) -> bool {
    let edge = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let segment = |segment: &str| {
        let bytes = segment.as_bytes();
        bytes.first().is_some_and(|byte| edge(*byte))
            && bytes.last().is_some_and(|byte| edge(*byte))
            && bytes.iter().all(|byte| edge(*byte) || matches!(byte, b'-' | b'_'))
    };
    name.len() <= SYSCTL_BYTES_MAX && name.split(['.', '/']).all(segment)
}

fn is_ipc(name: &str) -> bool {
    name == "kernel.sem"
        || ["kernel.shm", "kernel.msg", "fs.mqueue."].iter().any(|prefix| name.starts_with(prefix))
}

/// Users of the pod's own can't be had together with other namespaces of the host. KEP-127.
pub fn own_users(errors: &mut FieldErrors, path: &Path<'_>, spec: &Value) {
    if flag_ptr(spec, "hostUsers") != Some(false) {
        return;
    }
    for (key, shown) in [("hostNetwork", "hostNetwork"), ("hostPID", "HostPID"), ("hostIPC", "HostIPC")] {
        if flag(spec, key) {
            errors.forbidden(&path.child(shown), "when `hostUsers` is false");
        }
    }
    super::containers::visit(spec, path, &mut |container, path| {
        if !list(container, "volumeDevices").is_empty() {
            errors.forbidden(&path.child("volumeDevices"), "when `hostUsers` is false");
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn sysctls_have_names_of_segments() {
        for (name, good) in [
            ("net.core.somaxconn", true),
            ("kernel/shm_max", true),
            ("a..b", false),
            ("-a", false),
            ("A", false),
        ] {
            assert_eq!(is_sysctl(name), good, "{name}");
        }
    }

    #[test]
    fn escalation_contradicts_privilege() {
        let mut errors = FieldErrors::new();
        let context = json!({"allowPrivilegeEscalation": false, "privileged": true});
        container(&mut errors, &Path::new("c"), &context, true);
        let text = errors.0[0].to_string();
        assert!(text.starts_with("c: Invalid value: {\"Capabilities\":null,\"Privileged\":true,"), "{text}");
        assert!(text.ends_with(": cannot set `allowPrivilegeEscalation` to false and `privileged` to true"));
    }
}
