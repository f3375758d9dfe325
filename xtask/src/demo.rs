//! `cargo xtask demo`: a two-node cluster with a web app, shown step by step, and nothing left afterwards.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::{image_root, server, setup};

struct Demo {
    cox: PathBuf,
    kubectl: PathBuf,
    data: PathBuf,
}

/// Runs the demonstration.
pub fn run() -> Result<()> {
    let kubectl = setup::run()?;
    eprintln!("building (release)");
    let cox = server::build(true)?;
    let data = tempfile::tempdir()?;
    let demo = Demo { cox, kubectl, data: data.path().to_owned() };
    let shown = demo.show();
    let ended = demo.cox(&["down", "--purge"]);
    shown?;
    ended
}

impl Demo {
    fn show(&self) -> Result<()> {
        self.cox(&["up", "-d", "--nodes", "2", "--no-merge"])?;
        let root = image_root::make(&self.data)?;
        let root = root.to_string_lossy().into_owned();
        for tag in ["busybox:1", "busybox:2"] {
            self.cox(&["image", "build", "--from", &root, "-t", tag])?;
        }
        self.kubectl(&["apply", "-f", "examples/web.yaml"])?;
        self.kubectl(&["rollout", "status", "deployment/web", "--timeout=60s"])?;
        self.kubectl(&["get", "nodes,deployments,pods,services", "-o", "wide"])?;
        self.kubectl(&["logs", "-l", "app=web"])?;
        self.kubectl(&["set", "image", "deployment/web", "web=busybox:2"])?;
        self.kubectl(&["rollout", "status", "deployment/web", "--timeout=60s"])?;
        self.kubectl(&["get", "events", "--sort-by=.lastTimestamp"])?;
        self.cox(&["status"])
    }

    fn cox(&self, args: &[&str]) -> Result<()> {
        step(
            Command::new(&self.cox).args(args).arg("--data-dir").arg(&self.data),
            &format!("cox {}", args.join(" ")),
        )
    }

    fn kubectl(&self, args: &[&str]) -> Result<()> {
        let mut command = Command::new(&self.kubectl);
        command.arg("--kubeconfig").arg(self.data.join("admin.kubeconfig")).args(args);
        step(&mut command, &format!("kubectl {}", args.join(" ")))
    }
}

fn step(command: &mut Command, shown: &str) -> Result<()> {
    println!("\n$ {shown}");
    if !command.stdin(Stdio::null()).status().with_context(|| format!("running {shown}"))?.success() {
        bail!("{shown} failed");
    }
    Ok(())
}
