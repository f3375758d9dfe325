//! Who asks.

use std::collections::BTreeMap;

/// The group of everybody who proved who they are.
pub const AUTHENTICATED: &str = "system:authenticated";
/// The group of everybody else.
pub const UNAUTHENTICATED: &str = "system:unauthenticated";
/// The group that may do everything.
pub const MASTERS: &str = "system:masters";
/// The name of those who didn't say who they are.
pub const ANONYMOUS: &str = "system:anonymous";
/// The group of nodes.
pub const NODES: &str = "system:nodes";

const SERVICE_ACCOUNT_PREFIX: &str = "system:serviceaccount:";

/// Who asks (`authentication.k8s.io/v1` `UserInfo`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct User {
    /// As in `system:kube-scheduler`.
    pub name: String,
    /// Empty for users that have none.
    pub uid: String,
    /// As in `system:masters`.
    pub groups: Vec<String>,
    /// What the authenticator knows besides.
    pub extra: BTreeMap<String, Vec<String>>,
}

impl User {
    /// A user of groups, who is authenticated.
    pub fn new(name: &str, groups: &[&str]) -> User {
        let mut groups: Vec<String> = groups.iter().map(|&group| group.to_owned()).collect();
        groups.push(AUTHENTICATED.to_owned());
        User { name: name.to_owned(), groups, ..User::default() }
    }

    /// The administrator, as who holds the static token.
    pub fn admin() -> User {
        User { uid: "1".to_owned(), ..User::new("admin", &[MASTERS]) }
    }

    /// A part of the control plane: `system:kube-scheduler`, `system:kube-controller-manager`.
    pub fn component(name: &str) -> User {
        User::new(name, &[])
    }

    /// The kubelet of a node.
    pub fn node(name: &str) -> User {
        User::new(&format!("system:node:{name}"), &[NODES])
    }

    /// A service account.
    pub fn service_account(namespace: &str, name: &str, uid: &str) -> User {
        let all = format!("system:serviceaccounts:{namespace}");
        let mut user = User::new(
            &format!("{SERVICE_ACCOUNT_PREFIX}{namespace}:{name}"),
            &["system:serviceaccounts", &all],
        );
        user.uid = uid.to_owned();
        user
    }

    /// Who didn't say.
    pub fn anonymous() -> User {
        User { name: ANONYMOUS.to_owned(), groups: vec![UNAUTHENTICATED.to_owned()], ..User::default() }
    }

    /// Whether the user is of a group.
    pub fn is_in(&self, group: &str) -> bool {
        self.groups.iter().any(|known| known == group)
    }

    /// The node that this user is the kubelet of. None for users that aren't nodes; an empty name for members of
    /// the group without a node's name.
    pub fn node_name(&self) -> Option<&str> {
        if !self.is_in(NODES) {
            return None;
        }
        self.name.strip_prefix("system:node:")
    }

    /// Namespace and name of the service account that this user is.
    pub fn as_service_account(&self) -> Option<(&str, &str)> {
        service_account_of(&self.name)
    }
}

/// Namespace and name in `system:serviceaccount:NAMESPACE:NAME`.
pub fn service_account_of(user_name: &str) -> Option<(&str, &str)> {
    let (namespace, name) = user_name.strip_prefix(SERVICE_ACCOUNT_PREFIX)?.split_once(':')?;
    (!namespace.is_empty() && !name.is_empty() && !name.contains(':')).then_some((namespace, name))
}
