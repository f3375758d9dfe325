//! Asking a webhook: an `AdmissionReview` over HTTPS.

use std::net::SocketAddr;

use cox_sys::dial_error_text;
use http::header::{ACCEPT, CONTENT_TYPE, HOST, USER_AGENT};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use serde_json::{Value, json};
use tokio_rustls::TlsConnector;

use super::super::subject::{Form, Subject};
use super::Webhook;
use super::answer::{self, Verdict};
use super::endpoint::Target;
use super::failure::{self, Failure};
use super::tls;
use crate::proxy::service_endpoint;
use crate::server::ApiServer;

/// Bytes of a webhook's answer.
const ANSWER_BYTES_MAX: usize = 8 << 20;

/// Asks a webhook about a request, shown in a form.
pub(super) async fn ask(hook: &Webhook, subject: &Subject<'_>, form: Form) -> Result<Verdict, Failure> {
    let attempt = subject.attempt;
    if attempt.dry_run && !hook.harmless {
        return Err(Failure::Refused(failure::no_dry_run(&hook.name)));
    }
    let Some(version) = hook.version else {
        return Err(Failure::Unusable(
            "webhook does not accept known AdmissionReview versions (v1, v1beta1)".to_owned(),
        ));
    };
    let uid = attempt.server.env().chance().uid();
    let mut request = subject.request(form);
    request["uid"] = uid.as_str().into();
    let shown = |object: Option<&Value>| object.map_or(Value::Null, |object| form.show(attempt, object));
    request["object"] = shown(subject.object);
    request["oldObject"] = shown(attempt.old);
    let api_version = format!("admission.k8s.io/{version}");
    let review = json!({"kind": "AdmissionReview", "apiVersion": api_version, "request": request});
    let asked = post(attempt.server, hook, review.to_string());
    let body = match tokio::time::timeout(hook.timeout, asked).await {
        Ok(outcome) => outcome.map_err(|why| Failure::Unusable(format!("failed to call webhook: {why}")))?,
        Err(_) => {
            let why =
                format!("failed to call webhook: Post {:?}: context deadline exceeded", hook.endpoint.url);
            return Err(Failure::Unusable(why));
        }
    };
    answer::read(&body, &uid, version, &hook.name)
}

/// Sends a review, and brings the answer's body.
async fn post(server: &ApiServer, hook: &Webhook, review: String) -> Result<Bytes, String> {
    let endpoint = &hook.endpoint;
    let failed = |why: &dyn std::fmt::Display| format!("Post {:?}: {why}", endpoint.url);
    let tls = endpoint.tls.clone().map_err(|why| failed(&why))?;
    let address = match &endpoint.target {
        Target::Service { namespace, name } => {
            let found = service_endpoint(server, namespace, name, &endpoint.port.to_string());
            found.map_err(|status| failed(&status.message()))?
        }
        Target::Host => lookup(&endpoint.host, endpoint.port).await.map_err(|why| failed(&why))?,
    };
    let stream = match &endpoint.target {
        Target::Service { .. } => server.config().dialer.dial(address).await,
        // A host of the network, not of the cluster: from where this process is.
        Target::Host => crate::proxy::Dialer::dial(&crate::proxy::DirectDialer, address).await,
    };
    let stream = stream.map_err(|error| failed(&dial_error_text(address, &error)))?;
    let name = ServerName::try_from(endpoint.host.clone()).map_err(|error| failed(&error))?;
    let stream =
        TlsConnector::from(tls).connect(name, stream).await.map_err(|error| failed(&tls::words(&error)))?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| failed(&error))?;
    // It ends with the exchange, also where nobody waits for that any more.
    let connection = Aborted(tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "connection to a webhook");
        }
    }));
    let authority = match endpoint.url.strip_prefix("https://").and_then(|rest| rest.split(['/', '?']).next())
    {
        Some(authority) => authority,
        None => &endpoint.host,
    };
    let request = http::Request::post(&endpoint.path)
        .header(HOST, authority)
        .header(ACCEPT, "application/json, */*")
        .header(CONTENT_TYPE, "application/json")
        .header(USER_AGENT, "kube-apiserver-admission")
        .body(Full::new(Bytes::from(review)))
        .map_err(|error| failed(&error))?;
    let answered = sender.send_request(request).await.map_err(|error| failed(&error))?;
    let status = answered.status().as_u16();
    let body = Limited::new(answered.into_body(), ANSWER_BYTES_MAX)
        .collect()
        .await
        .map_err(|error| failed(&error))?;
    drop(connection);
    let body = body.to_bytes();
    if (200..300).contains(&status) { Ok(body) } else { Err(answer::refusal(status, &body)) }
}

/// Ends a task when it is dropped.
struct Aborted(tokio::task::JoinHandle<()>);

impl Drop for Aborted {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn lookup(host: &str, port: u16) -> Result<SocketAddr, String> {
    let mut found = tokio::net::lookup_host((host, port))
        .await
        .map_err(|_| format!("dial tcp: lookup {host}: no such host"))?;
    found.next().ok_or_else(|| format!("dial tcp: lookup {host}: no such host"))
}
