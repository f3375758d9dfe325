//! A make-believe API server for tests of components: objects in memory, revisions, watches, the few rules of
//! deletion and metadata that components lean on. No defaults, no validation, no admission.

mod patch;
mod store;

use std::collections::VecDeque;
use std::sync::Arc;

use async_trait::async_trait;
use cox_api::{Body, Request, Response, Status, Transport, Verb};
use cox_env::Env;
use parking_lot::Mutex;
use serde_json::Value;

use crate::client::Client;
use crate::kind::{Kind, resource_of};
use store::Store;

type Fault = Box<dyn FnMut(&Request) -> Option<Status> + Send>;

/// The make-believe server. Cloning shares it.
#[derive(Clone)]
pub struct FakeApi {
    store: Arc<Mutex<Store>>,
    faults: Arc<Mutex<Vec<Fault>>>,
    log: Arc<Mutex<VecDeque<String>>>,
}

impl FakeApi {
    /// An empty server.
    pub fn new(env: Env) -> FakeApi {
        FakeApi { store: Arc::new(Mutex::new(Store::new(env))), faults: Arc::default(), log: Arc::default() }
    }

    /// A client of it.
    pub fn client(&self) -> Client {
        Client::new(Arc::new(self.clone()))
    }

    /// From now on calls for which `fault` brings a status fail with it.
    pub fn fault(&self, fault: impl FnMut(&Request) -> Option<Status> + Send + 'static) {
        self.faults.lock().push(Box::new(fault));
    }

    /// Ends every fault.
    pub fn heal(&self) {
        self.faults.lock().clear();
    }

    /// Keeps events from watchers until [`FakeApi::release_watches`]: what a stale cache is made of.
    pub fn hold_watches(&self) {
        self.store.lock().held = true;
    }

    /// Sends what was held back, and everything from now on at once.
    pub fn release_watches(&self) {
        self.store.lock().release();
    }

    /// Ends every watch; `expired` as if its history were gone.
    pub fn break_watches(&self, expired: bool) {
        self.store.lock().break_watches(expired);
    }

    /// The writes so far, as in `create pods ns/web-1`, oldest first; forgets them.
    pub fn writes(&self) -> Vec<String> {
        self.log.lock().drain(..).collect()
    }

    /// Puts in an object as it is, status included.
    ///
    /// # Panics
    /// Where the object can't be written as JSON.
    pub fn put<T: Kind>(&self, object: &T) {
        let value = serde_json::to_value(object).expect("an object is JSON");
        self.store.lock().put(&resource_of::<T>(), value);
    }

    /// Changes an object in place, status included.
    ///
    /// # Panics
    /// Where there is no such object.
    pub fn edit<T: Kind>(&self, namespace: &str, name: &str, edit: impl FnOnce(&mut T)) {
        let resource = resource_of::<T>();
        let mut store = self.store.lock();
        let value = store.get(&resource, namespace, name).expect("the object is there");
        let mut object: T = serde_json::from_value(value).expect("the object fits its type");
        edit(&mut object);
        store.put(&resource, serde_json::to_value(&object).expect("an object is JSON"));
    }

    /// Takes out an object at once, whatever its finalizers.
    pub fn remove<T: Kind>(&self, namespace: &str, name: &str) {
        self.store.lock().remove(&resource_of::<T>(), namespace, name);
    }

    /// Every object of a kind.
    ///
    /// # Panics
    /// Where an object doesn't fit its type.
    pub fn all<T: Kind>(&self) -> Vec<T> {
        let values = self.store.lock().values(&resource_of::<T>());
        values.into_iter().map(|value| serde_json::from_value(value).expect("the object fits")).collect()
    }

    /// One object.
    pub fn one<T: Kind>(&self, namespace: &str, name: &str) -> Option<T> {
        let value = self.store.lock().get(&resource_of::<T>(), namespace, name)?;
        serde_json::from_value(value).ok()
    }
}

#[async_trait]
impl Transport for FakeApi {
    async fn call(&self, request: Request) -> Result<Response, Status> {
        let failed = self.faults.lock().iter_mut().find_map(|fault| fault(&request));
        if let Some(status) = failed {
            return Err(status);
        }
        if !request.verb.is_read() {
            let generated = match &request.body {
                Body::Json(value) => value["metadata"]["name"]
                    .as_str()
                    .or(value["metadata"]["generateName"].as_str())
                    .unwrap_or_default()
                    .to_owned(),
                _ => String::new(),
            };
            let mut line = format!("{} {}", request.verb.as_str(), request.resource.plural,);
            if let Some(subresource) = &request.subresource {
                line.push('/');
                line.push_str(subresource);
            }
            let name = request.name.clone().unwrap_or(generated);
            match &request.namespace {
                Some(namespace) => line.push_str(&format!(" {namespace}/{name}")),
                None => line.push_str(&format!(" {name}")),
            }
            self.log.lock().push_back(line);
        }
        let mut store = self.store.lock();
        let namespace = request.namespace.clone().unwrap_or_default();
        let name = request.name.clone().unwrap_or_default();
        match request.verb {
            Verb::Get => store.object(&request.resource, &namespace, &name).map(stored),
            Verb::List => Ok(Response::List(store.list(&request))),
            Verb::Watch => store.watch(&request).map(Response::Watch),
            Verb::Create => {
                let Body::Json(value) = request.body else { return Err(Status::bad_request("no body")) };
                match request.subresource.as_deref() {
                    Some("binding") => store.bind(&namespace, &name, &value),
                    Some("eviction") => {
                        store.delete(&request.resource, &namespace, &name, &value["deleteOptions"])
                    }
                    Some(other) => Err(Status::bad_request(format!("no {other} here"))),
                    None => store.create(&request.resource, &namespace, value),
                }
            }
            Verb::Update => {
                let Body::Json(value) = request.body else { return Err(Status::bad_request("no body")) };
                store.update(&request.resource, &namespace, &name, request.subresource.as_deref(), value)
            }
            Verb::Patch => {
                let Body::Patch(kind, patch) = request.body else {
                    return Err(Status::bad_request("no patch"));
                };
                let mut value: Value = match store.object(&request.resource, &namespace, &name) {
                    Ok(object) => object.value(),
                    Err(status) => return Err(status),
                };
                let uid = value["metadata"]["uid"].clone();
                let has_version = !patch["metadata"]["resourceVersion"].is_null();
                patch::apply(kind, &mut value, patch);
                if value["metadata"]["uid"] != uid {
                    return Err(Status::conflict(
                        &request.resource.group,
                        &request.resource.plural,
                        &name,
                        "Precondition failed: UID in precondition differs",
                    ));
                }
                if !has_version && let Some(metadata) = value["metadata"].as_object_mut() {
                    metadata.remove("resourceVersion");
                }
                store.update(&request.resource, &namespace, &name, request.subresource.as_deref(), value)
            }
            Verb::Delete => {
                let options = match request.body {
                    Body::Json(value) => value,
                    _ => Value::Null,
                };
                store.delete(&request.resource, &namespace, &name, &options)
            }
            Verb::DeleteCollection => {
                for object in store.list(&request).items {
                    let _ = store.delete(&request.resource, object.namespace(), object.name(), &Value::Null);
                }
                Ok(Response::Value { code: 200, value: serde_json::json!({"kind": "Status"}) })
            }
        }
    }
}

fn stored(object: cox_api::Object) -> Response {
    Response::Object { object, created: false }
}
