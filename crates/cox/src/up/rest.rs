//! Gives free memory back to the kernel once the process has come to rest after work.
//!
//! The allocator keeps what was freed between pieces that are still in use. While there is work that is right, since
//! the next request takes it again; afterwards it would stay for good.

use std::time::Duration;

use cox_env::Env;

/// How often is looked whether there was work.
const LOOK_SECONDS: u64 = 5;
/// Processor time between two looks that counts as work. A node at rest with ten pods takes a tenth of it.
const WORK_MS_MIN: u64 = 50;
/// Looks in a row with work after which memory is given back without waiting for rest: a server that is never idle
/// has peaks too.
const WORKING_LOOKS_MAX: u32 = 24;

/// What was seen since memory was given back last.
#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    working_looks: u32,
}

impl Seen {
    /// Takes in the processor time since the last look; tells whether memory is given back now.
    fn look(&mut self, used: Duration) -> bool {
        let works = used >= Duration::from_millis(WORK_MS_MIN);
        let give_back = if works { self.working_looks >= WORKING_LOOKS_MAX } else { self.working_looks > 0 };
        self.working_looks = if give_back { 0 } else { self.working_looks + u32::from(works) };
        give_back
    }
}

/// Looks until the task ends.
pub(super) async fn watch(env: Env) {
    let mut seen = Seen::default();
    let mut before = Duration::ZERO;
    loop {
        env.sleep(Duration::from_secs(LOOK_SECONDS)).await;
        let now = processor_time();
        if seen.look(now.saturating_sub(before)) {
            // Off the threads that answer requests: it takes milliseconds.
            let _ = tokio::task::spawn_blocking(cox_sys::memory::give_back).await;
        }
        before = now;
    }
}

/// Processor time that this process has used.
fn processor_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn looks(used_ms: &[u64]) -> Vec<bool> {
        let mut seen = Seen::default();
        used_ms.iter().map(|used| seen.look(Duration::from_millis(*used))).collect()
    }

    #[test]
    fn rest_after_work_gives_back_once() {
        assert_eq!(looks(&[0, 500, 800, 1, 1, 60, 0]), [false, false, false, true, false, false, true]);
    }

    #[test]
    fn work_without_rest_gives_back_every_two_minutes() {
        let given = looks(&[1000; 100]);
        assert_eq!(given.iter().filter(|given| **given).count(), 4);
    }
}
