//! Admission: small plugins that change or refuse what is written, after authorization and before the rules of
//! the kind.
//! Source: <https://kubernetes.io/docs/reference/access-authn-authz/admission-controllers/>

mod certificates;
mod claim_resize;
pub(crate) mod connect;
mod default_classes;
mod default_tolerations;
pub(crate) mod device_access;
mod dynamic;
mod limit_ranger;
mod namespace_lifecycle;
mod node_restriction;
mod node_taint;
mod pod_preset;
mod pod_security;
mod priority;
pub(crate) mod quota;
mod roles;
mod runtime_class;
mod service_account;
mod storage_protection;

use cox_api::{Kind, KindInfo, Options, Status};
use serde_json::Value;

use crate::auth::User;
use crate::core::call::Call;
use crate::db::Db;
use crate::server::ApiServer;
use dynamic::Dynamic;
pub(crate) use dynamic::Notes;

/// What a write does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Operation {
    Create,
    Update,
    Delete,
    Connect,
}

/// A write on its way.
#[derive(Clone)]
pub(crate) struct Attempt<'a> {
    pub server: &'a ApiServer,
    pub user: &'a User,
    pub operation: Operation,
    /// The kind of the resource, which isn't always that of the object.
    pub kind: &'static dyn Kind,
    pub info: &'static KindInfo,
    pub subresource: &'a str,
    pub namespace: &'a str,
    /// Empty where the name is still to be generated.
    pub name: String,
    pub old: Option<&'a Value>,
    pub options: &'a Options,
    /// Nothing will be written.
    pub dry_run: bool,
    /// Whether an update is made by a patch.
    pub patches: bool,
}

impl<'a> Attempt<'a> {
    /// Of a call. The strings are the call's own, not its borrow's.
    pub(crate) fn of(
        call: &Call<'a>,
        operation: Operation,
        name: String,
        old: Option<&'a Value>,
    ) -> Attempt<'a> {
        Attempt {
            server: call.server,
            user: call.user,
            operation,
            kind: call.kind,
            info: call.info(),
            subresource: call.subresource,
            namespace: call.namespace,
            name,
            old,
            options: call.options,
            dry_run: call.options.dry_run,
            patches: call.verb == cox_api::Verb::Patch,
        }
    }

    /// Whether this is about objects of a resource, or their subresource.
    pub(crate) fn is(&self, group: &str, plural: &str, subresource: &str) -> bool {
        self.info.group == group && self.info.plural == plural && self.subresource == subresource
    }

    /// Whether a new object of the resource is made.
    pub(crate) fn creates(&self, group: &str, plural: &str) -> bool {
        self.operation == Operation::Create && self.is(group, plural, "")
    }

    /// 403 with the plugin's words.
    pub(crate) fn forbidden(&self, why: &str) -> Status {
        Status::forbidden(self.info.group, self.info.plural, &self.name, why)
    }
}

/// A step of admission.
pub(crate) trait Plugin: Send + Sync {
    /// Changes the object, or refuses it.
    fn admit(
        &self,
        _attempt: &Attempt<'_>,
        _object: &mut Value,
        _warnings: &mut Vec<String>,
    ) -> Result<(), Status> {
        Ok(())
    }

    /// Refuses what is wrong with the object as it would be written; there is none for a deletion.
    fn validate(
        &self,
        _attempt: &Attempt<'_>,
        _object: Option<&Value>,
        _warnings: &mut Vec<String>,
    ) -> Result<(), Status> {
        Ok(())
    }
}

/// The plugins in their order.
pub(crate) struct Admission {
    plugins: Vec<Box<dyn Plugin>>,
    dynamic: Dynamic,
}

impl Admission {
    pub(crate) fn new(db: &Db) -> Admission {
        Admission {
            plugins: vec![
                Box::new(namespace_lifecycle::NamespaceLifecycle),
                Box::new(limit_ranger::LimitRanger),
                Box::new(service_account::ServiceAccount),
                Box::new(pod_preset::PodPreset),
                Box::new(node_restriction::NodeRestriction),
                Box::new(node_taint::TaintNodesByCondition),
                Box::new(priority::Priority),
                Box::new(default_tolerations::DefaultTolerationSeconds),
                Box::new(storage_protection::StorageObjectInUseProtection),
                Box::new(default_classes::DefaultStorageClass),
                Box::new(default_classes::DefaultIngressClass),
                Box::new(claim_resize::PersistentVolumeClaimResize),
                Box::new(runtime_class::RuntimeClass),
                Box::new(certificates::CertificateApproval),
                Box::new(pod_security::PodSecurity),
                Box::new(roles::Escalation),
            ],
            dynamic: Dynamic::new(db),
        }
    }

    /// The server has made what it needs: from here on users' webhooks and policies have a say.
    pub(crate) fn begin(&self) {
        self.dynamic.begin();
    }

    /// Those that may change an object: first those built in, then what users have written down. Whoever comes first
    /// has another look where somebody later has changed the object.
    pub(crate) async fn admit(
        &self,
        attempt: &Attempt<'_>,
        object: &mut Value,
        notes: &mut Notes<'_>,
    ) -> Result<(), Status> {
        self.admit_built_in(attempt, object, notes)?;
        let Some(mut mutation) = self.dynamic.mutation(attempt) else { return Ok(()) };
        if !mutation.admit(attempt, Some(object), notes).await? {
            return Ok(());
        }
        let mut again = Vec::new();
        let mut notes = Notes { warnings: &mut again, annotations: notes.annotations };
        self.admit_built_in(attempt, object, &mut notes)?;
        mutation.repeat(Some(object));
        mutation.admit(attempt, Some(object), &mut notes).await.map(drop)
    }

    fn admit_built_in(
        &self,
        attempt: &Attempt<'_>,
        object: &mut Value,
        notes: &mut Notes<'_>,
    ) -> Result<(), Status> {
        self.plugins.iter().try_for_each(|plugin| plugin.admit(attempt, object, notes.warnings))
    }

    /// Those that may refuse an object as it would be written; there is none for a deletion.
    pub(crate) async fn validate(
        &self,
        attempt: &Attempt<'_>,
        object: Option<&Value>,
        notes: &mut Notes<'_>,
    ) -> Result<(), Status> {
        self.plugins.iter().try_for_each(|plugin| plugin.validate(attempt, object, notes.warnings))?;
        self.dynamic.validate(attempt, object, notes).await
    }

    /// What users have written down, for something that is asked and not stored as it is: a connection, a Binding.
    pub(crate) async fn admit_asked(
        &self,
        attempt: &Attempt<'_>,
        object: &mut Value,
        notes: &mut Notes<'_>,
    ) -> Result<(), Status> {
        self.mutate_asked(attempt, object, notes).await?;
        self.dynamic.validate(attempt, Some(object), notes).await
    }

    /// The part of it that may change things.
    pub(crate) async fn mutate_asked(
        &self,
        attempt: &Attempt<'_>,
        object: &mut Value,
        notes: &mut Notes<'_>,
    ) -> Result<(), Status> {
        match self.dynamic.mutation(attempt) {
            Some(mut mutation) => mutation.admit(attempt, Some(object), notes).await.map(drop),
            None => Ok(()),
        }
    }

    /// All of them for a deletion, in which nothing can be changed.
    pub(crate) async fn admit_deletion(
        &self,
        attempt: &Attempt<'_>,
        notes: &mut Notes<'_>,
    ) -> Result<(), Status> {
        if let Some(mut mutation) = self.dynamic.mutation(attempt) {
            mutation.admit(attempt, None, notes).await?;
        }
        self.validate(attempt, None, notes).await
    }
}

/// The elements of a list that may be missing.
pub(crate) fn each(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// The same, to change them.
pub(crate) fn each_mut(value: Option<&mut Value>) -> impl Iterator<Item = &mut Value> {
    value.and_then(Value::as_array_mut).into_iter().flatten()
}

/// Text that may be missing.
pub(crate) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// The list under a key, made where it is missing.
pub(crate) fn list_mut<'v>(value: &'v mut Value, key: &str) -> Option<&'v mut Vec<Value>> {
    let entry = value.as_object_mut()?.entry(key).or_insert_with(|| Value::Array(Vec::new()));
    if !entry.is_array() {
        *entry = Value::Array(Vec::new());
    }
    entry.as_array_mut()
}
