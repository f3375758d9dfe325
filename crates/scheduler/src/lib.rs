//! Assigns pods to nodes: a queue, a snapshot kept by deltas, filters, scores, and pipelined binds.
//! Source: <https://kubernetes.io/docs/concepts/scheduling-eviction/kube-scheduler/>

mod amounts;
mod cycle;
mod devices;
mod filter;
mod node;
mod pod;
mod preempt;
mod queue;
mod score;
mod selector;
mod shell;
mod snapshot;
#[cfg(test)]
mod tests;
mod text;

pub use shell::{Scheduler, SchedulerConfig};
