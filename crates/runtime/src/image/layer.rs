//! Unpacking a layer into the form that overlayfs stacks: an OCI whiteout `.wh.name` becomes a character device
//! 0:0, an opaque directory gets an attribute.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{CWD, FileType, Gid, Mode, Uid, XattrFlags, makedev, mknodat, setxattr};
use sha2::{Digest, Sha256};
use tar::{Archive, Entry, EntryType};

const WHITEOUT: &[u8] = b".wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";

/// What was unpacked.
#[derive(Debug, PartialEq, Eq)]
pub struct Unpacked {
    /// Digest of the layer's uncompressed archive.
    pub diff_id: String,
    /// Sum of its files' sizes in bytes.
    pub size_bytes: u64,
    /// Number of its files and directories.
    pub inodes: u64,
}

/// Unpacks an uncompressed layer into an empty directory. The archive isn't trusted: nothing is written outside.
pub fn unpack(source: impl Read, target: &Path) -> io::Result<Unpacked> {
    let mut source = Hashing { source, digest: Sha256::new() };
    let (mut size_bytes, mut inodes) = (0, 0);
    {
        let mut archive = Archive::new(&mut source);
        archive.set_preserve_permissions(true);
        archive.set_preserve_ownerships(true);
        archive.set_preserve_mtime(true);
        archive.set_unpack_xattrs(true);
        archive.set_overwrite(true);
        let target = target.canonicalize()?;
        // Directories get their times last, since filling them changes those.
        let mut directories = Vec::new();
        for entry in archive.entries()? {
            let mut entry = entry?;
            let kind = entry.header().entry_type();
            if matches!(kind, EntryType::XGlobalHeader) {
                continue;
            }
            inodes += 1;
            size_bytes += if kind.is_file() { entry.size() } else { 0 };
            if kind.is_dir() {
                directories.push((entry.path()?.into_owned(), entry.header().mtime().unwrap_or(0)));
            }
            unpack_entry(&mut entry, &target)?;
        }
        for (path, mtime) in directories.into_iter().rev() {
            if let Some(path) = place(&target, &path)? {
                let time = rustix::fs::Timespec { tv_sec: mtime as i64, tv_nsec: 0 };
                let times = rustix::fs::Timestamps { last_access: time, last_modification: time };
                let _ = rustix::fs::utimensat(CWD, &path, &times, rustix::fs::AtFlags::SYMLINK_NOFOLLOW);
            }
        }
    }
    // The digest is of the whole stream, padding included.
    io::copy(&mut source, &mut io::sink())?;
    let hex: String = source.digest.finalize().iter().map(|b| format!("{b:02x}")).collect();
    Ok(Unpacked { diff_id: format!("sha256:{hex}"), size_bytes, inodes })
}

fn unpack_entry(entry: &mut Entry<'_, impl Read>, target: &Path) -> io::Result<()> {
    let path = entry.path()?.into_owned();
    let name = path.file_name().map(OsStr::as_bytes).unwrap_or_default().to_vec();
    let parent = path.parent().unwrap_or(Path::new("")).to_owned();
    if name == OPAQUE {
        let dir = make_parent(target, &parent)?;
        return Ok(setxattr(&dir, "trusted.overlay.opaque", b"y", XattrFlags::empty())?);
    }
    if let Some(hidden) = name.strip_prefix(WHITEOUT) {
        if hidden.is_empty() || hidden == b"." || hidden == b".." || hidden.contains(&b'/') {
            return Err(io::Error::new(io::ErrorKind::InvalidData, format!("bad whiteout {path:?}")));
        }
        let place = make_parent(target, &parent)?.join(OsStr::from_bytes(hidden));
        remove(&place)?;
        return Ok(mknodat(CWD, &place, FileType::CharacterDevice, Mode::empty(), makedev(0, 0))?);
    }
    let kind = match entry.header().entry_type() {
        EntryType::Char => FileType::CharacterDevice,
        EntryType::Block => FileType::BlockDevice,
        EntryType::Fifo => FileType::Fifo,
        _ => {
            if !entry.unpack_in(target)? {
                let message = format!("{path:?} leads out of the layer");
                return Err(io::Error::new(io::ErrorKind::InvalidData, message));
            }
            return Ok(());
        }
    };
    let Some(name) = path.file_name() else { return Ok(()) };
    let place = make_parent(target, &parent)?.join(name);
    remove(&place)?;
    let header = entry.header();
    let number = makedev(header.device_major()?.unwrap_or(0), header.device_minor()?.unwrap_or(0));
    mknodat(CWD, &place, kind, Mode::from_raw_mode(header.mode()? & 0o7777), number)?;
    let (uid, gid) = (header.uid()? as u32, header.gid()? as u32);
    rustix::fs::chownat(
        CWD,
        &place,
        Some(Uid::from_raw(uid)),
        Some(Gid::from_raw(gid)),
        rustix::fs::AtFlags::SYMLINK_NOFOLLOW,
    )?;
    Ok(())
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(e) => Err(e),
        Ok(found) if found.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
    }
}

/// A directory of the layer, made if it is missing (archives may leave parents out).
fn make_parent(target: &Path, parent: &Path) -> io::Result<PathBuf> {
    let escapes = || io::Error::new(io::ErrorKind::InvalidData, format!("{parent:?} leads out of the layer"));
    let mut dir = target.to_owned();
    for part in parent.components() {
        match part {
            Component::Normal(part) => dir.push(part),
            Component::CurDir | Component::RootDir => continue,
            Component::ParentDir | Component::Prefix(_) => return Err(escapes()),
        }
        match fs::create_dir(&dir) {
            Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(e),
            _ => {}
        }
        // A symbolic link made by an earlier entry may point anywhere.
        dir = dir.canonicalize()?;
        if !dir.starts_with(target) {
            return Err(escapes());
        }
    }
    Ok(dir)
}

/// Where an entry is, if its parent really is in the layer.
fn place(target: &Path, path: &Path) -> io::Result<Option<PathBuf>> {
    let Some(name) = path.file_name() else { return Ok(None) };
    let parent = make_parent(target, path.parent().unwrap_or(Path::new("")))?;
    Ok(Some(parent.join(name)))
}

struct Hashing<R> {
    source: R,
    digest: Sha256,
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.source.read(buffer)?;
        self.digest.update(&buffer[..count]);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{FileTypeExt, MetadataExt};
    use tar::{Builder, Header};

    fn entry(builder: &mut Builder<Vec<u8>>, kind: EntryType, path: &str, link: &str) {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        // Written raw, because the crate refuses to make bad paths.
        header.as_gnu_mut().unwrap().name[..path.len()].copy_from_slice(path.as_bytes());
        if !link.is_empty() {
            header.set_link_name(link).unwrap();
        }
        header.set_mode(0o755);
        header.set_uid(0);
        header.set_gid(0);
        header.set_size(0);
        header.set_mtime(1_000_000);
        header.set_cksum();
        builder.append(&header, io::empty()).unwrap();
    }

    fn unpack_entries(entries: &[(EntryType, &str, &str)]) -> (tempfile::TempDir, io::Result<Unpacked>) {
        let mut builder = Builder::new(Vec::new());
        for (kind, path, link) in entries {
            entry(&mut builder, *kind, path, link);
        }
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("layer");
        fs::create_dir(&target).unwrap();
        let result = unpack(builder.into_inner().unwrap().as_slice(), &target);
        (dir, result)
    }

    #[test]
    fn whiteouts_become_devices() {
        let (dir, result) = unpack_entries(&[
            (EntryType::Directory, "a/", ""),
            (EntryType::Regular, "a/.wh.gone", ""),
            (EntryType::Regular, "b/.wh..wh..opq", ""),
            (EntryType::Regular, "a/kept", ""),
        ]);
        result.expect("needs root, for making devices");
        let layer = dir.path().join("layer");
        let gone = fs::symlink_metadata(layer.join("a/gone")).unwrap();
        assert!(gone.file_type().is_char_device() && gone.rdev() == 0);
        let mut value = [0; 8];
        let length = rustix::fs::getxattr(layer.join("b"), "trusted.overlay.opaque", &mut value).unwrap();
        assert_eq!(&value[..length], b"y");
        assert!(layer.join("a/kept").is_file());
        assert_eq!(fs::metadata(layer.join("a")).unwrap().mtime(), 1_000_000);
    }

    #[test]
    fn nothing_is_written_outside() {
        for entries in [
            vec![(EntryType::Regular, "../evil", "")],
            vec![(EntryType::Symlink, "link", "/"), (EntryType::Regular, "link/evil-of-cox", "")],
            vec![(EntryType::Symlink, "link", ".."), (EntryType::Regular, "link/.wh.evil", "")],
            vec![(EntryType::Symlink, "link", ".."), (EntryType::Fifo, "link/evil", "")],
        ] {
            let (dir, result) = unpack_entries(&entries);
            assert!(result.is_err(), "{entries:?}");
            assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "{entries:?}");
        }
        assert!(!Path::new("/evil-of-cox").exists());
    }
}
