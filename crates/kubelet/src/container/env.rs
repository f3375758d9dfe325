//! The environment of a container: services, envFrom, env, in upstream's order.
//! Sources: <https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables>,
//! <https://kubernetes.io/docs/tasks/inject-data-application/define-environment-variable-container/>

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, EnvVar, Pod, Service};

use super::expand::expand;
use crate::pod::spec;
use crate::resources::{self, Allocatable};
use crate::volumes::{Sources, field};

/// What environments are made from besides the spec.
pub(crate) struct Facts<'a> {
    /// Services of the pod's namespace, and `default/kubernetes`.
    pub(crate) services: &'a [std::sync::Arc<Service>],
    /// The pod's addresses.
    pub(crate) ips: &'a [String],
    /// The node's address.
    pub(crate) host_ip: &'a str,
    /// For `resourceFieldRef` without a limit.
    pub(crate) allocatable: &'a Allocatable,
    /// Contents of config maps and secrets.
    pub(crate) sources: &'a dyn Sources,
}

/// The environment, or why the container can't be configured.
pub(crate) async fn environment(
    pod: &Pod,
    container: &Container,
    facts: &Facts<'_>,
) -> Result<Vec<(String, String)>, String> {
    let mut values = service_variables(pod, facts.services);
    let namespace = spec::namespace(pod);
    let mut result: BTreeMap<String, String> = BTreeMap::new();
    for source in container.env_from.iter().flatten() {
        let prefix = source.prefix.as_deref().unwrap_or_default();
        if let Some(reference) = &source.config_map_ref {
            match facts.sources.config_map(namespace, &reference.name).await? {
                Some(map) => {
                    for (key, value) in map.data.iter().flatten() {
                        result.insert(format!("{prefix}{key}"), value.clone());
                    }
                }
                None if reference.optional == Some(true) => {}
                None => return Err(format!("configmap \"{}\" not found", reference.name)),
            }
        }
        if let Some(reference) = &source.secret_ref {
            match facts.sources.secret(namespace, &reference.name).await? {
                Some(secret) => {
                    for (key, value) in secret.data.iter().flatten() {
                        result
                            .insert(format!("{prefix}{key}"), String::from_utf8_lossy(&value.0).into_owned());
                    }
                }
                None if reference.optional == Some(true) => {}
                None => return Err(format!("secret \"{}\" not found", reference.name)),
            }
        }
    }
    for variable in container.env.iter().flatten() {
        if let Some(value) = value_of(pod, container, variable, facts, &result, &values).await? {
            result.insert(variable.name.clone(), value);
        }
    }
    values.extend(result);
    Ok(values.into_iter().collect())
}

async fn value_of(
    pod: &Pod,
    container: &Container,
    variable: &EnvVar,
    facts: &Facts<'_>,
    known: &BTreeMap<String, String>,
    services: &BTreeMap<String, String>,
) -> Result<Option<String>, String> {
    let Some(from) = &variable.value_from else {
        let lookup = |name: &str| known.get(name).or_else(|| services.get(name)).cloned();
        return Ok(Some(expand(variable.value.as_deref().unwrap_or_default(), &lookup)));
    };
    let namespace = spec::namespace(pod);
    if let Some(reference) = &from.field_ref {
        return field(pod, &reference.field_path, facts.ips, facts.host_ip)
            .map(Some)
            .map_err(|error| error.to_string());
    }
    if let Some(reference) = &from.resource_field_ref {
        let other = reference.container_name.as_deref().filter(|name| !name.is_empty());
        let other = other.and_then(|name| spec::find(pod, name));
        return resources::field(other.as_ref().unwrap_or(container), reference, facts.allocatable).map(Some);
    }
    if let Some(reference) = &from.config_map_key_ref {
        let optional = reference.optional == Some(true);
        return match facts.sources.config_map(namespace, &reference.name).await? {
            None if optional => Ok(None),
            None => Err(format!("configmap \"{}\" not found", reference.name)),
            Some(map) => match map.data.as_ref().and_then(|data| data.get(&reference.key)) {
                Some(value) => Ok(Some(value.clone())),
                None if optional => Ok(None),
                None => Err(format!(
                    "couldn't find key {} in ConfigMap {namespace}/{}",
                    reference.key, reference.name
                )),
            },
        };
    }
    if let Some(reference) = &from.secret_key_ref {
        let optional = reference.optional == Some(true);
        return match facts.sources.secret(namespace, &reference.name).await? {
            None if optional => Ok(None),
            None => Err(format!("secret \"{}\" not found", reference.name)),
            Some(secret) => match secret.data.as_ref().and_then(|data| data.get(&reference.key)) {
                Some(value) => Ok(Some(String::from_utf8_lossy(&value.0).into_owned())),
                None if optional => Ok(None),
                None => Err(format!(
                    "couldn't find key {} in Secret {namespace}/{}",
                    reference.key, reference.name
                )),
            },
        };
    }
    Err(format!("environment variable {}: valueFrom has no source that this node knows", variable.name))
}

/// `KUBERNETES_SERVICE_HOST` and the like; only the API server's with `enableServiceLinks: false`.
fn service_variables(pod: &Pod, services: &[std::sync::Arc<Service>]) -> BTreeMap<String, String> {
    let mut variables = BTreeMap::new();
    let links = spec::spec(pod).enable_service_links != Some(false);
    for service in services {
        let (name, namespace) = (service.metadata.name.as_deref(), service.metadata.namespace.as_deref());
        let (Some(name), Some(namespace)) = (name, namespace) else { continue };
        let master = (namespace, name) == ("default", "kubernetes");
        if !master && (!links || namespace != spec::namespace(pod)) {
            continue;
        }
        let Some(service_spec) = &service.spec else { continue };
        let Some(ip) = service_spec.cluster_ip.as_deref().filter(|ip| !ip.is_empty() && *ip != "None") else {
            continue;
        };
        let prefix = name.replace('-', "_").to_uppercase();
        let ports = service_spec.ports.as_deref().unwrap_or_default();
        let Some(first) = ports.first() else { continue };
        variables.insert(format!("{prefix}_SERVICE_HOST"), ip.to_owned());
        variables.insert(format!("{prefix}_SERVICE_PORT"), first.port.to_string());
        for port in ports {
            if let Some(port_name) = port.name.as_deref().filter(|name| !name.is_empty()) {
                let port_name = port_name.replace('-', "_").to_uppercase();
                variables.insert(format!("{prefix}_SERVICE_PORT_{port_name}"), port.port.to_string());
            }
        }
        for (i, port) in ports.iter().enumerate() {
            let protocol = port.protocol.as_deref().unwrap_or("TCP");
            let url = format!("{}://{ip}:{}", protocol.to_lowercase(), port.port);
            if i == 0 {
                variables.insert(format!("{prefix}_PORT"), url.clone());
            }
            let base = format!("{prefix}_PORT_{}_{protocol}", port.port);
            variables.insert(base.clone(), url);
            variables.insert(format!("{base}_PROTO"), protocol.to_lowercase());
            variables.insert(format!("{base}_PORT"), port.port.to_string());
            variables.insert(format!("{base}_ADDR"), ip.to_owned());
        }
    }
    variables
}
