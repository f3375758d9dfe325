//! The binary: command line, wiring, progress.

mod cli;
mod down;
mod image;
mod layout;
mod lock;
mod merge;
mod progress;
mod socket;
mod up;

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Parser;

use cli::{Cli, Command, NodeCommand};
use socket::Ask;

/// Much is allocated and freed for each request, on several threads: jemalloc takes less time for that than the C
/// library's allocator, and gives back what is free a second later by itself (`.cargo/config.toml` tells it so).
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let cli = Cli::parse();
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_env("COX_LOG").unwrap_or_else(|_| "warn".into()),
        )
        .init();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let result = runtime.context("starting").and_then(|runtime| runtime.block_on(run(cli.command)));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(command: Command) -> Result<()> {
    match command {
        Command::Up(args) => up::up(args).await,
        Command::Server(args) => up::server(args).await,
        Command::Down(args) => down::run(args).await,
        Command::Image(args) => image::run(args).await,
        Command::Status(data) => ask(&data.data_dir, &Ask::Status),
        Command::Node(args) => match args.command {
            NodeCommand::Ls => ask(&args.data.data_dir, &Ask::NodeLs),
            NodeCommand::Stop { name } => ask(&args.data.data_dir, &Ask::NodeStop { name }),
            NodeCommand::Start { name } => ask(&args.data.data_dir, &Ask::NodeStart { name }),
        },
        Command::Kubeconfig(data) => {
            let path = data.data_dir.join("admin.kubeconfig");
            let text = std::fs::read_to_string(&path).with_context(|| {
                format!("there is no cluster in {}; start one first: cox up", data.data_dir.display())
            })?;
            print!("{text}");
            Ok(())
        }
    }
}

/// Asks the running process and prints what it says.
fn ask(data_dir: &Path, ask: &Ask) -> Result<()> {
    match socket::ask(data_dir, ask)? {
        Some(lines) => {
            lines.iter().for_each(|line| println!("{line}"));
            Ok(())
        }
        None => bail!(
            "nothing runs in {}; start it with: cox up --data-dir {}",
            data_dir.display(),
            data_dir.display()
        ),
    }
}
