//! The objects of the make-believe server.

use std::collections::BTreeMap;

use cox_api::call::Watch;
use cox_api::{Header, Listing, Object, Request, Resource, Response, Status, WatchEvent, WatchKind};
use cox_env::Env;
use futures::StreamExt;
use serde_json::{Value, json};
use tokio::sync::mpsc;

type Place = (Resource, String, String);
type Told = Result<WatchEvent, Status>;

pub(super) struct Store {
    env: Env,
    revision: u64,
    objects: BTreeMap<Place, Object>,
    history: Vec<(Resource, WatchKind, Object, Option<Object>)>,
    watchers: Vec<Watcher>,
    pub(super) held: bool,
    waiting: Vec<(Resource, WatchKind, Object, Option<Object>)>,
}

struct Watcher {
    request: Request,
    sender: mpsc::UnboundedSender<Told>,
}

impl Watcher {
    fn tell(&self, kind: WatchKind, object: &Object, old: Option<&Object>) {
        let (before, after) = (
            old.is_some_and(|old| matches(&self.request, old)),
            kind != WatchKind::Deleted && matches(&self.request, object),
        );
        let kind = match (before, after) {
            (false, false) => return,
            (false, true) => WatchKind::Added,
            (true, true) => WatchKind::Modified,
            (true, false) => WatchKind::Deleted,
        };
        let _ = self.sender.send(Ok(WatchEvent {
            kind,
            revision: object.revision(),
            object: Some(object.clone()),
            initial_events_end: false,
        }));
    }
}

impl Store {
    pub(super) fn new(env: Env) -> Store {
        Store {
            env,
            revision: 0,
            objects: BTreeMap::new(),
            history: Vec::new(),
            watchers: Vec::new(),
            held: false,
            waiting: Vec::new(),
        }
    }

    pub(super) fn object(&self, resource: &Resource, namespace: &str, name: &str) -> Result<Object, Status> {
        let place = (resource.clone(), namespace.to_owned(), name.to_owned());
        let missing = || Status::not_found(&resource.group, &resource.plural, name);
        self.objects.get(&place).cloned().ok_or_else(missing)
    }

    pub(super) fn get(&self, resource: &Resource, namespace: &str, name: &str) -> Option<Value> {
        self.object(resource, namespace, name).ok().map(|object| object.value())
    }

    pub(super) fn values(&self, resource: &Resource) -> Vec<Value> {
        self.objects.iter().filter(|(place, _)| place.0 == *resource).map(|(_, o)| o.value()).collect()
    }

    pub(super) fn list(&self, request: &Request) -> Listing {
        let items = self
            .objects
            .iter()
            .filter(|(place, object)| place.0 == request.resource && matches(request, object))
            .map(|(_, object)| object.clone())
            .collect();
        Listing { items, revision: self.revision, continue_token: None, remaining: None }
    }

    pub(super) fn watch(&mut self, request: &Request) -> Result<Watch, Status> {
        let (sender, receiver) = mpsc::unbounded_channel::<Told>();
        let watcher = Watcher { request: request.clone(), sender };
        if request.options.send_initial_events == Some(true) {
            for object in self.list(request).items {
                let revision = object.revision();
                let event = WatchEvent {
                    kind: WatchKind::Added,
                    revision,
                    object: Some(object),
                    initial_events_end: false,
                };
                let _ = watcher.sender.send(Ok(event));
            }
            let _ = watcher.sender.send(Ok(WatchEvent {
                kind: WatchKind::Bookmark,
                revision: self.revision,
                object: None,
                initial_events_end: true,
            }));
        } else {
            let from = request.options.resource_version.as_deref().and_then(|text| text.parse().ok());
            for (resource, kind, object, old) in &self.history {
                if *resource == request.resource && from.is_some_and(|from: u64| object.revision() > from) {
                    watcher.tell(*kind, object, old.as_ref());
                }
            }
        }
        self.watchers.push(watcher);
        let events = futures::stream::unfold(receiver, |mut receiver| async move {
            receiver.recv().await.map(|event| (event, receiver))
        });
        Ok(events.boxed())
    }

    pub(super) fn break_watches(&mut self, expired: bool) {
        for watcher in self.watchers.drain(..) {
            if expired {
                let _ = watcher.sender.send(Err(Status::expired("too old resource version")));
            }
        }
    }

    pub(super) fn release(&mut self) {
        self.held = false;
        for (resource, kind, object, old) in std::mem::take(&mut self.waiting) {
            self.tell(&resource, kind, object, old);
        }
    }

    fn tell(&mut self, resource: &Resource, kind: WatchKind, object: Object, old: Option<Object>) {
        if self.held {
            self.waiting.push((resource.clone(), kind, object, old));
            return;
        }
        self.watchers.retain(|watcher| !watcher.sender.is_closed());
        for watcher in self.watchers.iter().filter(|watcher| watcher.request.resource == *resource) {
            watcher.tell(kind, &object, old.as_ref());
        }
    }

    fn commit(&mut self, resource: &Resource, kind: WatchKind, value: &Value) -> Object {
        self.revision += 1;
        let fields = cox_api::kinds::by_resource(&resource.group, &resource.version, &resource.plural)
            .map_or_else(Vec::new, |kind| kind.selectable(value));
        // The kinds' own fields may not be there yet: pods are always found by their node.
        let fields = if resource.plural == "pods" && fields.is_empty() {
            vec![("spec.nodeName", value["spec"]["nodeName"].as_str().unwrap_or_default().to_owned())]
        } else {
            fields
        };
        let object = Object::new(value, Header::of(value, fields), self.revision);
        let place = (resource.clone(), object.namespace().to_owned(), object.name().to_owned());
        let old = if kind == WatchKind::Deleted {
            self.objects.remove(&place)
        } else {
            self.objects.insert(place, object.clone())
        };
        self.history.push((resource.clone(), kind, object.clone(), old.clone()));
        self.tell(resource, kind, object.clone(), old);
        object
    }

    pub(super) fn put(&mut self, resource: &Resource, mut value: Value) {
        let metadata = &value["metadata"];
        let text = |key: &str| metadata[key].as_str().unwrap_or_default().to_owned();
        let exists = self.object(resource, &text("namespace"), &text("name")).is_ok();
        if !exists {
            self.complete(&mut value);
        }
        let kind = if exists { WatchKind::Modified } else { WatchKind::Added };
        self.commit(resource, kind, &value);
    }

    pub(super) fn remove(&mut self, resource: &Resource, namespace: &str, name: &str) {
        if let Some(value) = self.get(resource, namespace, name) {
            self.commit(resource, WatchKind::Deleted, &value);
        }
    }

    fn complete(&self, value: &mut Value) {
        let metadata = &mut value["metadata"];
        if metadata["name"].as_str().is_none_or(str::is_empty)
            && let Some(prefix) = metadata["generateName"].as_str()
        {
            metadata["name"] = format!("{prefix}{}", self.env.chance().suffix(5)).into();
        }
        if metadata["uid"].is_null() {
            metadata["uid"] = self.env.chance().uid().into();
        }
        if metadata["creationTimestamp"].is_null() {
            metadata["creationTimestamp"] = self.env.now_rfc3339().into();
        }
        if metadata["generation"].is_null() {
            metadata["generation"] = 1.into();
        }
    }

    pub(super) fn create(
        &mut self,
        resource: &Resource,
        namespace: &str,
        mut value: Value,
    ) -> Result<Response, Status> {
        if !namespace.is_empty() {
            value["metadata"]["namespace"] = namespace.into();
        }
        self.complete(&mut value);
        if resource.plural == "pods" && value["status"]["phase"].is_null() {
            value["status"]["phase"] = "Pending".into();
        }
        let name = value["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        if self.object(resource, namespace, &name).is_ok() {
            return Err(Status::already_exists(&resource.group, &resource.plural, &name));
        }
        let object = self.commit(resource, WatchKind::Added, &value);
        Ok(Response::Object { object, created: true })
    }

    pub(super) fn update(
        &mut self,
        resource: &Resource,
        namespace: &str,
        name: &str,
        subresource: Option<&str>,
        mut value: Value,
    ) -> Result<Response, Status> {
        let object = self.object(resource, namespace, name)?;
        let old = object.value();
        let version = &value["metadata"]["resourceVersion"];
        if version.as_str().is_some_and(|version| !version.is_empty())
            && *version != old["metadata"]["resourceVersion"]
        {
            let why =
                "the object has been modified; please apply your changes to the latest version and try again";
            return Err(Status::conflict(&resource.group, &resource.plural, name, why));
        }
        if subresource == Some("status") {
            let status = value["status"].take();
            let mut kept = old.clone();
            kept["status"] = status;
            value = kept;
        } else {
            // Pods, services and most others keep their status through the main resource.
            if !old["status"].is_null() && subresource.is_none() {
                value["status"] = old["status"].clone();
            }
            if value["spec"] != old["spec"] {
                value["metadata"]["generation"] =
                    (old["metadata"]["generation"].as_i64().unwrap_or(0) + 1).into();
            }
        }
        for key in ["uid", "creationTimestamp", "deletionTimestamp"] {
            if !old["metadata"][key].is_null() {
                value["metadata"][key] = old["metadata"][key].clone();
            }
        }
        value["metadata"]["resourceVersion"] = old["metadata"]["resourceVersion"].clone();
        if value == old {
            return Ok(Response::Object { object, created: false });
        }
        let ends = !value["metadata"]["deletionTimestamp"].is_null()
            && value["metadata"]["finalizers"].as_array().is_none_or(Vec::is_empty)
            && value["spec"]["finalizers"].as_array().is_none_or(Vec::is_empty)
            && (resource.plural != "pods" || value["metadata"]["deletionGracePeriodSeconds"] == 0);
        let kind = if ends { WatchKind::Deleted } else { WatchKind::Modified };
        let object = self.commit(resource, kind, &value);
        Ok(Response::Object { object, created: false })
    }

    pub(super) fn delete(
        &mut self,
        resource: &Resource,
        namespace: &str,
        name: &str,
        options: &Value,
    ) -> Result<Response, Status> {
        let mut value = self.object(resource, namespace, name)?.value();
        for key in ["uid", "resourceVersion"] {
            let wanted = &options["preconditions"][key];
            if !wanted.is_null() && *wanted != value["metadata"][key] {
                let why = "Precondition failed";
                return Err(Status::conflict(&resource.group, &resource.plural, name, why));
            }
        }
        let finalizer = match options["propagationPolicy"].as_str() {
            Some("Foreground") => Some("foregroundDeletion"),
            Some("Orphan") => Some("orphan"),
            _ => None,
        };
        if let Some(finalizer) = finalizer {
            let held = value["metadata"]["finalizers"].take();
            let mut held = held.as_array().cloned().unwrap_or_default();
            if !held.contains(&json!(finalizer)) {
                held.push(finalizer.into());
            }
            value["metadata"]["finalizers"] = held.into();
        }
        let graceful = resource.plural == "pods"
            && options["gracePeriodSeconds"] != 0
            && value["spec"]["nodeName"].as_str().is_some_and(|node| !node.is_empty());
        let held = value["metadata"]["finalizers"].as_array().is_some_and(|held| !held.is_empty())
            || value["spec"]["finalizers"].as_array().is_some_and(|held| !held.is_empty());
        if graceful || held {
            if value["metadata"]["deletionTimestamp"].is_null() {
                value["metadata"]["deletionTimestamp"] = self.env.now_rfc3339().into();
            }
            let seconds = options["gracePeriodSeconds"].as_i64().unwrap_or(if graceful { 30 } else { 0 });
            value["metadata"]["deletionGracePeriodSeconds"] = seconds.into();
            let object = self.commit(resource, WatchKind::Modified, &value);
            return Ok(Response::Object { object, created: false });
        }
        let object = self.commit(resource, WatchKind::Deleted, &value);
        Ok(Response::Object { object, created: false })
    }

    pub(super) fn bind(&mut self, namespace: &str, name: &str, binding: &Value) -> Result<Response, Status> {
        let pods = Resource::new("", "v1", "pods");
        let mut value = self.object(&pods, namespace, name)?.value();
        if value["spec"]["nodeName"].as_str().is_some_and(|node| !node.is_empty()) {
            return Err(Status::conflict("", "pods/binding", name, "pod is already assigned to a node"));
        }
        value["spec"]["nodeName"] = binding["target"]["name"].clone();
        let mut conditions = value["status"]["conditions"].as_array().cloned().unwrap_or_default();
        conditions.retain(|condition| condition["type"] != "PodScheduled");
        conditions.push(json!({"type": "PodScheduled", "status": "True"}));
        value["status"]["conditions"] = conditions.into();
        self.commit(&pods, WatchKind::Modified, &value);
        Ok(Response::Value { code: 201, value: json!({"kind": "Status", "status": "Success"}) })
    }
}

fn matches(request: &Request, object: &Object) -> bool {
    if request.namespace.as_deref().is_some_and(|namespace| namespace != object.namespace()) {
        return false;
    }
    let options = &request.options;
    let each = |text: &Option<String>| -> Vec<(String, String)> {
        let text = text.clone().unwrap_or_default();
        text.split(',')
            .filter_map(|rule| rule.split_once('='))
            .map(|(key, value)| (key.to_owned(), value.trim_start_matches('=').to_owned()))
            .collect()
    };
    each(&options.field_selector).iter().all(|(key, value)| object.header().field(key) == Some(value))
        && each(&options.label_selector).iter().all(|(key, value)| {
            object.header().labels.get(key.as_str()).is_some_and(|held| **held == **value)
        })
}
