//! The baseline level: known ways to more rights are closed. In the order of upstream's checks.
//! Source: <https://kubernetes.io/docs/concepts/security/pod-security-standards/#baseline>

use serde_json::Value;

use super::super::{each, text};
use super::Violation;
use super::words::{containers, has_own_users, named, note, picked, quoted};

/// Capabilities that containers have anyway.
const CAPABILITIES: [&str; 13] = [
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];

/// Sysctls of a pod's own, with the minor version since when they are let in.
const SYSCTLS: [(&str, u32); 12] = [
    ("kernel.shm_rmid_forced", 0),
    ("net.ipv4.ip_local_port_range", 0),
    ("net.ipv4.tcp_syncookies", 0),
    ("net.ipv4.ping_group_range", 0),
    ("net.ipv4.ip_unprivileged_port_start", 0),
    ("net.ipv4.ip_local_reserved_ports", 27),
    ("net.ipv4.tcp_keepalive_time", 29),
    ("net.ipv4.tcp_fin_timeout", 29),
    ("net.ipv4.tcp_keepalive_intvl", 29),
    ("net.ipv4.tcp_keepalive_probes", 29),
    ("net.ipv4.tcp_rmem", 32),
    ("net.ipv4.tcp_wmem", 32),
];

/// Minor version since when addresses in probes and hooks are looked at.
const PROBE_HOSTS_SINCE: u32 = 34;
/// Minor version since when a pod with users of its own may have any proc mount.
const OWN_USERS_SINCE: u32 = 35;

/// Notes what is wrong. Checks that the restricted level has a stricter form of are left to it.
pub(super) fn check(minor: u32, restricted: bool, pod: &Value, out: &mut Vec<Violation>) {
    let mut push = |reason: &'static str, detail: String| out.push(Violation { reason, detail });
    if let Some(detail) = app_armor(pod) {
        push("forbidden AppArmor profile", detail);
    }
    if !(restricted && minor >= 22)
        && let Some(detail) = capabilities(pod)
    {
        push("non-default capabilities", detail);
    }
    let host: Vec<String> = ["hostNetwork", "hostPID", "hostIPC"]
        .iter()
        .filter(|key| pod["spec"][**key] == true)
        .map(|key| format!("{key}=true"))
        .collect();
    if !host.is_empty() {
        push("host namespaces", host.join(", "));
    }
    let paths: Vec<String> = each(&pod["spec"]["volumes"])
        .filter(|volume| volume.get("hostPath").is_some_and(|path| !path.is_null()))
        .map(|volume| text(&volume["name"]).to_owned())
        .collect();
    if !restricted && !paths.is_empty() {
        push("hostPath volumes", named("volume", &paths));
    }
    if let Some(detail) = host_ports(pod) {
        push("hostPort", detail);
    }
    if minor >= PROBE_HOSTS_SINCE
        && let Some(detail) = probe_hosts(pod)
    {
        push("probe or lifecycle host", detail);
    }
    let privileged = picked(pod, |one| one["securityContext"]["privileged"] == true);
    if !privileged.is_empty() {
        let who = named("container", &privileged);
        push("privileged", format!("{who} must not set securityContext.privileged=true"));
    }
    if let Some(detail) = proc_mount(minor, pod) {
        push("procMount", detail);
    }
    if let Some(detail) = se_linux(minor, pod) {
        push("seLinuxOptions", detail);
    }
    if minor >= 19
        && !restricted
        && let Some(detail) = seccomp(pod)
    {
        push("seccompProfile", detail);
    }
    let mut sysctls = Vec::new();
    for one in each(&pod["spec"]["securityContext"]["sysctls"]) {
        let name = text(&one["name"]);
        if !SYSCTLS.iter().any(|(known, since)| *known == name && minor >= *since) {
            sysctls.push(name.to_owned());
        }
    }
    if !sysctls.is_empty() {
        push("forbidden sysctls", sysctls.join(", "));
    }
    windows_host_process(pod, &mut push);
}

fn app_armor(pod: &Value) -> Option<String> {
    const PREFIX: &str = "container.apparmor.security.beta.kubernetes.io/";
    let mut setters = Vec::new();
    let mut values = Vec::new();
    let mut explicit = false;
    let bad = |profile: &Value| !matches!(text(&profile["type"]), "" | "RuntimeDefault" | "Localhost");
    let profile = &pod["spec"]["securityContext"]["appArmorProfile"];
    if bad(profile) {
        setters.push("pod".to_owned());
        explicit = true;
        note(&mut values, text(&profile["type"]));
    }
    let names = picked(pod, |one| bad(&one["securityContext"]["appArmorProfile"]));
    if !names.is_empty() {
        for one in containers(pod) {
            let profile = &one["securityContext"]["appArmorProfile"];
            if bad(profile) {
                note(&mut values, text(&profile["type"]));
            }
        }
        setters.push(named("container", &names));
        explicit = true;
    }
    if explicit {
        let who = setters.join(" and ");
        return Some(format!("{who} must not set AppArmor profile type to {}", quoted(&values)));
    }
    let mut annotations = Vec::new();
    for (key, value) in pod["metadata"]["annotations"].as_object().into_iter().flatten() {
        let value = text(value);
        let fine = value.is_empty() || value == "runtime/default" || value.starts_with("localhost/");
        if key.starts_with(PREFIX) && !fine {
            annotations.push(format!("{key}={value:?}"));
        }
    }
    match annotations.as_slice() {
        [] => None,
        [one] => Some(format!("annotation {one}")),
        many => Some(format!("annotations {}", many.join(", "))),
    }
}

fn capabilities(pod: &Value) -> Option<String> {
    let mut values = Vec::new();
    let adds = |one: &Value| -> Vec<String> {
        each(&one["securityContext"]["capabilities"]["add"])
            .map(text)
            .filter(|word| !CAPABILITIES.contains(word))
            .map(str::to_owned)
            .collect()
    };
    let names = picked(pod, |one| !adds(one).is_empty());
    for one in containers(pod) {
        for word in adds(one) {
            note(&mut values, &word);
        }
    }
    (!names.is_empty()).then(|| {
        format!(
            "{} must not include {} in securityContext.capabilities.add",
            named("container", &names),
            quoted(&values)
        )
    })
}

fn host_ports(pod: &Value) -> Option<String> {
    let mut ports = Vec::new();
    let of = |one: &Value| -> Vec<i64> {
        each(&one["ports"]).filter_map(|port| port["hostPort"].as_i64()).filter(|&port| port != 0).collect()
    };
    let names = picked(pod, |one| !of(one).is_empty());
    for one in containers(pod) {
        for port in of(one) {
            if !ports.contains(&port) {
                ports.push(port);
            }
        }
    }
    if names.is_empty() {
        return None;
    }
    ports.sort_unstable();
    let list: Vec<String> = ports.iter().map(i64::to_string).collect();
    let (verb, noun) = (
        if names.len() == 1 { "uses" } else { "use" },
        if ports.len() == 1 { "hostPort" } else { "hostPorts" },
    );
    Some(format!("{} {verb} {noun} {}", named("container", &names), list.join(", ")))
}

fn probe_hosts(pod: &Value) -> Option<String> {
    let of = |one: &Value| -> Vec<String> {
        let actions = [
            "/livenessProbe",
            "/readinessProbe",
            "/startupProbe",
            "/lifecycle/postStart",
            "/lifecycle/preStop",
        ];
        actions
            .iter()
            .filter_map(|pointer| one.pointer(pointer))
            .flat_map(|action| [&action["httpGet"]["host"], &action["tcpSocket"]["host"]])
            .map(|host| text(host).to_owned())
            .filter(|host| !host.is_empty())
            .collect()
    };
    let names = picked(pod, |one| !of(one).is_empty());
    if names.is_empty() {
        return None;
    }
    let mut hosts = Vec::new();
    for host in containers(pod).flat_map(of) {
        note(&mut hosts, &host);
    }
    let (verb, noun) = (
        if names.len() == 1 { "uses" } else { "use" },
        if hosts.len() == 1 { "probe or lifecycle host" } else { "probe or lifecycle hosts" },
    );
    Some(format!("{} {verb} {noun} {}", named("container", &names), quoted(&hosts)))
}

fn proc_mount(minor: u32, pod: &Value) -> Option<String> {
    if minor >= OWN_USERS_SINCE && has_own_users(pod) {
        return None;
    }
    let of = |one: &Value| text(&one["securityContext"]["procMount"]).to_owned();
    let bad = |one: &Value| !matches!(of(one).as_str(), "" | "Default");
    let names = picked(pod, bad);
    if names.is_empty() {
        return None;
    }
    let mut values = Vec::new();
    for one in containers(pod).filter(|one| bad(one)) {
        note(&mut values, &of(one));
    }
    Some(format!(
        "{} must not set securityContext.procMount to {}",
        named("container", &names),
        quoted(&values)
    ))
}

fn se_linux(minor: u32, pod: &Value) -> Option<String> {
    let allowed = |kind: &str| {
        matches!(kind, "" | "container_t" | "container_init_t" | "container_kvm_t")
            || (minor >= 31 && kind == "container_engine_t")
    };
    let (mut types, mut user, mut role) = (Vec::new(), false, false);
    let mut bad = |options: &Value| -> bool {
        let kind = text(&options["type"]);
        let mut wrong = false;
        if !allowed(kind) {
            note(&mut types, kind);
            wrong = true;
        }
        if !text(&options["user"]).is_empty() {
            user = true;
            wrong = true;
        }
        if !text(&options["role"]).is_empty() {
            role = true;
            wrong = true;
        }
        wrong
    };
    let mut setters = Vec::new();
    if bad(&pod["spec"]["securityContext"]["seLinuxOptions"]) {
        setters.push("pod".to_owned());
    }
    let mut names = Vec::new();
    for one in containers(pod) {
        if bad(&one["securityContext"]["seLinuxOptions"]) {
            names.push(text(&one["name"]).to_owned());
        }
    }
    if !names.is_empty() {
        setters.push(named("container", &names));
    }
    if setters.is_empty() {
        return None;
    }
    let mut faults = Vec::new();
    match types.len() {
        0 => {}
        1 => faults.push(format!("type {}", quoted(&types))),
        _ => faults.push(format!("types {}", quoted(&types))),
    }
    if user {
        faults.push("user may not be set".to_owned());
    }
    if role {
        faults.push("role may not be set".to_owned());
    }
    Some(format!(
        "{} set forbidden securityContext.seLinuxOptions: {}",
        setters.join(" and "),
        faults.join("; ")
    ))
}

fn seccomp(pod: &Value) -> Option<String> {
    let bad = |context: &Value| {
        !matches!(text(&context["seccompProfile"]["type"]), "" | "RuntimeDefault" | "Localhost")
    };
    let mut setters = Vec::new();
    let mut values = Vec::new();
    let context = &pod["spec"]["securityContext"];
    if bad(context) {
        setters.push("pod".to_owned());
        note(&mut values, text(&context["seccompProfile"]["type"]));
    }
    let names = picked(pod, |one| bad(&one["securityContext"]));
    for one in containers(pod).filter(|one| bad(&one["securityContext"])) {
        note(&mut values, text(&one["securityContext"]["seccompProfile"]["type"]));
    }
    if !names.is_empty() {
        setters.push(named("container", &names));
    }
    (!setters.is_empty()).then(|| {
        format!(
            "{} must not set securityContext.seccompProfile.type to {}",
            setters.join(" and "),
            quoted(&values)
        )
    })
}

fn windows_host_process(pod: &Value, push: &mut impl FnMut(&'static str, String)) {
    let bad = |context: &Value| context["windowsOptions"]["hostProcess"] == true;
    let names = picked(pod, |one| bad(&one["securityContext"]));
    let mut setters = Vec::new();
    if bad(&pod["spec"]["securityContext"]) {
        setters.push("pod".to_owned());
    }
    if !names.is_empty() {
        setters.push(named("container", &names));
    }
    if !setters.is_empty() {
        let who = setters.join(" and ");
        push("hostProcess", format!("{who} must not set securityContext.windowsOptions.hostProcess=true"));
    }
}
