//! The controllers: a folder each, with a pure plan and a thin shell that acts.

mod common;
mod deployment;
mod job;
mod replicaset;
