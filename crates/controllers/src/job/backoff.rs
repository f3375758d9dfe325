//! Pauses before failed pods are replaced: 10 s, doubled with each failure, up to 10 minutes.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::JobSpec;
use k8s_openapi::api::core::v1::Pod;

use super::view;
use crate::common::pods;

const PAUSE_MIN: Duration = Duration::from_secs(10);
const PAUSE_MAX: Duration = Duration::from_secs(600);

/// How long no pod may be made, after the failures since the last success.
pub(super) fn of_job(spec: &JobSpec, all: &[Arc<Pod>], now: Timestamp) -> Duration {
    let ended = |pod: &Pod| view::ended_at(pod);
    let last_success =
        all.iter().filter(|pod| pods::phase(pod) == "Succeeded").filter_map(|pod| ended(pod)).max();
    let failures: Vec<Timestamp> = all
        .iter()
        .filter(|pod| view::is_failed(pod, spec))
        .filter_map(|pod| ended(pod))
        .filter(|at| last_success.is_none_or(|success| *at > success))
        .collect();
    left(failures.len(), failures.into_iter().max(), now)
}

/// How long the pod's index may get no new pod.
pub(super) fn of_index(failed: &Pod, now: Timestamp) -> Duration {
    let failures = view::failures_before(failed) + view::ignored_before(failed) + 1;
    left(usize::try_from(failures).unwrap_or(1), view::ended_at(failed), now)
}

fn left(failures: usize, last: Option<Timestamp>, now: Timestamp) -> Duration {
    let (Some(last), Some(doublings)) = (last, failures.checked_sub(1)) else { return Duration::ZERO };
    let pause = PAUSE_MIN.saturating_mul(1 << doublings.min(10)).min(PAUSE_MAX);
    let passed = Duration::try_from(now.duration_since(last)).unwrap_or(Duration::ZERO);
    pause.saturating_sub(passed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::common::testing::at;

    #[test]
    fn pauses_double() {
        let pauses: Vec<u64> = (0..9).map(|failures| left(failures, Some(at(0)), at(0)).as_secs()).collect();
        assert_eq!(pauses, [0, 10, 20, 40, 80, 160, 320, 600, 600]);
        assert_eq!(left(2, Some(at(0)), at(15)).as_secs(), 5);
    }
}
