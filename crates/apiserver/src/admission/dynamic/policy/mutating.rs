//! Policies that change objects.
//! Source: <https://kubernetes.io/docs/reference/access-authn-authz/mutating-admission-policy/>

use std::collections::BTreeSet;
use std::sync::Arc;

use cox_api::kinds::admission::environment::Environment;
use cox_api::kinds::admission::{expression, mutation_type};
use cox_api::{Status, managed, patch as patches};
use cox_cel::{Budget, Program, RULE_LIMIT};
use serde_json::{Value as Json, json};

use super::super::super::{Attempt, each, text};
use super::super::conditions::failed;
use super::super::subject::{Form, Subject, settled};
use super::bound::{Binding, Head, Misconfigured};

/// A policy, compiled.
pub(in super::super) struct MutatingPolicy {
    head: Head,
    mutations: Vec<Mutation>,
    /// Whether it is asked again after others have changed the object.
    again: bool,
}

struct Mutation {
    kind: Kind,
    source: String,
    program: Result<Program, String>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Merged into the object, as server-side apply does.
    Apply,
    Patch,
}

/// Policy, binding and parameters.
type Id = (String, String, String);

/// What one request knows of the policies that were asked about it.
#[derive(Default)]
pub(in super::super) struct Round {
    asked: BTreeSet<Id>,
    again: BTreeSet<Id>,
    left: Option<Json>,
    second: bool,
}

impl Round {
    /// The second time around: whoever left another object than there is now has to look again.
    pub(in super::super) fn repeat(&mut self, object: Option<&Json>) {
        self.second = true;
        if self.left.as_ref() != object {
            self.changed();
        }
    }

    fn changed(&mut self) {
        self.again.extend(self.asked.iter().cloned());
    }
}

/// Why a policy's failure refuses a request.
struct Refusal {
    policy: String,
    binding: Option<String>,
    message: String,
    /// Whether the policy was asked.
    asked: bool,
}

impl MutatingPolicy {
    pub(in super::super) fn of(policy: &Json) -> MutatingPolicy {
        let spec = &policy["spec"];
        let params = spec["paramKind"].is_object();
        let environment = Environment { params, authorizer: true, patches: true };
        let head = Head::of(policy, environment);
        let declared = head.declarations(environment);
        let mutations = each(&spec["mutations"]).map(|mutation| {
            let patch_type = text(&mutation["patchType"]);
            let (kind, holder) = match patch_type {
                "ApplyConfiguration" => (Kind::Apply, &mutation["applyConfiguration"]),
                _ => (Kind::Patch, &mutation["jsonPatch"]),
            };
            let source = text(&holder["expression"]).trim().to_owned();
            let program = expression::compile(&source, &declared, &[mutation_type(patch_type)]);
            Mutation { kind, source, program }
        });
        let mutations = mutations.collect();
        MutatingPolicy { head, mutations, again: text(&spec["reinvocationPolicy"]) == "IfNeeded" }
    }

    /// Changes an object by one set of parameters. False where a match condition doesn't hold.
    fn apply(
        &self,
        attempt: &Attempt<'_>,
        form: Form,
        object: &mut Json,
        params: &Json,
    ) -> Result<bool, String> {
        let asked = {
            let subject = Subject::of(attempt, Some(object));
            self.head.invocation(&subject, form, params)?.is_some()
        };
        if !asked {
            return Ok(false);
        }
        for mutation in &self.mutations {
            // Each sees what those before it made of the object.
            let subject = Subject::of(attempt, Some(object));
            let bindings = self.head.bindings(&subject, form, params)?;
            let budget = &mut Budget::new(RULE_LIMIT);
            let program = mutation.program.as_ref().map_err(Clone::clone)?;
            let value = program.evaluate(&bindings, budget);
            let value = value.map_err(|error| failed(&mutation.source, &error, budget))?;
            let value =
                value.to_json().ok_or("the expression evaluated to a type that could not marshal to JSON")?;
            let shown = form.show(attempt, object);
            let new = match mutation.kind {
                Kind::Apply => merged(form, &shown, value)?,
                Kind::Patch => match patches::json_where_tests_hold(&shown, &value) {
                    Ok(Some(new)) => new,
                    // A test that fails means that there is nothing to be done.
                    Ok(None) => continue,
                    Err(status) => return Err(format!("JSONPath: {}", status.message())),
                },
            };
            *object = settled(attempt, form, new).map_err(|status| status.message().to_owned())?;
        }
        Ok(true)
    }
}

/// The object with what a configuration says.
fn merged(form: Form, object: &Json, mut configuration: Json) -> Result<Json, String> {
    configuration["apiVersion"] = object["apiVersion"].clone();
    configuration["kind"] = object["kind"].clone();
    managed::overlay(&form.of_objects(), object, &configuration)
        .map_err(|why| format!("error applying patch: {why}"))
}

/// Asks the policies that have a say, and changes the object as they want. Whether anything was changed.
pub(in super::super) fn admit(
    policies: &[(Arc<MutatingPolicy>, Vec<Arc<Binding>>)],
    attempt: &Attempt<'_>,
    object: &mut Json,
    round: &mut Round,
) -> Result<bool, Status> {
    let before = object.clone();
    let mut refusals = Vec::new();
    for (policy, bindings) in policies {
        one(policy, bindings, attempt, object, round, &mut refusals);
    }
    round.left = Some(object.clone());
    match refusals.as_slice() {
        [] => Ok(*object != before),
        refusals => Err(refused(attempt, &Subject::of(attempt, Some(object)), refusals)),
    }
}

fn one(
    policy: &MutatingPolicy,
    bindings: &[Arc<Binding>],
    attempt: &Attempt<'_>,
    object: &mut Json,
    round: &mut Round,
    refusals: &mut Vec<Refusal>,
) {
    let head = &policy.head;
    let name = || head.name.clone();
    let misconfigured = |wrong: Misconfigured| {
        let what = if wrong.binding.is_some() { "binding" } else { "policy" };
        let message = format!("failed to configure {what}: {}", wrong.message);
        let binding = wrong.binding.map(|binding| binding.name.clone());
        head.fails.then(|| Refusal { policy: name(), binding, message, asked: false })
    };
    let form = match head.matching(&Subject::of(attempt, Some(object))) {
        Ok(Some(form)) => form,
        Ok(None) => return,
        Err(wrong) => return refusals.extend(misconfigured(wrong)),
    };
    for binding in bindings {
        let all = match head.params(binding, &Subject::of(attempt, Some(object))) {
            Ok(all) => all,
            Err(wrong) => {
                refusals.extend(misconfigured(wrong));
                continue;
            }
        };
        for params in &all {
            let of_params =
                format!("{}/{}", text(&params["metadata"]["namespace"]), text(&params["metadata"]["name"]));
            let id = (name(), binding.name.clone(), of_params);
            if round.second && !round.again.contains(&id) {
                continue;
            }
            let before = object.clone();
            match policy.apply(attempt, form, object, params) {
                Ok(false) => continue,
                Ok(true) => {}
                Err(message) if head.fails => {
                    let binding = Some(binding.name.clone());
                    refusals.push(Refusal { policy: name(), binding, message, asked: true });
                }
                Err(_) => {}
            }
            if *object != before {
                round.changed();
            }
            if policy.again {
                round.asked.insert(id);
            }
        }
    }
}

/// The answer where policies failed.
fn refused(attempt: &Attempt<'_>, subject: &Subject<'_>, refusals: &[Refusal]) -> Status {
    let words = |refusal: &Refusal| {
        let (policy, message) = (&refusal.policy, &refusal.message);
        match &refusal.binding {
            Some(binding) => format!("policy '{policy}' with binding '{binding}' denied request: {message}"),
            None => format!("policy {policy:?} denied request: {message}"),
        }
    };
    let info = attempt.info;
    let mut status = Status::forbidden(info.group, info.plural, subject.name, "").to_value();
    status["message"] = refusals.first().map(words).unwrap_or_default().into();
    if refusals.first().is_some_and(|refusal| refusal.asked) {
        status["reason"] = "Invalid".into();
    }
    status["details"]["causes"] = refusals.iter().map(|refusal| json!({"message": words(refusal)})).collect();
    Status::from_value(&status)
}
