//! Informers: one ordered cache per kind and process, filled by list and watch.

mod changes;
mod reader;
mod reflector;
mod shared;
mod state;

#[cfg(test)]
mod tests;

pub use changes::{Change, Changes};
pub use reader::Reader;
pub use shared::{Informed, SharedInformers};

/// Which objects of a kind an informer holds; by default all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Scope {
    /// Empty for all namespaces.
    pub namespace: String,
    /// As in `spec.nodeName=n1`.
    pub field_selector: Option<String>,
    /// As in `app=web`.
    pub label_selector: Option<String>,
}

impl Scope {
    /// Everything of the kind.
    pub fn everything() -> Scope {
        Scope::default()
    }

    /// The pods of one node.
    pub fn on_node(node: &str) -> Scope {
        Scope::field("spec.nodeName", node)
    }

    /// The object of this name (in whatever namespace).
    pub fn named(name: &str) -> Scope {
        Scope::field("metadata.name", name)
    }

    /// Objects with this value of a selectable field.
    pub fn field(path: &str, value: &str) -> Scope {
        Scope { field_selector: Some(format!("{path}={value}")), ..Scope::default() }
    }

    /// The same in one namespace.
    pub fn in_namespace(mut self, namespace: &str) -> Scope {
        namespace.clone_into(&mut self.namespace);
        self
    }
}
