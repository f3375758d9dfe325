//! `cox up -d`: the same command again, in a session of its own, until it is ready.

use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::cli::ControlPlane;
use crate::socket::{self, Ask};

/// How long it may take to be ready.
const READY_SECONDS_MAX: u64 = 60;

/// Starts it and waits until it answers.
pub(super) fn start(args: &ControlPlane) -> Result<()> {
    let data_dir = &args.data.data_dir;
    std::fs::create_dir_all(data_dir).with_context(|| format!("making {}", data_dir.display()))?;
    if let Some(pid) = crate::lock::holder(data_dir) {
        bail!("cox (process {pid}) runs already in {}", data_dir.display());
    }
    let log_path = data_dir.join("cox.log");
    let log = std::fs::OpenOptions::new().create(true).append(true).open(&log_path)?;
    let flags = std::env::args_os().skip(1).filter(|flag| flag != "-d" && flag != "--detach");
    let mut command = Command::new(std::env::current_exe()?);
    command.args(flags).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).process_group(0);
    let began = Instant::now();
    let mut child = command.spawn().context("starting in the background")?;
    loop {
        if let Some(status) = child.try_wait()? {
            let text = std::fs::read_to_string(&log_path).unwrap_or_default();
            let last: Vec<&str> = text.lines().rev().take(5).collect();
            bail!(
                "it ended with {status}; {} says:\n{}",
                log_path.display(),
                last.into_iter().rev().collect::<Vec<_>>().join("\n")
            );
        }
        if let Ok(Some(lines)) = socket::ask(data_dir, &Ask::Status) {
            lines.iter().for_each(|line| println!("{line}"));
            eprintln!(
                "ready in {} ms, process {}, log in {}",
                began.elapsed().as_millis(),
                child.id(),
                log_path.display()
            );
            return Ok(());
        }
        if began.elapsed() > Duration::from_secs(READY_SECONDS_MAX) {
            bail!("not ready within {READY_SECONDS_MAX} s; look at {}", log_path.display());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}
