//! `IPAddress` of `networking.k8s.io/v1`: an address that is in use, and by what (KEP-1880).

use std::net::IpAddr;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::common::cells::{self, column};
use super::common::check;
use super::common::walk::{get, text};
use super::pod::internal;
use crate::field::{FieldErrors, Path};
use crate::kind::{Column, Kind, KindInfo, NameRule, Part, Scope};
use crate::meta::names;

/// The label that says of which family an address is.
pub const LABEL_FAMILY: &str = "ipaddress.kubernetes.io/ip-family";
/// The label that says who keeps an address.
pub const LABEL_MANAGED_BY: &str = "ipaddress.kubernetes.io/managed-by";
/// Who keeps the addresses of services.
pub const SERVICES_MANAGER: &str = "ipallocator.k8s.io";

/// Where objects are kept, below `/registry/`.
pub const STORE_PREFIX: &str = "ipaddresses";

/// The kind's rules.
pub struct IPAddress;

static INFO: KindInfo = KindInfo {
    group: "networking.k8s.io",
    version: "v1",
    kind: "IPAddress",
    plural: "ipaddresses",
    singular: "ipaddress",
    short_names: &["ip"],
    categories: &[],
    scope: Scope::Cluster,
    verbs: &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
    subresources: &[],
    store_prefix: STORE_PREFIX,
};

static COLUMNS: &[Column] = &[cells::NAME, column("ParentRef", "string", "What the address belongs to.")];

impl Kind for IPAddress {
    fn info(&self) -> &'static KindInfo {
        &INFO
    }

    fn name_rule(&self) -> NameRule {
        NameRule::Address
    }

    fn columns(&self) -> &'static [Column] {
        COLUMNS
    }

    /// Upstream's rows have an age as well, for which there is no column.
    fn row(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        let parent = get(&object["spec"], "parentRef").map_or(cells::NONE.to_owned(), |parent| {
            let mut shown = text(parent, "resource").to_lowercase();
            if !text(parent, "group").is_empty() {
                shown.push_str(&format!(".{}", text(parent, "group").to_lowercase()));
            }
            if !text(parent, "namespace").is_empty() {
                shown.push_str(&format!("/{}", text(parent, "namespace")));
            }
            format!("{shown}/{}", text(parent, "name"))
        });
        vec![cells::name(object), parent.into(), cells::age(object, now)]
    }

    fn validate_create(&self, object: &Value, errors: &mut FieldErrors) {
        validate(object, errors);
    }

    fn validate_update(&self, new: &Value, old: &Value, _part: Part, errors: &mut FieldErrors) {
        validate(new, errors);
        let (now, was) = (get(&new["spec"], "parentRef"), get(&old["spec"], "parentRef"));
        let show = |parent: &Value| internal::json("ParentReference", parent);
        check::immutable(errors, &Path::new("spec.parentRef"), now, was, show);
    }
}

fn validate(object: &Value, errors: &mut FieldErrors) {
    let path = Path::new("spec.parentRef");
    let Some(parent) = get(&object["spec"], "parentRef") else {
        return errors.required(&path, "");
    };
    // The core group has no name.
    if !text(parent, "group").is_empty() {
        check::subdomain(errors, &path.child("group"), text(parent, "group"));
    }
    for (key, required) in [("resource", true), ("name", true), ("namespace", false)] {
        match text(parent, key) {
            "" if required => errors.required(&path.child(key), ""),
            word => check::messages(errors, &path.child(key), word, names::path_segment(word)),
        }
    }
}

/// The address of a service as an object.
pub fn of_service(address: IpAddr, namespace: &str, service: &str) -> Value {
    let family = if address.is_ipv4() { "IPv4" } else { "IPv6" };
    json!({"apiVersion": "networking.k8s.io/v1", "kind": "IPAddress",
        "metadata": {"name": address.to_string(),
            "labels": {LABEL_FAMILY: family, LABEL_MANAGED_BY: SERVICES_MANAGER}},
        "spec": {"parentRef": {"resource": "services", "namespace": namespace, "name": service}}})
}

/// Whether an address belongs to a service.
pub fn is_of_service(address: &Value, namespace: &str, service: &str) -> bool {
    let parent = &address["spec"]["parentRef"];
    ["group", "resource", "namespace", "name"].map(|key| text(parent, key))
        == ["", "services", namespace, service]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::common::testing::{faults, update_faults};

    fn named(name: &str) -> Value {
        json!({"metadata": {"name": name},
            "spec": {"parentRef": {"resource": "services", "namespace": "n", "name": "x"}}})
    }

    #[test]
    fn a_name_is_an_address_in_its_usual_form() {
        for (name, fault) in [
            ("10.0.0.1", ""),
            ("fd00::1", ""),
            ("10.0.0.01", "must not have leading 0s"),
            ("::ffff:10.0.0.1", "must not be an IPv4-mapped IPv6 address"),
            ("FD00::1", "must be in canonical form (\"fd00::1\")"),
            ("x", "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"),
        ] {
            let expected = format!("metadata.name: Invalid value: \"{name}\": {fault}");
            let expected = if fault.is_empty() { vec![] } else { vec![expected] };
            assert_eq!(faults(&IPAddress, named(name)), expected);
        }
    }

    #[test]
    fn an_address_belongs_to_something() {
        let mut address = named("10.0.0.1");
        address["spec"]["parentRef"] = json!({"group": "A", "namespace": "a/b"});
        let faults = faults(&IPAddress, address);
        assert!(faults[0].starts_with("spec.parentRef.group: Invalid value: \"A\": a lowercase RFC 1123"));
        assert_eq!(
            faults[1..],
            [
                "spec.parentRef.resource: Required value",
                "spec.parentRef.name: Required value",
                "spec.parentRef.namespace: Invalid value: \"a/b\": may not contain '/'",
            ]
        );
    }

    #[test]
    fn what_an_address_belongs_to_stays() {
        assert_eq!(
            update_faults(&IPAddress, named("10.0.0.1"), Part::Main, |new| {
                new["spec"]["parentRef"]["name"] = "y".into();
            }),
            [concat!(
                "spec.parentRef: Invalid value: ",
                r#"{"Group":"","Resource":"services","Namespace":"n","Name":"y"}: field is immutable"#
            )]
        );
    }

    #[test]
    fn the_address_of_a_service_says_so() {
        let address = of_service([10, 0, 0, 1].into(), "n", "x");
        assert!(faults(&IPAddress, address.clone()).is_empty());
        assert!(is_of_service(&address, "n", "x"));
        assert!(!is_of_service(&address, "n", "y"));
    }
}
