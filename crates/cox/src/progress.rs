//! One line per step of something that takes time: live on a terminal, plain elsewhere.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// Steps of one command.
pub(crate) struct Steps {
    began: Instant,
    terminal: bool,
}

/// A step under way.
pub(crate) struct Step {
    name: &'static str,
    began: Instant,
    bar: Option<ProgressBar>,
}

impl Steps {
    /// Nothing done yet.
    pub(crate) fn new() -> Steps {
        Steps { began: Instant::now(), terminal: std::io::stderr().is_terminal() }
    }

    /// Begins a step.
    pub(crate) fn begin(&self, name: &'static str) -> Step {
        let bar = self.terminal.then(|| {
            let bar = ProgressBar::new_spinner();
            let style = ProgressStyle::with_template("  {spinner} {msg}")
                .unwrap_or_else(|_| ProgressStyle::default_spinner());
            bar.set_style(style);
            bar.set_message(name);
            bar.enable_steady_tick(Duration::from_millis(80));
            bar
        });
        Step { name, began: Instant::now(), bar }
    }

    /// Everything is there.
    pub(crate) fn ready(&self) {
        eprintln!("ready in {} ms", self.began.elapsed().as_millis());
    }
}

impl Step {
    /// Ends the step with what came of it.
    pub(crate) fn done(self, what: &str) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        eprintln!("  {:<12} {what}  ({} ms)", self.name, self.began.elapsed().as_millis());
    }
}
