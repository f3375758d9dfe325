//! What containers and pods ask for.

use serde_json::Value;

use super::quantities::{self, is_pod_level, is_whole, quantity};
use crate::field::{FieldErrorKind, FieldErrors, Path};
use crate::kinds::common::check::{self, bad_text, push};
use crate::kinds::common::walk::{at, get, list, map, text};
use crate::meta::names;
use crate::quantity::Quantity;

/// Resources that upstream knows without a domain before them.
const STANDARD: &[&str] = &[
    "cpu",
    "memory",
    "ephemeral-storage",
    "requests.cpu",
    "requests.memory",
    "requests.ephemeral-storage",
    "limits.cpu",
    "limits.memory",
    "limits.ephemeral-storage",
    "pods",
    "resourcequotas",
    "services",
    "replicationcontrollers",
    "secrets",
    "configmaps",
    "persistentvolumeclaims",
    "storage",
    "requests.storage",
    "services.nodeports",
    "services.loadbalancers",
];

/// Resources that are counted in whole numbers.
const WHOLE: &[&str] = &[
    "pods",
    "resourcequotas",
    "services",
    "replicationcontrollers",
    "secrets",
    "configmaps",
    "persistentvolumeclaims",
    "services.nodeports",
    "services.loadbalancers",
];

/// Whose resources are checked.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Of {
    /// A container.
    Container,
    /// The pod as a whole.
    Pod,
}

/// `resources` of a container or pod. `claims` are the names of the pod's resource claims.
pub fn requirements(errors: &mut FieldErrors, path: &Path<'_>, resources: &Value, claims: &[&str], of: Of) {
    let (limits_path, requests_path) = (path.child("limits"), path.child("requests"));
    let limits = map(resources, "limits");
    let requests = map(resources, "requests");
    for (name, value) in limits {
        amount(errors, &limits_path.key(name), name, value, of);
    }
    for (name, value) in requests {
        amount(errors, &requests_path.key(name), name, value, of);
        let Some(limit) = limits.get(name) else {
            if !may_overcommit(name) {
                errors.required(&limits_path, "Limit must be set for non overcommitable resources");
            }
            continue;
        };
        if value == limit {
            continue;
        }
        let (asked, most) = (quantity(value), quantity(limit));
        let relation = if asked != most && !may_overcommit(name) {
            "equal to"
        } else if asked > most {
            "less than or equal to"
        } else {
            continue;
        };
        let detail = format!("must be {relation} {name} limit of {most}");
        bad_text(errors, &requests_path, &asked.to_string(), detail);
    }
    let any = |test: &dyn Fn(&str) -> bool| limits.keys().chain(requests.keys()).any(|name| test(name));
    if any(&is_huge_page) && !any(&|name| matches!(name, "cpu" | "memory")) {
        errors.forbidden(path, "HugePages require cpu or memory");
    }
    claim_names(errors, &path.child("claims"), list(resources, "claims"), claims);
}

/// `spec.resources`: the pod as a whole. KEP-2837.
pub fn pod_level(errors: &mut FieldErrors, path: &Path<'_>, spec: &Value, claims: &[&str]) {
    let Some(resources) = get(spec, "resources") else { return };
    let path = path.child("resources");
    if at(spec, &["os", "name"]).is_some_and(|name| name == "windows") {
        return errors.forbidden(&path, "may not be set for a windows pod");
    }
    if get(resources, "claims").is_some() {
        errors.forbidden(&path.child("claims"), "claims may not be set for Resources at pod-level");
    }
    requirements(errors, &path, resources, claims, Of::Pod);
    for (key, filter) in [("requests", false), ("limits", true)] {
        let given = map(resources, key);
        if given.is_empty() {
            continue;
        }
        for (name, sum) in quantities::aggregate(spec, key) {
            let Some(own) = given.get(&name).map(quantity) else { continue };
            if (filter && !is_huge_page(&name)) || sum <= own {
                continue;
            }
            let path = path.child(key);
            let detail = format!("must be greater than or equal to aggregate container {key} of {sum}");
            bad_text(errors, &path.key(&name), &own.to_string(), detail);
        }
    }
    let limits = map(resources, "limits");
    let path = path.child("containers");
    for (index, container) in list(spec, "containers").iter().enumerate() {
        let Some(own) = get(container, "resources") else { continue };
        for (name, value) in map(own, "limits") {
            let Some(most) = limits.get(name).map(quantity) else { continue };
            let limit = quantity(value);
            if limit > most {
                let path = path.index(index);
                let path = path.key(name);
                let detail = format!("must be less than or equal to pod limits of {most}");
                bad_text(errors, &path.child("limits"), &limit.to_string(), detail);
            }
        }
    }
}

/// `spec.overhead`: limits alone.
pub fn overhead(errors: &mut FieldErrors, path: &Path<'_>, overhead: &Value) {
    let limits = path.child("limits");
    for (name, value) in overhead.as_object().into_iter().flatten() {
        amount(errors, &limits.key(name), name, value, Of::Container);
    }
}

fn amount(errors: &mut FieldErrors, path: &Path<'_>, name: &str, value: &Value, of: Of) {
    if !matches!(name, "cpu" | "memory") {
        resource_name(errors, path, name, of);
    }
    let amount = quantity(value);
    quantity_value(errors, path, name, amount);
    if is_huge_page(name) && !is_multiple(name, amount) {
        let detail = format!("{amount} is not positive integer multiple of {name}");
        bad_text(errors, path, &amount.to_string(), detail);
    }
}

/// An amount fits its resource: 0 or more, and whole where only wholes count.
pub fn quantity_value(errors: &mut FieldErrors, path: &Path<'_>, name: &str, amount: Quantity) {
    if amount.sign() < 0 {
        bad_text(errors, path, &amount.to_string(), "must be greater than or equal to 0");
    }
    if (WHOLE.contains(&name) || is_extended(name)) && !is_whole(amount) {
        bad_text(errors, path, &amount.to_string(), "must be an integer");
    }
}

fn resource_name(errors: &mut FieldErrors, path: &Path<'_>, name: &str, of: Of) {
    let messages = names::qualified_name(name);
    let known = messages.is_empty();
    let standard = STANDARD.contains(&name) || is_huge_page(name);
    let plain = !name.contains('/');
    if !known {
        check::messages(errors, path, name, messages);
    } else if plain && !standard {
        bad_text(errors, path, name, "must be a standard resource type or fully qualified");
    }
    match of {
        Of::Container if plain => {
            if name != "ephemeral-storage" && !is_huge_page(name) {
                bad_text(errors, path, name, "must be a standard resource for containers");
            }
        }
        Of::Container => {
            if !is_native(name) && !is_extended(name) {
                bad_text(errors, path, name, "doesn't follow extended resource name standard");
            }
        }
        Of::Pod => {
            if known && (standard || !plain) && !is_pod_level(name) {
                errors.not_supported(path, &name.into(), &["cpu", "hugepages-", "memory"]);
            }
        }
    }
}

/// The name of a resource that containers can have, also in limit ranges.
pub fn container_resource_name(errors: &mut FieldErrors, path: &Path<'_>, name: &str) {
    if matches!(name, "cpu" | "memory") {
        return;
    }
    resource_name(errors, path, name, Of::Container);
}

/// The name of any resource: a standard one, or one with a domain.
pub fn known_resource_name(errors: &mut FieldErrors, path: &Path<'_>, name: &str) {
    let messages = names::qualified_name(name);
    if !messages.is_empty() {
        check::messages(errors, path, name, messages);
    } else if !name.contains('/') && !STANDARD.contains(&name) && !is_huge_page(name) {
        bad_text(errors, path, name, "must be a standard resource type or fully qualified");
    }
}

fn is_huge_page(name: &str) -> bool {
    name.starts_with("hugepages-")
}

fn is_native(name: &str) -> bool {
    !name.contains('/') || name.contains("kubernetes.io/")
}

/// Whether a name is that of a resource that Kubernetes itself knows nothing of.
pub fn is_extended(name: &str) -> bool {
    !is_native(name)
        && !name.starts_with("requests.")
        && names::qualified_name(&format!("requests.{name}")).is_empty()
}

/// Whether limits may be above requests.
pub fn may_overcommit(name: &str) -> bool {
    is_native(name) && !is_huge_page(name)
}

fn is_multiple(name: &str, amount: Quantity) -> bool {
    let size = name.strip_prefix("hugepages-").and_then(|size| size.parse::<Quantity>().ok());
    size.is_some_and(|size| size.value() > 0 && amount.value() % size.value() == 0)
}

fn claim_names(errors: &mut FieldErrors, path: &Path<'_>, claims: &[Value], known: &[&str]) {
    let mut seen: Vec<(&str, &str)> = Vec::new();
    for (index, claim) in claims.iter().enumerate() {
        let path = path.index(index);
        let (name, request) = (text(claim, "name"), text(claim, "request"));
        if name.is_empty() {
            errors.required(&path, "");
            continue;
        }
        if seen.contains(&(name, "")) {
            errors.duplicate(&path, &name.into());
        } else {
            if !request.is_empty() {
                check::label(errors, &path.child("request"), request);
            }
            if seen.contains(&(name, request)) {
                errors.duplicate(&path, &format!("{name}/{request}").into());
            } else if request.is_empty() {
                for _ in seen.iter().filter(|(earlier, _)| *earlier == name) {
                    errors.duplicate(&path, &name.into());
                }
            }
            seen.push((name, request));
        }
        if !known.contains(&name) {
            let mut detail = "must be one of the names in pod.spec.resourceClaims".to_owned();
            if known.is_empty() {
                detail.push_str(" which is empty");
            } else {
                let mut known = known.to_vec();
                known.sort_unstable();
                detail.push_str(&format!(": {}", known.join(", ")));
            }
            push(errors, FieldErrorKind::NotFound, &path, Some(format!("{name:?}")), detail);
        }
    }
}

/// `spec.resourceClaims`.
pub fn claims(errors: &mut FieldErrors, path: &Path<'_>, spec: &Value, is_mirror: bool) {
    let claims = list(spec, "resourceClaims");
    for (index, claim) in claims.iter().enumerate() {
        if is_mirror {
            errors.forbidden(&Path::ROOT, "static pods do not support resource claims");
            continue;
        }
        let path = path.index(index);
        let name = text(claim, "name");
        if name.is_empty() {
            errors.required(&path.child("name"), "");
        } else if claims[..index].iter().any(|earlier| text(earlier, "name") == name) {
            errors.duplicate(&path.child("name"), &name.into());
        } else {
            check::label(errors, &path.child("name"), name);
        }
        let sources = ["resourceClaimName", "resourceClaimTemplateName"];
        let given: Vec<&str> = sources.into_iter().filter(|key| get(claim, key).is_some()).collect();
        let detail = match given.len() {
            2 => Some("at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified"),
            0 => Some("must specify one of: `resourceClaimName`, `resourceClaimTemplateName`"),
            _ => None,
        };
        if let Some(detail) = detail {
            errors.invalid_shown(&path, super::internal::json("PodResourceClaim", claim), detail);
        }
        for key in given {
            check::subdomain(errors, &path.child(key), text(claim, key));
        }
    }
}
