//! The developer's commands: `cargo xtask COMMAND`.

mod answers;
mod bench;
mod demo;
mod image_root;
mod schema;
mod server;
mod setup;
mod test;

use clap::{Parser, Subcommand};

/// Developer's commands of Coxswain.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Builds, starts a two-node cluster, rolls out a web app and shows what happens.
    Demo,
    /// Runs every test, end to end with real containers and the real kubectl.
    Test,
    /// Replays recorded exchanges with upstream's API server and prints each topic's share.
    Answers(answers::Args),
    /// Measures the API over TLS, real pods, and the scheduler: rates, latencies, memory.
    Bench(bench::Args),
    /// Generates the schema table and the descriptions from registry packages (needs pip, cargo, a network).
    Schema(schema::Args),
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::process::ExitCode {
    match run().await {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            let causes: Vec<String> = error.chain().map(ToString::to_string).collect();
            eprintln!("error: {}", causes.join(": "));
            std::process::ExitCode::FAILURE
        }
    }
}

async fn run() -> anyhow::Result<()> {
    match Cli::parse().command {
        Command::Demo => demo::run(),
        Command::Test => test::run().await,
        Command::Answers(args) => answers::run(args).await,
        Command::Bench(args) => bench::run(args).await,
        Command::Schema(args) => schema::run(&args),
    }
}
