//! Changing from HTTP to SPDY. Source: upstream's `httpstream` handshake.

use hyper::body::Incoming;
use hyper::header::{CONNECTION, HeaderValue, UPGRADE};
use hyper::{Request, Response, StatusCode};

use super::super::{Body, Refusal, full};

const SPDY: &str = "SPDY/3.1";
const PROTOCOL: &str = "x-stream-protocol-version";

/// Whether a request asks for SPDY.
pub(crate) fn is_spdy(request: &Request<Incoming>) -> bool {
    request.headers().get(UPGRADE).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(SPDY.as_bytes()))
}

/// The answer to a request that asks for it, and which of the protocols on top of it both sides know: the first that
/// the client names.
pub(crate) fn switch(
    request: &Request<Incoming>,
    known: &[&'static str],
) -> Result<(Response<Body>, &'static str), Refusal> {
    let named = request.headers().get_all(PROTOCOL).iter().filter_map(|value| value.to_str().ok());
    let named: Vec<&str> = named.flat_map(|value| value.split(',')).map(str::trim).collect();
    if named.is_empty() {
        return Err(Refusal::bad_request("unable to upgrade: X-Stream-Protocol-Version is required"));
    }
    let chosen = named.iter().find_map(|name| known.iter().find(|protocol| *protocol == name)).copied();
    let Some(chosen) = chosen else {
        let text = format!(
            "unable to upgrade: unable to negotiate protocol: client supports [{}], server accepts [{}]",
            named.join(" "),
            known.join(" ")
        );
        return Err(Refusal(StatusCode::FORBIDDEN, text));
    };
    let mut response = Response::new(full(""));
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static(SPDY));
    headers.insert(PROTOCOL, HeaderValue::from_static(chosen));
    Ok((response, chosen))
}
