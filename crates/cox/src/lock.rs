//! One `cox up` per data directory: a lock that ends with the process, and its number for the others.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::path::Path;

use anyhow::{Context, Result, bail};

/// Held as long as the process lives.
pub(crate) struct Lock {
    _file: File,
}

/// Takes the lock of a data directory, making the directory.
pub(crate) fn take(data_dir: &Path) -> Result<Lock> {
    std::fs::create_dir_all(data_dir).with_context(|| format!("making {}", data_dir.display()))?;
    let mut file = open(data_dir)?;
    if file.try_lock().is_err() {
        let holder = read(&mut file);
        bail!(
            "another cox (process {}) uses {}; stop it with: cox down --data-dir {}",
            holder.map_or_else(|| "unknown".to_owned(), |pid| pid.to_string()),
            data_dir.display(),
            data_dir.display()
        );
    }
    file.set_len(0)?;
    file.rewind()?;
    write!(file, "{}", std::process::id())?;
    file.sync_data()?;
    Ok(Lock { _file: file })
}

/// The process that holds the lock.
pub(crate) fn holder(data_dir: &Path) -> Option<u32> {
    let mut file = File::open(data_dir.join("cox.lock")).ok()?;
    if file.try_lock_shared().is_ok() {
        return None;
    }
    read(&mut file)
}

fn open(data_dir: &Path) -> Result<File> {
    let path = data_dir.join("cox.lock");
    OpenOptions::new()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(&path)
        .with_context(|| format!("opening {}", path.display()))
}

fn read(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time() {
        let temp = tempfile::tempdir().unwrap();
        assert_eq!(holder(temp.path()), None);
        let lock = take(temp.path()).unwrap();
        assert_eq!(holder(temp.path()), Some(std::process::id()));
        assert!(take(temp.path()).is_err());
        drop(lock);
        assert_eq!(holder(temp.path()), None);
    }
}
