//! Every pod runs as a service account, and gets its token mounted.
//! Source: <https://kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin/>

use cox_api::Status;
use serde_json::{Value, json};

use super::{Attempt, Operation, Plugin, each, each_mut, list_mut, text};
use crate::go::parse_bool;

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
        let account = account.parsed();
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

    fn validate(
        &self,
        attempt: &Attempt<'_>,
        object: Option<&Value>,
        _: &mut Vec<String>,
    ) -> Result<(), Status> {
        let debugs = attempt.operation == Operation::Update && attempt.is("", "pods", "ephemeralcontainers");
        let Some(pod) = object.filter(|_| debugs || attempt.creates("", "pods")) else { return Ok(()) };
        if pod["metadata"]["annotations"].get(MIRROR).is_some() {
            return if debugs { Ok(()) } else { check_mirror(attempt, pod) };
        }
        let name = text(&pod["spec"]["serviceAccountName"]);
        let account = attempt.server.db().get("serviceaccounts", attempt.namespace, name);
        match account.and_then(|account| secret_out_of_reach(account.parsed(), pod)) {
            Some(why) => Err(attempt.forbidden(&why)),
            None => Ok(()),
        }
    }
}

/// Of an account that says so, pods may use the secrets that the account lists, and no others.
fn secret_out_of_reach(account: &Value, pod: &Value) -> Option<String> {
    let enforced = text(&account["metadata"]["annotations"]["kubernetes.io/enforce-mountable-secrets"]);
    if parse_bool(enforced) != Some(true) {
        return None;
    }
    let owner = text(&account["metadata"]["name"]);
    let lists = |part: &str, secret: &str| each(&account[part]).any(|one| one["name"] == secret);
    let (spec, not_listed) = (&pod["spec"], "does not reference that secret");
    let volumes = each(&spec["volumes"]).filter_map(|volume| volume.get("secret"));
    if let Some(secret) =
        volumes.map(|secret| text(&secret["secretName"])).find(|secret| !lists("secrets", secret))
    {
        return Some(format!(
            "volume with secret.secretName=\"{secret}\" is not allowed because service account {owner} {not_listed}"
        ));
    }
    for (part, words) in [
        ("initContainers", "init container"),
        ("containers", "container"),
        ("ephemeralContainers", "ephemeral container"),
    ] {
        for container in each(&spec[part]) {
            for variable in each(&container["env"]) {
                let Some(source) = variable["valueFrom"].get("secretKeyRef") else { continue };
                let secret = text(&source["name"]);
                if !lists("secrets", secret) {
                    return Some(format!(
                        "{words} {} with envVar {} referencing secret.secretName=\"{secret}\" is not allowed because service account {owner} {not_listed}",
                        text(&container["name"]),
                        text(&variable["name"])
                    ));
                }
            }
        }
    }
    let pulls = each(&spec["imagePullSecrets"]).enumerate();
    let beyond =
        pulls.map(|(at, one)| (at, text(&one["name"]))).find(|(_, one)| !lists("imagePullSecrets", one));
    beyond.map(|(at, secret)| {
        format!(
            "imagePullSecrets[{at}].name=\"{secret}\" is not allowed because service account {owner} does not reference that imagePullSecret"
        )
    })
}

fn check_mirror(attempt: &Attempt<'_>, pod: &Value) -> Result<(), Status> {
    let spec = &pod["spec"];
    if !text(&spec["serviceAccountName"]).is_empty() {
        return Err(attempt.forbidden("a mirror pod may not reference service accounts"));
    }
    let volumes = || each(&spec["volumes"]);
    let projects = |kind: &str| {
        volumes().flat_map(|volume| each(&volume["projected"]["sources"])).any(|one| one.get(kind).is_some())
    };
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
    let volume = known
        .clone()
        .unwrap_or_else(|| format!("kube-api-access-{}", attempt.server.env().chance().suffix(5)));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_can_keep_pods_to_their_secrets() {
        let account = |enforced: &str| {
            json!({"metadata": {"name": "a", "annotations": {"kubernetes.io/enforce-mountable-secrets": enforced}},
                "secrets": [{"name": "s"}], "imagePullSecrets": [{"name": "p"}]})
        };
        let env = json!([{"name": "E", "valueFrom": {"secretKeyRef": {"name": "t", "key": "k"}}}]);
        for (spec, expected) in [
            (
                json!({"volumes": [{"secret": {"secretName": "s"}}], "imagePullSecrets": [{"name": "p"}]}),
                None,
            ),
            (
                json!({"volumes": [{"secret": {"secretName": "t"}}]}),
                Some(
                    "volume with secret.secretName=\"t\" is not allowed because service account a does not reference that secret",
                ),
            ),
            (
                json!({"containers": [{"name": "c", "env": env}]}),
                Some(
                    "container c with envVar E referencing secret.secretName=\"t\" is not allowed because service account a does not reference that secret",
                ),
            ),
            (
                json!({"imagePullSecrets": [{"name": "p"}, {"name": "q"}]}),
                Some(
                    "imagePullSecrets[1].name=\"q\" is not allowed because service account a does not reference that imagePullSecret",
                ),
            ),
        ] {
            let pod = json!({"spec": spec});
            assert_eq!(secret_out_of_reach(&account("true"), &pod).as_deref(), expected, "{pod}");
            assert_eq!(secret_out_of_reach(&account("false"), &pod), None);
        }
    }
}
