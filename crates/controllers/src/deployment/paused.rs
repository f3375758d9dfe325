//! The Progressing condition while a rollout is paused, and after.

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{Deployment, DeploymentStatus};

use super::status::{PROGRESSING, TIMED_OUT, set_progressing};
use super::view;
use crate::common::conditions;

/// The status to write when pausing or resuming isn't told yet.
pub(super) fn condition(deployment: &Deployment, now: Timestamp) -> Option<DeploymentStatus> {
    view::progress_deadline(deployment)?;
    let status = deployment.status.clone().unwrap_or_default();
    let current = conditions::find(&status.conditions, PROGRESSING);
    let reason = current.and_then(|condition| condition.reason.clone()).unwrap_or_default();
    // A missed deadline stays told until there is progress.
    if reason == TIMED_OUT {
        return None;
    }
    let told = reason == "DeploymentPaused";
    let mut status = status;
    match (view::is_paused(deployment), told) {
        (true, false) => {
            set_progressing(&mut status, "Unknown", "DeploymentPaused", "Deployment is paused".into(), now);
        }
        (false, true) => {
            set_progressing(&mut status, "Unknown", "DeploymentResumed", "Deployment is resumed".into(), now);
        }
        _ => return None,
    }
    Some(status)
}
