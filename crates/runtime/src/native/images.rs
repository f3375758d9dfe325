//! Images by the runtime's interface.

use std::path::Path;
use std::sync::Arc;

use super::{Inner, blocking};
use crate::reference::Reference;
use crate::types::{ImageConfig, ImageInfo, RegistryAuth};
use crate::{Result, RuntimeError};

impl Inner {
    pub(super) fn image_status(&self, reference: &str) -> Result<Option<ImageInfo>> {
        Ok(self.images.find(reference)?.and_then(|image| self.images.info(&image.id)))
    }

    pub(super) fn pull_image(&self, reference: &str, _auth: Option<&RegistryAuth>) -> Result<String> {
        if let Some(image) = self.images.find(reference)? {
            return Ok(image.id);
        }
        let parsed = Reference::parse(reference)?;
        let name = parsed.digested().or_else(|| parsed.tagged()).unwrap_or_default();
        Err(RuntimeError::Pull(format!(
            "failed to pull image {name:?}: registry pulls are not available yet; load the image from an archive"
        )))
    }

    pub(super) async fn load_archive(self: Arc<Self>, path: &Path) -> Result<Vec<ImageInfo>> {
        let path = path.to_owned();
        blocking(move || {
            let ids = self.images.load(&path)?;
            Ok(ids.iter().filter_map(|id| self.images.info(id)).collect())
        })
        .await
    }

    pub(super) async fn build_from_dir(
        self: Arc<Self>,
        dir: &Path,
        reference: &str,
        config: ImageConfig,
    ) -> Result<ImageInfo> {
        let (dir, reference) = (dir.to_owned(), reference.to_owned());
        blocking(move || {
            let id = self.images.build(&dir, &reference, &config)?;
            self.images.info(&id).ok_or(RuntimeError::NotFound { kind: "image", name: id })
        })
        .await
    }
}
