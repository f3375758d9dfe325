//! A server over a store in memory, and short words for calls.

use std::sync::Arc;

use cox_api::{
    Body, Listing, Options, PatchKind, Request, Resource, Response, Status, Transport, Verb, WatchEvent,
};
use cox_apiserver::pki::Pki;
use cox_apiserver::{ApiServer, Config, LocalTransport, User, describe};
use cox_env::Env;
use cox_store::{Limits, Memory, Store};
use serde_json::{Value, json};

/// A server, who calls it, and the disk below it.
pub struct World {
    pub server: Arc<ApiServer>,
    pub disk: Memory,
    client: LocalTransport,
}

pub fn resource(text: &str) -> Resource {
    let parts: Vec<&str> = text.split('/').collect();
    match parts.as_slice() {
        [plural] => Resource::new("", "v1", *plural),
        [group, plural] => Resource::new(*group, "v1", *plural),
        _ => panic!("{text} is no resource"),
    }
}

impl World {
    pub async fn new() -> World {
        World::with(|_| {}).await
    }

    pub async fn with(change: impl FnOnce(&mut Config)) -> World {
        let env = Env::real();
        World::on(Memory::new(env.clone()), &env, change).await
    }

    async fn on(disk: Memory, env: &Env, change: impl FnOnce(&mut Config)) -> World {
        let store =
            Store::open(env.clone(), Box::new(disk.clone()), Limits::default(), describe()).await.unwrap();
        let mut config = Config::new(Pki::in_memory(env).unwrap()).unwrap();
        change(&mut config);
        let server = ApiServer::open(env.clone(), store, config).await.unwrap();
        let client = LocalTransport::new(server.clone(), User::admin(), "test");
        let world = World { server, disk, client };
        world.create("namespaces", "", json!({"metadata": {"name": "n"}})).await.ok();
        world.create("serviceaccounts", "n", json!({"metadata": {"name": "default"}})).await.ok();
        world
    }

    /// The same disk under a new server, as after a crash.
    pub async fn restarted(self) -> World {
        let env = Env::real();
        self.server.db().store().close().await;
        World::on(self.disk.clone(), &env, |_| {}).await
    }

    pub fn as_user(&self, user: User) -> LocalTransport {
        LocalTransport::new(self.server.clone(), user, "test")
    }

    pub async fn call(&self, request: Request) -> Result<Response, Status> {
        self.client.call(request).await
    }

    pub async fn create(&self, what: &str, namespace: &str, object: Value) -> Result<Value, Status> {
        let request =
            Request::new(Verb::Create, resource(what)).namespace(namespace).body(Body::Json(object));
        self.call(request).await.map(value)
    }

    pub async fn get(&self, what: &str, namespace: &str, name: &str) -> Result<Value, Status> {
        self.call(Request::new(Verb::Get, resource(what)).namespace(namespace).name(name)).await.map(value)
    }

    pub async fn put(&self, what: &str, namespace: &str, object: Value) -> Result<Value, Status> {
        let name = object["metadata"]["name"].as_str().unwrap().to_owned();
        let request = Request::new(Verb::Update, resource(what)).namespace(namespace).name(&name);
        self.call(request.body(Body::Json(object))).await.map(value)
    }

    pub async fn merge(
        &self,
        what: &str,
        namespace: &str,
        name: &str,
        patch: Value,
    ) -> Result<Value, Status> {
        let (what, sub) = what.split_once(':').unwrap_or((what, ""));
        let mut request = Request::new(Verb::Patch, resource(what)).namespace(namespace).name(name);
        request.subresource = (!sub.is_empty()).then(|| sub.to_owned());
        self.call(request.body(Body::Patch(PatchKind::Merge, patch))).await.map(value)
    }

    pub async fn delete(
        &self,
        what: &str,
        namespace: &str,
        name: &str,
        options: Value,
    ) -> Result<Value, Status> {
        let request = Request::new(Verb::Delete, resource(what)).namespace(namespace).name(name);
        self.call(request.body(Body::Json(options))).await.map(value)
    }

    pub async fn list(&self, what: &str, namespace: &str, options: Options) -> Result<Listing, Status> {
        let mut request = Request::new(Verb::List, resource(what)).namespace(namespace);
        request.options = options;
        match self.call(request).await? {
            Response::List(listing) => Ok(listing),
            other => panic!("{other:?} is no list"),
        }
    }

    pub async fn watch(
        &self,
        what: &str,
        namespace: &str,
        options: Options,
    ) -> Result<cox_api::call::Watch, Status> {
        let mut request = Request::new(Verb::Watch, resource(what)).namespace(namespace);
        request.options = options;
        match self.call(request).await? {
            Response::Watch(watch) => Ok(watch),
            other => panic!("{other:?} is no watch"),
        }
    }
}

pub fn value(response: Response) -> Value {
    match response {
        Response::Object { object, .. } => object.value(),
        Response::Value { value, .. } => value,
        other => panic!("{other:?} is no object"),
    }
}

pub fn names(listing: &Listing) -> Vec<String> {
    listing.items.iter().map(|object| object.name().to_owned()).collect()
}

pub fn shown(event: &WatchEvent) -> String {
    let name = event.object.as_ref().map_or("", |object| object.name());
    format!("{} {name}", event.kind.as_str())
}

pub fn pod(name: &str) -> Value {
    json!({"metadata": {"name": name}, "spec": {"containers": [{"name": "c", "image": "img"}]}})
}
