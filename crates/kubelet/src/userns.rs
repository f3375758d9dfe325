//! Ranges of host ids for pods with a user namespace: 65,536 ids each, none shared.
//! Source: KEP-127, <https://kubernetes.io/docs/concepts/workloads/pods/user-namespaces/>

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use parking_lot::Mutex;

/// Ids of a pod.
pub(crate) const IDS_PER_POD: u32 = 65_536;
/// The first range: what is below belongs to the host.
const FIRST: u32 = IDS_PER_POD;
/// How many ranges there are at the most.
const RANGES_MAX: u32 = 1024;

/// Which pod has which range; kept on disk, a file a pod.
pub(crate) struct IdRanges {
    dir: PathBuf,
    taken: Mutex<BTreeMap<String, u32>>,
}

impl IdRanges {
    /// Reads what an earlier kubelet gave away.
    pub(crate) fn open(dir: &Path) -> io::Result<IdRanges> {
        std::fs::create_dir_all(dir)?;
        let mut taken = BTreeMap::new();
        for entry in std::fs::read_dir(dir)? {
            let entry = entry?;
            if let Ok(text) = std::fs::read_to_string(entry.path())
                && let Ok(base) = text.trim().parse()
            {
                taken.insert(entry.file_name().to_string_lossy().into_owned(), base);
            }
        }
        Ok(IdRanges { dir: dir.to_owned(), taken: Mutex::new(taken) })
    }

    /// The first host id of a pod; the same for the same pod.
    pub(crate) fn assign(&self, uid: &str) -> io::Result<u32> {
        let mut taken = self.taken.lock();
        if let Some(base) = taken.get(uid) {
            return Ok(*base);
        }
        let free = (0..RANGES_MAX)
            .map(|range| FIRST + range * IDS_PER_POD)
            .find(|base| !taken.values().any(|used| used == base));
        let base =
            free.ok_or_else(|| io::Error::other(format!("all {RANGES_MAX} ranges of user ids are in use")))?;
        let fresh = self.dir.join(format!(".{uid}"));
        std::fs::write(&fresh, base.to_string())?;
        std::fs::rename(&fresh, self.dir.join(uid))?;
        taken.insert(uid.to_owned(), base);
        Ok(base)
    }

    /// Gives a pod's range back.
    pub(crate) fn release(&self, uid: &str) {
        if self.taken.lock().remove(uid).is_some() {
            // A file that stays keeps its range from others until the next release; nothing is shared by it.
            let _ = std::fs::remove_file(self.dir.join(uid));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_never_overlap_and_survive() {
        let temp = tempfile::tempdir().unwrap();
        let ranges = IdRanges::open(temp.path()).unwrap();
        let (a, b) = (ranges.assign("a").unwrap(), ranges.assign("b").unwrap());
        assert!(a.abs_diff(b) >= IDS_PER_POD && a >= FIRST);
        assert_eq!(ranges.assign("a").unwrap(), a);
        drop(ranges);
        let ranges = IdRanges::open(temp.path()).unwrap();
        assert_eq!(ranges.assign("b").unwrap(), b);
        ranges.release("a");
        assert_eq!(ranges.assign("c").unwrap(), a);
    }
}
