//! What the kernel says of this process.
//! Source: <https://prometheus.io/docs/instrumenting/writing_clientlibs/#process-metrics>, proc(5).

use super::text::Text;

/// Ticks of a second in `/proc`: the same on every architecture that Linux still has, whatever the kernel's own.
const TICKS_A_SECOND: f64 = 100.0;

pub(super) fn write(text: &mut Text) {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let (stat, status) = (read("/proc/self/stat"), read("/proc/self/status"));
    let one = |text: &mut Text, name: &str, kind: &str, help: &str, value: Option<f64>| {
        if let Some(value) = value {
            text.about(name, kind, help);
            text.sample(name, &[], value);
        }
    };
    let cpu = "Total user and system CPU time spent in seconds.";
    one(text, "process_cpu_seconds_total", "counter", cpu, processor_seconds(&stat));
    let max = "Maximum number of open file descriptors.";
    one(text, "process_max_fds", "gauge", max, descriptors_max(&read("/proc/self/limits")));
    let open = std::fs::read_dir("/proc/self/fd").ok().map(|entries| entries.count() as f64);
    one(text, "process_open_fds", "gauge", "Number of open file descriptors.", open);
    let resident = kib(&status, "VmRSS:");
    one(text, "process_resident_memory_bytes", "gauge", "Resident memory size in bytes.", resident);
    let start = "Start time of the process since unix epoch in seconds.";
    one(text, "process_start_time_seconds", "gauge", start, started(&stat, &read("/proc/stat")));
    one(
        text,
        "process_virtual_memory_bytes",
        "gauge",
        "Virtual memory size in bytes.",
        kib(&status, "VmSize:"),
    );
}

/// A field of `/proc/self/stat`, by the number that proc(5) gives it; from the third on.
fn field(stat: &str, number: usize) -> Option<f64> {
    // The name before them may hold anything, in parentheses.
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_ascii_whitespace().nth(number - 3)?.parse().ok()
}

fn processor_seconds(stat: &str) -> Option<f64> {
    Some((field(stat, 14)? + field(stat, 15)?) / TICKS_A_SECOND)
}

fn started(stat: &str, machine: &str) -> Option<f64> {
    let boot: f64 = machine.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()?;
    Some(boot + field(stat, 22)? / TICKS_A_SECOND)
}

fn kib(status: &str, name: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<f64>().ok()? * 1024.0)
}

fn descriptors_max(limits: &str) -> Option<f64> {
    limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))?
        .split_ascii_whitespace()
        .next()?
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_of_proc_are_read() {
        let stat = "7 (a) b) S 1 7 7 0 -1 0 0 0 0 0 150 50 0 0 20 0 1 0 1000 0 0";
        assert_eq!(processor_seconds(stat), Some(2.0));
        assert_eq!(started(stat, "cpu 1\nbtime 1700000000\n"), Some(1_700_000_010.0));
        assert_eq!(kib("Name:\tx\nVmRSS:\t   12 kB\n", "VmRSS:"), Some(12288.0));
        let limits = "Max processes  1 1 processes\nMax open files            20000                20000                files\n";
        assert_eq!(descriptors_max(limits), Some(20000.0));
    }
}
