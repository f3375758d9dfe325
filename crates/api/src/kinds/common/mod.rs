//! What the rules of several kinds share.

pub mod cells;
pub mod check;
pub mod label_selector;
pub mod load_balancer;
pub mod rbac;
pub mod resource_list;
pub mod storage;
pub mod walk;
