//! Who may approve and sign certificate requests of which signer.
//! Source: <https://kubernetes.io/docs/reference/access-authn-authz/certificate-signing-requests/#authorization>

use cox_api::Status;
use serde_json::Value;

use super::{Attempt, Operation, Plugin, text};
use crate::auth::{Attributes, MASTERS};

const GROUP: &str = "certificates.k8s.io";
const PLURAL: &str = "certificatesigningrequests";

pub(super) struct CertificateApproval;

impl Plugin for CertificateApproval {
    fn validate(
        &self,
        attempt: &Attempt<'_>,
        object: Option<&Value>,
        _: &mut Vec<String>,
    ) -> Result<(), Status> {
        if attempt.info.group != GROUP || attempt.info.plural != PLURAL {
            return Ok(());
        }
        let Some(request) = object else { return Ok(()) };
        let (verb, words) = match (attempt.subresource, attempt.operation) {
            ("approval", Operation::Update) => ("approve", "approve"),
            ("status", Operation::Update) => {
                let old = attempt.old.map_or(&Value::Null, |old| &old["status"]);
                if old["certificate"] == request["status"]["certificate"]
                    && old["conditions"] == request["status"]["conditions"]
                {
                    return Ok(());
                }
                ("sign", "sign")
            }
            ("", Operation::Create) => return masters(attempt, request),
            _ => return Ok(()),
        };
        let signer = attempt.old.map_or("", |old| text(&old["spec"]["signerName"])).to_owned();
        if may(attempt, verb, &signer) {
            return Ok(());
        }
        Err(attempt.forbidden(&format!("user not permitted to {words} requests with signerName {signer:?}")))
    }
}

/// By the signer's name, or by its domain.
fn may(attempt: &Attempt<'_>, verb: &str, signer: &str) -> bool {
    let domain = signer.split_once('/').map_or("", |(domain, _)| domain);
    [signer.to_owned(), format!("{domain}/*")].iter().any(|name| {
        attempt
            .server
            .authorizer()
            .decide(&Attributes { name, ..Attributes::resource(attempt.user, verb, GROUP, "signers") })
            .allowed
    })
}

/// Nobody becomes a member of `system:masters` by a client certificate.
fn masters(attempt: &Attempt<'_>, request: &Value) -> Result<(), Status> {
    use base64::Engine;
    use x509_parser::prelude::{FromDer, X509CertificationRequest};
    if request["spec"]["signerName"] != "kubernetes.io/kube-apiserver-client" {
        return Ok(());
    }
    let decoded = base64::engine::general_purpose::STANDARD.decode(text(&request["spec"]["request"]));
    let Ok(pem) = decoded else { return Ok(()) };
    let Ok((_, pem)) = x509_parser::pem::parse_x509_pem(&pem) else { return Ok(()) };
    let Ok((_, csr)) = X509CertificationRequest::from_der(&pem.contents) else { return Ok(()) };
    let subject = &csr.certification_request_info.subject;
    if subject.iter_organization().any(|group| group.as_str() == Ok(MASTERS)) {
        return Err(attempt.forbidden(&format!(
            "use of kubernetes.io/kube-apiserver-client signer with {MASTERS} group is not allowed"
        )));
    }
    Ok(())
}
