//! `cox image`: through a running `cox up`, or on the nodes' directories where none runs.

use std::path::Path;

use anyhow::{Context, Result, bail};
use cox_runtime::{ImageConfig, ImageInfo, NativeRuntime, Runtime};

use crate::cli::{ImageArgs, ImageCommand};
use crate::layout::Layout;
use crate::lock;
use crate::socket::{self, Ask};

/// Carries out one image command.
pub(crate) async fn run(args: ImageArgs) -> Result<()> {
    let data_dir = &args.data.data_dir;
    let ask = ask(args.command)?;
    let lines = match socket::ask(data_dir, &ask)? {
        Some(lines) => lines,
        None => offline(data_dir, ask).await?,
    };
    lines.iter().for_each(|line| println!("{line}"));
    Ok(())
}

fn ask(command: ImageCommand) -> Result<Ask> {
    let absolute = |path: std::path::PathBuf| {
        std::fs::canonicalize(&path).with_context(|| format!("{} is not there", path.display()))
    };
    Ok(match command {
        ImageCommand::Load { file } => Ask::ImageLoad { file: absolute(file)? },
        ImageCommand::Pull { reference } => Ask::ImagePull { reference },
        ImageCommand::Ls => Ask::ImageLs,
        ImageCommand::Rm { reference } => Ask::ImageRm { reference },
        ImageCommand::Build { from, tag, entrypoint, cmd, env } => {
            Ask::ImageBuild { from: absolute(from)?, tag, entrypoint, cmd, env }
        }
    })
}

async fn offline(data_dir: &Path, ask: Ask) -> Result<Vec<String>> {
    let Some(layout) = Layout::read(data_dir)? else {
        bail!("there is no cluster in {}; start one first: cox up", data_dir.display());
    };
    let _lock = lock::take(data_dir)?;
    let mut lines = if matches!(ask, Ask::ImageLs) { vec![heading()] } else { Vec::new() };
    for node in layout.node_layouts()? {
        let runtime = NativeRuntime::open(node.runtime()).await?;
        match &ask {
            Ask::ImageLoad { file } => {
                for image in runtime.load_archive(file).await? {
                    lines.push(format!("{}: {}", node.name, image.repo_tags.join(", ")));
                }
            }
            Ask::ImageBuild { from, tag, entrypoint, cmd, env } => {
                let image = runtime.build_from_dir(from, tag, config(entrypoint, cmd, env)).await?;
                lines.push(format!("{}: {} {}", node.name, image.repo_tags.join(", "), image.id));
            }
            Ask::ImagePull { reference } => {
                lines.push(format!(
                    "{}: {reference} {}",
                    node.name,
                    runtime.pull_image(reference, None).await?
                ));
            }
            Ask::ImageRm { reference } => {
                runtime.remove_image(reference).await?;
                lines.push(format!("{}: removed {reference}", node.name));
            }
            _ => lines.extend(self::lines(&node.name, &runtime.list_images().await?)),
        }
    }
    Ok(lines)
}

/// What an image says about its process, by the flags of `build`.
pub(crate) fn config(entrypoint: &[String], cmd: &[String], env: &[String]) -> ImageConfig {
    const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    let mut env = env.to_vec();
    if !env.iter().any(|variable| variable.starts_with("PATH=")) {
        env.insert(0, PATH.to_owned());
    }
    ImageConfig { entrypoint: entrypoint.to_vec(), cmd: cmd.to_vec(), env, ..ImageConfig::default() }
}

/// The heading of a list of images.
pub(crate) fn heading() -> String {
    format!("{:<16} {:<50} {:<14} {}", "NODE", "IMAGE", "ID", "MIB")
}

/// A line per image.
pub(crate) fn lines(node: &str, images: &[ImageInfo]) -> Vec<String> {
    images
        .iter()
        .map(|image| {
            let id = image.id.trim_start_matches("sha256:");
            let names =
                if image.repo_tags.is_empty() { "<none>".to_owned() } else { image.repo_tags.join(", ") };
            format!(
                "{node:<16} {names:<50} {:<14} {:.1}",
                &id[..id.len().min(12)],
                image.size_bytes as f64 / 1_048_576.0
            )
        })
        .collect()
}
