//! Typed verbs over a transport.

use std::sync::Arc;

use cox_api::call::Watch;
use cox_api::{Body, Listing, Object, PatchKind, Request, Resource, Response, Status, Transport, Verb};
use k8s_openapi::api::authentication::v1::TokenRequest;
use serde::Serialize;
use serde_json::{Value, json};

use crate::error::{Error, Result};
use crate::kind::{Kind, resource_of};
use crate::options::{DeleteOptions, ListOptions, WriteOptions};

/// A way to the API with typed verbs. Cloning is cheap. Results are shared: decoded once, by whoever asks first.
///
/// A typed object has lost the fields its type doesn't know: write back parts (patch, apply, status), not the
/// whole, unless the object is made by the caller.
#[derive(Clone)]
pub struct Client {
    transport: Arc<dyn Transport>,
}

/// One page of typed objects.
pub struct Page<T> {
    /// The objects, by namespace and name.
    pub items: Vec<Arc<T>>,
    /// The revision of the list.
    pub revision: u64,
    /// Where to go on, if there is more.
    pub continue_token: Option<String>,
}

impl Client {
    /// A client over a transport; the transport carries the identity.
    pub fn new(transport: Arc<dyn Transport>) -> Client {
        Client { transport }
    }

    /// The transport below.
    pub fn transport(&self) -> &Arc<dyn Transport> {
        &self.transport
    }

    /// Makes a call as it is.
    ///
    /// # Errors
    /// The API server's `Status`.
    pub async fn call(&self, request: Request) -> std::result::Result<Response, Status> {
        self.transport.call(request).await
    }

    /// Reads an object.
    ///
    /// # Errors
    /// As every verb: [`Error::Api`], or [`Error::Decode`] where the answer doesn't fit `T`.
    pub async fn get<T: Kind>(&self, namespace: &str, name: &str) -> Result<Arc<T>> {
        self.object(request::<T>(Verb::Get, namespace).name(name)).await
    }

    /// Reads an object that may be absent.
    ///
    /// # Errors
    /// See [`Client::get`].
    pub async fn find<T: Kind>(&self, namespace: &str, name: &str) -> Result<Option<Arc<T>>> {
        match self.get(namespace, name).await {
            Ok(object) => Ok(Some(object)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// One page of objects; an empty namespace means all.
    ///
    /// # Errors
    /// See [`Client::get`].
    pub async fn list<T: Kind>(&self, namespace: &str, options: &ListOptions) -> Result<Page<T>> {
        let listing = self.list_objects(&resource_of::<T>(), namespace, options).await?;
        let items = listing.items.iter().map(typed).collect::<Result<Vec<_>>>()?;
        Ok(Page { items, revision: listing.revision, continue_token: listing.continue_token })
    }

    /// One page of objects of any resource, undecoded.
    ///
    /// # Errors
    /// [`Error::Api`].
    pub async fn list_objects(
        &self,
        resource: &Resource,
        namespace: &str,
        options: &ListOptions,
    ) -> Result<Listing> {
        let mut request = Request::new(Verb::List, resource.clone()).namespace(namespace);
        options.apply(&mut request.options);
        match self.transport.call(request).await? {
            Response::List(listing) => Ok(listing),
            other => Err(unexpected(Verb::List, resource, &other)),
        }
    }

    /// A watch as it comes from the server. Informers are the better way to know what is there.
    ///
    /// # Errors
    /// [`Error::Api`].
    pub async fn watch_objects(&self, request: Request) -> Result<Watch> {
        let resource = request.resource.clone();
        match self.transport.call(request).await? {
            Response::Watch(watch) => Ok(watch),
            other => Err(unexpected(Verb::Watch, &resource, &other)),
        }
    }

    /// Makes an object, in the namespace that its metadata names.
    ///
    /// # Errors
    /// See [`Client::get`].
    pub async fn create<T: Kind>(&self, object: &T) -> Result<Arc<T>> {
        let namespace = object.metadata().namespace.as_deref().unwrap_or("");
        self.object(request::<T>(Verb::Create, namespace).body(Body::Json(encode(object)?))).await
    }

    /// Replaces an object by one that this caller knows whole. The resourceVersion in it is the precondition.
    ///
    /// # Errors
    /// See [`Client::get`].
    pub async fn update<T: Kind>(&self, object: &T) -> Result<Arc<T>> {
        self.update_subresource(object, "").await
    }

    /// Replaces the status of an object; the rest of it is ignored by the server but for its resourceVersion.
    ///
    /// # Errors
    /// See [`Client::get`].
    pub async fn update_status<T: Kind>(&self, object: &T) -> Result<Arc<T>> {
        self.update_subresource(object, "status").await
    }

    /// Replaces an object through one of its subresources (empty for the object itself), as in `finalize`.
    ///
    /// # Errors
    /// See [`Client::get`].
    pub async fn update_subresource<T: Kind>(&self, object: &T, subresource: &str) -> Result<Arc<T>> {
        let metadata = object.metadata();
        let mut request = request::<T>(Verb::Update, metadata.namespace.as_deref().unwrap_or(""))
            .name(metadata.name.as_deref().unwrap_or(""))
            .body(Body::Json(encode(object)?));
        request.subresource = (!subresource.is_empty()).then(|| subresource.to_owned());
        self.object(request).await
    }

    /// Patches an object.
    ///
    /// # Errors
    /// See [`Client::get`].
    pub async fn patch<T: Kind>(
        &self,
        namespace: &str,
        name: &str,
        kind: PatchKind,
        patch: Value,
    ) -> Result<Arc<T>> {
        self.patch_with(namespace, name, "", kind, patch, &WriteOptions::default()).await
    }

    /// Patches the status of an object.
    ///
    /// # Errors
    /// See [`Client::get`].
    pub async fn patch_status<T: Kind>(
        &self,
        namespace: &str,
        name: &str,
        kind: PatchKind,
        patch: Value,
    ) -> Result<Arc<T>> {
        self.patch_with(namespace, name, "status", kind, patch, &WriteOptions::default()).await
    }

    /// Patches an object or one of its subresources (empty for the object itself) with options.
    ///
    /// # Errors
    /// See [`Client::get`].
    pub async fn patch_with<T: Kind>(
        &self,
        namespace: &str,
        name: &str,
        subresource: &str,
        kind: PatchKind,
        patch: Value,
        options: &WriteOptions,
    ) -> Result<Arc<T>> {
        let mut request = request::<T>(Verb::Patch, namespace).name(name).body(Body::Patch(kind, patch));
        request.subresource = (!subresource.is_empty()).then(|| subresource.to_owned());
        options.apply(&mut request.options);
        self.object(request).await
    }

    /// Server-side apply of the fields in `object`, which names apiVersion, kind and metadata.name.
    ///
    /// # Errors
    /// See [`Client::get`].
    pub async fn apply<T: Kind>(
        &self,
        namespace: &str,
        name: &str,
        manager: &str,
        object: Value,
    ) -> Result<Arc<T>> {
        let options = WriteOptions::apply_as(manager);
        self.patch_with(namespace, name, "", PatchKind::Apply, object, &options).await
    }

    /// Deletes an object. Brings its last form where the server answers with one: marked for deletion, or gone.
    ///
    /// # Errors
    /// See [`Client::get`].
    pub async fn delete<T: Kind>(
        &self,
        namespace: &str,
        name: &str,
        options: &DeleteOptions,
    ) -> Result<Option<Arc<T>>> {
        match self.delete_object(&resource_of::<T>(), namespace, name, options).await? {
            Some(object) => typed(&object).map(Some),
            None => Ok(None),
        }
    }

    /// Deletes an object of any resource.
    ///
    /// # Errors
    /// [`Error::Api`].
    pub async fn delete_object(
        &self,
        resource: &Resource,
        namespace: &str,
        name: &str,
        options: &DeleteOptions,
    ) -> Result<Option<Object>> {
        let request = Request::new(Verb::Delete, resource.clone())
            .namespace(namespace)
            .name(name)
            .body(Body::Json(options.to_value()));
        match self.transport.call(request).await? {
            Response::Object { object, .. } => Ok(Some(object)),
            Response::Value { .. } => Ok(None),
            other => Err(unexpected(Verb::Delete, resource, &other)),
        }
    }

    /// Deletes every object of a resource in a namespace.
    ///
    /// # Errors
    /// [`Error::Api`].
    pub async fn delete_collection(
        &self,
        resource: &Resource,
        namespace: &str,
        options: &DeleteOptions,
    ) -> Result<()> {
        let request = Request::new(Verb::DeleteCollection, resource.clone())
            .namespace(namespace)
            .body(Body::Json(options.to_value()));
        self.transport.call(request).await?;
        Ok(())
    }

    /// Reads an object of any resource.
    ///
    /// # Errors
    /// [`Error::Api`].
    pub async fn get_object(&self, resource: &Resource, namespace: &str, name: &str) -> Result<Object> {
        let request = Request::new(Verb::Get, resource.clone()).namespace(namespace).name(name);
        self.raw(request).await
    }

    /// Patches an object of any resource.
    ///
    /// # Errors
    /// [`Error::Api`].
    pub async fn patch_object(
        &self,
        resource: &Resource,
        namespace: &str,
        name: &str,
        kind: PatchKind,
        patch: Value,
    ) -> Result<Object> {
        let request = Request::new(Verb::Patch, resource.clone())
            .namespace(namespace)
            .name(name)
            .body(Body::Patch(kind, patch));
        self.raw(request).await
    }

    /// Asks for the eviction of a pod; 429 (`TooManyRequests`) where a disruption budget forbids it now.
    ///
    /// # Errors
    /// [`Error::Api`].
    pub async fn evict(&self, namespace: &str, pod: &str, options: &DeleteOptions) -> Result<()> {
        let body = json!({"apiVersion": "policy/v1", "kind": "Eviction",
            "metadata": {"namespace": namespace, "name": pod}, "deleteOptions": options.to_value()});
        self.post_to_pod(namespace, pod, "eviction", body).await
    }

    /// Assigns a pod to a node, if the pod still has this uid.
    ///
    /// # Errors
    /// [`Error::Api`].
    pub async fn bind(&self, namespace: &str, pod: &str, uid: &str, node: &str) -> Result<()> {
        let body = json!({"apiVersion": "v1", "kind": "Binding",
            "metadata": {"namespace": namespace, "name": pod, "uid": uid},
            "target": {"apiVersion": "v1", "kind": "Node", "name": node}});
        self.post_to_pod(namespace, pod, "binding", body).await
    }

    async fn post_to_pod(&self, namespace: &str, pod: &str, subresource: &str, body: Value) -> Result<()> {
        let request = Request::new(Verb::Create, Resource::new("", "v1", "pods"))
            .namespace(namespace)
            .name(pod)
            .subresource(subresource)
            .body(Body::Json(body));
        self.transport.call(request).await?;
        Ok(())
    }

    /// A token for a service account.
    ///
    /// # Errors
    /// [`Error::Api`], [`Error::Decode`].
    pub async fn create_token(
        &self,
        namespace: &str,
        service_account: &str,
        token: &TokenRequest,
    ) -> Result<TokenRequest> {
        let request = Request::new(Verb::Create, Resource::new("", "v1", "serviceaccounts"))
            .namespace(namespace)
            .name(service_account)
            .subresource("token")
            .body(Body::Json(encode(token)?));
        let value = self.value(request).await?;
        serde_json::from_value(value).map_err(|source| Error::Decode { kind: "TokenRequest", source })
    }

    /// Makes a call whose answer is one object, stored or not (reviews, scales), as a value.
    ///
    /// # Errors
    /// [`Error::Api`], or [`Error::Unexpected`] where the answer is a list or a watch.
    pub async fn value(&self, request: Request) -> Result<Value> {
        let (verb, resource) = (request.verb, request.resource.clone());
        match self.transport.call(request).await? {
            Response::Object { object, .. } => Ok(object.value()),
            Response::Value { value, .. } => Ok(value),
            other => Err(unexpected(verb, &resource, &other)),
        }
    }

    async fn raw(&self, request: Request) -> Result<Object> {
        let (verb, resource) = (request.verb, request.resource.clone());
        match self.transport.call(request).await? {
            Response::Object { object, .. } => Ok(object),
            other => Err(unexpected(verb, &resource, &other)),
        }
    }

    async fn object<T: Kind>(&self, request: Request) -> Result<Arc<T>> {
        typed(&self.raw(request).await?)
    }
}

fn request<T: Kind>(verb: Verb, namespace: &str) -> Request {
    Request::new(verb, resource_of::<T>()).namespace(namespace)
}

fn typed<T: Kind>(object: &Object) -> Result<Arc<T>> {
    object.typed().map_err(|source| Error::Decode { kind: T::KIND, source })
}

fn encode<T: Serialize + k8s_openapi::Resource>(object: &T) -> Result<Value> {
    serde_json::to_value(object).map_err(|source| Error::Encode { kind: T::KIND, source })
}

fn unexpected(verb: Verb, resource: &Resource, got: &Response) -> Error {
    Error::Unexpected { verb: verb.as_str(), what: resource.to_string(), got: format!("{got:?}") }
}
