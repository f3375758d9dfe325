//! What policies of both sorts have: what they are about, their parameters and variables; and their bindings.

use std::sync::Arc;

use cox_api::Status;
use cox_api::kinds::admission::environment::Environment;
use cox_api::kinds::admission::expression;
use cox_cel::{Bindings, Budget, Declarations, Program, Type, Value};
use serde_json::Value as Json;

use super::super::super::{each, text};
use super::super::bindings::bindings;
use super::super::conditions::Conditions;
use super::super::criteria::Criteria;
use super::super::subject::{Form, Subject};
use super::params::{self, ParamKind};
use super::variables::Variables;

/// What all match conditions of a policy may cost together.
const CONDITIONS_BUDGET: u64 = cox_cel::RULE_LIMIT / 4;

/// What policies of both sorts have.
pub(super) struct Head {
    pub name: String,
    /// Its failure is that of the request.
    pub fails: bool,
    criteria: Criteria,
    conditions: Conditions,
    params: Option<ParamKind>,
    variables: Arc<Vec<(String, Result<Program, String>)>>,
    /// The types of variables, for what is compiled next. None where there are none.
    types: Option<Vec<(String, Type)>>,
}

/// Puts a policy in force.
pub(in super::super) struct Binding {
    pub name: String,
    pub policy: String,
    criteria: Option<Criteria>,
    /// `paramRef`.
    params: Json,
    /// `validationActions`.
    pub actions: Vec<String>,
}

impl Binding {
    pub(in super::super) fn of(binding: &Json) -> Binding {
        let spec = &binding["spec"];
        let resources = &spec["matchResources"];
        Binding {
            name: text(&binding["metadata"]["name"]).to_owned(),
            policy: text(&spec["policyName"]).to_owned(),
            criteria: resources.is_object().then(|| Criteria::of(resources, "resourceRules")),
            params: spec["paramRef"].clone(),
            actions: each(&spec["validationActions"]).filter_map(Json::as_str).map(str::to_owned).collect(),
        }
    }

    /// Whether it is about a request that its policy is about.
    fn matches(&self, subject: &Subject<'_>) -> Result<bool, Status> {
        match &self.criteria {
            None => Ok(true),
            // Without rules of its own it has those of the policy.
            Some(criteria) if !criteria.has_rules() => criteria.selects(subject),
            Some(criteria) => criteria.matching(subject).map(|form| form.is_some()),
        }
    }
}

/// Why a policy couldn't be asked at all.
pub(super) struct Misconfigured {
    /// The binding, where it isn't the policy that is wrong.
    pub binding: Option<Arc<Binding>>,
    pub message: String,
}

impl Head {
    pub(super) fn of(policy: &Json, environment: Environment) -> Head {
        let spec = &policy["spec"];
        let params = ParamKind::of(&spec["paramKind"]);
        let mut types = None;
        let mut variables = Vec::new();
        for variable in each(&spec["variables"]) {
            let known = types.get_or_insert_with(Vec::new);
            let name = text(&variable["name"]).to_owned();
            let declared = environment.declarations(Some(known));
            let program = expression::compile(text(&variable["expression"]), &declared, &[]);
            known
                .push((name.clone(), program.as_ref().map_or(Type::Dyn, |program| program.result().clone())));
            variables.push((name, program));
        }
        Head {
            name: text(&policy["metadata"]["name"]).to_owned(),
            fails: text(&spec["failurePolicy"]) != "Ignore",
            criteria: Criteria::of(&spec["matchConstraints"], "resourceRules"),
            conditions: Conditions::of(spec, params.is_some()),
            params,
            variables: Arc::new(variables),
            types,
        }
    }

    /// What the expressions of the policy may refer to.
    pub(super) fn declarations(&self, environment: Environment) -> Declarations {
        environment.declarations(self.types.as_deref())
    }

    /// The form in which a request is to be shown; none where the policy isn't about it.
    pub(super) fn matching(&self, subject: &Subject<'_>) -> Result<Option<Form>, Misconfigured> {
        let wrong = |message| Misconfigured { binding: None, message };
        let form = self.criteria.matching(subject).map_err(|status| wrong(status.message().to_owned()))?;
        if let (Some(_), Some(Err(message))) =
            (form, self.params.as_ref().map(|kind| kind.check(subject.attempt.server)))
        {
            return Err(wrong(message));
        }
        Ok(form)
    }

    /// The parameters with which a binding asks the policy about a request.
    pub(super) fn params(
        &self,
        binding: &Arc<Binding>,
        subject: &Subject<'_>,
    ) -> Result<Vec<Json>, Misconfigured> {
        let wrong = |message| Misconfigured { binding: Some(binding.clone()), message };
        if !binding.matches(subject).map_err(|status| wrong(status.message().to_owned()))? {
            return Ok(Vec::new());
        }
        params::collect(self.params.as_ref(), &binding.params, subject).map_err(wrong)
    }

    /// The variables of expressions for a set of parameters. None where a match condition doesn't hold.
    ///
    /// # Errors
    /// What match conditions failed with.
    pub(super) fn invocation(
        &self,
        subject: &Subject<'_>,
        form: Form,
        params: &Json,
    ) -> Result<Option<Bindings>, String> {
        let bound = self.bindings(subject, form, params)?;
        let budget = &mut Budget::new(CONDITIONS_BUDGET);
        let holds = self.conditions.is_empty() || self.conditions.hold(&bound, budget)?;
        Ok(holds.then_some(bound))
    }

    /// The variables of expressions for a set of parameters.
    ///
    /// # Errors
    /// Where the namespace isn't there.
    pub(super) fn bindings(
        &self,
        subject: &Subject<'_>,
        form: Form,
        params: &Json,
    ) -> Result<Bindings, String> {
        let bound = bindings(subject.attempt.server.authorizer(), subject, form);
        let mut bound = bound.map_err(|status| status.message().to_owned())?;
        if self.params.is_some() {
            bound.set("params", Value::from_json(params, &Type::Dyn));
        }
        if !self.variables.is_empty() {
            let variables = Variables::new(self.variables.clone(), bound.clone());
            bound.set("variables", variables.value());
        }
        Ok(bound)
    }
}
