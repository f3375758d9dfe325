//! Subresources that a node answers: a pod's log, exec, attach, port-forward. The bytes are passed through.
//! What is proxied is in `forward`.
//! Source: <https://kubernetes.io/docs/concepts/architecture/control-plane-node-communication/#apiserver-to-kubelet>

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use cox_api::{Reason, Request, Resource, Response, Status, Verb};
use cox_sys::dial_error_text;
use http::header::{CONNECTION, CONTENT_TYPE, HOST, HeaderMap, UPGRADE};
use http::{HeaderValue, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use serde_json::Value;
use tokio_rustls::TlsConnector;

use super::forward;
use super::reply::{Answered, Reply};
use super::target::{Query, ResourcePath};
use super::ticket::Ticket;
use crate::admission::Notes;
use crate::admission::connect::{Connection, connect};
use crate::auth::{Attributes, MASTERS, User};
use crate::server::ApiServer;

/// Bytes of a node's refusal that are shown.
const REFUSAL_BYTES_MAX: usize = 64 * 1024;

/// Whether a subresource is answered by a node.
pub(super) fn is_relayed(resource: &Resource, subresource: &str) -> bool {
    let core = resource.group.is_empty() && resource.version == "v1";
    let pods = resource.plural == "pods"
        && matches!(subresource, "log" | "exec" | "attach" | "portforward" | "proxy");
    core && (pods || (matches!(resource.plural.as_str(), "services" | "nodes") && subresource == "proxy"))
}

/// Passes a request on to the pod's node.
pub(super) async fn answer(
    server: &Arc<ApiServer>,
    user: &User,
    target: ResourcePath,
    ticket: &Ticket,
    request: http::Request<Incoming>,
) -> Result<Answered, Status> {
    let subresource = target.subresource.as_deref().unwrap_or_default().to_owned();
    if subresource == "proxy" {
        return forward::answer(server, user, &target, ticket, request).await;
    }
    let name = target.name.clone().unwrap_or_default();
    // An upgrade by GET does what a POST does: it needs the right to create.
    let verb = if subresource == "log" { Verb::Get } else { Verb::Create };
    let mut call = Request::new(verb, target.resource.clone()).name(&name).subresource(&subresource);
    call.namespace.clone_from(&target.namespace);
    ticket.authorize(&Attributes::call(user, &call))?;
    if subresource != "log" {
        let query = Query::parse(request.uri().query().unwrap_or_default()).into_pairs();
        admit(server, user, &target, ticket, query).await?;
    }
    let namespace = target.namespace.clone().unwrap_or_default();
    let pod = read(server, "pods", &namespace, &name).await?;
    let query = Query::parse(request.uri().query().unwrap_or_default());
    let node_name = pod["spec"]["nodeName"].as_str().unwrap_or_default().to_owned();
    let path = match subresource.as_str() {
        "portforward" => format!("/portForward/{namespace}/{name}"),
        other => {
            let container = container(&pod, &name, query.get("container"))?;
            let word = if other == "log" { "containerLogs" } else { other };
            format!("/{word}/{namespace}/{name}/{container}")
        }
    };
    if node_name.is_empty() {
        if subresource == "log" {
            // Nothing was written yet.
            return Ok(super::reply::whole(200, "text/plain", ""));
        }
        return Err(Status::bad_request(format!("pod {name} does not have a host assigned")));
    }
    let address = address(server, &node_name).await?;
    let uri = match request.uri().query() {
        Some(query) => format!("{path}?{query}"),
        None => path,
    };
    pass(server, address, &uri, ticket, request).await
}

/// Asks admission about a connection.
pub(super) async fn admit(
    server: &ApiServer,
    user: &User,
    target: &ResourcePath,
    ticket: &Ticket,
    query: Vec<(String, String)>,
) -> Result<(), Status> {
    let connection = Connection {
        user,
        resource: &target.resource,
        namespace: target.namespace.as_deref().unwrap_or_default(),
        name: target.name.as_deref().unwrap_or_default(),
        subresource: target.subresource.as_deref().unwrap_or_default(),
        query,
    };
    let (mut warnings, mut annotations) = (Vec::new(), Vec::new());
    let mut notes = Notes { warnings: &mut warnings, annotations: &mut annotations };
    let admitted = connect(server, connection, &mut notes).await;
    ticket.annotate(annotations);
    admitted
}

pub(super) async fn read(
    server: &ApiServer,
    plural: &str,
    namespace: &str,
    name: &str,
) -> Result<Value, Status> {
    let call = Request::new(Verb::Get, Resource::new("", "v1", plural)).namespace(namespace).name(name);
    match server.call_authorized(&User::admin(), call).await?.response {
        Response::Object { object, .. } => Ok(object.value()),
        other => Err(Status::internal(format!("reading {plural} {name} brought {other:?}"))),
    }
}

/// The container that is meant: the one named, or the only one.
fn container(pod: &Value, name: &str, wanted: Option<&str>) -> Result<String, Status> {
    let names = |list: &str| -> Vec<String> {
        let containers = pod["spec"][list].as_array().into_iter().flatten();
        containers.filter_map(|container| container["name"].as_str().map(str::to_owned)).collect()
    };
    let (mains, inits, ephemerals) =
        (names("containers"), names("initContainers"), names("ephemeralContainers"));
    match wanted.filter(|wanted| !wanted.is_empty()) {
        Some(wanted) => {
            if [&mains, &inits, &ephemerals].iter().any(|list| list.iter().any(|known| known == wanted)) {
                return Ok(wanted.to_owned());
            }
            Err(Status::bad_request(format!("container {wanted} is not valid for pod {name}")))
        }
        None => match mains.as_slice() {
            [only] => Ok(only.clone()),
            many => {
                let mut message = format!(
                    "a container name must be specified for pod {name}, choose one of: [{}]",
                    many.join(" ")
                );
                if !inits.is_empty() {
                    message.push_str(&format!(" or one of the init containers: [{}]", inits.join(" ")));
                }
                Err(Status::bad_request(message))
            }
        },
    }
}

/// Where the node's kubelet listens.
pub(super) async fn address(server: &ApiServer, name: &str) -> Result<SocketAddr, Status> {
    let node = read(server, "nodes", "", name).await?;
    let addresses = node["status"]["addresses"].as_array().into_iter().flatten();
    let ip = addresses
        .filter(|address| address["type"] == "InternalIP")
        .find_map(|address| address["address"].as_str()?.parse::<IpAddr>().ok());
    let port = node["status"]["daemonEndpoints"]["kubeletEndpoint"]["Port"]
        .as_u64()
        .and_then(|port| u16::try_from(port).ok());
    match (ip, port) {
        (Some(ip), Some(port)) if port > 0 => Ok(SocketAddr::new(ip, port)),
        _ => Err(Status::internal(format!("node {name} has no address with a kubelet"))),
    }
}

/// How this server shows kubelets who it is.
pub(super) fn kubelet_client(server: &ApiServer) -> Result<Arc<rustls::ClientConfig>, Status> {
    let identity =
        server.config().pki.client("kube-apiserver-kubelet-client", &[MASTERS]).map_err(Status::internal)?;
    server.config().pki.client_config(Some(&identity)).map_err(Status::internal)
}

async fn pass(
    server: &Arc<ApiServer>,
    address: SocketAddr,
    uri: &str,
    ticket: &Ticket,
    mut request: http::Request<Incoming>,
) -> Result<Answered, Status> {
    let unreachable =
        |error: &dyn std::fmt::Display| Status::internal(format!("error dialing backend: {error}"));
    let tls = kubelet_client(server)?;
    let stream = server.config().dialer.dial(address).await;
    let stream = stream.map_err(|error| unreachable(&dial_error_text(address, &error)))?;
    let stream = TlsConnector::from(tls)
        .connect(ServerName::IpAddress(address.ip().into()), stream)
        .await
        .map_err(|error| unreachable(&error))?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| unreachable(&error))?;
    server.env().spawn(async move {
        if let Err(error) = connection.with_upgrades().await {
            tracing::debug!(%error, "connection to a node");
        }
    });
    let mut forwarded = http::Request::builder().method(request.method().clone()).uri(uri);
    if let Some(headers) = forwarded.headers_mut() {
        copy_headers(request.headers(), headers);
        headers.insert(HOST, HeaderValue::from_str(&address.to_string()).map_err(Status::internal)?);
    }
    let forwarded = forwarded.body(Empty::<Bytes>::new()).map_err(Status::internal)?;
    let mut answer = sender.send_request(forwarded).await.map_err(|error| unreachable(&error))?;
    if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
        couple(server, ticket, hyper::upgrade::on(&mut answer), hyper::upgrade::on(&mut request));
        let mut switched = Answered::new(Reply::Whole(Bytes::new()));
        *switched.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        copy_headers(answer.headers(), switched.headers_mut());
        return Ok(switched);
    }
    if answer.status() != StatusCode::OK {
        return Err(refused(answer).await);
    }
    let media_type = answer.headers().get(CONTENT_TYPE).cloned();
    let mut answered = Answered::new(Reply::Passed(answer.into_body(), Some(Box::new(sender))));
    let media_type = media_type.unwrap_or(HeaderValue::from_static("text/plain"));
    answered.headers_mut().insert(CONTENT_TYPE, media_type);
    Ok(answered)
}

/// Carries bytes both ways between two upgraded connections until one side goes.
pub(super) fn couple(server: &ApiServer, ticket: &Ticket, upstream: OnUpgrade, client: OnUpgrade) {
    let ticket = ticket.clone();
    server.env().spawn(async move {
        // The request lasts as long as the connection.
        let _ticket = ticket;
        let (Ok(upstream), Ok(client)) = tokio::join!(upstream, client) else { return };
        let (mut upstream, mut client) = (TokioIo::new(upstream), TokioIo::new(client));
        // Either side may go at any time.
        let _ = tokio::io::copy_bidirectional(&mut upstream, &mut client).await;
    });
}

/// What makes an upgrade; credentials stay here.
fn copy_headers(from: &HeaderMap, to: &mut HeaderMap) {
    for (name, value) in from {
        let keep = name == UPGRADE
            || name == CONNECTION
            || name.as_str().starts_with("sec-websocket-")
            || name.as_str().starts_with("x-stream-protocol-version");
        if keep {
            to.append(name.clone(), value.clone());
        }
    }
}

/// A node's refusal as a status.
async fn refused(answer: http::Response<Incoming>) -> Status {
    let code = answer.status().as_u16();
    let body = http_body_util::Limited::new(answer.into_body(), REFUSAL_BYTES_MAX).collect().await;
    let text = body.map(|body| String::from_utf8_lossy(&body.to_bytes()).into_owned()).unwrap_or_default();
    let reason = match code {
        400 => Reason::BadRequest,
        403 => Reason::Forbidden,
        404 => Reason::NotFound,
        401 => return Status::internal(format!("the node refuses this API server: {text}")),
        _ => Reason::InternalError,
    };
    Status::new(code, reason, text)
}
