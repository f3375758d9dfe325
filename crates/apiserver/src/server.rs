//! The request core: who may do what, and where it goes from there. No sockets.

use std::sync::Arc;

use async_trait::async_trait;
use cox_api::{Form, Part, Request, Resource, Response, Scope, Status, Transport, Verb};
use cox_env::Env;
use cox_store::Store;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};

use crate::admission::Admission;
use crate::allocate::Allocators;
use crate::auth::{Attributes, Authorizer, Login, Tokens, User};
use crate::config::Config;
use crate::core::call::Call;
use crate::core::{facts, on_objects, on_part};
use crate::db::Db;
use crate::definitions::Definitions;
use crate::error::Error;
use crate::registry::{self, Served};
use crate::service::Service;

/// The API server without its sockets.
pub struct ApiServer {
    env: Env,
    db: Db,
    config: Config,
    tokens: Tokens,
    login: Login,
    authorizer: Arc<Authorizer>,
    admission: Admission,
    allocators: Allocators,
    service: Service,
    definitions: Definitions,
}

/// What a call brings, and what the client is to be told besides.
#[derive(Debug)]
pub struct Answer {
    /// The answer.
    pub response: Response,
    /// Texts for `Warning` headers.
    pub warnings: Vec<String>,
}

/// What is said besides the answer, also where that is a refusal.
#[derive(Debug, Default)]
pub(crate) struct Aside {
    /// Texts for `Warning` headers.
    pub warnings: Vec<String>,
    /// For the audit log.
    pub annotations: Vec<(String, String)>,
}

impl ApiServer {
    /// Opens the API over a store, and writes what every cluster has where it is missing: namespaces, roles,
    /// priority classes, flow control, the `kubernetes` service.
    ///
    /// # Errors
    /// Where the store refuses those writes.
    pub async fn open(env: Env, store: Store, config: Config) -> Result<Arc<ApiServer>, Error> {
        let env = env.component("apiserver");
        let db = Db::new(store);
        let tokens = Tokens::new(
            env.clone(),
            db.clone(),
            config.pki.clone(),
            config.issuer.clone(),
            config.audiences.clone(),
        );
        let server = Arc::new(ApiServer {
            login: Login::new(env.clone(), db.clone(), config.static_tokens.clone()),
            authorizer: Arc::new(Authorizer::new(db.clone())),
            admission: Admission::new(&db),
            allocators: Allocators::new(&db, &config, env.chance()),
            service: Service::open(&env, &config)?,
            definitions: Definitions::default(),
            tokens,
            env,
            db,
            config,
        });
        crate::start::bootstrap(&server).await?;
        crate::definitions::start(&server).await?;
        server.admission.begin();
        server.env.spawn(crate::start::keep(server.env.clone(), Arc::downgrade(&server)));
        crate::flow::start(&server);
        Ok(server)
    }

    /// Answers a call: authorization, admission, the rules of the kind, the store.
    ///
    /// # Errors
    /// What upstream would answer.
    pub async fn call(&self, user: &User, request: Request) -> Result<Answer, Status> {
        self.authorize(user, &request)?;
        self.call_authorized(user, request).await
    }

    /// The same without asking whether the user may.
    pub(crate) async fn call_authorized(&self, user: &User, request: Request) -> Result<Answer, Status> {
        let mut aside = Aside::default();
        let response = self.answer(user, request, &mut aside).await?;
        Ok(Answer { response, warnings: aside.warnings })
    }

    /// Whether a user may make a call.
    ///
    /// # Errors
    /// 403.
    pub fn authorize(&self, user: &User, request: &Request) -> Result<(), Status> {
        self.authorizer.require(&Attributes::call(user, request))
    }

    /// Answers a call that may be made; there may be warnings for a refusal too.
    pub(crate) async fn answer(
        &self,
        user: &User,
        request: Request,
        aside: &mut Aside,
    ) -> Result<Response, Status> {
        let Request { verb, resource, namespace, name, subresource, options, body } = request;
        let Some(served) = self.find(&resource) else { return Err(Status::no_such_path()) };
        let subresource = subresource.unwrap_or_default();
        let used = facts::warning_of_use(&resource.group, &resource.version, &resource.plural);
        aside.warnings.extend(used.map(str::to_owned));
        let namespace = namespace.unwrap_or_default();
        let name = name.unwrap_or_default();
        match served {
            Served::Virtual(one) => {
                let asked = crate::sub::Asked {
                    server: self,
                    user,
                    verb,
                    namespace: &namespace,
                    name: &name,
                    options: &options,
                };
                one.call(&asked, body, &mut aside.warnings).await
            }
            Served::Kind(kind) => {
                aside.warnings.extend(kind.deprecation().map(str::to_owned));
                let info = kind.info();
                let by_name = matches!(verb, Verb::Get | Verb::Update | Verb::Patch | Verb::Delete);
                let missing_namespace = info.scope == Scope::Namespaced
                    && namespace.is_empty()
                    && (by_name || matches!(verb, Verb::Create | Verb::DeleteCollection));
                // A path with a name and no namespace is none at all; the one without a name can be read.
                if missing_namespace && by_name && !name.is_empty() {
                    return Err(Status::no_such_path());
                }
                if missing_namespace || (by_name && name.is_empty()) {
                    return Err(Status::method_not_allowed("", "", ""));
                }
                let mut call = Call {
                    server: self,
                    user,
                    verb,
                    kind,
                    namespace: &namespace,
                    name: &name,
                    subresource: &subresource,
                    options: &options,
                    now: self.env.now_rfc3339(),
                    warnings: std::mem::take(&mut aside.warnings),
                    annotations: Vec::new(),
                };
                let response = on_kind(&mut call, verb, body).await;
                *aside = Aside { warnings: call.warnings, annotations: call.annotations };
                response
            }
        }
    }

    /// Says that the server will end: `/readyz` fails from now on, everything else goes on.
    pub fn announce_end(&self) {
        self.service.drain.announce();
    }

    /// Ends the service: nobody new is listened to, connections are told so, watches end, and requests under way are
    /// answered, within [`Limits::drain_time_max`](crate::Limits). Streams from nodes (logs, exec) don't hold it up.
    pub async fn drain(&self) {
        let limits = &self.config.limits;
        self.announce_end();
        self.env.sleep(limits.shutdown_delay).await;
        self.service.drain.begin();
        // Every connection has a permit, and every listener one for the next connection.
        let all = u32::try_from(limits.connections_max).unwrap_or(u32::MAX);
        let ended = self.service.connections.acquire_many(all);
        if tokio::time::timeout(limits.drain_time_max, ended).await.is_err() {
            tracing::warn!("requests were under way for too long and are cut off");
        }
    }

    /// Resolves when nobody new is listened to. Made for tasks that are woken often for other reasons: these look at
    /// nothing that all tasks share.
    pub(crate) fn until_draining(self: &Arc<Self>) -> impl Future<Output = ()> + Send + Unpin + use<> {
        let server = self.clone();
        let one: FuturesUnordered<_> =
            [async move { server.service.drain.until_begun().await }].into_iter().collect();
        one.into_future().map(|_| ())
    }

    /// Ends what the server keeps besides the store: the audit log is written to its end.
    pub async fn close(&self) {
        if let Some(audit) = self.service.audit.clone() {
            let _ = tokio::task::spawn_blocking(move || audit.close()).await;
        }
    }

    /// Time, chance, tasks.
    pub fn env(&self) -> &Env {
        &self.env
    }

    /// What the server was told at start.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The store as the server uses it.
    pub fn db(&self) -> &Db {
        &self.db
    }

    /// Service account tokens.
    pub fn tokens(&self) -> &Tokens {
        &self.tokens
    }

    /// Who has a bearer token.
    pub fn login(&self) -> &Login {
        &self.login
    }

    pub(crate) fn authorizer(&self) -> &Arc<Authorizer> {
        &self.authorizer
    }

    /// What all connections share.
    pub(crate) fn service(&self) -> &Service {
        &self.service
    }

    pub(crate) fn admission(&self) -> &Admission {
        &self.admission
    }

    pub(crate) fn allocators(&self) -> &Allocators {
        &self.allocators
    }

    /// Whether anything is served under a group and version.
    pub fn serves(&self, resource: &Resource) -> bool {
        registry::has_version(&resource.group, &resource.version)
            || self.definitions.has_version(&resource.group, &resource.version)
    }

    /// Finds what a path names.
    pub(crate) fn find(&self, resource: &Resource) -> Option<Served> {
        registry::find(resource).or_else(|| {
            let kind = self.definitions.find(&resource.group, &resource.version, &resource.plural)?;
            Some(Served::Kind(kind))
        })
    }

    /// The kinds that users made.
    pub(crate) fn definitions(&self) -> &Definitions {
        &self.definitions
    }
}

/// A call on a kind, by its verbs and subresources.
async fn on_kind(call: &mut Call<'_>, verb: Verb, body: cox_api::Body) -> Result<Response, Status> {
    let info = call.info();
    if call.subresource.is_empty() {
        if !info.verbs.contains(&verb.as_str()) {
            return Err(Status::method_not_allowed("", "", ""));
        }
        return on_objects(call, verb, body).await;
    }
    let known = info.subresources.iter().find(|sub| sub.name == call.subresource);
    let Some(sub) = known else {
        return Err(match call.kind.form() {
            Form::Table(_) => Status::no_such_path(),
            Form::Custom(_) => call.not_found(call.name),
        });
    };
    if !sub.verbs.contains(&verb.as_str()) {
        return Err(Status::method_not_allowed("", "", ""));
    }
    match registry::special(info.group, info.plural, sub.name) {
        Some(special) => special.call(call, verb, body).await,
        None => {
            let part = if sub.name == "status" { Part::Status } else { Part::Sub(sub.name) };
            on_part(call, part, verb, body).await
        }
    }
}

/// Calls in process: the same authorization and admission, objects are shared.
#[derive(Clone)]
pub struct LocalTransport {
    /// The server.
    pub server: Arc<ApiServer>,
    /// Who calls.
    pub user: Arc<User>,
    /// The name that writes are recorded under in `managedFields`, where the call doesn't say.
    pub manager: Arc<str>,
}

impl LocalTransport {
    /// A way to the server for a user; writes are recorded under `manager`.
    pub fn new(server: Arc<ApiServer>, user: User, manager: &str) -> LocalTransport {
        LocalTransport { server, user: Arc::new(user), manager: manager.into() }
    }
}

#[async_trait]
impl Transport for LocalTransport {
    async fn call(&self, mut request: Request) -> Result<Response, Status> {
        if request.options.field_manager.is_none() && !request.verb.is_read() {
            request.options.field_manager = Some(self.manager.to_string());
        }
        if let Some(audit) = &self.server.service.audit {
            return crate::audit::call_recorded(&self.server, audit, &self.user, request).await;
        }
        self.server.call(&self.user, request).await.map(|answer| answer.response)
    }
}
