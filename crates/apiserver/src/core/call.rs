//! One call on a kind, and the two forms of its objects: as asked for, and as stored.

use cox_api::{Form, Header, Kind, KindInfo, Object, Options, Rules, Scope, Status, Verb};
use cox_store::Key;
use serde_json::Value;

use crate::admission::Notes;
use crate::auth::User;
use crate::server::ApiServer;

/// One call on a kind.
pub(crate) struct Call<'a> {
    pub server: &'a ApiServer,
    pub user: &'a User,
    /// What was asked for.
    pub verb: Verb,
    /// The kind of the path.
    pub kind: &'static dyn Kind,
    /// Empty outside of namespaces and for all of them.
    pub namespace: &'a str,
    /// Empty for collections.
    pub name: &'a str,
    /// Empty for the object itself.
    pub subresource: &'a str,
    pub options: &'a Options,
    /// The time of the call, as `metav1.Time`.
    pub now: String,
    /// What the client is to be told.
    pub warnings: Vec<String>,
    /// What the audit log is to be told.
    pub annotations: Vec<(String, String)>,
}

impl<'a> Call<'a> {
    /// The fixed facts of the kind of the path.
    pub fn info(&self) -> &'static KindInfo {
        self.kind.info()
    }

    /// Where admission leaves what it has to say.
    pub fn notes(&mut self) -> Notes<'_> {
        Notes { warnings: &mut self.warnings, annotations: &mut self.annotations }
    }

    /// The kind whose form is stored.
    pub fn stored(&self) -> &'static dyn Kind {
        self.kind.stored_as().unwrap_or(self.kind)
    }

    /// Where objects of the kind are kept.
    pub fn prefix(&self) -> &'static str {
        self.stored().info().store_prefix
    }

    /// Where an object is kept.
    pub fn key(&self, name: &str) -> Key {
        Key::new(self.prefix(), self.key_namespace(), name)
    }

    /// The namespace as far as keys are concerned: a Namespace is not in itself.
    pub fn key_namespace(&self) -> &'a str {
        if self.info().scope == Scope::Namespaced { self.namespace } else { "" }
    }

    /// A stored object in the form that was asked for, to work on.
    pub fn read(&self, object: &Object) -> Value {
        let value = object.value();
        if self.kind.stored_as().is_some() { self.kind.from_stored(value) } else { value }
    }

    /// A stored object in the form that was asked for, to show.
    pub fn show(&self, object: Object) -> Object {
        show(self.kind, object)
    }

    /// A value in the form that was asked for, to store.
    pub fn store(&self, mut value: Value) -> Object {
        if let Some(stored) = self.kind.stored_as() {
            value = self.kind.to_stored(value);
            value["apiVersion"] = stored.info().api_version().into();
            value["kind"] = stored.info().kind.into();
        }
        let header = Header::of(&value, self.stored().selectable(&value));
        Object::new(&value, header, 0)
    }

    /// A value that isn't stored (dry run), to show.
    pub fn unstored(&self, value: &Value, revision: u64) -> Object {
        Object::new(value, Header::of(value, Vec::new()), revision)
    }

    /// What the rules of a kind may know.
    pub fn rules(&self) -> Rules<'_> {
        let user = self.user;
        let extra = (!user.extra.is_empty()).then_some(&user.extra);
        Rules { now: &self.now, user: &user.name, groups: &user.groups, uid: &user.uid, extra }
    }

    /// 404 for the object of the call.
    pub fn not_found(&self, name: &str) -> Status {
        Status::not_found(self.info().group, self.info().plural, name)
    }

    /// 409 for the object of the call.
    pub fn conflict(&self, name: &str, why: &str) -> Status {
        Status::conflict(self.info().group, self.info().plural, name, why)
    }

    /// 409 for an object with another uid than the writer thinks.
    pub fn uid_conflict(&self, asked: &str, found: &str) -> Status {
        let why = format!(
            "StorageError: invalid object, Code: 4, Key: {}, ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: UID in precondition: {asked}, UID in object meta: {found}",
            self.key(self.name)
        );
        self.conflict(self.name, &why)
    }

    /// 422 where there are errors.
    pub fn refuse_invalid(
        &self,
        name: &str,
        object: &Value,
        errors: &cox_api::FieldErrors,
    ) -> Result<(), Status> {
        if errors.is_empty() {
            return Ok(());
        }
        // Validation is of the stored kind: an Event of events.k8s.io is named by the core group.
        let info = self.stored().info();
        // A custom resource is named by what it says it is.
        let kind = match self.kind.form() {
            Form::Custom(_) => object["kind"].as_str().unwrap_or_default(),
            Form::Table(_) => info.kind,
        };
        Err(Status::invalid(info.group, kind, name, &errors.0))
    }
}

/// A stored object in the form of a kind.
pub(crate) fn show(kind: &'static dyn Kind, object: Object) -> Object {
    if kind.stored_as().is_none() {
        return object;
    }
    let mut value = kind.from_stored(object.value());
    value["apiVersion"] = kind.info().api_version().into();
    value["kind"] = kind.info().kind.into();
    let header = Header::of(&value, kind.selectable(&value));
    Object::new(&value, header, object.revision())
}

/// `metadata.KEY` as text; empty where it is none.
pub(crate) fn meta<'v>(object: &'v Value, key: &str) -> &'v str {
    object["metadata"][key].as_str().unwrap_or_default()
}

/// Sets `metadata.KEY`.
pub(crate) fn set_meta(object: &mut Value, key: &str, value: impl Into<Value>) {
    if let Some(object) = object.as_object_mut() {
        let metadata = object.entry("metadata").or_insert_with(|| Value::Object(Default::default()));
        if !metadata.is_object() {
            *metadata = Value::Object(Default::default());
        }
        metadata[key] = value.into();
    }
}

/// Removes `metadata.KEY`.
pub(crate) fn unset_meta(object: &mut Value, key: &str) {
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.remove(key);
    }
}

/// `metadata.finalizers`.
pub(crate) fn finalizers(object: &Value) -> Vec<String> {
    object["metadata"]["finalizers"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|finalizer| finalizer.as_str().map(str::to_owned))
        .collect()
}

impl Call<'_> {
    /// The header of a stored object in the form that was asked for.
    pub fn show_header<'o>(&self, object: &'o Object) -> std::borrow::Cow<'o, Header> {
        if self.kind.stored_as().is_none() {
            std::borrow::Cow::Borrowed(object.header())
        } else {
            std::borrow::Cow::Owned(show(self.kind, object.clone()).header().clone())
        }
    }
}
