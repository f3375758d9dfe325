//! Every pod runs as a service account, and gets its token mounted.
//! Source: <https://kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin/>

use cox_api::Status;
use serde_json::{Value, json};

use super::{Attempt, Plugin, each, each_mut, list_mut, text};

const MIRROR: &str = "kubernetes.io/config.mirror";
const MOUNT_PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
/// An hour and a few seconds, so that the kubelet can tell tokens made so from others.
const EXPIRATION_SECONDS: i64 = 3607;

pub(super) struct ServiceAccount;

impl Plugin for ServiceAccount {
    fn admit(&self, attempt: &Attempt<'_>, pod: &mut Value, _: &mut Vec<String>) -> Result<(), Status> {
        if !attempt.creates("", "pods") {
            return Ok(());
        }
        if pod["metadata"]["annotations"].get(MIRROR).is_some() {
            return check_mirror(attempt, pod);
        }
        if text(&pod["spec"]["serviceAccountName"]).is_empty() {
            pod["spec"]["serviceAccountName"] = "default".into();
        }
        let name = text(&pod["spec"]["serviceAccountName"]).to_owned();
        let Some(account) = attempt.server.db().get("serviceaccounts", attempt.namespace, &name) else {
            return Err(attempt.forbidden(&format!(
                "error looking up service account {}/{name}: serviceaccount {name:?} not found",
                attempt.namespace
            )));
        };
        let account = account.value();
        pod["spec"]["serviceAccount"] = name.into();
        let mounts = pod["spec"]["automountServiceAccountToken"]
            .as_bool()
            .or(account["automountServiceAccountToken"].as_bool())
            .unwrap_or(true);
        if mounts {
            mount_token(attempt, pod);
        }
        if each(&pod["spec"]["imagePullSecrets"]).next().is_none()
            && each(&account["imagePullSecrets"]).next().is_some()
        {
            pod["spec"]["imagePullSecrets"] = account["imagePullSecrets"].clone();
        }
        Ok(())
    }

    fn validate(&self, attempt: &Attempt<'_>, object: Option<&Value>, _: &mut Vec<String>) -> Result<(), Status> {
        let Some(pod) = object.filter(|_| attempt.creates("", "pods")) else { return Ok(()) };
        if pod["metadata"]["annotations"].get(MIRROR).is_some() { check_mirror(attempt, pod) } else { Ok(()) }
    }
}

fn check_mirror(attempt: &Attempt<'_>, pod: &Value) -> Result<(), Status> {
    let spec = &pod["spec"];
    if !text(&spec["serviceAccountName"]).is_empty() {
        return Err(attempt.forbidden("a mirror pod may not reference service accounts"));
    }
    let volumes = || each(&spec["volumes"]);
    let projects =
        |kind: &str| volumes().flat_map(|volume| each(&volume["projected"]["sources"])).any(|one| one.get(kind).is_some());
    if volumes().any(|volume| volume.get("secret").is_some()) || projects("secret") {
        return Err(attempt.forbidden("a mirror pod may not reference secrets"));
    }
    if each(&spec["volumes"])
        .flat_map(|volume| each(&volume["projected"]["sources"]))
        .any(|source| source.get("serviceAccountToken").is_some())
    {
        return Err(attempt.forbidden("a mirror pod may not use ServiceAccountToken volume projections"));
    }
    Ok(())
}

fn mount_token(attempt: &Attempt<'_>, pod: &mut Value) {
    // A volume of an earlier admission is used again.
    let known = each(&pod["spec"]["volumes"])
        .map(|volume| text(&volume["name"]))
        .find(|name| name.starts_with("kube-api-access-"))
        .map(str::to_owned);
    let volume = known.clone().unwrap_or_else(|| {
        format!("kube-api-access-{}", attempt.server.env().chance().suffix(5))
    });
    let mut used = false;
    for part in ["initContainers", "containers"] {
        for container in each_mut(pod["spec"].get_mut(part)) {
            if each(&container["volumeMounts"]).any(|mount| mount["mountPath"] == MOUNT_PATH) {
                continue;
            }
            if let Some(mounts) = list_mut(container, "volumeMounts") {
                mounts.push(json!({"name": volume, "readOnly": true, "mountPath": MOUNT_PATH}));
                used = true;
            }
        }
    }
    if used
        && known.is_none()
        && let Some(volumes) = list_mut(&mut pod["spec"], "volumes")
    {
        volumes.push(json!({"name": volume, "projected": {"defaultMode": 420, "sources": [
            {"serviceAccountToken": {"expirationSeconds": EXPIRATION_SECONDS, "path": "token"}},
            {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
            {"downwardAPI": {"items": [{"path": "namespace",
                "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}]}},
        ]}}));
    }
}
