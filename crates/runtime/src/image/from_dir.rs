//! An image of one layer made from a directory.

use std::fs::{self, File};
use std::io::BufReader;
use std::path::Path;

use super::store::{ImageStore, digest_of};
use crate::reference::Reference;
use crate::types::ImageConfig;
use crate::{Result, RuntimeError};

impl ImageStore {
    /// Makes the image; gives its id.
    pub fn build(&self, dir: &Path, reference: &str, config: &ImageConfig) -> Result<String> {
        let name = Reference::parse(reference)?.tagged().ok_or_else(|| RuntimeError::InvalidImageName {
            name: reference.to_owned(),
            message: "a new image is named by a tag, not by a digest".to_owned(),
        })?;
        let archive = self.temporary();
        let result = self.build_from(dir, &archive, &name, config);
        let _ = fs::remove_file(&archive);
        result
    }

    fn build_from(&self, dir: &Path, archive: &Path, name: &str, config: &ImageConfig) -> Result<String> {
        write_archive(dir, archive).map_err(RuntimeError::file("pack", dir))?;
        let read = || File::open(archive).map(BufReader::new).map_err(RuntimeError::file("read", archive));
        let mut hash = HashWriter(sha2::Digest::new());
        std::io::copy(&mut read()?, &mut hash).map_err(RuntimeError::file("read", archive))?;
        let hex: String = sha2::Digest::finalize(hash.0).iter().map(|b| format!("{b:02x}")).collect();
        let diff_id = format!("sha256:{hex}");
        self.add_layer(name, read()?, &diff_id)?;
        let file = serde_json::json!({
            "architecture": architecture(),
            "os": "linux",
            "config": config,
            "rootfs": {"type": "layers", "diff_ids": [diff_id]},
        });
        let bytes = file.to_string().into_bytes();
        let repository = name.rsplit_once(':').map_or(name, |(repository, _)| repository);
        let digested = format!("{repository}@{}", digest_of(&bytes));
        self.add_image(name, &bytes, &[name.to_owned(), digested])
    }
}

/// The name of this machine's architecture in image configurations.
pub fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn write_archive(dir: &Path, archive: &Path) -> std::io::Result<()> {
    let mut builder = tar::Builder::new(std::io::BufWriter::new(File::create(archive)?));
    builder.follow_symlinks(false);
    append(&mut builder, dir, Path::new(""))?;
    builder.into_inner()?.into_inner().map_err(|e| e.into_error())?;
    Ok(())
}

/// In the order of names, so that the same directory gives the same image.
fn append(builder: &mut tar::Builder<impl std::io::Write>, dir: &Path, prefix: &Path) -> std::io::Result<()> {
    let mut entries = fs::read_dir(dir)?.collect::<std::io::Result<Vec<_>>>()?;
    entries.sort_by_key(|entry| entry.file_name());
    for entry in entries {
        let name = prefix.join(entry.file_name());
        builder.append_path_with_name(entry.path(), &name)?;
        if entry.file_type()?.is_dir() {
            append(builder, &entry.path(), &name)?;
        }
    }
    Ok(())
}

struct HashWriter(sha2::Sha256);

impl std::io::Write for HashWriter {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        sha2::Digest::update(&mut self.0, bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
