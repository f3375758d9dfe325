//! What images there are.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};

use rustix::fs::FlockOperation;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::compression::whole_text;
use super::layer;
use crate::native::images_in_use;
use crate::reference::{Reference, is_digest};
use crate::types::{FsUsage, ImageConfig, ImageInfo};
use crate::{Result, RuntimeError};

/// Digits of a diff id that name a layer's directory: few, so that many layers fit into a mount's options.
const LAYER_NAME_DIGITS: usize = 16;
/// The most layers of an image: their names have to fit into a page.
const LAYERS_MAX: usize = 200;

/// The images of a node.
///
/// Several processes may work on one store at the same time (`cox image load` beside a node): what another one has
/// written is seen at the next look, and changes are made under a lock on a file. Several nodes may share one too, so
/// that layers are unpacked once for all of them: an image stays while a container of any node uses it, also of a
/// node that is stopped.
pub struct ImageStore {
    dir: PathBuf,
    index: Mutex<Index>,
}

/// Numbers of unfinished things, unlike in all stores of this process.
static NEXT_TEMPORARY: AtomicU64 = AtomicU64::new(0);

#[derive(Default)]
struct Index {
    /// Which version of the names' file this is: inode and time of change.
    version: Option<(u64, i64, i64)>,
    images: BTreeMap<String, StoredImage>,
    names: BTreeMap<String, String>,
}

/// An image.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StoredImage {
    /// Digest of its configuration.
    pub id: String,
    /// Names of its layers' directories, the lowest first.
    pub layers: Vec<String>,
    /// Size of its layers in bytes.
    pub size_bytes: u64,
    /// What it says about its process.
    pub config: ImageConfig,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct LayerRecord {
    diff_id: String,
    size_bytes: u64,
    inodes: u64,
}

/// The parts of an image's configuration that matter here.
#[derive(Deserialize)]
struct ConfigFile {
    #[serde(default)]
    config: Option<ImageConfig>,
    rootfs: RootfsSection,
}

#[derive(Deserialize)]
struct RootfsSection {
    diff_ids: Vec<String>,
}

impl ImageStore {
    /// Opens a store, made if it is missing. What ended processes left unfinished is removed.
    pub fn open(dir: &Path) -> Result<Self> {
        for part in ["layers", "images", "tmp"] {
            let path = dir.join(part);
            fs::create_dir_all(&path).map_err(RuntimeError::file("create", &path))?;
        }
        // Images have programs that run as root for whoever starts them; users of the host shouldn't get at those.
        fs::set_permissions(dir, fs::Permissions::from_mode(0o700))
            .map_err(RuntimeError::file("chmod", dir))?;
        let tmp = dir.join("tmp");
        for entry in fs::read_dir(&tmp).map_err(RuntimeError::file("list", &tmp))?.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let owner = name.split('-').next().unwrap_or_default();
            if !Path::new("/proc").join(owner).exists() {
                let path = entry.path();
                let removed = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
                removed.map_err(RuntimeError::file("remove", &path))?;
            }
        }
        let store = ImageStore { dir: dir.to_owned(), index: Mutex::default() };
        drop(store.index()?);
        Ok(store)
    }

    /// The images, as they are on disk now.
    fn index(&self) -> Result<MutexGuard<'_, Index>> {
        // A panic in between leaves maps that are whole.
        let mut index = self.index.lock().unwrap_or_else(|e| e.into_inner());
        let names = self.names_path();
        let version = fs::metadata(&names).ok().map(|m| (m.ino(), m.mtime(), m.mtime_nsec()));
        if version == index.version {
            return Ok(index);
        }
        let mut fresh = Index { version, ..Index::default() };
        let images = self.dir.join("images");
        for entry in fs::read_dir(&images).map_err(RuntimeError::file("list", &images))?.flatten() {
            let path = entry.path();
            if path.extension().is_some_and(|e| e == "json") {
                let image: StoredImage = read_json(&path)?;
                fresh.images.insert(image.id.clone(), image);
            }
        }
        if version.is_some() {
            fresh.names = read_json(&names)?;
        }
        let known: BTreeSet<String> = fresh.images.keys().cloned().collect();
        fresh.names.retain(|_, id| known.contains(id));
        *index = fresh;
        Ok(index)
    }

    /// Keeps others from changing images meanwhile.
    fn lock(&self) -> Result<File> {
        self.lock_for(FlockOperation::LockExclusive)
    }

    /// Keeps others from removing images meanwhile: until it is on disk that a container uses one.
    pub(crate) fn hold(&self) -> Result<File> {
        self.lock_for(FlockOperation::LockShared)
    }

    fn lock_for(&self, operation: FlockOperation) -> Result<File> {
        let path = self.dir.join("lock");
        let lock = || -> io::Result<File> {
            let file = File::create(&path)?;
            rustix::fs::flock(&file, operation)?;
            Ok(file)
        };
        lock().map_err(RuntimeError::file("lock", &path))
    }

    /// Makes known that containers of the node with this state directory use images of the store.
    pub(crate) fn add_user(&self, state_dir: &Path) -> Result<()> {
        let state_dir = state_dir.canonicalize().map_err(RuntimeError::file("find", state_dir))?;
        let _lock = self.lock()?;
        let mut users = self.users()?;
        if !users.insert(state_dir) {
            return Ok(());
        }
        users.retain(|user| user.exists());
        self.write_json(&self.users_path(), &users)
    }

    fn users(&self) -> Result<BTreeSet<PathBuf>> {
        let path = self.users_path();
        if path.exists() { read_json(&path) } else { Ok(BTreeSet::new()) }
    }

    fn users_path(&self) -> PathBuf {
        self.dir.join("users.json")
    }

    fn names_path(&self) -> PathBuf {
        self.dir.join("names.json")
    }

    /// Where layers are.
    pub fn layers_dir(&self) -> PathBuf {
        self.dir.join("layers")
    }

    /// A new path for something unfinished.
    pub fn temporary(&self) -> PathBuf {
        let number = NEXT_TEMPORARY.fetch_add(1, Ordering::Relaxed);
        self.dir.join("tmp").join(format!("{}-{number}", std::process::id()))
    }

    /// Unpacks a layer (compressed or not), unless it is there; its diff id has to be the one given.
    pub fn add_layer(&self, name: &str, source: impl Read + Send, diff_id: &str) -> Result<()> {
        let bad = |message: String| RuntimeError::BadImage { name: name.to_owned(), message };
        if !is_digest(diff_id) {
            return Err(bad(format!("{diff_id:?} is not a digest")));
        }
        let (layer, record) = (self.layer_path(diff_id), self.layer_record(diff_id));
        if record.exists() {
            let found: LayerRecord = read_json(&record)?;
            if found.diff_id != diff_id {
                return Err(bad(format!("layer {diff_id} has the same name as {}", found.diff_id)));
            }
            return Ok(());
        }
        let temporary = self.temporary();
        fs::create_dir(&temporary).map_err(RuntimeError::file("create", &temporary))?;
        let unpacked = super::compression::decompress(source).and_then(|s| layer::unpack(s, &temporary));
        let result = unpacked
            .map_err(|e| bad(format!("unpack layer {diff_id}: {}", whole_text(&e))))
            .and_then(|unpacked| {
                if unpacked.diff_id != diff_id {
                    return Err(bad(format!("layer has digest {} instead of {diff_id}", unpacked.diff_id)));
                }
                Ok(unpacked)
            });
        let unpacked = match result {
            Ok(unpacked) => unpacked,
            Err(e) => {
                let _ = fs::remove_dir_all(&temporary);
                return Err(e);
            }
        };
        let sync = || -> io::Result<()> {
            rustix::fs::syncfs(File::open(&temporary)?)?;
            // Left from a crash between this and the next step, or made by another call at the same time.
            if layer.exists() && !record.exists() {
                fs::remove_dir_all(&layer)?;
            }
            fs::rename(&temporary, &layer)
        };
        match sync() {
            Ok(()) => {}
            Err(_) if record.exists() => {
                let _ = fs::remove_dir_all(&temporary);
                return Ok(());
            }
            Err(e) => return Err(RuntimeError::file("rename", &layer)(e)),
        }
        let record_value = LayerRecord {
            diff_id: unpacked.diff_id,
            size_bytes: unpacked.size_bytes,
            inodes: unpacked.inodes,
        };
        self.write_json(&record, &record_value)
    }

    /// Adds an image whose layers are there, by its configuration's bytes, under names (tags and digests); gives
    /// its id.
    pub fn add_image(&self, name: &str, config: &[u8], names: &[String]) -> Result<String> {
        let bad = |message: String| RuntimeError::BadImage { name: name.to_owned(), message };
        let parsed: ConfigFile =
            serde_json::from_slice(config).map_err(|e| bad(format!("configuration: {e}")))?;
        if parsed.rootfs.diff_ids.len() > LAYERS_MAX {
            return Err(bad(format!(
                "it has {} layers, more than {LAYERS_MAX}",
                parsed.rootfs.diff_ids.len()
            )));
        }
        let id = digest_of(config);
        // From the look at the layers on, so that none goes in between.
        let _lock = self.lock()?;
        let mut image = StoredImage {
            id: id.clone(),
            layers: Vec::new(),
            size_bytes: 0,
            config: parsed.config.unwrap_or_default(),
        };
        for diff_id in &parsed.rootfs.diff_ids {
            if !is_digest(diff_id) {
                return Err(bad(format!("{diff_id:?} is not a digest")));
            }
            let record: LayerRecord = read_json(&self.layer_record(diff_id))?;
            let layer = layer_name(diff_id).to_owned();
            // The same layer twice (often an empty one) adds nothing, and an overlay can't have it twice.
            image.layers.retain(|other| *other != layer);
            image.layers.push(layer);
            image.size_bytes += record.size_bytes;
        }
        let mut index = self.index()?;
        self.write_json(&self.image_path(&id), &image)?;
        index.images.insert(id.clone(), image);
        for name in names {
            index.names.insert(name.clone(), id.clone());
        }
        self.write_json(&self.names_path(), &index.names)?;
        Ok(id)
    }

    /// The image behind a name, a name with digest, or an id.
    pub fn find(&self, reference: &str) -> Result<Option<StoredImage>> {
        let index = self.index()?;
        Ok(index.resolve(reference)?.and_then(|id| index.images.get(&id).cloned()))
    }

    /// What is told about an image.
    pub fn info(&self, id: &str) -> Option<ImageInfo> {
        let index = self.index().ok()?;
        index.images.get(id).map(|image| index.info(image))
    }

    /// All images.
    pub fn list(&self) -> Result<Vec<ImageInfo>> {
        let index = self.index()?;
        Ok(index.images.values().map(|image| index.info(image)).collect())
    }

    /// Removes a name, or by id all names; then images without names that no container uses.
    pub fn remove(&self, reference: &str, in_use: &BTreeSet<String>) -> Result<()> {
        let _lock = self.lock()?;
        let mut index = self.index()?;
        let Some(id) = index.resolve(reference)? else { return Ok(()) };
        if is_id(reference) {
            index.names.retain(|_, image| *image != id);
        } else {
            let parsed = Reference::parse(reference)?;
            let named = parsed.digested().filter(|n| index.names.contains_key(n)).or_else(|| parsed.tagged());
            index.names.retain(|name, _| Some(name) != named.as_ref());
            // Digests of a repository stay only as long as one of its tags does.
            let tagged = |name: &String, image: &String| *image == id && !name.contains('@');
            if !index.names.iter().any(|(name, image)| tagged(name, image)) {
                index.names.retain(|_, image| *image != id);
            }
        }
        self.write_json(&self.names_path(), &index.names)?;
        self.collect_in(&mut index, in_use)
    }

    /// Removes images that have no name and that no container uses, and layers of no image.
    pub fn collect(&self, in_use: &BTreeSet<String>) -> Result<()> {
        // Mostly there is nothing to do, which needs no lock.
        if self.index()?.dead(in_use).is_empty() {
            return Ok(());
        }
        let _lock = self.lock()?;
        let mut index = self.index()?;
        self.collect_in(&mut index, in_use)
    }

    fn collect_in(&self, index: &mut Index, in_use: &BTreeSet<String>) -> Result<()> {
        if index.dead(in_use).is_empty() {
            return Ok(());
        }
        let mut in_use = in_use.clone();
        for user in self.users()? {
            in_use.extend(images_in_use(&user));
        }
        let dead = index.dead(&in_use);
        let mut layers = BTreeSet::new();
        for id in dead {
            let path = self.image_path(&id);
            fs::remove_file(&path).map_err(RuntimeError::file("remove", &path))?;
            layers.extend(index.images.remove(&id).map(|image| image.layers).unwrap_or_default());
        }
        let alive: BTreeSet<&String> = index.images.values().flat_map(|image| &image.layers).collect();
        for layer in layers.iter().filter(|layer| !alive.contains(layer)) {
            // First the record: without it the directory counts as unfinished.
            let record = self.layers_dir().join(format!("{layer}.json"));
            fs::remove_file(&record).map_err(RuntimeError::file("remove", &record))?;
            let path = self.layers_dir().join(layer);
            fs::remove_dir_all(&path).map_err(RuntimeError::file("remove", &path))?;
        }
        // The same names again: by the file's change other processes see that images are gone.
        self.write_json(&self.names_path(), &index.names)
    }

    /// What the layers use, as counted when they were unpacked.
    pub fn usage(&self) -> Result<FsUsage> {
        let mut usage = FsUsage::default();
        let dir = self.layers_dir();
        for entry in fs::read_dir(&dir).map_err(RuntimeError::file("list", &dir))?.flatten() {
            if entry.path().extension().is_some_and(|e| e == "json") {
                let record: LayerRecord = read_json(&entry.path())?;
                usage.used_bytes += record.size_bytes;
                usage.inodes_used += record.inodes;
            }
        }
        Ok(usage)
    }

    fn layer_path(&self, diff_id: &str) -> PathBuf {
        self.layers_dir().join(layer_name(diff_id))
    }

    fn layer_record(&self, diff_id: &str) -> PathBuf {
        self.layers_dir().join(format!("{}.json", layer_name(diff_id)))
    }

    fn image_path(&self, id: &str) -> PathBuf {
        self.dir.join("images").join(format!("{}.json", id.trim_start_matches("sha256:")))
    }

    fn write_json<T: Serialize>(&self, path: &Path, value: &T) -> Result<()> {
        let temporary = self.temporary();
        let write = || -> io::Result<()> {
            let mut file = File::create(&temporary)?;
            file.write_all(&serde_json::to_vec(value)?)?;
            file.sync_all()?;
            fs::rename(&temporary, path)
        };
        write().map_err(RuntimeError::file("write", path))
    }
}

impl Index {
    /// Images without names that no container uses.
    fn dead(&self, in_use: &BTreeSet<String>) -> Vec<String> {
        let named: BTreeSet<&String> = self.names.values().collect();
        self.images.keys().filter(|id| !named.contains(id) && !in_use.contains(*id)).cloned().collect()
    }

    fn resolve(&self, reference: &str) -> Result<Option<String>> {
        if is_id(reference) {
            let id = if is_digest(reference) { reference.to_owned() } else { format!("sha256:{reference}") };
            return Ok(self.images.contains_key(&id).then_some(id));
        }
        let parsed = Reference::parse(reference)?;
        // With both, the digest decides.
        let name = parsed.digested().or_else(|| parsed.tagged());
        Ok(name.and_then(|name| self.names.get(&name).cloned()))
    }

    fn info(&self, image: &StoredImage) -> ImageInfo {
        let (mut repo_tags, mut repo_digests) = (Vec::new(), Vec::new());
        for (name, _) in self.names.iter().filter(|(_, id)| **id == image.id) {
            if name.contains('@') { repo_digests.push(name.clone()) } else { repo_tags.push(name.clone()) }
        }
        let user = image.config.user.split(':').next().unwrap_or_default();
        let uid = user.parse::<i64>().ok();
        ImageInfo {
            id: image.id.clone(),
            repo_tags,
            repo_digests,
            size_bytes: image.size_bytes,
            config: image.config.clone(),
            uid,
            username: (uid.is_none() && !user.is_empty()).then(|| user.to_owned()),
        }
    }
}

/// An id is `sha256:` and 64 digits, or the digits alone.
fn is_id(reference: &str) -> bool {
    is_digest(reference) || is_digest(&format!("sha256:{reference}"))
}

fn layer_name(diff_id: &str) -> &str {
    let hex = diff_id.strip_prefix("sha256:").unwrap_or(diff_id);
    hex.get(..LAYER_NAME_DIGITS).unwrap_or(hex)
}

/// `sha256:` and the digest of some bytes.
pub fn digest_of(bytes: &[u8]) -> String {
    let hex: String = Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect();
    format!("sha256:{hex}")
}

fn read_json<T: for<'de> Deserialize<'de>>(path: &Path) -> Result<T> {
    let bytes = fs::read(path).map_err(RuntimeError::file("read", path))?;
    serde_json::from_slice(&bytes).map_err(|e| RuntimeError::file("read", path)(e.into()))
}
