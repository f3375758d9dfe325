//! What processes use, from proc(5).

use std::path::Path;

use anyhow::{Context, Result};

/// A process' share of memory: pages that several processes share count in part (`Pss`), and what it alone has.
#[derive(Clone, Copy, Default)]
pub(super) struct Memory {
    /// Kilobytes.
    pub(super) pss: u64,
    /// Kilobytes.
    pub(super) private: u64,
}

/// The memory of one process.
pub(super) fn memory(pid: u32) -> Result<Memory> {
    let path = format!("/proc/{pid}/smaps_rollup");
    let text = std::fs::read_to_string(&path).with_context(|| format!("reading {path}"))?;
    let of = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok()).unwrap_or_default()
    };
    Ok(Memory { pss: of("Pss:"), private: of("Private_Clean:") + of("Private_Dirty:") })
}

/// Processor time that the threads of a process used, in seconds (`/proc/PID/task/TID/schedstat`, which counts
/// nanoseconds where `stat` counts ticks).
pub(super) fn processor_seconds(pid: u32) -> Result<f64> {
    let mut seconds = 0.0;
    for task in std::fs::read_dir(format!("/proc/{pid}/task"))? {
        let path = task?.path().join("schedstat");
        let text = std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        seconds +=
            text.split_whitespace().next().and_then(|word| word.parse::<f64>().ok()).unwrap_or_default()
                / 1e9;
    }
    Ok(seconds)
}

/// The supervisors of the pods of the cluster in `dir`.
pub(super) fn supervisors(dir: &Path) -> Result<Vec<u32>> {
    let dir = dir.to_string_lossy().into_owned();
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc")? {
        let entry = entry?;
        let Ok(pid) = entry.file_name().to_string_lossy().parse::<u32>() else { continue };
        let Ok(line) = std::fs::read(entry.path().join("cmdline")) else { continue };
        let line = String::from_utf8_lossy(&line);
        if line.contains("cox-shim") && line.contains(&dir) {
            found.push(pid);
        }
    }
    Ok(found)
}
