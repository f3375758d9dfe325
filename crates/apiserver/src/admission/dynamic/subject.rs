//! A request, as webhooks and policies see it.

use cox_api::{Body, Kind, KindInfo, Status, kinds, schema};
use serde_json::{Value, json};

use super::super::{Attempt, Operation};
use crate::core::body::{self, Expected};

/// What is to be admitted.
pub(crate) struct Subject<'a> {
    pub attempt: &'a Attempt<'a>,
    /// As rules name it: `CREATE`, ...
    pub operation: &'static str,
    /// The namespace; that of a Namespace is itself.
    pub namespace: &'a str,
    pub name: &'a str,
    /// As it is now; none where something is deleted.
    pub object: Option<&'a Value>,
}

/// A form in which an object can be shown: that of the request's kind, or of another one of the same objects.
#[derive(Clone, Copy)]
pub(crate) struct Form {
    /// None where the object isn't of the resource's kind (an Eviction of a pod).
    kind: Option<&'static dyn Kind>,
    info: &'static KindInfo,
}

impl Form {
    /// The resource.
    pub(super) fn info(&self) -> &'static KindInfo {
        self.info
    }

    /// What it looks like.
    pub(super) fn of_objects(&self) -> cox_api::Form {
        self.kind.map_or_else(|| cox_api::Form::Table(self.info.type_id()), Kind::form)
    }

    fn is_of(&self, attempt: &Attempt<'_>) -> bool {
        std::ptr::eq(self.info, attempt.info)
    }

    /// The object in this form.
    pub(super) fn show(&self, attempt: &Attempt<'_>, object: &Value) -> Value {
        let Some(kind) = self.kind.filter(|_| !self.is_of(attempt)) else { return object.clone() };
        let mut value = kind.from_stored(attempt.kind.to_stored(object.clone()));
        value["apiVersion"] = self.info.api_version().into();
        value["kind"] = self.info.kind.into();
        value
    }

    /// An object in this form, as the request has it.
    pub(super) fn take(&self, attempt: &Attempt<'_>, object: Value) -> Value {
        let Some(kind) = self.kind.filter(|_| !self.is_of(attempt)) else { return object };
        let mut value = attempt.kind.from_stored(kind.to_stored(object));
        value["apiVersion"] = attempt.info.api_version().into();
        value["kind"] = attempt.info.kind.into();
        value
    }
}

impl<'a> Subject<'a> {
    pub(super) fn of(attempt: &'a Attempt<'a>, object: Option<&'a Value>) -> Subject<'a> {
        let is_namespace = is_namespace(attempt);
        let named =
            object.and_then(|object| object["metadata"]["name"].as_str()).filter(|name| !name.is_empty());
        let name = if attempt.name.is_empty() { named.unwrap_or_default() } else { &attempt.name };
        Subject {
            attempt,
            operation: match attempt.operation {
                Operation::Create => "CREATE",
                Operation::Update => "UPDATE",
                Operation::Delete => "DELETE",
                Operation::Connect => "CONNECT",
            },
            namespace: if is_namespace { name } else { attempt.namespace },
            name,
            object,
        }
    }

    pub(super) fn is_namespace(&self) -> bool {
        is_namespace(self.attempt) && self.attempt.subresource.is_empty()
    }

    /// The forms in which the request can be shown, its own first.
    pub(super) fn forms(&self) -> Vec<Form> {
        let attempt = self.attempt;
        let own = self.object.or(attempt.old).is_none_or(|object| object["kind"] == attempt.info.kind);
        let mut forms = vec![Form { kind: own.then_some(attempt.kind), info: attempt.info }];
        if own {
            let stored = |kind: &'static dyn Kind| kind.stored_as().unwrap_or(kind).info();
            let custom = attempt.server.definitions().kinds();
            let others = kinds::ALL.iter().copied().chain(custom).filter(|kind| {
                std::ptr::eq(stored(*kind), stored(attempt.kind)) && !std::ptr::eq(kind.info(), attempt.info)
            });
            forms.extend(others.map(|kind| Form { kind: Some(kind), info: kind.info() }));
        }
        forms
    }

    /// The labels of the namespace that the request is about; none where it is about none.
    ///
    /// # Errors
    /// 404 where it isn't there.
    pub(super) fn namespace_labels(&self) -> Result<Option<Value>, Status> {
        if self.namespace.is_empty() {
            return Ok(None);
        }
        // A namespace that is written is selected by the labels it will have.
        if self.is_namespace()
            && let Some(object) = self.object
        {
            return Ok(Some(object["metadata"]["labels"].clone()));
        }
        self.namespace_object().map(|namespace| namespace.map(|object| object["metadata"]["labels"].clone()))
    }

    /// The namespace that the request is about; none where it is about none.
    ///
    /// # Errors
    /// 404 where it isn't there.
    pub(super) fn namespace_object(&self) -> Result<Option<Value>, Status> {
        if self.namespace.is_empty() {
            return Ok(None);
        }
        match self.attempt.server.db().get("namespaces", "", self.namespace) {
            Some(namespace) => Ok(Some(namespace.value())),
            None if self.is_namespace() => Ok(None),
            None => Err(Status::not_found("", "namespaces", self.namespace)),
        }
    }

    /// `AdmissionRequest` without a uid and without the objects, for a form of the object.
    pub(super) fn request(&self, form: Form) -> Value {
        let attempt = self.attempt;
        let resource =
            |info: &KindInfo| json!({"group": info.group, "version": info.version, "resource": info.plural});
        let shown = self.object.or(attempt.old);
        let kind = |info: &KindInfo| match shown {
            // The kind of the object is that of the resource, or one of its own (an Eviction, a Scale).
            Some(object) if object["kind"] != attempt.info.kind => {
                let api_version = object["apiVersion"].as_str().unwrap_or_default();
                let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
                json!({"group": group, "version": version, "kind": object["kind"]})
            }
            _ => json!({"group": info.group, "version": info.version, "kind": info.kind}),
        };
        let user = attempt.user;
        let mut user_info = json!({"username": user.name});
        if !user.uid.is_empty() {
            user_info["uid"] = user.uid.as_str().into();
        }
        if !user.groups.is_empty() {
            user_info["groups"] = json!(user.groups);
        }
        if !user.extra.is_empty() {
            user_info["extra"] = json!(user.extra);
        }
        let mut request = json!({
            "kind": kind(form.info()), "resource": resource(form.info()),
            "requestKind": kind(attempt.info), "requestResource": resource(attempt.info),
            "operation": self.operation, "userInfo": user_info, "dryRun": attempt.dry_run,
            "options": self.options(),
        });
        for (key, text) in [
            ("name", self.name),
            ("namespace", self.namespace),
            ("subResource", attempt.subresource),
            ("requestSubResource", attempt.subresource),
        ] {
            if !text.is_empty() {
                request[key] = text.into();
            }
        }
        request
    }

    /// The options of the request, as `CreateOptions` and the like.
    fn options(&self) -> Value {
        let attempt = self.attempt;
        let kind = match attempt.operation {
            Operation::Create => "CreateOptions",
            Operation::Update if attempt.patches => "PatchOptions",
            Operation::Update => "UpdateOptions",
            Operation::Delete => "DeleteOptions",
            Operation::Connect => return Value::Null,
        };
        let mut options = json!({"kind": kind, "apiVersion": "meta.k8s.io/v1"});
        if attempt.dry_run {
            options["dryRun"] = json!(["All"]);
        }
        for (key, value) in [
            ("fieldManager", &attempt.options.field_manager),
            ("fieldValidation", &attempt.options.field_validation),
        ] {
            if let Some(value) = value.as_ref().filter(|_| attempt.operation != Operation::Delete) {
                options[key] = value.as_str().into();
            }
        }
        options
    }
}

fn is_namespace(attempt: &Attempt<'_>) -> bool {
    attempt.info.group.is_empty() && attempt.info.plural == "namespaces"
}

/// A changed object in the normal form of its kind, with defaults.
pub(super) fn settled(attempt: &Attempt<'_>, form: Form, new: Value) -> Result<Value, Status> {
    let new = form.take(attempt, new);
    let expected = Expected::of(attempt.kind);
    if new["kind"] != expected.kind {
        // Of another kind than the resource's (an Eviction): there is nothing to be filled in.
        return Ok(new);
    }
    let decoded = body::decode(Body::Json(new), expected, schema::Strictness::Ignore)
        .map_err(|status| Status::internal(status.message()))?;
    let mut new = decoded.value;
    attempt.kind.set_defaults(&mut new);
    Ok(new)
}
