//! The restricted level: today's best practice. In the order of upstream's checks.
//! Source: <https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted>

use serde_json::Value;

use super::super::{each, text};
use super::Violation;
use super::words::{containers, has_own_users, is_windows, named, note, picked, quoted};

/// Kinds of volumes that keep to the pod.
const VOLUMES: [&str; 9] = [
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "image",
    "persistentVolumeClaim",
    "projected",
    "secret",
];

/// Minor version since when what only Linux has isn't asked of Windows.
const WINDOWS_SINCE: u32 = 25;
/// Minor version since when a pod with users of its own may run as any of them.
const OWN_USERS_SINCE: u32 = 35;

/// Notes what is wrong.
pub(super) fn check(minor: u32, pod: &Value, out: &mut Vec<Violation>) {
    let mut push = |reason: &'static str, detail: String| out.push(Violation { reason, detail });
    let linux = !(minor >= WINDOWS_SINCE && is_windows(pod));
    let own_users = minor >= OWN_USERS_SINCE && has_own_users(pod);
    if linux && minor >= 8 {
        let names = picked(pod, |one| one["securityContext"]["allowPrivilegeEscalation"] != false);
        if !names.is_empty() {
            let who = named("container", &names);
            push(
                "allowPrivilegeEscalation != false",
                format!("{who} must set securityContext.allowPrivilegeEscalation=false"),
            );
        }
    }
    if linux
        && minor >= 22
        && let Some(detail) = capabilities(pod)
    {
        push("unrestricted capabilities", detail);
    }
    if let Some(detail) = volumes(pod) {
        push("restricted volume types", detail);
    }
    if !own_users && let Some(detail) = non_root(pod) {
        push("runAsNonRoot != true", detail);
    }
    if minor >= 23
        && !own_users
        && let Some(detail) = root_user(pod)
    {
        push("runAsUser=0", detail);
    }
    if linux
        && minor >= 19
        && let Some(detail) = seccomp(pod)
    {
        push("seccompProfile", detail);
    }
}

fn capabilities(pod: &Value) -> Option<String> {
    let context = |one: &Value| one["securityContext"]["capabilities"].clone();
    let keeps = picked(pod, |one| !each(&context(one)["drop"]).any(|word| word == "ALL"));
    let added = |one: &Value| -> Vec<String> {
        each(&context(one)["add"])
            .map(text)
            .filter(|word| *word != "NET_BIND_SERVICE")
            .map(str::to_owned)
            .collect()
    };
    let adds = picked(pod, |one| !added(one).is_empty());
    let mut values = Vec::new();
    for word in containers(pod).flat_map(added) {
        note(&mut values, &word);
    }
    let mut faults = Vec::new();
    if !keeps.is_empty() {
        faults.push(format!(
            "{} must set securityContext.capabilities.drop=[\"ALL\"]",
            named("container", &keeps)
        ));
    }
    if !adds.is_empty() {
        faults.push(format!(
            "{} must not include {} in securityContext.capabilities.add",
            named("container", &adds),
            quoted(&values)
        ));
    }
    (!faults.is_empty()).then(|| faults.join("; "))
}

fn volumes(pod: &Value) -> Option<String> {
    let (mut names, mut kinds) = (Vec::new(), Vec::new());
    for volume in each(&pod["spec"]["volumes"]) {
        let kind = volume.as_object().into_iter().flatten().map(|(key, _)| key).find(|key| *key != "name");
        let Some(kind) = kind.filter(|kind| !VOLUMES.contains(&kind.as_str())) else { continue };
        names.push(text(&volume["name"]).to_owned());
        note(&mut kinds, kind);
    }
    if names.is_empty() {
        return None;
    }
    let verb = if names.len() == 1 { "uses" } else { "use" };
    let noun = if kinds.len() == 1 { "restricted volume type" } else { "restricted volume types" };
    Some(format!("{} {verb} {noun} {}", named("volume", &names), quoted(&kinds)))
}

fn non_root(pod: &Value) -> Option<String> {
    let pod_says = &pod["spec"]["securityContext"]["runAsNonRoot"];
    let explicit = picked(pod, |one| one["securityContext"]["runAsNonRoot"] == false);
    let mut setters = Vec::new();
    if *pod_says == false {
        setters.push("pod".to_owned());
    }
    if !explicit.is_empty() {
        setters.push(named("container", &explicit));
    }
    if !setters.is_empty() {
        return Some(format!("{} must not set securityContext.runAsNonRoot=false", setters.join(" and ")));
    }
    if *pod_says == true {
        return None;
    }
    let silent = picked(pod, |one| one["securityContext"]["runAsNonRoot"].is_null());
    (!silent.is_empty())
        .then(|| format!("pod or {} must set securityContext.runAsNonRoot=true", named("container", &silent)))
}

fn root_user(pod: &Value) -> Option<String> {
    let mut setters = Vec::new();
    if pod["spec"]["securityContext"]["runAsUser"] == 0 {
        setters.push("pod".to_owned());
    }
    let names = picked(pod, |one| one["securityContext"]["runAsUser"] == 0);
    if !names.is_empty() {
        setters.push(named("container", &names));
    }
    (!setters.is_empty()).then(|| format!("{} must not set runAsUser=0", setters.join(" and ")))
}

fn seccomp(pod: &Value) -> Option<String> {
    let kind = |context: &Value| text(&context["seccompProfile"]["type"]).to_owned();
    let good = |kind: &str| matches!(kind, "RuntimeDefault" | "Localhost");
    let pod_kind = kind(&pod["spec"]["securityContext"]);
    let mut values = Vec::new();
    let mut setters = Vec::new();
    if !pod_kind.is_empty() && !good(&pod_kind) {
        setters.push("pod".to_owned());
        note(&mut values, &pod_kind);
    }
    let bad = |one: &Value| {
        let kind = kind(&one["securityContext"]);
        !kind.is_empty() && !good(&kind)
    };
    let names = picked(pod, bad);
    for one in containers(pod).filter(|one| bad(one)) {
        note(&mut values, &kind(&one["securityContext"]));
    }
    if !names.is_empty() {
        setters.push(named("container", &names));
    }
    if !setters.is_empty() {
        return Some(format!(
            "{} must not set securityContext.seccompProfile.type to {}",
            setters.join(" and "),
            quoted(&values)
        ));
    }
    if good(&pod_kind) {
        return None;
    }
    let silent = picked(pod, |one| kind(&one["securityContext"]).is_empty());
    (!silent.is_empty()).then(|| {
        format!(
            "pod or {} must set securityContext.seccompProfile.type to \"RuntimeDefault\" or \"Localhost\"",
            named("container", &silent)
        )
    })
}
