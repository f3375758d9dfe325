//! What a cluster could leave behind on the machine: mounts, cgroups, processes, network. Compared before and after.

use std::collections::BTreeSet;
use std::path::Path;

/// Mounts, cgroups, processes, and what there is in the network namespace that a cluster is in.
#[derive(Debug, PartialEq, Eq)]
pub struct Leftovers {
    mounts: BTreeSet<String>,
    cgroups: BTreeSet<String>,
    supervisors: BTreeSet<String>,
    network: BTreeSet<String>,
}

impl Leftovers {
    /// What is there now, of the kind that the cluster in `dir` makes.
    pub fn of(dir: &Path) -> Leftovers {
        let dir = dir.to_string_lossy().into_owned();
        let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        let mounts = mounts.lines().filter(|line| line.contains(&dir)).map(str::to_owned).collect();
        Leftovers { mounts, cgroups: cgroups(), supervisors: supervisors(&dir), network: BTreeSet::new() }
    }

    /// The same, and what a command (`ip -o address` in the cluster's network namespace, for example) lists.
    #[must_use]
    pub fn with_network(mut self, listed: &str) -> Leftovers {
        self.network.extend(listed.lines().map(str::to_owned));
        self
    }

    /// What is here that wasn't there before.
    pub fn since(&self, before: &Leftovers) -> Vec<String> {
        let new = |now: &BTreeSet<String>, then: &BTreeSet<String>| {
            now.difference(then).cloned().collect::<Vec<_>>()
        };
        [
            new(&self.mounts, &before.mounts),
            new(&self.cgroups, &before.cgroups),
            new(&self.supervisors, &before.supervisors),
            new(&self.network, &before.network),
        ]
        .concat()
    }

    /// How many pods' supervisors run.
    pub fn supervisors(&self) -> usize {
        self.supervisors.len()
    }
}

/// Nodes' cgroups in every hierarchy.
fn cgroups() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let root = Path::new("/sys/fs/cgroup");
    let mut places = vec![root.to_owned()];
    places.extend(
        std::fs::read_dir(root)
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| path.is_dir()),
    );
    for place in places {
        for entry in std::fs::read_dir(place).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with("cox-") && !name.starts_with("cox-test-") {
                found.insert(entry.path().to_string_lossy().into_owned());
            }
        }
    }
    found
}

/// Processes whose command line names the directory.
fn supervisors(dir: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Ok(line) = std::fs::read(entry.path().join("cmdline")) else { continue };
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        if line.contains(dir) && line.contains("cox-shim") {
            found.insert(format!("{}: {line}", entry.file_name().to_string_lossy()));
        }
    }
    found
}
