//! `cargo xtask schema`: generates the schema table of `cox-api` out of registry packages and an overlay.
//!
//! The packages: PyPI's `kubernetes-validate` (the JSON schemas of each Kubernetes version with their
//! extensions and descriptions) and crate `k8s-pb` (protobuf numbers). What they lack is in the overlay.

mod emit;
mod model;
mod openapi;
mod overlay;
mod packages;
mod prose;
mod protobuf;

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

/// The version of Kubernetes that the table describes.
const KUBERNETES: &str = "1.36";
const OVERLAY: &str = include_str!("overlay_v1_36.txt");

/// Generates the schema table and the descriptions from registry packages (needs pip and cargo, and a network).
#[derive(clap::Args)]
pub struct Args {
    /// Compare with what is checked in, and write nothing.
    #[arg(long)]
    check: bool,
}

/// Runs the command.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("the workspace")?;
    let packages = packages::fetch(&root.join("target/schema"), KUBERNETES)?;
    let (mut table, shapes) = openapi::read(&packages.definitions)?;
    let messages = protobuf::read(&packages.messages)?;
    overlay::apply(&mut table, OVERLAY)?;
    protobuf::number(&mut table, &messages)?;
    model::finish(&mut table)?;
    let mut files = emit::files(&table);
    files.push(("openapi/descriptions.bin".into(), prose::pack(&table, &shapes)?));
    let source = root.join("crates/api/src");
    if args.check { compare(&source, &files) } else { write(&source, &files) }
}

type File = (PathBuf, Vec<u8>);

fn write(source: &Path, files: &[File]) -> anyhow::Result<()> {
    let folder = source.join("schema/table");
    std::fs::create_dir_all(&folder)?;
    for stale in stale(&folder, files)? {
        std::fs::remove_file(stale)?;
    }
    for (path, content) in files {
        std::fs::write(source.join(path), content)?;
    }
    println!("{} files written", files.len());
    Ok(())
}

fn compare(source: &Path, files: &[File]) -> anyhow::Result<()> {
    let mut differing: Vec<PathBuf> = stale(&source.join("schema/table"), files)?;
    for (path, content) in files {
        if std::fs::read(source.join(path)).ok().as_ref() != Some(content) {
            differing.push(path.clone());
        }
    }
    if differing.is_empty() {
        println!("{} files are as generated", files.len());
        return Ok(());
    }
    bail!("not as generated (run `cargo xtask schema`): {differing:?}")
}

/// Files of the table that would not be generated any more.
fn stale(folder: &Path, files: &[File]) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let known = files.iter().any(|(path, _)| path.file_name() == Some(entry.file_name().as_os_str()));
        if !known {
            found.push(entry.path());
        }
    }
    Ok(found)
}
