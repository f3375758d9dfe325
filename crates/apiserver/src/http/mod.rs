//! The API over HTTP: connections, who they are, what they ask, and the bytes of the answers.

mod accept;
mod discovery;
mod encode;
mod handle;
mod json;
mod options;
mod relay;
mod reply;
mod serve;
mod system;
mod table;
mod target;
mod warnings;
mod watch;

pub use serve::serve;
