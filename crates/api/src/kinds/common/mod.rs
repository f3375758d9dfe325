//! What the rules of several kinds share.

pub mod addresses;
pub mod cells;
pub mod check;
pub mod conditions;
pub mod config_data;
pub mod csi;
pub mod devices;
pub mod domain_path;
pub mod flow_control;
pub mod ip_forms;
pub mod label_selector;
pub mod load_balancer;
pub mod node_labels;
pub mod provisioner;
pub mod rbac;
pub mod resource_list;
pub mod status_write;
pub mod storage;
#[cfg(test)]
pub mod testing;
pub mod typed_reference;
pub mod walk;
pub mod workload;
