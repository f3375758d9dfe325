//! What a controller's shell works with.

use cox_client::{Client, EventRecorder, SharedInformers};
use cox_env::Env;

/// Surroundings, API, caches and events of one controller.
#[derive(Clone)]
pub struct Context {
    /// Clock, chance and tasks.
    pub env: Env,
    /// The API, under this controller's identity.
    pub client: Client,
    /// The caches of the process.
    pub informers: SharedInformers,
    /// Events with this controller as their source.
    pub events: EventRecorder,
}
