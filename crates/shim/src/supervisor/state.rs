//! What is on disk for an agent that comes when the supervisor is gone.

use std::fs;
use std::io;
use std::path::Path;

use crate::protocol::{STATE_FILE, State};

/// Writes the state, so that the file is always whole. It isn't synced: after a crash of the machine there are no
/// containers to know of.
pub fn write(dir: &Path, state: &State) -> io::Result<()> {
    let temporary = dir.join(".state.json");
    fs::write(&temporary, serde_json::to_vec(state)?)?;
    fs::rename(&temporary, dir.join(STATE_FILE))
}

/// When a process was made, in clock ticks since the machine's start; 0 if it is gone.
pub fn start_ticks(pid: u32) -> u64 {
    let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else { return 0 };
    // The name is in parentheses and may contain anything; after it the time is the 20th field.
    stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(19)?.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_has_a_start_time() {
        assert!(start_ticks(std::process::id()) > 0);
        assert_eq!(start_ticks(u32::MAX), 0);
    }
}
