//! What can go wrong between a component and the API.

use cox_api::Status;

/// The crate's result.
pub type Result<T> = std::result::Result<T, Error>;

/// A failed call.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The API server said no, or there was no answer.
    #[error(transparent)]
    Api(#[from] Status),
    /// An answer doesn't fit the type that was asked for.
    #[error("the answer is no {kind}: {source}")]
    Decode {
        /// The kind that was asked for.
        kind: &'static str,
        /// Where it doesn't fit.
        source: serde_json::Error,
    },
    /// An object can't be written as JSON.
    #[error("a {kind} can't be written as JSON: {source}")]
    Encode {
        /// The object's kind.
        kind: &'static str,
        /// Why.
        source: serde_json::Error,
    },
    /// The transport answered in another form than the verb has.
    #[error("unexpected answer to {verb} {what}: {got}")]
    Unexpected {
        /// The verb of the call.
        verb: &'static str,
        /// The resource of the call.
        what: String,
        /// What came instead.
        got: String,
    },
    /// The configuration of a connection can't be used.
    #[error("can't connect to the API server: {0}")]
    Connect(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Upstream's words for what a controller could not do; carried into its events.
    #[error("{0}")]
    Other(String),
}

impl Error {
    /// The API server's answer, where there was one.
    pub fn status(&self) -> Option<&Status> {
        match self {
            Error::Api(status) => Some(status),
            _ => None,
        }
    }

    /// Whether the object wasn't there.
    pub fn is_not_found(&self) -> bool {
        self.status().is_some_and(Status::is_not_found)
    }

    /// Whether the write met a newer version or a failed precondition.
    pub fn is_conflict(&self) -> bool {
        self.status().is_some_and(Status::is_conflict)
    }

    /// Whether the name was taken.
    pub fn is_already_exists(&self) -> bool {
        self.status().is_some_and(Status::is_already_exists)
    }

    /// Whether the object is refused for what is in it.
    pub fn is_invalid(&self) -> bool {
        self.status().is_some_and(|status| status.reason() == cox_api::Reason::Invalid)
    }

    /// Whether the namespace of a new object is being deleted (a 403 with the cause `NamespaceTerminating`).
    pub fn is_namespace_terminating(&self) -> bool {
        self.status().and_then(Status::details).and_then(|details| details["causes"].as_array()).is_some_and(
            |causes| causes.iter().any(|cause| cause["reason"].as_str() == Some("NamespaceTerminating")),
        )
    }
}
