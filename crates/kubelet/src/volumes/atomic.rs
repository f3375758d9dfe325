//! Writes a set of files so that a container sees either the old set or the new one: a timestamped directory,
//! `..data` as a link to it, and a link for each first path segment.
//! Source: <https://kubernetes.io/docs/concepts/storage/volumes/#configmap> (what kubelets lay out).

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Component, Path};

/// Files by relative path, with mode and contents.
pub(crate) type Payload = BTreeMap<String, (u32, Vec<u8>)>;

const DATA: &str = "..data";
const DATA_NEW: &str = "..data_tmp";

/// Brings `dir` to `payload`; does nothing where it is already there.
pub(crate) fn write(dir: &Path, payload: &Payload, fs_group: Option<i64>) -> io::Result<()> {
    for path in payload.keys() {
        if !Path::new(path).components().all(|part| matches!(part, Component::Normal(_))) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("path {path:?} must be relative and without \"..\""),
            ));
        }
    }
    std::fs::create_dir_all(dir)?;
    std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o777))?;
    let old = std::fs::read_link(dir.join(DATA)).ok();
    if let Some(old) = &old
        && same(&dir.join(old), payload, fs_group)?
    {
        return Ok(());
    }
    let number = old
        .as_ref()
        .and_then(|old| old.to_str()?.strip_prefix("..")?.parse::<u64>().ok())
        .map_or(0, |number| number + 1);
    let name = format!("..{number}");
    let fresh = dir.join(&name);
    if fresh.exists() {
        std::fs::remove_dir_all(&fresh)?;
    }
    std::fs::DirBuilder::new().mode(0o755).create(&fresh)?;
    for (path, (mode, bytes)) in payload {
        let target = fresh.join(path);
        if let Some(parent) = target.parent() {
            std::fs::create_dir_all(parent)?;
        }
        let mode = group_mode(*mode, fs_group);
        let mut file = std::fs::OpenOptions::new().create_new(true).write(true).mode(mode).open(&target)?;
        io::Write::write_all(&mut file, bytes)?;
        // The mode given to open is cut by the umask.
        std::fs::set_permissions(&target, std::fs::Permissions::from_mode(mode))?;
        if let Some(group) = fs_group {
            super::ownership::chown_group(&target, group)?;
        }
    }
    let link = dir.join(DATA_NEW);
    let _ = std::fs::remove_file(&link);
    symlink(&name, &link)?;
    std::fs::rename(&link, dir.join(DATA))?;
    let wanted: BTreeSet<&str> = payload.keys().map(|path| path.split('/').next().unwrap_or(path)).collect();
    for first in &wanted {
        let path = dir.join(first);
        if path.symlink_metadata().is_err() {
            symlink(Path::new(DATA).join(first), &path)?;
        }
    }
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        let file_name = entry.file_name();
        let text = file_name.to_string_lossy();
        if text == DATA || text == name {
            continue;
        }
        if text.starts_with("..") {
            std::fs::remove_dir_all(entry.path()).or_else(|_| std::fs::remove_file(entry.path()))?;
        } else if !wanted.contains(text.as_ref()) {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

fn group_mode(mode: u32, fs_group: Option<i64>) -> u32 {
    if fs_group.is_some() { mode | 0o040 } else { mode }
}

fn same(dir: &Path, payload: &Payload, fs_group: Option<i64>) -> io::Result<bool> {
    let mut files = 0;
    let mut stack = vec![dir.to_owned()];
    while let Some(next) = stack.pop() {
        let Ok(entries) = std::fs::read_dir(&next) else { return Ok(false) };
        for entry in entries {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                stack.push(entry.path());
                continue;
            }
            files += 1;
            let path = entry.path();
            let relative = path.strip_prefix(dir).ok().and_then(Path::to_str).unwrap_or_default();
            let Some((mode, bytes)) = payload.get(relative) else { return Ok(false) };
            let mode_now = entry.metadata()?.permissions().mode() & 0o7777;
            if mode_now != group_mode(*mode, fs_group) || std::fs::read(&path)? != *bytes {
                return Ok(false);
            }
        }
    }
    Ok(files == payload.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payload(files: &[(&str, &str)]) -> Payload {
        files.iter().map(|(path, text)| ((*path).to_owned(), (0o644, text.as_bytes().to_vec()))).collect()
    }

    #[test]
    fn files_appear_change_and_go() {
        let temp = tempfile::tempdir().unwrap();
        let dir = temp.path().join("volume");
        write(&dir, &payload(&[("a", "1"), ("sub/b", "2")]), None).unwrap();
        assert_eq!(std::fs::read_to_string(dir.join("a")).unwrap(), "1");
        assert_eq!(std::fs::read_to_string(dir.join("sub/b")).unwrap(), "2");
        let before = std::fs::read_link(dir.join("..data")).unwrap();
        write(&dir, &payload(&[("a", "1"), ("sub/b", "2")]), None).unwrap();
        assert_eq!(
            std::fs::read_link(dir.join("..data")).unwrap(),
            before,
            "nothing changed, nothing written"
        );
        write(&dir, &payload(&[("a", "3")]), None).unwrap();
        assert_eq!(std::fs::read_to_string(dir.join("a")).unwrap(), "3");
        assert!(dir.join("sub").symlink_metadata().is_err());
        let left: Vec<_> = std::fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left.len(), 3, "{left:?}");
        assert!(write(&dir, &payload(&[("../x", "1")]), None).is_err());
    }
}
