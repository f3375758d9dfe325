//! The transport across machines: HTTPS through kube's client.

mod answer;
mod lines;
mod target;

use async_trait::async_trait;
use cox_api::{Body, PatchKind, Reason, Request, Response, Status, Transport, Verb};
use futures::StreamExt;
use http::Method;
use http::header::{ACCEPT, CONTENT_TYPE};
use http_body_util::BodyExt;
use kube::config::{KubeConfigOptions, Kubeconfig};

use crate::error::{Error, Result};

/// Bytes of one answer that isn't a watch.
const ANSWER_BYTES_MAX: usize = 1 << 30;

/// A transport over HTTPS to any Kubernetes API server.
#[derive(Clone)]
pub struct HttpTransport {
    client: kube::Client,
}

impl HttpTransport {
    /// Over a client of kube's that is already made.
    pub fn new(client: kube::Client) -> HttpTransport {
        HttpTransport { client }
    }

    /// Over an explicit configuration. Needs a tokio runtime around it.
    ///
    /// # Errors
    /// [`Error::Connect`] where certificates or keys can't be used.
    pub fn from_config(config: kube::Config) -> Result<HttpTransport> {
        let client = kube::Client::try_from(config).map_err(|error| Error::Connect(Box::new(error)))?;
        Ok(HttpTransport { client })
    }

    /// Over the current context of a kubeconfig file.
    ///
    /// # Errors
    /// [`Error::Connect`] where the file can't be read or used.
    pub async fn from_kubeconfig(path: &std::path::Path) -> Result<HttpTransport> {
        let kubeconfig = Kubeconfig::read_from(path).map_err(|error| Error::Connect(Box::new(error)))?;
        let config = kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
            .await
            .map_err(|error| Error::Connect(Box::new(error)))?;
        HttpTransport::from_config(config)
    }
}

#[async_trait]
impl Transport for HttpTransport {
    async fn call(&self, request: Request) -> std::result::Result<Response, Status> {
        let method = match request.verb {
            Verb::Get | Verb::List | Verb::Watch => Method::GET,
            Verb::Create => Method::POST,
            Verb::Update => Method::PUT,
            Verb::Patch => Method::PATCH,
            Verb::Delete | Verb::DeleteCollection => Method::DELETE,
        };
        let mut http = http::Request::builder()
            .method(method)
            .uri(target::of(&request))
            .header(ACCEPT, "application/json");
        let bytes = match &request.body {
            Body::None => Vec::new(),
            Body::Json(value) => {
                http = http.header(CONTENT_TYPE, "application/json");
                serde_json::to_vec(value).map_err(Status::internal)?
            }
            Body::Patch(kind, value) => {
                http = http.header(CONTENT_TYPE, patch_media_type(*kind));
                serde_json::to_vec(value).map_err(Status::internal)?
            }
            Body::Raw { media_type, bytes } => {
                http = http.header(CONTENT_TYPE, media_type);
                bytes.to_vec()
            }
        };
        let http = http.body(kube::client::Body::from(bytes)).map_err(Status::internal)?;
        let answer = self.client.send(http).await.map_err(unreachable)?;
        let code = answer.status().as_u16();
        if request.verb == Verb::Watch && answer.status().is_success() {
            let resource = request.resource;
            let lines = lines::split(answer.into_body().into_data_stream());
            let events = lines.map(move |line| {
                let line = line.map_err(|why| Status::new(500, Reason::InternalError, why))?;
                answer::event(&resource, &line)
            });
            return Ok(Response::Watch(until_error(events).boxed()));
        }
        let body = http_body_util::Limited::new(answer.into_body(), ANSWER_BYTES_MAX);
        let bytes = body.collect().await.map_err(unreachable)?.to_bytes();
        answer::of(&request, code, &bytes)
    }
}

/// An error is the last item of a watch.
fn until_error<S>(
    events: S,
) -> impl futures::Stream<Item = std::result::Result<cox_api::WatchEvent, Status>> + Send + 'static
where
    S: futures::Stream<Item = std::result::Result<cox_api::WatchEvent, Status>> + Send + 'static,
{
    events.scan(false, |ended, item| {
        let go_on = !*ended;
        *ended = item.is_err();
        futures::future::ready(go_on.then_some(item))
    })
}

fn patch_media_type(kind: PatchKind) -> &'static str {
    match kind {
        PatchKind::Json => "application/json-patch+json",
        PatchKind::Merge => "application/merge-patch+json",
        PatchKind::Strategic => "application/strategic-merge-patch+json",
        PatchKind::Apply => "application/apply-patch+yaml",
    }
}

/// No answer, with the causes that the error's own text leaves out.
fn unreachable(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Status {
    let error = error.into();
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text = format!("{text}: {inner_text}");
        }
        cause = inner.source();
    }
    Status::new(503, Reason::ServiceUnavailable, format!("no answer from the API server: {text}"))
}
