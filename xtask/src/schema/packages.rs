//! Fetches the packages by their ordinary clients.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};
use serde_json::Value;

const VALIDATE: &str = "kubernetes-validate==1.37.0";
const PROTOBUF: (&str, &str) = ("k8s-pb", "0.9.0");

/// Where the packages' interesting parts are.
pub struct Packages {
    /// The JSON schemas of one Kubernetes version.
    pub definitions: PathBuf,
    /// The folder with the sources of the protobuf messages.
    pub messages: PathBuf,
}

/// Downloads what isn't in `folder` yet.
pub fn fetch(folder: &Path, kubernetes: &str) -> anyhow::Result<Packages> {
    std::fs::create_dir_all(folder)?;
    Ok(Packages { definitions: definitions(folder, kubernetes)?, messages: messages(folder)? })
}

fn definitions(folder: &Path, kubernetes: &str) -> anyhow::Result<PathBuf> {
    let target = folder.join("pip");
    let found = target
        .join(format!("kubernetes_validate/kubernetes-json-schema/v{kubernetes}.0-local/_definitions.json"));
    if !found.exists() {
        let done = Command::new("pip")
            .args(["install", "--quiet", "--no-deps", "--upgrade", "--target"])
            .arg(&target)
            .arg(VALIDATE)
            .status()
            .context("running pip")?;
        ensure!(done.success(), "pip could not fetch {VALIDATE}");
    }
    Ok(found)
}

fn messages(folder: &Path) -> anyhow::Result<PathBuf> {
    let (name, version) = PROTOBUF;
    let project = folder.join("cargo");
    std::fs::create_dir_all(project.join("src"))?;
    std::fs::write(project.join("src/lib.rs"), "")?;
    std::fs::write(
        project.join("Cargo.toml"),
        format!(
            "[package]\nname = \"fetch\"\nedition = \"2024\"\n[dependencies]\n{name} = \"={version}\"\n[workspace]\n"
        ),
    )?;
    let out = Command::new("cargo")
        .args(["metadata", "--format-version", "1", "--quiet"])
        .current_dir(&project)
        .output()
        .context("running cargo metadata")?;
    ensure!(out.status.success(), "cargo could not fetch {name}: {}", String::from_utf8_lossy(&out.stderr));
    let metadata: Value = serde_json::from_slice(&out.stdout)?;
    let manifest = metadata["packages"]
        .as_array()
        .and_then(|packages| packages.iter().find(|package| package["name"] == name))
        .and_then(|package| package["manifest_path"].as_str())
        .context("cargo metadata names the package")?;
    Ok(Path::new(manifest).with_file_name("src"))
}
