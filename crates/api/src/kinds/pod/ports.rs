//! Ports of containers.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::field::{FieldErrors, Path};
use crate::kinds::common::check;
use crate::kinds::common::walk::{flag, int, list, text};
use crate::meta::names;

const PROTOCOLS: &[&str] = &["SCTP", "TCP", "UDP"];

/// `ports` of one container.
pub fn ports(errors: &mut FieldErrors, path: &Path<'_>, container: &Value) {
    let mut seen: Vec<&str> = Vec::new();
    for (index, port) in list(container, "ports").iter().enumerate() {
        let path = path.index(index);
        let name = text(port, "name");
        if !name.is_empty() {
            let messages = names::port_name(name);
            if !messages.is_empty() {
                check::messages(errors, &path.child("name"), name, messages);
            } else if seen.contains(&name) {
                errors.duplicate(&path.child("name"), &name.into());
            } else {
                seen.push(name);
            }
        }
        for key in ["containerPort", "hostPort"] {
            match int(port, key) {
                0 if key == "hostPort" => {}
                0 => errors.required(&path.child(key), ""),
                number => {
                    for message in names::port_number(number) {
                        errors.invalid(&path.child(key), &number.into(), message);
                    }
                }
            }
        }
        check::required_one_of(errors, &path.child("protocol"), text(port, "protocol"), PROTOCOLS);
    }
}

/// Ports of the host that more than one container wants.
pub fn host_conflicts<'a>(
    errors: &mut FieldErrors,
    path: &Path<'_>,
    containers: impl Iterator<Item = (usize, &'a Value)>,
) {
    let mut taken: BTreeSet<(&str, &str, i64)> = BTreeSet::new();
    for (at, container) in containers {
        for (index, port) in list(container, "ports").iter().enumerate() {
            let number = int(port, "hostPort");
            if number == 0 {
                continue;
            }
            let (protocol, ip) = (text(port, "protocol"), text(port, "hostIP"));
            if !taken.insert((protocol, ip, number)) {
                let path = path.index(at);
                let path = path.child("ports");
                let shown = format!("{protocol}/{ip}/{number}");
                errors.duplicate(&path.index(index).child("hostPort"), &shown.into());
            }
        }
    }
}

/// In the host's network a container's port is the host's. A template may leave the host's port out.
pub fn host_network(errors: &mut FieldErrors, path: &Path<'_>, spec: &Value, is_pod: bool) {
    if !flag(spec, "hostNetwork") {
        return;
    }
    let path = path.child("containers");
    for (at, container) in list(spec, "containers").iter().enumerate() {
        for (index, port) in list(container, "ports").iter().enumerate() {
            let (host, own) = (int(port, "hostPort"), int(port, "containerPort"));
            if (is_pod || host != 0) && host != own {
                let path = path.index(at);
                let path = path.child("ports");
                errors.invalid(
                    &path.index(index).child("hostPort"),
                    &host.into(),
                    "must match `containerPort` when `hostNetwork` is true",
                );
            }
        }
    }
}
