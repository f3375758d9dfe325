//! One request: who asks, what for, and the answer.

use std::sync::Arc;

use cox_api::{Body, Reason, Request, Response, Scope, Status, Verb};
use http::Method;
use http::header::{
    ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER,
    USER_AGENT, X_CONTENT_TYPE_OPTIONS,
};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::{Bytes, Incoming};

use super::accept::{self, Form, Purpose};
use super::encode::{self, About};
use super::guard::Use;
use super::info::Info;
use super::reply::{self, Answered, Reply};
use super::table::Include;
use super::target::{Query, ResourcePath, decode_percent};
use super::ticket::Ticket;
use super::web_socket::Socket;
use super::{deadline, discovery, options, relay, system, warnings, web_socket};
use crate::auth::{ANONYMOUS, Attributes, Impersonation, UNAUTHENTICATED, User, impersonate};
use crate::flow::Refused;
use crate::metrics::Login;
use crate::registry::Served;
use crate::server::{ApiServer, Aside};

/// Paths for those who don't say who they are.
const OPEN_PATHS: [&str; 4] = ["/healthz", "/livez", "/readyz", "/version"];

/// A request waits for this part of its time to be let in, and not longer than the maximum. Upstream's are the same.
const WAIT_SHARE: u32 = 4;
const WAIT_MAX: std::time::Duration = std::time::Duration::from_secs(60);

/// What all requests of a connection share.
pub(super) struct Connection {
    /// Who the client certificate names.
    pub(super) user: Option<User>,
    /// Where the server was reached.
    pub(super) address: Arc<str>,
    /// The client's address.
    pub(super) peer: Option<std::net::IpAddr>,
    /// Whether anything is being asked.
    pub(super) used: Arc<Use>,
}

/// Answers a request.
pub(super) async fn handle(
    server: Arc<ApiServer>,
    connection: Arc<Connection>,
    request: http::Request<Incoming>,
) -> Answered {
    let gzip = request
        .headers()
        .get_all(ACCEPT_ENCODING)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .any(|value| value.split(',').any(|word| word.trim().split(';').next() == Some("gzip")));
    let form = fallback_form(request.headers());
    let in_use = connection.used.begin();
    let info = Info::of(&request);
    let ticket = Ticket::new(&server, &info, &request);
    let mut answered = match admit(&server, &connection, &info, &ticket, request).await {
        Ok(answered) => answered,
        Err(status) => {
            ticket.status(|| status.to_value());
            encode::refusal(&status, form)
        }
    };
    ticket.made(&mut answered);
    let mut answered = if gzip { super::system::compress(answered) } else { answered };
    ticket.answered(&answered);
    let streaming = matches!(answered.body(), Reply::Passed(..)).then(|| connection.used.stream());
    // In this order: a stream that has just ended isn't one that is left alone.
    answered.body_mut().hold((streaming, in_use, ticket));
    answered
}

/// Lets a request in: who asks, whether it is its turn, and within which time.
async fn admit(
    server: &Arc<ApiServer>,
    connection: &Connection,
    info: &Info,
    ticket: &Ticket,
    mut request: http::Request<Incoming>,
) -> Result<Answered, Status> {
    let time = if info.is_long_running() {
        None
    } else {
        Some(deadline::of(&info.query, server.config().limits.request_time_max)?)
    };
    let user = match who(server, connection, &info.path, request.headers_mut()) {
        Ok(user) => user,
        Err(status) => {
            let shown = request.headers().contains_key(AUTHORIZATION);
            ticket.logged_in(if shown { Login::Error } else { Login::Failure }, "");
            ticket.record(None, info, &request, connection.peer);
            return Err(status);
        }
    };
    ticket.logged_in(Login::Success, &user.name);
    ticket.record(Some(&user), info, &request, connection.peer);
    let user = match act_as(server, &user, request.headers())? {
        Some(other) => {
            ticket.impersonates(&other);
            other
        }
        None => user,
    };
    // Of what lasts, watches are let in like others: their beginning is what costs.
    if time.is_none() && info.verb != "watch" {
        return route(server, connection, &user, info, ticket, request).await;
    }
    let asked = info.attributes(&user);
    let flow = server.service().flow.classify(&asked);
    ticket.classified(flow.clone());
    let time_max = time.unwrap_or(server.config().limits.request_time_max);
    let wait_max = (time_max / WAIT_SHARE).min(WAIT_MAX);
    let seat = match server.service().flow.enter(&flow, &asked, wait_max).await {
        Ok(seat) => seat,
        Err(refused) => {
            ticket.terminated(429);
            return Ok(too_many(refused));
        }
    };
    ticket.queued(seat.waited());
    let _counted = server.service().in_flight.enter(info.sort(), (ticket.began() + seat.waited()).as_secs());
    let answered = route(server, connection, &user, info, ticket, request);
    let Some(time) = time else { return answered.await };
    let answered = tokio::time::timeout(time.saturating_sub(seat.waited()), answered).await;
    answered.unwrap_or_else(|_| {
        ticket.terminated(504);
        Err(deadline::passed())
    })
}

/// 429, in upstream's plain words.
fn too_many(refused: Refused) -> Answered {
    let mut answered = reply::text(429, "Too many requests, please try again later.\n");
    let headers = answered.headers_mut();
    headers.insert(RETRY_AFTER, HeaderValue::from(refused.retry_after_seconds));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    answered
}

/// A header's text; empty where it isn't there.
fn header<'a>(headers: &'a HeaderMap, name: &HeaderName) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// The form of refusals that come before a form was chosen.
fn fallback_form(headers: &HeaderMap) -> Form {
    let accept = headers.get(ACCEPT).and_then(|value| value.to_str().ok());
    let form = accept::choose(accept, Purpose::Object, true).unwrap_or(Form::JSON);
    Form { shape: accept::Shape::Whole, ..form }
}

async fn route(
    server: &Arc<ApiServer>,
    connection: &Connection,
    user: &User,
    info: &Info,
    ticket: &Ticket,
    request: http::Request<Incoming>,
) -> Result<Answered, Status> {
    if let Some(target) = &info.target
        && server.serves(&target.resource)
    {
        return on_resource(server, user, target.clone(), &info.query, ticket, request).await;
    }
    ticket.authorize(&Attributes::path(user, &info.verb, &info.path))?;
    system::answer(server, connection, request).await
}

/// Who asks: by token, by certificate, or nobody.
fn who(
    server: &ApiServer,
    connection: &Connection,
    path: &str,
    headers: &mut HeaderMap,
) -> Result<User, Status> {
    if let Some(authorization) = headers.get(AUTHORIZATION) {
        let text = authorization.to_str().unwrap_or_default();
        let token = text.strip_prefix("Bearer ").or_else(|| text.strip_prefix("bearer "));
        return bearer(server, token.ok_or_else(Status::unauthorized)?.trim());
    }
    let offered = web_socket::take_bearer(headers).map_err(|why| {
        tracing::debug!(why, "bearer token among protocols");
        Status::unauthorized()
    })?;
    if let Some(token) = offered {
        return bearer(server, &token);
    }
    if let Some(user) = &connection.user {
        return Ok(user.clone());
    }
    // Whoever shows nothing may ask for health and version, if the roles say so; nothing else.
    if OPEN_PATHS
        .iter()
        .any(|open| path == *open || path.strip_prefix(open).is_some_and(|rest| rest.starts_with('/')))
    {
        return Ok(User { name: ANONYMOUS.into(), groups: vec![UNAUTHENTICATED.into()], ..User::default() });
    }
    Err(Status::unauthorized())
}

fn bearer(server: &ApiServer, token: &str) -> Result<User, Status> {
    server.login().bearer(server.tokens(), token).map_err(|error| {
        tracing::debug!(?error, "bearer token");
        Status::unauthorized()
    })
}

/// Whom the client wants to act as, if as somebody else.
fn act_as(server: &ApiServer, user: &User, headers: &HeaderMap) -> Result<Option<User>, Status> {
    let text = |value: &HeaderValue| value.to_str().unwrap_or_default().to_owned();
    let mut wanted = Impersonation::default();
    for (name, value) in headers {
        let Some(what) = name.as_str().strip_prefix("impersonate-") else { continue };
        match what {
            "user" => wanted.user = text(value),
            "uid" => wanted.uid = text(value),
            "group" => wanted.groups.push(text(value)),
            other => {
                if let Some(key) = other.strip_prefix("extra-") {
                    wanted.extra.entry(decode_percent(key)).or_default().push(text(value));
                }
            }
        }
    }
    if wanted.is_empty() {
        return Ok(None);
    }
    impersonate(user, &wanted, |attributes| server.authorizer().require(attributes)).map(Some)
}

async fn on_resource(
    server: &Arc<ApiServer>,
    user: &User,
    target: ResourcePath,
    query: &Query,
    ticket: &Ticket,
    mut request: http::Request<Incoming>,
) -> Result<Answered, Status> {
    if let Some(subresource) = &target.subresource
        && relay::is_relayed(&target.resource, subresource)
    {
        return relay::answer(server, user, target, ticket, request).await;
    }
    let Some(served) = server.find(&target.resource) else {
        authorize_unknown(ticket, user, &target, request.method())?;
        if !discovery::is_own_group(&target.resource.group) {
            return Ok(reply::text(404, "404 page not found\n"));
        }
        return Err(Status::no_such_path());
    };
    // Custom resources of the cluster aren't found in a namespace, and single ones of a namespace only there.
    if let Served::Kind(kind) = served
        && matches!(kind.form(), cox_api::Form::Custom(_))
    {
        let reads_all = target.name.is_none() && matches!(*request.method(), Method::GET | Method::HEAD);
        let here = match kind.info().scope {
            Scope::Cluster => target.namespace.is_none(),
            Scope::Namespaced => target.namespace.is_some() || reads_all,
        };
        if !here {
            return Ok(reply::text(404, "404 page not found\n"));
        }
    }
    let watching = target.old_watch || query.flag("watch").unwrap_or(false);
    let verb = verb(request.method(), &target, watching)?;
    let socket = if verb == Verb::Watch { Socket::of(&mut request) } else { None };
    let answered = on_served(server, user, served, verb, target, query, ticket, request).await?;
    Ok(match socket {
        Some(socket) => socket.carry(ticket, answered),
        None => answered,
    })
}

#[expect(clippy::too_many_arguments, reason = "a request in its parts")]
async fn on_served(
    server: &Arc<ApiServer>,
    user: &User,
    served: Served,
    verb: Verb,
    mut target: ResourcePath,
    query: &Query,
    ticket: &Ticket,
    request: http::Request<Incoming>,
) -> Result<Answered, Status> {
    if target.old_watch
        && let Some(name) = target.name.take()
    {
        // `/watch/.../NAME` is a watch of one object.
        return on_named_watch(server, user, target, &name, query, ticket, request).await;
    }
    let purpose = match verb {
        Verb::Watch => Purpose::Watch,
        Verb::List => Purpose::Collection,
        _ => Purpose::Object,
    };
    let mut call = Request::new(verb, target.resource.clone());
    call.namespace = target.namespace;
    call.name = target.name;
    call.subresource = target.subresource;
    // What is selected counts for the rights of nodes.
    call.options.field_selector = query.get("fieldSelector").map(str::to_owned);
    ticket.authorize(&Attributes::call(user, &call))?;
    let form = accept::choose(accepted(&request), purpose, served.has_protobuf())?;
    call.options = options::parse(verb, query)?;
    // Server-side apply has no default: who applies has to say who they are.
    let applies = header(request.headers(), &CONTENT_TYPE).starts_with("application/apply-patch");
    let writes = matches!(verb, Verb::Create | Verb::Update | Verb::Patch) && !applies;
    if writes && call.options.field_manager.is_none() {
        call.options.field_manager = Some(manager_of(request.headers()));
    }
    let include = Include::parse(query.get("includeObject"))?;
    call.body = body(server, verb, ticket, request).await?;
    let form = Form { pretty: form.pretty || query.flag("pretty").unwrap_or(false), ..form };
    finish(server, user, call, served, form, include, ticket).await
}

async fn on_named_watch(
    server: &Arc<ApiServer>,
    user: &User,
    target: ResourcePath,
    name: &str,
    query: &Query,
    ticket: &Ticket,
    request: http::Request<Incoming>,
) -> Result<Answered, Status> {
    let Some(served) = server.find(&target.resource) else { return Err(Status::no_such_path()) };
    let mut call = Request::new(Verb::Watch, target.resource.clone());
    call.namespace = target.namespace;
    call.name = Some(name.to_owned());
    // What is selected counts for the rights of nodes.
    call.options.field_selector = query.get("fieldSelector").map(str::to_owned);
    ticket.authorize(&Attributes::call(user, &call))?;
    call.options = options::parse(Verb::Watch, query)?;
    let form = accept::choose(accepted(&request), Purpose::Watch, served.has_protobuf())?;
    finish(server, user, call, served, form, Include::parse(query.get("includeObject"))?, ticket).await
}

async fn finish(
    server: &ApiServer,
    user: &User,
    call: Request,
    served: Served,
    form: Form,
    include: Include,
    ticket: &Ticket,
) -> Result<Answered, Status> {
    let kind = match served {
        Served::Kind(kind) => Some(kind),
        Served::Virtual(_) => None,
    };
    // Upstream shows Go's name of the internal type.
    let go_name = kind.map_or_else(String::new, |kind| {
        let info = kind.info();
        let package = info.group.split('.').next().filter(|word| !word.is_empty()).unwrap_or("core");
        format!("{package}.{}", info.kind)
    });
    let about = About { kind, include, now: server.env().now(), go_name, ticket: ticket.clone() };
    let mut aside = Aside::default();
    let response = server.answer(user, call, &mut aside).await;
    ticket.annotate(aside.annotations);
    let warnings = aside.warnings;
    let mut answered = match response {
        Ok(response) => {
            if let Response::Value { value, .. } = &response
                && value["kind"] == "Status"
            {
                ticket.status(|| value.clone());
            }
            encode::answer(response, form, about)
        }
        Err(status) => {
            ticket.status(|| status.to_value());
            encode::refusal(&status, form)
        }
    };
    for warning in warnings::shown(&warnings) {
        if let Ok(value) = HeaderValue::from_bytes(warning.as_bytes()) {
            answered.headers_mut().append(HeaderName::from_static("warning"), value);
        }
    }
    Ok(answered)
}

fn accepted(request: &http::Request<Incoming>) -> Option<&str> {
    request.headers().get(ACCEPT).and_then(|value| value.to_str().ok())
}

/// A resource that isn't served: whether it may be asked for comes first.
fn authorize_unknown(
    ticket: &Ticket,
    user: &User,
    target: &ResourcePath,
    method: &Method,
) -> Result<(), Status> {
    let verb = method.as_str().to_lowercase();
    let verb = match (method, &target.name) {
        (&Method::GET, None) => "list",
        (&Method::POST, _) => "create",
        (&Method::PUT, _) => "update",
        _ => verb.as_str(),
    };
    ticket.authorize(&Attributes {
        subresource: target.subresource.as_deref().unwrap_or_default(),
        namespace: target.namespace.as_deref().unwrap_or_default(),
        name: target.name.as_deref().unwrap_or_default(),
        ..Attributes::resource(user, verb, &target.resource.group, &target.resource.plural)
    })
}

fn verb(method: &Method, target: &ResourcePath, watching: bool) -> Result<Verb, Status> {
    let named = target.name.is_some();
    Ok(match *method {
        Method::GET | Method::HEAD if watching && (!named || target.old_watch) => Verb::Watch,
        Method::GET | Method::HEAD if named => Verb::Get,
        Method::GET | Method::HEAD => Verb::List,
        // A new object's name is in the body; below an object only subresources are made.
        Method::POST if named && target.subresource.is_none() => {
            return Err(Status::method_not_allowed("", "", ""));
        }
        Method::POST => Verb::Create,
        Method::PUT => Verb::Update,
        Method::PATCH => Verb::Patch,
        Method::DELETE if named => Verb::Delete,
        Method::DELETE => Verb::DeleteCollection,
        _ => return Err(Status::method_not_allowed("", "", "")),
    })
}

/// The manager of a client that names none: its program, the first part of its user agent.
fn manager_of(headers: &HeaderMap) -> String {
    const NAME_CHARACTERS_MAX: usize = 128;
    let agent = headers.get(USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let agent = if agent.is_empty() { "unknown" } else { agent };
    let program = agent.split('/').next().unwrap_or_default();
    program.chars().filter(|character| !character.is_control()).take(NAME_CHARACTERS_MAX).collect()
}

/// Reads the body, up to the limit.
async fn read(server: &ApiServer, body: Incoming) -> Result<Bytes, Status> {
    let max = server.config().limits.body_bytes_max;
    match Limited::new(body, max).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(Status::new(
            413,
            Reason::RequestEntityTooLarge,
            format!("Request entity too large: limit is {max}"),
        )),
        Err(error) => Err(Status::bad_request(format!("reading the body: {error}"))),
    }
}

async fn body(
    server: &ApiServer,
    verb: Verb,
    ticket: &Ticket,
    request: http::Request<Incoming>,
) -> Result<Body, Status> {
    if verb.is_read() {
        return Ok(Body::None);
    }
    let media_type = request
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
        .to_owned();
    let bytes = read(server, request.into_body()).await?;
    if bytes.is_empty() && matches!(verb, Verb::Delete | Verb::DeleteCollection) {
        return Ok(Body::None);
    }
    ticket.body(&media_type, &bytes, verb == Verb::Patch);
    Ok(Body::Raw { media_type, bytes })
}
