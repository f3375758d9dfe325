//! `/portForward`: connections to a pod's ports.

use std::sync::Arc;

use hyper::body::Incoming;
use hyper::{Request, Response, StatusCode};

use super::{Body, Refusal, lookup};
use crate::node::Node;

pub(super) async fn serve(node: &Arc<Node>, namespace: &str, name: &str, _request: Request<Incoming>) -> Result<Response<Body>, Refusal> {
    lookup::pod(node, namespace, name)?;
    Err(Refusal(StatusCode::NOT_IMPLEMENTED, "port-forward is not available yet: this node does not speak SPDY/3.1".into()))
}
