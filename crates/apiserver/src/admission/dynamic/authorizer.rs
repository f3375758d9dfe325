//! `authorizer` of expressions: what the one who asks, or a service account, may do.
//! Source: <https://kubernetes.io/docs/reference/using-api/cel/#kubernetes-authorizer-library>

use std::sync::Arc;

use cox_cel::{EvalError, Host, Value};

use crate::auth::{Attributes, Authorizer, Decision, User};

/// Questions that can be asked, step by step.
#[derive(Clone)]
struct Question {
    authorizer: Arc<Authorizer>,
    user: Arc<User>,
    step: Step,
}

#[derive(Clone)]
enum Step {
    /// `authorizer`
    Anything,
    /// `authorizer.path('/healthz')`
    Path(String),
    /// `authorizer.group('apps')`
    Group(String),
    /// `authorizer.group('apps').resource('deployments')`, ...
    Resource(Resource),
    /// The answer.
    Decided(Decision),
}

#[derive(Clone, Debug, Default)]
struct Resource {
    group: String,
    resource: String,
    subresource: String,
    namespace: String,
    name: String,
    field_selector: String,
}

/// `authorizer` for a user.
pub(super) fn authorizer(authorizer: &Arc<Authorizer>, user: &User) -> Value {
    let step = Step::Anything;
    Value::Host(Arc::new(Question { authorizer: authorizer.clone(), user: Arc::new(user.clone()), step }))
}

/// `authorizer.requestResource`: the resource of the request.
pub(super) fn of_request(
    authorizer: &Arc<Authorizer>,
    user: &User,
    subject: &super::subject::Subject<'_>,
) -> Value {
    let attempt = subject.attempt;
    let resource = Resource {
        group: attempt.info.group.to_owned(),
        resource: attempt.info.plural.to_owned(),
        subresource: attempt.subresource.to_owned(),
        namespace: subject.namespace.to_owned(),
        name: subject.name.to_owned(),
        field_selector: String::new(),
    };
    let step = Step::Resource(resource);
    Value::Host(Arc::new(Question { authorizer: authorizer.clone(), user: Arc::new(user.clone()), step }))
}

impl std::fmt::Debug for Question {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.type_name())
    }
}

impl Question {
    fn next(&self, step: Step) -> Value {
        Value::Host(Arc::new(Question { step, ..self.clone() }))
    }

    fn decide(&self, verb: &str) -> Value {
        let attributes = match &self.step {
            Step::Path(path) => Attributes::path(&self.user, verb, path),
            Step::Resource(one) => Attributes {
                subresource: &one.subresource,
                namespace: &one.namespace,
                name: &one.name,
                field_selector: &one.field_selector,
                ..Attributes::resource(&self.user, verb, &one.group, &one.resource)
            },
            _ => return Value::Null,
        };
        self.next(Step::Decided(self.authorizer.decide(&attributes)))
    }
}

impl Host for Question {
    fn type_name(&self) -> &str {
        match self.step {
            Step::Anything => "kubernetes.authorization.Authorizer",
            Step::Path(_) => "kubernetes.authorization.PathCheck",
            Step::Group(_) => "kubernetes.authorization.GroupCheck",
            Step::Resource(_) => "kubernetes.authorization.ResourceCheck",
            Step::Decided(_) => "kubernetes.authorization.Decision",
        }
    }

    fn call(&self, method: &str, args: &[Value]) -> Option<Result<Value, EvalError>> {
        let texts: Vec<&str> = args.iter().map_while(Value::as_str).collect();
        if texts.len() != args.len() {
            return None;
        }
        Some(Ok(match (&self.step, method, texts.as_slice()) {
            (Step::Anything, "path", [path]) => {
                if path.is_empty() {
                    return Some(Err(EvalError::new("path must not be empty")));
                }
                self.next(Step::Path((*path).to_owned()))
            }
            (Step::Anything, "group", [group]) => self.next(Step::Group((*group).to_owned())),
            (Step::Anything, "serviceAccount", [namespace, name]) => {
                let user = Arc::new(User::service_account(namespace, name, ""));
                Value::Host(Arc::new(Question { user, ..self.clone() }))
            }
            (Step::Group(group), "resource", [resource]) => {
                let (group, resource) = (group.clone(), (*resource).to_owned());
                self.next(Step::Resource(Resource { group, resource, ..Resource::default() }))
            }
            (Step::Path(_) | Step::Resource(_), "check", [verb]) => self.decide(verb),
            (Step::Resource(one), _, [text]) => {
                let (mut one, text) = (one.clone(), (*text).to_owned());
                match method {
                    "subresource" => one.subresource = text,
                    "namespace" => one.namespace = text,
                    "name" => one.name = text,
                    "fieldSelector" => one.field_selector = text,
                    // Nothing here decides by labels, so a selector grants nothing more and nothing less.
                    "labelSelector" => {}
                    _ => return None,
                }
                self.next(Step::Resource(one))
            }
            (Step::Decided(decision), "allowed", []) => Value::Bool(decision.allowed),
            (Step::Decided(decision), "reason", []) => decision.reason.as_str().into(),
            (Step::Decided(_), "errored", []) => Value::Bool(false),
            (Step::Decided(_), "error", []) => "".into(),
            _ => return None,
        }))
    }
}
