//! Validating webhooks: asked all at once; one refusal is enough.

use std::sync::Arc;

use cox_api::Status;
use futures::future::join_all;

use super::super::Notes;
use super::super::subject::Subject;
use super::Webhook;
use super::call::ask;
use super::failure::{self, Failure};

/// Asks those that have a say. Where several refuse, the first one's words are the answer.
pub(in super::super) async fn validate(
    hooks: &[Arc<Webhook>],
    subject: &Subject<'_>,
    notes: &mut Notes<'_>,
) -> Result<(), Status> {
    let mut asked = Vec::new();
    for hook in hooks {
        if let Some(form) = hook.wants(subject)? {
            asked.push(async move { (hook, ask(hook, subject, form).await) });
        }
    }
    let mut refusal = None;
    for (index, (hook, outcome)) in join_all(asked).await.into_iter().enumerate() {
        let refused = match outcome {
            Ok(verdict) => {
                notes.take(verdict.warnings, verdict.annotations);
                verdict.refusal
            }
            Err(Failure::Refused(status)) => Some(status),
            Err(Failure::Unusable(why)) if hook.fails => Some(failure::failed(&hook.name, &why)),
            Err(Failure::Unusable(why)) => {
                tracing::warn!(webhook = hook.name, why, "a webhook failed and is passed over");
                let key = format!("failed-open.validating.webhook.admission.k8s.io/round_0_index_{index}");
                notes.annotations.push((key, hook.name.clone()));
                None
            }
        };
        refusal = refusal.or(refused);
    }
    refusal.map_or(Ok(()), Err)
}
