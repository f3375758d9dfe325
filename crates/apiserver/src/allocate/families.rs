//! The IP families of a Service, in a cluster whose service addresses are of IPv4 alone.
//! Source: <https://kubernetes.io/docs/concepts/services-networking/dual-stack/>

use std::net::IpAddr;

use cox_api::{FieldErrors, Path};
use serde_json::{Value, json};

/// The family that service addresses are of.
const CONFIGURED: &str = "IPv4";

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn unset(value: &Value) -> bool {
    value.is_null() || value.as_array().is_some_and(Vec::is_empty) || value == ""
}

/// Fills in families and policy, and refuses what the cluster can't give.
pub(super) fn settle(service: &mut Value, old: Option<&Value>) -> Result<(), FieldErrors> {
    let spec = &mut service["spec"];
    if text(&spec["type"]) == "ExternalName" {
        return Ok(());
    }
    if let Some(old) = old {
        release_secondary(spec, &old["spec"]);
    }
    infer_from_addresses(spec)?;
    let headless = text(&spec["clusterIP"]) == "None";
    let selects = spec["selector"].as_object().is_some_and(|selector| !selector.is_empty());
    if headless && !selects && old.is_none() {
        settle_unselected(spec);
        return Ok(());
    }
    let mut errors = FieldErrors::new();
    let path = Path::new("spec");
    let policy_path = path.child("ipFamilyPolicy");
    let single = unset(&spec["ipFamilyPolicy"]) || spec["ipFamilyPolicy"] == "SingleStack";
    // A headless service keeps the families of its first form.
    let kept = headless && old.is_some_and(|old| old["spec"]["ipFamilies"] == spec["ipFamilies"]);
    if single && spec["ipFamilies"].as_array().is_some_and(|families| families.len() > 1) {
        let detail =
            "must be 'RequireDualStack' or 'PreferDualStack' when multiple IP families are specified";
        errors.invalid(&policy_path, &"SingleStack".into(), detail);
        return Err(errors);
    }
    if spec["ipFamilyPolicy"] == "RequireDualStack" && !kept {
        let detail = "this cluster is not configured for dual-stack services";
        errors.invalid(&policy_path, &spec["ipFamilyPolicy"], detail);
    }
    for (at, family) in spec["ipFamilies"].as_array().into_iter().flatten().enumerate() {
        // What is no family at all is for validation to refuse.
        if family == "IPv6" && !kept {
            errors.invalid(&path.child("ipFamilies").index(at), family, "not configured on this cluster");
        }
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    if unset(&spec["ipFamilyPolicy"]) {
        spec["ipFamilyPolicy"] = "SingleStack".into();
    }
    if unset(&spec["ipFamilies"]) {
        spec["ipFamilies"] = json!([CONFIGURED]);
    }
    Ok(())
}

/// Addresses that the client gives say their families.
fn infer_from_addresses(spec: &mut Value) -> Result<(), FieldErrors> {
    let given = match spec["clusterIPs"].as_array() {
        Some(list) if !list.is_empty() => list.clone(),
        _ if unset(&spec["clusterIP"]) => return Ok(()),
        _ => vec![spec["clusterIP"].clone()],
    };
    let known = spec["ipFamilies"].as_array().map_or(0, Vec::len);
    for (at, address) in given.iter().enumerate().skip(known) {
        let Ok(IpAddr::V6(_)) = text(address).parse() else { continue };
        let mut errors = FieldErrors::new();
        let path = Path::new("spec.clusterIPs");
        errors.invalid(
            &path.index(at),
            &Value::Array(given.clone()),
            "IPv6 is not configured on this cluster",
        );
        return Err(errors);
    }
    Ok(())
}

/// A service without an address and without a selector may have families that the cluster hasn't: who writes its
/// endpoints knows.
fn settle_unselected(spec: &mut Value) {
    if unset(&spec["ipFamilyPolicy"]) {
        spec["ipFamilyPolicy"] = "RequireDualStack".into();
    }
    if unset(&spec["ipFamilies"]) {
        spec["ipFamilies"] = json!([CONFIGURED]);
    }
    let single = spec["ipFamilyPolicy"] == "SingleStack";
    if let Some(families) = spec["ipFamilies"].as_array_mut()
        && let [first] = families.as_slice()
        && !single
    {
        families.push(if first == "IPv4" { "IPv6" } else { "IPv4" }.into());
    }
}

/// An update to one family gives up the second one, where it doesn't say anything about it.
fn release_secondary(spec: &mut Value, old: &Value) {
    if spec["ipFamilyPolicy"] != "SingleStack" || old["ipFamilyPolicy"] == "SingleStack" {
        return;
    }
    for key in ["ipFamilies", "clusterIPs"] {
        if spec[key] == old[key]
            && let Some(list) = spec[key].as_array_mut()
        {
            list.truncate(1);
        }
    }
}
