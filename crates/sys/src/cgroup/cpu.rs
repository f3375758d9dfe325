//! CPU time: weight, quota, usage.

use super::{Cgroup, Limits, Result, Usage, Version, value_of};

/// What the kernel takes if only a quota is given.
const PERIOD_US_DEFAULT: u64 = 100_000;

pub(super) fn set(group: &Cgroup, limits: &Limits) -> Result<()> {
    match group.hierarchy.version() {
        Version::V1 => {
            if let Some(shares) = limits.cpu_shares {
                group.write("cpu", "cpu.shares", &shares.to_string())?;
            }
            // A period that is too short for the present quota is refused, so an unlimited quota goes first.
            if limits.cpu_quota_us.is_some_and(|quota| quota < 0) {
                group.write("cpu", "cpu.cfs_quota_us", "-1")?;
            }
            if let Some(period) = limits.cpu_period_us {
                group.write("cpu", "cpu.cfs_period_us", &period.to_string())?;
            }
            if let Some(quota) = limits.cpu_quota_us.filter(|quota| *quota >= 0) {
                group.write("cpu", "cpu.cfs_quota_us", &quota.to_string())?;
            }
        }
        Version::V2 => {
            if let Some(shares) = limits.cpu_shares {
                group.write("cpu", "cpu.weight", &weight_of_shares(shares).to_string())?;
            }
            if limits.cpu_quota_us.is_some() || limits.cpu_period_us.is_some() {
                let quota = match limits.cpu_quota_us {
                    Some(quota) if quota >= 0 => quota.to_string(),
                    Some(_) => "max".to_owned(),
                    None => match group.read("cpu", "cpu.max")? {
                        Some(text) => text.split_whitespace().next().unwrap_or("max").to_owned(),
                        None => "max".to_owned(),
                    },
                };
                let period = limits.cpu_period_us.unwrap_or(PERIOD_US_DEFAULT);
                group.write("cpu", "cpu.max", &format!("{quota} {period}"))?;
            }
        }
    }
    Ok(())
}

/// The weight of version 2 for shares of version 1: the curve through (2, 1), (1024, 100) and (262144, 10000)
/// that OCI runtimes use since 2025.
pub fn weight_of_shares(shares: u64) -> u64 {
    match shares {
        0 => 0,
        1..=2 => 1,
        262_144.. => 10_000,
        _ => {
            let l = (shares as f64).log2();
            let exponent = (l * l + 125.0 * l) / 612.0 - 7.0 / 34.0;
            10f64.powf(exponent).ceil() as u64
        }
    }
}

pub(super) fn usage(group: &Cgroup, usage: &mut Usage) -> Result<()> {
    usage.cpu_ns = match group.hierarchy.version() {
        Version::V1 => group.read_number("cpuacct", "cpuacct.usage")?.unwrap_or(0),
        Version::V2 => {
            let text = group.read("cpu", "cpu.stat")?.unwrap_or_default();
            value_of(&text, "usage_usec").unwrap_or(0) * 1000
        }
    };
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_curve_goes_through_its_three_points() {
        for (shares, weight) in [(0, 0), (2, 1), (1024, 100), (262_144, 10_000), (999_999, 10_000)] {
            assert_eq!(weight_of_shares(shares), weight, "{shares}");
        }
        assert!((2..262_144).step_by(997).all(|s| weight_of_shares(s) <= weight_of_shares(s + 997)));
    }
}
