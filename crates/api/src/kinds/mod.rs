//! Every kind, one file each, and the registry of what is served.

pub mod admission;
pub mod api_service;
mod certificate_signing_request;
mod cluster_role;
mod cluster_role_binding;
mod common;
mod config_map;
mod controller_revision;
mod cron_job;
mod csi_driver;
mod csi_node;
mod csi_storage_capacity;
pub mod custom_resource_definition;
mod daemon_set;
mod deployment;
mod device_class;
mod endpoint_slice;
mod endpoints;
mod event;
mod event_v1;
mod flow_schema;
mod horizontal_pod_autoscaler;
mod horizontal_pod_autoscaler_v1;
mod ingress;
mod ingress_class;
pub mod ip_address;
mod job;
mod lease;
mod limit_range;
mod mutating_admission_policy;
mod mutating_admission_policy_binding;
mod mutating_webhook_configuration;
mod namespace;
mod network_policy;
mod node;
mod persistent_volume;
mod persistent_volume_claim;
mod pod;
mod pod_disruption_budget;
mod pod_preset;
mod pod_template;
mod priority_class;
mod priority_level_configuration;
mod replica_set;
mod replication_controller;
mod resource_claim;
mod resource_claim_template;
mod resource_quota;
mod resource_slice;
mod role;
mod role_binding;
mod runtime_class;
mod secret;
pub mod service;
mod service_account;
pub mod service_cidr;
mod stateful_set;
mod storage_class;
#[cfg(test)]
mod tests;
mod validating_admission_policy;
mod validating_admission_policy_binding;
mod validating_webhook_configuration;
mod volume_attachment;
mod volume_attributes_class;
pub mod without_objects;

use crate::kind::Kind;

/// Every kind that is served, in the order of discovery.
pub static ALL: &[&dyn Kind] = &[
    &api_service::APIService,
    &config_map::ConfigMap,
    &endpoints::Endpoints,
    &event::Event,
    &limit_range::LimitRange,
    &namespace::Namespace,
    &node::Node,
    &persistent_volume_claim::PersistentVolumeClaim,
    &persistent_volume::PersistentVolume,
    &pod::Pod,
    &pod_template::PodTemplate,
    &replication_controller::ReplicationController,
    &resource_quota::ResourceQuota,
    &secret::Secret,
    &service_account::ServiceAccount,
    &service::Service,
    &controller_revision::ControllerRevision,
    &daemon_set::DaemonSet,
    &deployment::Deployment,
    &replica_set::ReplicaSet,
    &stateful_set::StatefulSet,
    &event_v1::EventV1,
    &horizontal_pod_autoscaler::HorizontalPodAutoscaler,
    &horizontal_pod_autoscaler_v1::HorizontalPodAutoscalerV1,
    &cron_job::CronJob,
    &job::Job,
    &certificate_signing_request::CertificateSigningRequest,
    &ingress_class::IngressClass,
    &ingress::Ingress,
    &ip_address::IPAddress,
    &network_policy::NetworkPolicy,
    &service_cidr::ServiceCIDR,
    &pod_disruption_budget::PodDisruptionBudget,
    &cluster_role_binding::ClusterRoleBinding,
    &cluster_role::ClusterRole,
    &role_binding::RoleBinding,
    &role::Role,
    &csi_driver::CSIDriver,
    &csi_node::CSINode,
    &csi_storage_capacity::CSIStorageCapacity,
    &storage_class::StorageClass,
    &volume_attachment::VolumeAttachment,
    &volume_attributes_class::VolumeAttributesClass,
    &mutating_admission_policy::MutatingAdmissionPolicy,
    &mutating_admission_policy_binding::MutatingAdmissionPolicyBinding,
    &mutating_webhook_configuration::MutatingWebhookConfiguration,
    &validating_admission_policy::ValidatingAdmissionPolicy,
    &validating_admission_policy_binding::ValidatingAdmissionPolicyBinding,
    &validating_webhook_configuration::ValidatingWebhookConfiguration,
    &custom_resource_definition::CustomResourceDefinition,
    &priority_class::PriorityClass,
    &lease::Lease,
    &runtime_class::RuntimeClass,
    &endpoint_slice::EndpointSlice,
    &device_class::DeviceClass,
    &resource_claim::ResourceClaim,
    &resource_claim_template::ResourceClaimTemplate,
    &resource_slice::ResourceSlice,
    &flow_schema::FlowSchema,
    &priority_level_configuration::PriorityLevelConfiguration,
    &pod_preset::PodPreset,
];

/// The kind behind a resource of a path.
pub fn by_resource(group: &str, version: &str, plural: &str) -> Option<&'static dyn Kind> {
    ALL.iter().copied().find(|kind| {
        let info = kind.info();
        info.plural == plural && info.group == group && info.version == version
    })
}

/// The kind of an object.
pub fn by_kind(group: &str, version: &str, name: &str) -> Option<&'static dyn Kind> {
    ALL.iter().copied().find(|kind| {
        let info = kind.info();
        info.kind == name && info.group == group && info.version == version
    })
}

/// The kind whose objects are stored under `/registry/<prefix>/`.
pub fn by_store_prefix(prefix: &str) -> Option<&'static dyn Kind> {
    ALL.iter().copied().find(|kind| kind.stored_as().is_none() && kind.info().store_prefix == prefix)
}
