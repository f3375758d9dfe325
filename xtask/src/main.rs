//! The developer's commands: `cargo xtask COMMAND`.

mod answers;
mod schema;
mod server;

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
    /// Replays recorded exchanges with upstream's API server and prints each topic's share.
    Answers(answers::Args),
    /// Generates the schema table and the descriptions from registry packages (needs pip, cargo, a network).
    Schema(schema::Args),
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    match Cli::parse().command {
        Command::Answers(args) => answers::run(args).await,
        Command::Schema(args) => schema::run(&args),
    }
}
