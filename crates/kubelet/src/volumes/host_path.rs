//! hostPath volumes: what the `type` asks for.
//! Source: <https://kubernetes.io/docs/concepts/storage/volumes/#hostpath>

use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::HostPathVolumeSource;

/// The path, once it is what the volume says it is.
pub(crate) fn check(source: &HostPathVolumeSource) -> Result<PathBuf, String> {
    let path = PathBuf::from(&source.path);
    let kind = source.type_.as_deref().unwrap_or_default();
    let found = std::fs::metadata(&path).ok();
    let is =
        |test: fn(&std::fs::FileType) -> bool| found.as_ref().is_some_and(|found| test(&found.file_type()));
    let wrong = |what: &str| Err(format!("hostPath type check failed: {} is not {what}", path.display()));
    match kind {
        "DirectoryOrCreate" if found.is_none() => make(&path, true)?,
        "FileOrCreate" if found.is_none() => make(&path, false)?,
        "Directory" | "DirectoryOrCreate" if !is(std::fs::FileType::is_dir) => return wrong("a directory"),
        "File" | "FileOrCreate" if !is(std::fs::FileType::is_file) => return wrong("a file"),
        "Socket" if !is(|kind| kind.is_socket()) => return wrong("a socket file"),
        "CharDevice" if !is(|kind| kind.is_char_device()) => return wrong("a character device"),
        "BlockDevice" if !is(|kind| kind.is_block_device()) => return wrong("a block device"),
        // Without a type nothing is checked; what isn't there becomes a directory when it is mounted.
        "" if found.is_none() => make(&path, true)?,
        _ => {}
    }
    Ok(path)
}

fn make(path: &Path, directory: bool) -> Result<(), String> {
    let made = if directory {
        std::fs::create_dir_all(path)
            .and_then(|()| std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)))
    } else {
        std::fs::write(path, b"")
            .and_then(|()| std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o644)))
    };
    made.map_err(|error| format!("hostPath {}: {error}", path.display()))
}
