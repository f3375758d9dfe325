//! Every object of every kind that can own or be owned, as undecoded caches.

use cox_api::{Object, Resource, kinds};
use cox_client::{Informed, Scope, SharedInformers};
use serde_json::Value;

/// A kind's cache.
pub(crate) struct Cached {
    pub(crate) informed: Informed,
    pub(crate) api_version: String,
    pub(crate) kind: &'static str,
}

/// All of them.
pub(crate) struct Graph {
    pub(crate) caches: Vec<Cached>,
}

/// An object by its place.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Item {
    /// Which cache.
    pub(crate) cache: usize,
    pub(crate) namespace: String,
    pub(crate) name: String,
}

impl std::fmt::Display for Item {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}/{}", self.cache, self.namespace, self.name)
    }
}

impl Item {
    pub(crate) fn of(cache: usize, object: &Object) -> Item {
        Item { cache, namespace: object.namespace().to_owned(), name: object.name().to_owned() }
    }
}

impl Graph {
    /// Caches of all kinds but events, which own nothing and end by themselves.
    pub(crate) fn new(informers: &SharedInformers) -> Graph {
        let mut caches = Vec::new();
        for kind in kinds::ALL {
            let info = kind.info();
            let watched = info.verbs.contains(&"watch") && info.verbs.contains(&"delete");
            if !watched || kind.stored_as().is_some() || info.plural == "events" {
                continue;
            }
            let resource = Resource::new(info.group, info.version, info.plural);
            caches.push(Cached {
                informed: informers.resource(resource, Scope::everything()),
                api_version: info.api_version(),
                kind: info.kind,
            });
        }
        Graph { caches }
    }

    pub(crate) fn get(&self, item: &Item) -> Option<Object> {
        self.caches[item.cache].informed.get(&item.namespace, &item.name)
    }

    /// Who has this uid.
    pub(crate) fn by_uid(&self, uid: &str) -> Option<Object> {
        self.caches.iter().find_map(|cached| cached.informed.by_uid(uid))
    }

    /// Who names this uid as an owner.
    pub(crate) fn dependents(&self, uid: &str) -> Vec<(Item, Object)> {
        let mut dependents = Vec::new();
        for (index, cached) in self.caches.iter().enumerate() {
            dependents.extend(cached.informed.owned_by(uid).into_iter().map(|object| (Item::of(index, &object), object)));
        }
        dependents
    }

    /// The resource of an owner reference, where it is one that is known.
    pub(crate) fn resource_of(&self, reference: &Value) -> Option<&Resource> {
        let (api_version, kind) = (reference["apiVersion"].as_str()?, reference["kind"].as_str()?);
        let group = |api_version: &str| api_version.split_once('/').map_or("", |(group, _)| group).to_owned();
        let found = self.caches.iter().find(|cached| cached.kind == kind && group(&cached.api_version) == group(api_version));
        found.map(|cached| cached.informed.resource())
    }
}
