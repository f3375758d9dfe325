//! Image archives: what `docker save` writes, and OCI image layouts.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::from_dir::architecture;
use super::store::{ImageStore, digest_of};
use crate::reference::{Reference, is_digest};
use crate::{Result, RuntimeError};

/// The largest manifest, index or configuration.
const DOCUMENT_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// How deep indexes may refer to indexes.
const INDEX_DEPTH_MAX: u32 = 4;

/// An entry of docker's `manifest.json`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DockerManifest {
    config: PathBuf,
    repo_tags: Option<Vec<String>>,
    layers: Vec<PathBuf>,
}

#[derive(Deserialize)]
struct RootfsDocument {
    rootfs: Rootfs,
}

#[derive(Deserialize)]
struct Rootfs {
    diff_ids: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OciIndex {
    manifests: Vec<Descriptor>,
}

#[derive(Deserialize)]
struct OciManifest {
    config: Descriptor,
    layers: Vec<Descriptor>,
}

#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    #[serde(default)]
    media_type: String,
    digest: String,
    #[serde(default)]
    platform: Option<Platform>,
    #[serde(default)]
    annotations: std::collections::BTreeMap<String, String>,
}

#[derive(Clone, Deserialize)]
struct Platform {
    architecture: String,
    os: String,
}

impl ImageStore {
    /// Loads the images of an archive or of a directory in the OCI layout; gives their ids.
    pub fn load(&self, path: &Path) -> Result<Vec<String>> {
        if path.is_dir() {
            return self.load_dir(path, path);
        }
        let dir = self.temporary();
        let result = extract(path, &dir).and_then(|()| self.load_dir(path, &dir));
        let _ = fs::remove_dir_all(&dir);
        result
    }

    fn load_dir(&self, name: &Path, dir: &Path) -> Result<Vec<String>> {
        let dir = dir.canonicalize().map_err(RuntimeError::file("open", dir))?;
        let name = name.display().to_string();
        let archive = Opened { name: &name, dir: &dir };
        if dir.join("manifest.json").exists() {
            return self.load_docker(&archive);
        }
        if dir.join("index.json").exists() {
            return self.load_oci(&archive);
        }
        Err(archive.bad("it has neither manifest.json nor index.json".to_owned()))
    }

    fn load_docker(&self, archive: &Opened<'_>) -> Result<Vec<String>> {
        let manifests: Vec<DockerManifest> = archive.document(Path::new("manifest.json"))?.0;
        let mut ids = Vec::new();
        for manifest in manifests {
            let (document, bytes): (RootfsDocument, _) = archive.document(&manifest.config)?;
            let diff_ids = document.rootfs.diff_ids;
            if diff_ids.len() != manifest.layers.len() {
                return Err(archive.bad(format!(
                    "{} layers, {} diff ids",
                    manifest.layers.len(),
                    diff_ids.len()
                )));
            }
            for (layer, diff_id) in manifest.layers.iter().zip(&diff_ids) {
                self.add_layer(archive.name, archive.open(layer)?, diff_id)?;
            }
            let tags = manifest.repo_tags.unwrap_or_default();
            let names = tags
                .iter()
                .filter_map(|tag| Reference::parse(tag).map(|reference| reference.tagged()).transpose())
                .collect::<Result<Vec<_>>>()?;
            ids.push(self.add_image(archive.name, &bytes, &names)?);
        }
        Ok(ids)
    }

    fn load_oci(&self, archive: &Opened<'_>) -> Result<Vec<String>> {
        let index: OciIndex = archive.document(Path::new("index.json"))?.0;
        let mut ids = Vec::new();
        for descriptor in index.manifests {
            let label = |key: &str| descriptor.annotations.get(key).cloned();
            // The second is only a tag by the specification, but many tools put whole names there.
            let label =
                label("io.containerd.image.name").or_else(|| label("org.opencontainers.image.ref.name"));
            let reference = label.map(|label| Reference::parse(&label)).transpose()?;
            let Some(manifest_digest) = archive.manifest_for_us(&descriptor, 0)? else { continue };
            let manifest: OciManifest = archive.blob(&manifest_digest)?.0;
            let (document, bytes): (RootfsDocument, _) = archive.blob(&manifest.config.digest)?;
            let diff_ids = document.rootfs.diff_ids;
            if diff_ids.len() != manifest.layers.len() {
                return Err(archive.bad(format!(
                    "{} layers, {} diff ids",
                    manifest.layers.len(),
                    diff_ids.len()
                )));
            }
            for (layer, diff_id) in manifest.layers.iter().zip(&diff_ids) {
                self.add_layer(archive.name, archive.open(&blob_path(&layer.digest)?)?, diff_id)?;
            }
            let names: Vec<String> = reference
                .iter()
                .flat_map(|reference| {
                    let digested = format!("{}@{}", reference.repository, descriptor.digest);
                    reference.tagged().into_iter().chain([digested])
                })
                .collect();
            ids.push(self.add_image(archive.name, &bytes, &names)?);
        }
        if ids.is_empty() {
            return Err(archive.bad(format!("it has no image for linux/{}", architecture())));
        }
        Ok(ids)
    }
}

struct Opened<'a> {
    name: &'a str,
    dir: &'a Path,
}

impl Opened<'_> {
    fn bad(&self, message: String) -> RuntimeError {
        RuntimeError::BadImage { name: self.name.to_owned(), message }
    }

    /// A file of the archive; links in it may not lead out.
    fn open(&self, path: &Path) -> Result<File> {
        let inside = path.components().all(|c| matches!(c, Component::Normal(_) | Component::CurDir));
        let full = self.dir.join(path);
        let real = full.canonicalize().map_err(RuntimeError::file("open", &full))?;
        if !inside || !real.starts_with(self.dir) {
            return Err(self.bad(format!("{path:?} leads out of it")));
        }
        File::open(&real).map_err(RuntimeError::file("open", &real))
    }

    fn document<T: DeserializeOwned>(&self, path: &Path) -> Result<(T, Vec<u8>)> {
        let mut bytes = Vec::new();
        let file = self.open(path)?;
        file.take(DOCUMENT_BYTES_MAX).read_to_end(&mut bytes).map_err(RuntimeError::file("read", path))?;
        let document = serde_json::from_slice(&bytes).map_err(|e| self.bad(format!("{path:?}: {e}")))?;
        Ok((document, bytes))
    }

    fn blob<T: DeserializeOwned>(&self, digest: &str) -> Result<(T, Vec<u8>)> {
        let (document, bytes) = self.document(&blob_path(digest)?)?;
        if digest_of(&bytes) != digest {
            return Err(self.bad(format!("blob {digest} has another digest")));
        }
        Ok((document, bytes))
    }

    /// The manifest for this machine, through indexes of several platforms.
    fn manifest_for_us(&self, descriptor: &Descriptor, depth: u32) -> Result<Option<String>> {
        if !descriptor.media_type.ends_with("index.v1+json")
            && !descriptor.media_type.ends_with("list.v2+json")
        {
            return Ok(Some(descriptor.digest.clone()));
        }
        if depth >= INDEX_DEPTH_MAX {
            return Err(self.bad("indexes are nested too deep".to_owned()));
        }
        let index: OciIndex = self.blob(&descriptor.digest)?.0;
        for inner in &index.manifests {
            let fits =
                inner.platform.as_ref().is_none_or(|p| p.os == "linux" && p.architecture == architecture());
            if fits && let Some(found) = self.manifest_for_us(inner, depth + 1)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }
}

fn blob_path(digest: &str) -> Result<PathBuf> {
    if !is_digest(digest) {
        let message = "it is not a sha256 digest".to_owned();
        return Err(RuntimeError::BadImage { name: digest.to_owned(), message });
    }
    Ok(Path::new("blobs/sha256").join(digest.trim_start_matches("sha256:")))
}

/// Takes an archive apart. Only files and links within it are made; owners and modes don't matter.
fn extract(path: &Path, dir: &Path) -> Result<()> {
    let file = File::open(path).map_err(RuntimeError::file("open", path))?;
    let extract = || -> io::Result<()> {
        fs::create_dir(dir)?;
        let mut archive = tar::Archive::new(super::compression::decompress(file)?);
        archive.set_preserve_mtime(false);
        for entry in archive.entries()? {
            let mut entry = entry?;
            let kind = entry.header().entry_type();
            if kind.is_file() || kind.is_dir() || kind.is_symlink() || kind.is_hard_link() {
                entry.unpack_in(dir)?;
            }
        }
        Ok(())
    };
    extract().map_err(|e| RuntimeError::BadImage {
        name: path.display().to_string(),
        message: format!("read the archive: {}", super::compression::whole_text(&e)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn layer(name: &str) -> (Vec<u8>, String) {
        let mut builder = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_size(name.len() as u64);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        builder.append_data(&mut header, name, name.as_bytes()).unwrap();
        let bytes = builder.into_inner().unwrap();
        let diff_id = digest_of(&bytes);
        (bytes, diff_id)
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn zstd(bytes: &[u8]) -> Vec<u8> {
        ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest)
    }

    fn config(diff_ids: &[&str]) -> Vec<u8> {
        let config = serde_json::json!({
            "config": {"User": "web", "Env": null, "Cmd": ["run"]},
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
        });
        config.to_string().into_bytes()
    }

    fn archive(path: &Path, files: &[(&str, &[u8])]) {
        let mut builder = tar::Builder::new(File::create(path).unwrap());
        for (name, bytes) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            header.set_mode(0o644);
            builder.append_data(&mut header, name, *bytes).unwrap();
        }
        builder.into_inner().unwrap();
    }

    fn store(dir: &Path) -> ImageStore {
        ImageStore::open(&dir.join("images")).unwrap()
    }

    #[test]
    fn a_docker_archive_with_shared_layers() {
        let dir = tempfile::tempdir().unwrap();
        let ((one, id_one), (two, id_two)) = (layer("one"), layer("two"));
        let config = config(&[&id_one, &id_two, &id_one]);
        let manifest = br#"[{"Config": "c.json", "RepoTags": ["app:v1", "localhost/app"],
                            "Layers": ["1.tar", "2.tar.gz", "1.tar"]}]"#;
        let path = dir.path().join("app.tar");
        archive(
            &path,
            &[("manifest.json", manifest), ("c.json", &config), ("1.tar", &one), ("2.tar.gz", &gzip(&two))],
        );
        let store = store(dir.path());
        let ids = store.load(&path).unwrap();
        assert_eq!(ids, [digest_of(&config)]);
        let info = store.info(&ids[0]).unwrap();
        assert_eq!(info.repo_tags, ["docker.io/library/app:v1", "localhost/app:latest"]);
        assert_eq!(
            (info.username.as_deref(), info.config.cmd.as_slice()),
            (Some("web"), &["run".to_owned()][..])
        );
        let image = store.find("app:v1").unwrap().unwrap();
        assert_eq!(image.layers.len(), 2);
        assert_eq!(fs::read_to_string(store.layers_dir().join(&image.layers[0]).join("two")).unwrap(), "two");
        // Another process sees it, and what that one removes is gone here too.
        let other = ImageStore::open(&dir.path().join("images")).unwrap();
        other.remove("app:v1", &Default::default()).unwrap();
        assert!(store.find("app:v1").unwrap().is_none());
        store.remove("localhost/app", &Default::default()).unwrap();
        assert!(other.list().unwrap().is_empty());
        assert_eq!(fs::read_dir(store.layers_dir()).unwrap().count(), 0);
    }

    #[test]
    fn an_oci_layout_of_several_platforms() {
        let dir = tempfile::tempdir().unwrap();
        let (bytes, diff_id) = layer("file");
        let (packed, config) = (zstd(&bytes), config(&[&diff_id]));
        let manifest = serde_json::json!({
            "config": {"digest": digest_of(&config)}, "layers": [{"digest": digest_of(&packed)}],
        });
        let manifest = manifest.to_string().into_bytes();
        let platform = |architecture: &str, digest: String| serde_json::json!({"digest": digest, "platform": {"architecture": architecture, "os": "linux"}});
        let absent = format!("sha256:{}", "0".repeat(64));
        let inner = serde_json::json!({
            "manifests": [platform("s390x", absent), platform(architecture(), digest_of(&manifest))],
        });
        let inner = inner.to_string().into_bytes();
        let index = serde_json::json!({"manifests": [{
            "mediaType": "application/vnd.oci.image.index.v1+json", "digest": digest_of(&inner),
            "annotations": {"org.opencontainers.image.ref.name": "registry.example/app:v2"},
        }]});
        let index = index.to_string().into_bytes();
        let blob = |bytes: &[u8]| format!("blobs/{}", digest_of(bytes).replace(':', "/"));
        let path = dir.path().join("app.tar");
        let files = [&inner, &manifest, &config, &packed].map(|b| (blob(b), b.clone()));
        let mut all: Vec<(&str, &[u8])> = vec![("index.json", &index)];
        all.extend(files.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())));
        archive(&path, &all);
        let store = store(dir.path());
        let ids = store.load(&path).unwrap();
        let info = store.info(&ids[0]).unwrap();
        assert_eq!(info.repo_tags, ["registry.example/app:v2"]);
        assert_eq!(info.repo_digests, [format!("registry.example/app@{}", digest_of(&inner))]);
        assert!(store.find(&info.repo_digests[0]).unwrap().is_some());
    }

    #[test]
    fn damage_is_refused_and_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let store = store(dir.path());
        let (one, _) = layer("one");
        let (_, id_two) = layer("two");
        let manifest = br#"[{"Config": "c.json", "RepoTags": ["app:v1"], "Layers": ["1.tar"]}]"#;
        let path = dir.path().join("app.tar");
        archive(&path, &[("manifest.json", manifest), ("c.json", &config(&[&id_two])), ("1.tar", &one)]);
        let error = store.load(&path).unwrap_err().to_string();
        assert!(error.contains(&format!("instead of {id_two}")), "{error}");
        let outside = br#"[{"Config": "../c.json", "RepoTags": ["app:v1"], "Layers": []}]"#;
        fs::write(dir.path().join("images/tmp/c.json"), config(&[])).unwrap();
        archive(&path, &[("manifest.json", outside)]);
        let error = store.load(&path).unwrap_err().to_string();
        assert!(error.contains("leads out of it"), "{error}");
        archive(&path, &[("other", b"x")]);
        assert!(store.load(&path).unwrap_err().to_string().contains("neither"));
        assert!(store.load(&dir.path().join("absent")).is_err());
        assert!(store.list().unwrap().is_empty());
        assert_eq!(fs::read_dir(store.layers_dir()).unwrap().count(), 0);
    }
}
