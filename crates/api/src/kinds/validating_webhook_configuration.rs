//! `ValidatingWebhookConfiguration` of `admissionregistration.k8s.io/v1`.

use jiff::Timestamp;
use serde_json::Value;

use super::admission::{self, webhooks};
use crate::field::FieldErrors;
use crate::kind::{Column, Kind, KindInfo, Part};

/// The kind's rules.
pub struct ValidatingWebhookConfiguration;

static INFO: KindInfo = admission::info(
    "ValidatingWebhookConfiguration",
    "validatingwebhookconfigurations",
    "validatingwebhookconfiguration",
    &[],
);

impl Kind for ValidatingWebhookConfiguration {
    fn info(&self) -> &'static KindInfo {
        &INFO
    }

    fn set_defaults(&self, object: &mut Value) {
        webhooks::set_defaults(object, false);
    }

    fn repeats_metadata_checks(&self) -> bool {
        false
    }

    fn counts_generations(&self) -> bool {
        true
    }

    fn allows_unconditional_update(&self) -> bool {
        false
    }

    fn columns(&self) -> &'static [Column] {
        webhooks::COLUMNS
    }

    fn row(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        webhooks::row(object, now)
    }

    fn validate_create(&self, object: &Value, errors: &mut FieldErrors) {
        webhooks::validate_create(object, false, errors);
    }

    fn validate_update(&self, new: &Value, old: &Value, _part: Part, errors: &mut FieldErrors) {
        webhooks::validate_update(new, old, false, errors);
    }
}
