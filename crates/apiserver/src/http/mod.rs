//! The API over HTTP: connections, who they are, what they ask, and the bytes of the answers.

mod accept;
mod deadline;
mod discovery;
mod encode;
mod forward;
mod guard;
mod handle;
mod health;
mod info;
mod json;
mod options;
mod relay;
mod reply;
mod serve;
mod system;
mod table;
mod target;
mod ticket;
mod warnings;
mod watch;
mod web_socket;

pub use serve::serve;
