//! API Priority and Fairness: which requests are answered now, which wait, and which are refused.
//!
//! A request is classified by the FlowSchemas into a priority level and, within it, into a flow. Each level has its
//! seats; who finds none free waits in one of the level's queues, or is refused. What is read for each request is
//! made when the objects change.
//!
//! Source: <https://kubernetes.io/docs/concepts/cluster-administration/flow-control/>, KEP-1040. Simpler than
//! upstream: every request takes one seat, long lists and writes with many watchers too.

mod control;
mod dealer;
mod demand;
mod drops;
mod keep;
mod level;
mod queues;
mod read;
mod rules;
mod seats;
mod tasks;

pub(crate) use control::{Flow, FlowControl, LevelSeats};
pub(crate) use keep::ensure;
pub(crate) use level::Refused;
pub(crate) use tasks::{adopt, start};
