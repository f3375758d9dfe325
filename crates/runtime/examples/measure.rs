//! What sandboxes and containers cost on this machine: `cargo run --release --example measure -p cox-runtime`.
//! Needs root and `/bin/busybox`.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use cox_runtime::*;
use futures::stream::StreamExt;

/// Pods one after the other.
const SERIAL: usize = 100;
/// Pods of the burst, and how many of them are worked on at a time.
const BURST: usize = 200;
const BURST_WIDTH: usize = 16;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = std::env::temp_dir().join(format!("cox-measure-{}", std::process::id()));
    let config = RuntimeConfig {
        state_dir: dir.join("state"),
        cgroup_root: format!("cox-measure-{}", std::process::id()),
        node_name: "measure".to_owned(),
    };
    let runtime = NativeRuntime::open(config.clone()).await?;
    fs::create_dir_all(dir.join("image/bin"))?;
    fs::copy("/bin/busybox", dir.join("image/bin/busybox"))?;
    for name in ["true", "sleep"] {
        std::os::unix::fs::symlink("busybox", dir.join("image/bin").join(name))?;
    }
    runtime.build_from_dir(&dir.join("image"), "busybox", ImageConfig::default()).await?;

    let result = measure(&runtime, &config, &dir).await;
    for sandbox in runtime.list_sandboxes().await? {
        runtime.remove_sandbox(&sandbox.id).await?;
    }
    remove_cgroups(&config.cgroup_root);
    fs::remove_dir_all(&dir)?;
    result
}

async fn measure(
    runtime: &NativeRuntime,
    config: &RuntimeConfig,
    dir: &Path,
) -> Result<(), Box<dyn std::error::Error>> {
    let mut phases: Vec<(&str, Vec<Duration>)> =
        ["sandbox", "create", "start", "exit seen", "remove container", "remove sandbox"]
            .map(|name| (name, Vec::new()))
            .into();
    let cpu = cpu_used(&config.cgroup_root);
    for number in 0..SERIAL {
        let mut clock = Instant::now();
        let mut lap = |phase: usize| {
            phases[phase].1.push(clock.elapsed());
            clock = Instant::now();
        };
        let sandbox = runtime.run_sandbox(sandbox_config(dir, number)).await?;
        lap(0);
        let mut events = runtime.events();
        let id = runtime.create_container(&sandbox, container("true", &["true"])).await?;
        lap(1);
        runtime.start_container(&id).await?;
        lap(2);
        while !matches!(events.next().await, Some(RuntimeEvent::ContainerExited { .. }) | None) {}
        lap(3);
        runtime.remove_container(&id).await?;
        lap(4);
        runtime.remove_sandbox(&sandbox).await?;
        lap(5);
    }
    let used = cpu_used(&config.cgroup_root) - cpu;
    println!("{SERIAL} pods with one container `true`, one after the other:");
    for (name, mut times) in phases {
        times.sort_unstable();
        let (p50, p99) = (times[times.len() / 2], times[times.len() * 99 / 100]);
        println!("  {name:<17} p50 {:>6.2} ms   p99 {:>6.2} ms", millis(p50), millis(p99));
    }
    println!(
        "  CPU per pod, everything (agent, supervisor, container): {:.2} ms",
        millis(used) / SERIAL as f64
    );

    let cpu = cpu_used(&config.cgroup_root);
    let start = Instant::now();
    let pods = futures::stream::iter(0..BURST).map(|number| async move {
        let sandbox = runtime.run_sandbox(sandbox_config(dir, number)).await?;
        let id = runtime.create_container(&sandbox, container("sleep", &["sleep", "1000"])).await?;
        runtime.start_container(&id).await?;
        Ok::<SandboxId, RuntimeError>(sandbox)
    });
    let sandboxes: Vec<SandboxId> =
        pods.buffer_unordered(BURST_WIDTH).collect::<Vec<_>>().await.into_iter().collect::<Result<_>>()?;
    let elapsed = start.elapsed();
    let used = cpu_used(&config.cgroup_root) - cpu;
    println!("{BURST} pods in a burst, {BURST_WIDTH} at a time, until all run:");
    println!(
        "  {:.0} pods/s, CPU per pod {:.2} ms",
        BURST as f64 / elapsed.as_secs_f64(),
        millis(used) / BURST as f64
    );

    let (mut private, mut pss) = (0, 0);
    for sandbox in &sandboxes {
        let pid = runtime.sandbox_status(sandbox).await?.supervisor_pid.unwrap_or(0);
        let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
        private += field(&text, "Private_Clean:") + field(&text, "Private_Dirty:");
        pss += field(&text, "Pss:");
    }
    let count = sandboxes.len() as u64;
    println!(
        "supervisors, {count} pods with a running container: private {} kB, Pss {} kB each",
        private / count,
        pss / count
    );

    let start = Instant::now();
    let removals = futures::stream::iter(&sandboxes).map(|id| runtime.remove_sandbox(id));
    removals.buffer_unordered(BURST_WIDTH).collect::<Vec<_>>().await.into_iter().collect::<Result<()>>()?;
    println!("removing them: {:.0} pods/s", BURST as f64 / start.elapsed().as_secs_f64());

    let sandbox = runtime.run_sandbox(sandbox_config(dir, 0)).await?;
    let id = runtime.create_container(&sandbox, container("sleep", &["sleep", "1000"])).await?;
    runtime.start_container(&id).await?;
    let mut times = Vec::new();
    for _ in 0..SERIAL {
        let start = Instant::now();
        runtime.exec_sync(&id, &["true".to_owned()], None).await?;
        times.push(start.elapsed());
    }
    times.sort_unstable();
    println!(
        "exec of `true`: p50 {:.2} ms, p99 {:.2} ms",
        millis(times[SERIAL / 2]),
        millis(times[SERIAL * 99 / 100])
    );
    Ok(())
}

fn sandbox_config(dir: &Path, number: usize) -> SandboxConfig {
    SandboxConfig {
        name: format!("pod-{number}"),
        hostname: format!("pod-{number}"),
        cgroup_parent: format!("kubepods/besteffort/pod{number}"),
        log_dir: dir.join("logs"),
        ..SandboxConfig::default()
    }
}

fn container(name: &str, command: &[&str]) -> ContainerConfig {
    ContainerConfig {
        name: name.to_owned(),
        image: "busybox".to_owned(),
        command: command.iter().map(|word| word.to_string()).collect(),
        log_path: Some(format!("{name}.log").into()),
        security: SecurityContext { seccomp: SeccompProfile::RuntimeDefault, ..SecurityContext::default() },
        ..ContainerConfig::default()
    }
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// CPU time of this process with its children, and of everything in the node's cgroup.
fn cpu_used(cgroup: &str) -> Duration {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<u64> = stat
        .rsplit_once(')')
        .map(|(_, rest)| rest.split_whitespace().skip(11).take(4).filter_map(|n| n.parse().ok()).collect())
        .unwrap_or_default();
    // Clock ticks are hundredths of a second in every interface to programs.
    let own = Duration::from_millis(fields.iter().sum::<u64>() * 10);
    let group = fs::read_to_string(format!("/sys/fs/cgroup/cpuacct/{cgroup}/cpuacct.usage"));
    let group = group.ok().and_then(|text| text.trim().parse().ok()).map(Duration::from_nanos);
    own + group.unwrap_or_default()
}

fn field(text: &str, name: &str) -> u64 {
    text.lines()
        .find_map(|line| line.strip_prefix(name)?.split_whitespace().next()?.parse().ok())
        .unwrap_or(0)
}

fn remove_cgroups(name: &str) {
    fn remove(dir: &Path) {
        for entry in fs::read_dir(dir).into_iter().flatten().flatten().filter(|e| e.path().is_dir()) {
            remove(&entry.path());
        }
        let _ = fs::remove_dir(dir);
    }
    for entry in fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten() {
        remove(&entry.path().join(name));
    }
}
