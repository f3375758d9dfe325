//! Limits of a container or a pod.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Limits in the kernel's terms; what is `None` is left as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Resources {
    /// Relative weight in the terms of cgroup v1 (2 to 262144); on v2 it is converted as upstream does.
    pub cpu_shares: Option<u64>,
    /// CPU time per period, in microseconds; -1 is no limit.
    pub cpu_quota_us: Option<i64>,
    /// Length of the period, in microseconds.
    pub cpu_period_us: Option<u64>,
    /// Memory limit in bytes; -1 is no limit.
    pub memory_limit_bytes: Option<i64>,
    /// Greatest number of processes; -1 is no limit.
    pub pids_max: Option<i64>,
    /// CPUs, for instance `0-1,4`.
    pub cpuset_cpus: Option<String>,
    /// Memory nodes.
    pub cpuset_mems: Option<String>,
    /// Files of cgroup v2 written as given (`memory.min`, `memory.low`, `memory.high`, `memory.oom.group`);
    /// ignored on v1, as upstream does.
    pub unified: BTreeMap<String, String>,
}
