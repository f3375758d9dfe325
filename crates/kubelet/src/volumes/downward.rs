//! The downward API: fields of the pod and resources of a container, as text.
//! Source: <https://kubernetes.io/docs/concepts/workloads/pods/downward-api/>

use k8s_openapi::api::core::v1::Pod;

use crate::pod::spec;

/// A field that the downward API doesn't have.
#[derive(Debug, thiserror::Error)]
#[error("unsupported fieldPath: {0}")]
pub(crate) struct FieldError(pub(crate) String);

/// The value of a pod's field; `ips` are the pod's addresses, `host_ip` the node's.
pub(crate) fn field(pod: &Pod, path: &str, ips: &[String], host_ip: &str) -> Result<String, FieldError> {
    if let Some((map, key)) =
        path.split_once("['").and_then(|(map, rest)| Some((map, rest.strip_suffix("']")?)))
    {
        let map = match map {
            "metadata.labels" => &pod.metadata.labels,
            "metadata.annotations" => &pod.metadata.annotations,
            _ => return Err(FieldError(path.to_owned())),
        };
        return Ok(map.as_ref().and_then(|map| map.get(key)).cloned().unwrap_or_default());
    }
    let text = |value: Option<&str>| Ok(value.unwrap_or_default().to_owned());
    match path {
        "metadata.name" => Ok(spec::name(pod).to_owned()),
        "metadata.namespace" => Ok(spec::namespace(pod).to_owned()),
        "metadata.uid" => Ok(spec::uid(pod).to_owned()),
        "metadata.labels" => Ok(map_text(pod.metadata.labels.as_ref())),
        "metadata.annotations" => Ok(map_text(pod.metadata.annotations.as_ref())),
        "spec.nodeName" => text(spec::spec(pod).node_name.as_deref()),
        "spec.serviceAccountName" => text(spec::spec(pod).service_account_name.as_deref()),
        "status.hostIP" | "status.hostIPs" => Ok(host_ip.to_owned()),
        "status.podIP" => Ok(ips.first().cloned().unwrap_or_default()),
        "status.podIPs" => Ok(ips.join(",")),
        _ => Err(FieldError(path.to_owned())),
    }
}

/// `key="value"` lines, sorted, values quoted as Go's `%q`.
fn map_text(map: Option<&std::collections::BTreeMap<String, String>>) -> String {
    let lines: Vec<String> =
        map.into_iter().flatten().map(|(key, value)| format!("{key}={value:?}")).collect();
    lines.join("\n")
}
