//! The volumes of a pod: directories on the node that containers mount.
//! Source: <https://kubernetes.io/docs/concepts/storage/volumes/>

mod atomic;
mod content;
mod downward;
mod host_path;
mod ownership;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret, Volume};

pub(crate) use atomic::Payload;
pub(crate) use downward::field;

use crate::pod::spec;
use crate::resources::Allocatable;

/// Where the contents of volumes come from.
#[async_trait]
pub(crate) trait Sources: Send + Sync {
    /// A config map; none where there is none.
    async fn config_map(
        &self,
        namespace: &str,
        name: &str,
    ) -> Result<Option<std::sync::Arc<ConfigMap>>, String>;
    /// A secret; none where there is none.
    async fn secret(&self, namespace: &str, name: &str) -> Result<Option<std::sync::Arc<Secret>>, String>;
    /// A token of the pod's service account, bound to the pod.
    async fn token(&self, pod: &Pod, audience: Option<&str>, seconds: i64) -> Result<String, String>;
}

/// Why a volume could not be made: the text of the `FailedMount` event.
#[derive(Debug, thiserror::Error)]
pub(crate) enum VolumeError {
    /// Something it needs isn't there, or couldn't be fetched.
    #[error("MountVolume.SetUp failed for volume \"{volume}\" : {why}")]
    SetUp {
        /// `spec.volumes[].name`.
        volume: String,
        /// What is wrong.
        why: String,
    },
    /// This node doesn't have volumes of that sort.
    #[error("volume \"{volume}\": {what} volumes are not supported by this node")]
    Unsupported {
        /// `spec.volumes[].name`.
        volume: String,
        /// The field of the volume, as in `nfs`.
        what: &'static str,
    },
}

/// A volume that is ready to be mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mounted {
    /// The directory (or file, for hostPath) on the node.
    pub(crate) path: PathBuf,
    /// Ids in it are those inside the pod.
    pub(crate) id_mapped: bool,
    /// Whether the volume is never writable.
    pub(crate) read_only: bool,
}

/// What volumes are made from.
pub(crate) struct Maker<'a> {
    /// The pod's directory on the node.
    pub(crate) dir: &'a Path,
    /// Contents.
    pub(crate) sources: &'a dyn Sources,
    /// For `resourceFieldRef` without a limit.
    pub(crate) allocatable: &'a Allocatable,
}

impl Maker<'_> {
    /// Makes (or brings up to date) all volumes of a pod.
    pub(crate) async fn make_all(&self, pod: &Pod) -> Result<BTreeMap<String, Mounted>, VolumeError> {
        let mut made = BTreeMap::new();
        for volume in spec::spec(pod).volumes.iter().flatten() {
            made.insert(volume.name.clone(), self.make(pod, volume).await?);
        }
        Ok(made)
    }

    /// Writes anew what comes from the API (config maps, secrets, tokens, downward API), where it changed.
    pub(crate) async fn refresh(&self, pod: &Pod) -> Result<(), VolumeError> {
        for volume in spec::spec(pod).volumes.iter().flatten().filter(|volume| content::is_content(volume)) {
            self.make(pod, volume).await?;
        }
        Ok(())
    }

    async fn make(&self, pod: &Pod, volume: &Volume) -> Result<Mounted, VolumeError> {
        let fail = |why: String| VolumeError::SetUp { volume: volume.name.clone(), why };
        if let Some(what) = unsupported(volume) {
            return Err(VolumeError::Unsupported { volume: volume.name.clone(), what });
        }
        if let Some(host_path) = &volume.host_path {
            let path = host_path::check(host_path).map_err(fail)?;
            return Ok(Mounted { path, id_mapped: false, read_only: false });
        }
        let fs_group = spec::spec(pod).security_context.as_ref().and_then(|security| security.fs_group);
        if let Some(empty_dir) = &volume.empty_dir {
            let path = self.dir.join("volumes/kubernetes.io~empty-dir").join(&volume.name);
            let memory = empty_dir.medium.as_deref() == Some("Memory");
            let limit = empty_dir.size_limit.as_ref().map(|limit| limit.0.as_str());
            make_empty_dir(&path, memory, limit).map_err(|error| fail(error.to_string()))?;
            ownership::set_group(&path, fs_group, false).map_err(|error| fail(error.to_string()))?;
            return Ok(Mounted { path, id_mapped: true, read_only: false });
        }
        let plugin = content::plugin(volume);
        let path = self.dir.join("volumes").join(plugin).join(&volume.name);
        let payload = content::payload(self, pod, volume).await.map_err(&fail)?;
        atomic::write(&path, &payload, fs_group).map_err(|error| fail(error.to_string()))?;
        Ok(Mounted { path, id_mapped: true, read_only: true })
    }
}

fn make_empty_dir(path: &Path, memory: bool, limit: Option<&str>) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::create_dir_all(path)?;
    if memory && !crate::mounts::is_mount_point(path)? {
        let bytes = limit
            .and_then(|limit| limit.parse::<cox_api::quantity::Quantity>().ok())
            .map(|limit| limit.value());
        crate::mounts::mount_tmpfs(path, bytes)?;
    }
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o777))
}

/// The sort of a volume that this node doesn't have.
fn unsupported(volume: &Volume) -> Option<&'static str> {
    let sorts = [
        ("awsElasticBlockStore", volume.aws_elastic_block_store.is_some()),
        ("azureDisk", volume.azure_disk.is_some()),
        ("azureFile", volume.azure_file.is_some()),
        ("cephfs", volume.cephfs.is_some()),
        ("cinder", volume.cinder.is_some()),
        ("csi", volume.csi.is_some()),
        ("ephemeral", volume.ephemeral.is_some()),
        ("fc", volume.fc.is_some()),
        ("flexVolume", volume.flex_volume.is_some()),
        ("flocker", volume.flocker.is_some()),
        ("gcePersistentDisk", volume.gce_persistent_disk.is_some()),
        ("gitRepo", volume.git_repo.is_some()),
        ("glusterfs", volume.glusterfs.is_some()),
        ("image", volume.image.is_some()),
        ("iscsi", volume.iscsi.is_some()),
        ("nfs", volume.nfs.is_some()),
        ("persistentVolumeClaim", volume.persistent_volume_claim.is_some()),
        ("photonPersistentDisk", volume.photon_persistent_disk.is_some()),
        ("portworxVolume", volume.portworx_volume.is_some()),
        ("quobyte", volume.quobyte.is_some()),
        ("rbd", volume.rbd.is_some()),
        ("scaleIO", volume.scale_io.is_some()),
        ("storageos", volume.storageos.is_some()),
        ("vsphereVolume", volume.vsphere_volume.is_some()),
    ];
    sorts.into_iter().find(|(_, present)| *present).map(|(name, _)| name)
}

/// Takes away every pod's directory below a kubelet's root directory, for a node that is removed.
///
/// # Errors
/// Where a volume can't be unmounted or a directory not removed.
pub fn remove_pod_dirs(root_dir: &Path) -> std::io::Result<()> {
    let Ok(entries) = std::fs::read_dir(root_dir.join("pods")) else { return Ok(()) };
    for entry in entries {
        remove_all(&entry?.path())?;
    }
    Ok(())
}

/// Takes the pod's volumes away: tmpfs unmounted, then the directory removed.
pub(crate) fn remove_all(dir: &Path) -> std::io::Result<()> {
    let empty_dirs = dir.join("volumes/kubernetes.io~empty-dir");
    if let Ok(entries) = std::fs::read_dir(&empty_dirs) {
        for entry in entries {
            let path = entry?.path();
            if crate::mounts::is_mount_point(&path)? {
                crate::mounts::unmount(&path)?;
            }
        }
    }
    match std::fs::remove_dir_all(dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
