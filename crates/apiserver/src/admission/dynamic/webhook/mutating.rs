//! Mutating webhooks: asked one after the other, each sees what those before it made of the object.
//! Source: <https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/#reinvocation-policy>

use std::collections::BTreeSet;
use std::sync::Arc;

use cox_api::{Status, patch as patches};
use serde_json::{Value, json};

use super::super::super::Attempt;
use super::super::Notes;
use super::super::subject::{Form, Subject, settled};
use super::Webhook;
use super::call::ask;
use super::failure::{self, Failure};

/// What one request knows of the webhooks that were asked about it.
#[derive(Default)]
pub(in super::super) struct Round {
    /// Those that want to be asked again, by configuration and name, where others change the object.
    asked: BTreeSet<(String, String)>,
    /// Those that are to be asked again.
    again: BTreeSet<(String, String)>,
    /// The object after the last one was asked.
    left: Option<Value>,
    /// Whether this is the second time around.
    second: bool,
}

impl Round {
    /// The second time around: whoever left another object than there is now has to look again.
    pub(in super::super) fn repeat(&mut self, object: Option<&Value>) {
        self.second = true;
        if self.left.as_ref() != object {
            self.again.extend(self.asked.iter().cloned());
        }
    }

    /// Somebody changed the object: those that were asked before have to look again.
    pub(in super::super) fn changed(&mut self) {
        self.again.extend(self.asked.iter().cloned());
    }
}

/// Asks those that have a say, and changes the object as they want. Whether anything was changed.
pub(in super::super) async fn admit(
    hooks: &[Arc<Webhook>],
    attempt: &Attempt<'_>,
    object: &mut Option<&mut Value>,
    round: &mut Round,
    notes: &mut Notes<'_>,
) -> Result<bool, Status> {
    let mut any = false;
    for (index, hook) in hooks.iter().enumerate() {
        let key = format!("mutation.webhook.admission.k8s.io/round_{}_index_{index}", u8::from(round.second));
        let id = (hook.configuration.clone(), hook.name.clone());
        if round.second && !(hook.again && round.again.contains(&id)) {
            continue;
        }
        let subject = Subject::of(attempt, object.as_deref());
        let Some(form) = hook.wants(&subject)? else { continue };
        let verdict = match ask(hook, &subject, form).await {
            Ok(verdict) => verdict,
            Err(Failure::Refused(status)) => return Err(status),
            Err(Failure::Unusable(why)) if hook.fails => return Err(failure::failed(&hook.name, &why)),
            Err(Failure::Unusable(why)) => {
                tracing::warn!(webhook = hook.name, why, "a webhook failed and is passed over");
                notes.annotations.push((format!("failed-open.{key}"), hook.name.clone()));
                continue;
            }
        };
        notes.take(verdict.warnings, verdict.annotations);
        if let Some(refusal) = verdict.refusal {
            return Err(refusal);
        }
        let mut mutated = false;
        if let Some(patch) = verdict.patch {
            let Some(object) = object.as_deref_mut() else {
                return Err(Status::internal(format!(
                    "admission webhook {:?} attempted to modify the object, which is not supported for this operation",
                    hook.name
                )));
            };
            let new = patched(attempt, form, object, &patch)?;
            if new != *object {
                *object = new;
                mutated = true;
                round.changed();
            }
        }
        any |= mutated;
        let about = json!({"configuration": hook.configuration, "webhook": hook.name, "mutated": mutated});
        notes.annotations.push((key, about.to_string()));
        if hook.again {
            round.asked.insert(id);
        }
    }
    round.left = object.as_deref().cloned();
    Ok(any)
}

/// The object after a patch, checked and with defaults.
fn patched(attempt: &Attempt<'_>, form: Form, object: &Value, patch: &Value) -> Result<Value, Status> {
    let shown = form.show(attempt, object);
    let new = patches::json(&shown, patch).map_err(|status| Status::internal(status.message()))?;
    settled(attempt, form, new)
}
