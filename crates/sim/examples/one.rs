//! Runs the world of one seed and prints what it commits: `cargo run -p cox-sim --example one -- 7`.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let seed = std::env::args().nth(1).unwrap_or_default().parse()?;
    let trace = cox_sim::run(seed, &cox_sim::Options { tell: true, ..cox_sim::Options::default() })?;
    println!("{trace:?}");
    Ok(())
}
