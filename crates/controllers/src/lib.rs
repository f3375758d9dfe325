//! The controllers: a folder each, with a pure plan and a thin shell that acts.

mod admissionpolicies;
mod clusterroleaggregation;
mod common;
mod cronjob;
mod daemonset;
mod deployment;
mod disruption;
mod endpoints;
mod endpointslice;
mod garbage;
mod job;
mod manager;
mod namespace;
mod nodeipam;
mod nodelifecycle;
mod podgc;
mod protection;
mod replicaset;
mod resourceclaim;
mod resourcequota;
mod rootca;
mod serviceaccount;
mod serviceaddresses;
mod servicecidrs;
mod statefulset;
mod tainteviction;
mod ttlafterfinished;

pub use manager::{Clients, ControllerConfig, ControllerManager, SERVICE_ACCOUNTS, SERVICE_ADDRESSES};
