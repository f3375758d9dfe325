//! Volumes whose files come from the API: configMap, secret, downwardAPI, projected.

use k8s_openapi::api::core::v1::{
    ConfigMap, DownwardAPIVolumeFile, KeyToPath, Pod, ProjectedVolumeSource, Secret, Volume,
};

use super::{Maker, Payload, field};
use crate::pod::spec;
use crate::resources;

const MODE_DEFAULT: i32 = 0o644;
/// Seconds a projected token is valid for unless the volume says otherwise.
const TOKEN_SECONDS_DEFAULT: i64 = 3600;

/// Whether a volume's files come from the API.
pub(super) fn is_content(volume: &Volume) -> bool {
    volume.config_map.is_some()
        || volume.secret.is_some()
        || volume.downward_api.is_some()
        || volume.projected.is_some()
}

/// The directory's name, as in upstream's kubelet.
pub(super) fn plugin(volume: &Volume) -> &'static str {
    if volume.config_map.is_some() {
        "kubernetes.io~configmap"
    } else if volume.secret.is_some() {
        "kubernetes.io~secret"
    } else if volume.downward_api.is_some() {
        "kubernetes.io~downward-api"
    } else {
        "kubernetes.io~projected"
    }
}

/// The files of a volume.
pub(super) async fn payload(maker: &Maker<'_>, pod: &Pod, volume: &Volume) -> Result<Payload, String> {
    let namespace = spec::namespace(pod);
    let mut files = Payload::new();
    if let Some(source) = &volume.config_map {
        let mode = source.default_mode.unwrap_or(MODE_DEFAULT);
        let found = maker.sources.config_map(namespace, &source.name).await?;
        let optional = source.optional == Some(true);
        from_config_map(
            found.as_deref(),
            &source.name,
            namespace,
            source.items.as_deref(),
            mode,
            optional,
            &mut files,
        )?;
    } else if let Some(source) = &volume.secret {
        let mode = source.default_mode.unwrap_or(MODE_DEFAULT);
        let name = source.secret_name.as_deref().unwrap_or_default();
        let found = maker.sources.secret(namespace, name).await?;
        let optional = source.optional == Some(true);
        from_secret(found.as_deref(), name, namespace, source.items.as_deref(), mode, optional, &mut files)?;
    } else if let Some(source) = &volume.downward_api {
        let mode = source.default_mode.unwrap_or(MODE_DEFAULT);
        from_downward(maker, pod, source.items.as_deref().unwrap_or_default(), mode, &mut files)?;
    } else if let Some(source) = &volume.projected {
        projected(maker, pod, source, &mut files).await?;
    } else {
        return Err("the volume has no source that this node knows".into());
    }
    Ok(files)
}

async fn projected(
    maker: &Maker<'_>,
    pod: &Pod,
    volume: &ProjectedVolumeSource,
    files: &mut Payload,
) -> Result<(), String> {
    let namespace = spec::namespace(pod);
    let mode = volume.default_mode.unwrap_or(MODE_DEFAULT);
    for source in volume.sources.iter().flatten() {
        if let Some(source) = &source.config_map {
            let found = maker.sources.config_map(namespace, &source.name).await?;
            let optional = source.optional == Some(true);
            from_config_map(
                found.as_deref(),
                &source.name,
                namespace,
                source.items.as_deref(),
                mode,
                optional,
                files,
            )?;
        }
        if let Some(source) = &source.secret {
            let found = maker.sources.secret(namespace, &source.name).await?;
            let optional = source.optional == Some(true);
            from_secret(
                found.as_deref(),
                &source.name,
                namespace,
                source.items.as_deref(),
                mode,
                optional,
                files,
            )?;
        }
        if let Some(source) = &source.downward_api {
            from_downward(maker, pod, source.items.as_deref().unwrap_or_default(), mode, files)?;
        }
        if let Some(source) = &source.service_account_token {
            let seconds = source.expiration_seconds.unwrap_or(TOKEN_SECONDS_DEFAULT);
            let audience = source.audience.as_deref().filter(|audience| !audience.is_empty());
            let token = maker.sources.token(pod, audience, seconds).await?;
            // A token is for its user alone, unless the pod's processes run under another one.
            let private = spec::spec(pod)
                .security_context
                .as_ref()
                .is_none_or(|s| s.fs_group.is_none() && s.run_as_user.is_none());
            let token_mode = if private && only_root(pod) { 0o600 } else { bits(mode) };
            files.insert(source.path.clone(), (token_mode, token.into_bytes()));
        }
        if source.cluster_trust_bundle.is_some() || source.pod_certificate.is_some() {
            return Err("clusterTrustBundle and podCertificate sources are not supported by this node".into());
        }
    }
    Ok(())
}

fn only_root(pod: &Pod) -> bool {
    let containers = spec::inits(pod).iter().chain(spec::mains(pod));
    containers.filter_map(|c| c.security_context.as_ref()?.run_as_user).all(|user| user == 0)
}

fn bits(mode: i32) -> u32 {
    mode.unsigned_abs() & 0o777
}

type Entry<'a> = (&'a str, &'a [u8]);

fn from_config_map(
    found: Option<&ConfigMap>,
    name: &str,
    namespace: &str,
    items: Option<&[KeyToPath]>,
    mode: i32,
    optional: bool,
    files: &mut Payload,
) -> Result<(), String> {
    let Some(found) = found else {
        return if optional { Ok(()) } else { Err(format!("configmap \"{name}\" not found")) };
    };
    let text = found.data.iter().flatten().map(|(key, value)| (key.as_str(), value.as_bytes()));
    let binary = found.binary_data.iter().flatten().map(|(key, value)| (key.as_str(), value.0.as_slice()));
    let entries: Vec<Entry<'_>> = text.chain(binary).collect();
    pick(&entries, items, mode, optional, &format!("configmap {namespace}/{name}"), files)
}

fn from_secret(
    found: Option<&Secret>,
    name: &str,
    namespace: &str,
    items: Option<&[KeyToPath]>,
    mode: i32,
    optional: bool,
    files: &mut Payload,
) -> Result<(), String> {
    let Some(found) = found else {
        return if optional { Ok(()) } else { Err(format!("secret \"{name}\" not found")) };
    };
    let entries: Vec<Entry<'_>> =
        found.data.iter().flatten().map(|(key, value)| (key.as_str(), value.0.as_slice())).collect();
    pick(&entries, items, mode, optional, &format!("secret {namespace}/{name}"), files)
}

fn pick(
    entries: &[Entry<'_>],
    items: Option<&[KeyToPath]>,
    mode: i32,
    optional: bool,
    whose: &str,
    files: &mut Payload,
) -> Result<(), String> {
    let Some(items) = items.filter(|items| !items.is_empty()) else {
        for (key, bytes) in entries {
            files.insert((*key).to_owned(), (bits(mode), bytes.to_vec()));
        }
        return Ok(());
    };
    for item in items {
        match entries.iter().find(|(key, _)| *key == item.key) {
            Some((_, bytes)) => {
                files.insert(item.path.clone(), (bits(item.mode.unwrap_or(mode)), bytes.to_vec()));
            }
            None if optional => {}
            None => {
                return Err(format!(
                    "references non-existent {} key: {}",
                    whose.split(' ').next().unwrap_or_default(),
                    item.key
                ));
            }
        }
    }
    Ok(())
}

fn from_downward(
    maker: &Maker<'_>,
    pod: &Pod,
    items: &[DownwardAPIVolumeFile],
    mode: i32,
    files: &mut Payload,
) -> Result<(), String> {
    for item in items {
        let text = if let Some(reference) = &item.field_ref {
            field(pod, &reference.field_path, &[], "").map_err(|error| error.to_string())?
        } else if let Some(reference) = &item.resource_field_ref {
            let name = reference.container_name.as_deref().unwrap_or_default();
            let container = spec::find(pod, name).ok_or_else(|| format!("container {name} not found"))?;
            resources::field(&container, reference, maker.allocatable)?
        } else {
            return Err(format!("item {} has neither fieldRef nor resourceFieldRef", item.path));
        };
        files.insert(item.path.clone(), (bits(item.mode.unwrap_or(mode)), text.into_bytes()));
    }
    Ok(())
}
