//! Time, chance, tasks and names are handed in: a component takes an [`Env`] and reads no clock, draws no
//! random number and starts no task by any other way. So a whole cluster can be replayed from a seed.

mod chance;
mod clock;
mod latest;
mod tasks;

pub use chance::Chance;
pub use clock::{Clock, SystemClock, VirtualClock};
pub use latest::Latest;
pub use tasks::{Task, Tasks};

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

/// What a component gets from its surroundings. Cloning shares everything.
#[derive(Clone)]
pub struct Env {
    clock: Arc<dyn Clock>,
    chance: Chance,
    tasks: Tasks,
}

impl Env {
    /// The real world: system clock, a generator seeded by the operating system.
    pub fn real() -> Self {
        Env { clock: Arc::new(SystemClock), chance: Chance::from_os(), tasks: Tasks::root() }
    }

    /// A replayable world: time is tokio's (paused) time counted from `start`, chance comes from `seed`.
    /// To be called inside a current-thread runtime with `start_paused`.
    pub fn simulated(seed: u64, start: Timestamp) -> Self {
        Env {
            clock: Arc::new(VirtualClock::starting_at(start)),
            chance: Chance::from_seed(seed),
            tasks: Tasks::root(),
        }
    }

    /// The same clock and chance with a task group of its own, so that this component can be ended alone.
    pub fn component(&self, name: &'static str) -> Self {
        Env { clock: self.clock.clone(), chance: self.chance.clone(), tasks: self.tasks.child(name) }
    }

    /// The wall clock.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Time since an arbitrary start that never goes back; for measuring intervals.
    pub fn elapsed(&self) -> Duration {
        self.clock.elapsed()
    }

    /// Waits for `time` to pass.
    pub async fn sleep(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }

    /// The wall clock as Kubernetes writes it in `metav1.Time`: whole seconds, UTC.
    pub fn now_rfc3339(&self) -> String {
        self.now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
    }

    /// The wall clock as Kubernetes writes it in `metav1.MicroTime`: six decimals, UTC.
    pub fn now_micro(&self) -> String {
        self.now().strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string()
    }

    /// The generator of this world.
    pub fn chance(&self) -> &Chance {
        &self.chance
    }

    /// The task group of this component.
    pub fn tasks(&self) -> &Tasks {
        &self.tasks
    }

    /// Starts a task that ends with this component.
    pub fn spawn<F>(&self, future: F) -> Task<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.tasks.spawn(future)
    }
}
