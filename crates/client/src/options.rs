//! The parameters of calls, as far as components of a cluster use them.

use cox_api::Options;
use serde_json::{Map, Value};

/// Which objects of a kind.
#[derive(Clone, Debug, Default)]
pub struct ListOptions {
    /// As in `app=web,tier!=db`.
    pub label_selector: Option<String>,
    /// As in `spec.nodeName=n1`.
    pub field_selector: Option<String>,
    /// At most so many in one answer.
    pub limit: Option<u64>,
    /// Where to go on.
    pub continue_token: Option<String>,
    /// Not older than this revision; `0` for whatever the server has at hand.
    pub resource_version: Option<String>,
}

impl ListOptions {
    pub(crate) fn apply(&self, options: &mut Options) {
        options.label_selector.clone_from(&self.label_selector);
        options.field_selector.clone_from(&self.field_selector);
        options.limit = self.limit;
        options.continue_token.clone_from(&self.continue_token);
        options.resource_version.clone_from(&self.resource_version);
    }
}

/// How something is written.
#[derive(Clone, Debug, Default)]
pub struct WriteOptions {
    /// Who owns the fields; needed by apply.
    pub field_manager: Option<String>,
    /// Take fields over from other owners (apply only).
    pub force: bool,
    /// Check everything, write nothing.
    pub dry_run: bool,
}

impl WriteOptions {
    /// As this field manager, taking over fields.
    pub fn apply_as(manager: &str) -> WriteOptions {
        WriteOptions { field_manager: Some(manager.to_owned()), force: true, dry_run: false }
    }

    pub(crate) fn apply(&self, options: &mut Options) {
        options.field_manager.clone_from(&self.field_manager);
        options.force = self.force.then_some(true);
        options.dry_run = self.dry_run;
    }
}

/// What happens to dependents of a deleted object (`metav1.DeletionPropagation`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Propagation {
    Orphan,
    Background,
    Foreground,
}

impl Propagation {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Propagation::Orphan => "Orphan",
            Propagation::Background => "Background",
            Propagation::Foreground => "Foreground",
        }
    }
}

/// `metav1.DeleteOptions`.
#[derive(Clone, Debug, Default)]
pub struct DeleteOptions {
    /// Seconds until the object is gone; absent means the kind's own default.
    pub grace_period_seconds: Option<i64>,
    /// What happens to dependents; absent means the kind's own default.
    pub propagation: Option<Propagation>,
    /// Only if the object still has this uid.
    pub uid: Option<String>,
    /// Only if the object is still this version.
    pub resource_version: Option<String>,
    /// Check everything, delete nothing.
    pub dry_run: bool,
}

impl DeleteOptions {
    /// Only if the object still has this uid.
    pub fn uid(uid: &str) -> DeleteOptions {
        DeleteOptions { uid: Some(uid.to_owned()), ..DeleteOptions::default() }
    }

    /// The same with a grace period.
    pub fn grace_period_seconds(mut self, seconds: i64) -> DeleteOptions {
        self.grace_period_seconds = Some(seconds);
        self
    }

    /// The same with a propagation.
    pub fn propagation(mut self, propagation: Propagation) -> DeleteOptions {
        self.propagation = Some(propagation);
        self
    }

    /// The object on the wire.
    pub fn to_value(&self) -> Value {
        let mut body = Map::new();
        body.insert("apiVersion".into(), "v1".into());
        body.insert("kind".into(), "DeleteOptions".into());
        if let Some(seconds) = self.grace_period_seconds {
            body.insert("gracePeriodSeconds".into(), seconds.into());
        }
        if let Some(propagation) = self.propagation {
            body.insert("propagationPolicy".into(), propagation.as_str().into());
        }
        let mut preconditions = Map::new();
        if let Some(uid) = &self.uid {
            preconditions.insert("uid".into(), uid.as_str().into());
        }
        if let Some(version) = &self.resource_version {
            preconditions.insert("resourceVersion".into(), version.as_str().into());
        }
        if !preconditions.is_empty() {
            body.insert("preconditions".into(), preconditions.into());
        }
        if self.dry_run {
            body.insert("dryRun".into(), vec!["All"].into());
        }
        body.into()
    }
}
