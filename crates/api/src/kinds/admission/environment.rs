//! What the expressions of admission may refer to.
//! Source: <https://kubernetes.io/docs/reference/access-authn-authz/validating-admission-policy/#validation-expression>

use std::sync::LazyLock;

use cox_cel::{Declarations, Type};

/// Which variables there are besides `object`, `oldObject`, `request` and `namespaceObject`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Environment {
    /// `params`.
    pub params: bool,
    /// `authorizer` and `authorizer.requestResource`.
    pub authorizer: bool,
    /// The types of patches.
    pub patches: bool,
}

impl Environment {
    /// The declarations; `variables` are those of a policy, compiled so far, where it has any.
    #[must_use]
    pub fn declarations(self, variables: Option<&[(String, Type)]>) -> Declarations {
        let mut declared = Declarations::new()
            .variable("object", Type::Dyn)
            .variable("oldObject", Type::Dyn)
            .variable("request", REQUEST.clone())
            .variable("namespaceObject", NAMESPACE.clone());
        if self.params {
            declared = declared.variable("params", Type::Dyn);
        }
        if self.authorizer {
            declared = declared
                .variable("authorizer", Type::opaque("kubernetes.authorization.Authorizer"))
                .variable(
                    "authorizer.requestResource",
                    Type::opaque("kubernetes.authorization.ResourceCheck"),
                );
        }
        if self.patches {
            declared = declared.patches();
        }
        match variables {
            None => declared,
            Some(variables) => {
                let fields = variables.iter().map(|(name, of)| (name.as_str(), of.clone()));
                declared.variable("variables", Type::object("kubernetes.variables", fields))
            }
        }
    }
}

/// The type of `request`.
pub static REQUEST: LazyLock<Type> = LazyLock::new(|| {
    let of = |last: &str, name: &str| {
        Type::object(name, [("group", Type::String), ("version", Type::String), (last, Type::String)])
    };
    let kind = of("kind", "kubernetes.GroupVersionKind");
    let resource = of("resource", "kubernetes.GroupVersionResource");
    let texts = Type::list(Type::String);
    let user = Type::object(
        "kubernetes.UserInfo",
        [
            ("username", Type::String),
            ("uid", Type::String),
            ("groups", texts.clone()),
            ("extra", Type::map(Type::String, texts)),
        ],
    );
    Type::object(
        "kubernetes.AdmissionRequest",
        [
            ("kind", kind.clone()),
            ("resource", resource.clone()),
            ("subResource", Type::String),
            ("requestKind", kind),
            ("requestResource", resource),
            ("requestSubResource", Type::String),
            ("name", Type::String),
            ("namespace", Type::String),
            ("operation", Type::String),
            ("userInfo", user),
            ("dryRun", Type::Bool),
            ("options", Type::Dyn),
        ],
    )
});

/// The type of `namespaceObject`: a Namespace without what is nobody's business here.
pub static NAMESPACE: LazyLock<Type> = LazyLock::new(|| {
    let texts = Type::list(Type::String);
    let labels = Type::map(Type::String, Type::String);
    let condition = Type::object(
        "kubernetes.NamespaceCondition",
        [
            ("status", Type::String),
            ("type", Type::String),
            ("lastTransitionTime", Type::Timestamp),
            ("message", Type::String),
            ("reason", Type::String),
        ],
    );
    let metadata = Type::object(
        "kubernetes.NamespaceMetadata",
        [
            ("name", Type::String),
            ("generateName", Type::String),
            ("namespace", Type::String),
            ("labels", labels.clone()),
            ("annotations", labels),
            ("UID", Type::String),
            ("creationTimestamp", Type::Timestamp),
            ("deletionGracePeriodSeconds", Type::Int),
            ("deletionTimestamp", Type::Timestamp),
            ("generation", Type::Int),
            ("resourceVersion", Type::String),
            ("finalizers", texts.clone()),
        ],
    );
    Type::object(
        "kubernetes.Namespace",
        [
            ("metadata", metadata),
            ("spec", Type::object("kubernetes.NamespaceSpec", [("finalizers", texts)])),
            (
                "status",
                Type::object(
                    "kubernetes.NamespaceStatus",
                    [("conditions", Type::list(condition)), ("phase", Type::String)],
                ),
            ),
        ],
    )
});
