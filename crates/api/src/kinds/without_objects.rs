//! Resources that keep no objects: questions to the server, and a pod's binding in its old form.

use crate::kind::{KindInfo, Scope};

const AUTHENTICATION: &str = "authentication.k8s.io";
const AUTHORIZATION: &str = "authorization.k8s.io";

/// What is posted and answered at once.
const fn posted(
    group: &'static str,
    kind: &'static str,
    plural: &'static str,
    singular: &'static str,
    scope: Scope,
) -> KindInfo {
    KindInfo {
        group,
        version: "v1",
        kind,
        plural,
        singular,
        short_names: &[],
        categories: &[],
        scope,
        verbs: &["create"],
        subresources: &[],
        store_prefix: "",
    }
}

/// A pod's node, posted to a resource of its own.
pub static BINDING: KindInfo = posted("", "Binding", "bindings", "binding", Scope::Namespaced);

/// Which parts of the control plane are well.
pub static COMPONENT_STATUS: KindInfo = KindInfo {
    short_names: &["cs"],
    verbs: &["get", "list"],
    ..posted("", "ComponentStatus", "componentstatuses", "componentstatus", Scope::Cluster)
};

/// Who am I?
pub static SELF_SUBJECT_REVIEW: KindInfo =
    posted(AUTHENTICATION, "SelfSubjectReview", "selfsubjectreviews", "selfsubjectreview", Scope::Cluster);

/// Who has this token?
pub static TOKEN_REVIEW: KindInfo =
    posted(AUTHENTICATION, "TokenReview", "tokenreviews", "tokenreview", Scope::Cluster);

/// May somebody do something?
pub static SUBJECT_ACCESS_REVIEW: KindInfo = posted(
    AUTHORIZATION,
    "SubjectAccessReview",
    "subjectaccessreviews",
    "subjectaccessreview",
    Scope::Cluster,
);

/// May somebody do something in this namespace?
pub static LOCAL_SUBJECT_ACCESS_REVIEW: KindInfo = posted(
    AUTHORIZATION,
    "LocalSubjectAccessReview",
    "localsubjectaccessreviews",
    "localsubjectaccessreview",
    Scope::Namespaced,
);

/// May I do something?
pub static SELF_SUBJECT_ACCESS_REVIEW: KindInfo = posted(
    AUTHORIZATION,
    "SelfSubjectAccessReview",
    "selfsubjectaccessreviews",
    "selfsubjectaccessreview",
    Scope::Cluster,
);

/// What may I do?
pub static SELF_SUBJECT_RULES_REVIEW: KindInfo = posted(
    AUTHORIZATION,
    "SelfSubjectRulesReview",
    "selfsubjectrulesreviews",
    "selfsubjectrulesreview",
    Scope::Cluster,
);

/// Every one of them.
pub static ALL: &[&KindInfo] = &[
    &BINDING,
    &COMPONENT_STATUS,
    &SELF_SUBJECT_REVIEW,
    &TOKEN_REVIEW,
    &SUBJECT_ACCESS_REVIEW,
    &LOCAL_SUBJECT_ACCESS_REVIEW,
    &SELF_SUBJECT_ACCESS_REVIEW,
    &SELF_SUBJECT_RULES_REVIEW,
];
