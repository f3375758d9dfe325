//! `CertificateSigningRequest` of `certificates.k8s.io/v1`.

use crate::kind::{Kind, KindInfo, Scope, Subresource};

/// The kind's rules.
pub struct CertificateSigningRequest;

static INFO: KindInfo = KindInfo {
    group: "certificates.k8s.io",
    version: "v1",
    kind: "CertificateSigningRequest",
    plural: "certificatesigningrequests",
    singular: "certificatesigningrequest",
    short_names: &["csr"],
    categories: &[],
    scope: Scope::Cluster,
    verbs: &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
    subresources: &[
        Subresource {
            name: "approval",
            kind: "CertificateSigningRequest",
            group: "",
            version: "",
            verbs: &["get", "patch", "update"],
        },
        Subresource {
            name: "status",
            kind: "CertificateSigningRequest",
            group: "",
            version: "",
            verbs: &["get", "patch", "update"],
        },
    ],
    store_prefix: "certificatesigningrequests",
};

impl Kind for CertificateSigningRequest {
    fn info(&self) -> &'static KindInfo {
        &INFO
    }
}
