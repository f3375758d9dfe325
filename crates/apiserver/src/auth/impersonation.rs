//! Acting as somebody else, by the `Impersonate-*` headers.
//! Source: <https://kubernetes.io/docs/reference/access-authn-authz/authentication/#user-impersonation>

use std::collections::BTreeMap;

use cox_api::Status;

use super::{AUTHENTICATED, Attributes, UNAUTHENTICATED, User, service_account_of};

/// What the headers say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Impersonation {
    /// `Impersonate-User`.
    pub user: String,
    /// `Impersonate-Uid`.
    pub uid: String,
    /// `Impersonate-Group`, in order.
    pub groups: Vec<String>,
    /// `Impersonate-Extra-KEY`.
    pub extra: BTreeMap<String, Vec<String>>,
}

impl Impersonation {
    /// Whether there is anything to do.
    pub fn is_empty(&self) -> bool {
        *self == Impersonation::default()
    }

    /// As Go's `%#v` shows it in the message.
    fn shown(&self) -> String {
        let list = |words: &[String]| {
            let quoted: Vec<String> = words.iter().map(|word| format!("{word:?}")).collect();
            format!("[]string{{{}}}", quoted.join(", "))
        };
        let groups = if self.groups.is_empty() { "[]string(nil)".to_owned() } else { list(&self.groups) };
        let extra = if self.extra.is_empty() {
            "map[string][]string(nil)".to_owned()
        } else {
            let entries: Vec<String> =
                self.extra.iter().map(|(key, words)| format!("{key:?}:{}", list(words))).collect();
            format!("map[string][]string{{{}}}", entries.join(", "))
        };
        format!(
            "&user.DefaultInfo{{Name:{:?}, UID:{:?}, Groups:{groups}, Extra:{extra}}}",
            self.user, self.uid
        )
    }
}

/// Turns `actor` into whom the headers name, if `allowed` says yes to each part.
///
/// # Errors
/// 400 for headers without a user; 403 where the actor may not impersonate one of the parts.
pub fn impersonate(
    actor: &User,
    wanted: &Impersonation,
    allowed: impl Fn(&Attributes<'_>) -> Result<(), Status>,
) -> Result<User, Status> {
    if wanted.user.is_empty() {
        return Err(Status::bad_request(format!(
            "requested {} without impersonating a user name",
            wanted.shown()
        )));
    }
    let ask = |group: &str, resource: &str, subresource: &str, namespace: &str, name: &str| {
        allowed(&Attributes {
            subresource,
            namespace,
            name,
            ..Attributes::resource(actor, "impersonate", group, resource)
        })
    };
    let account = service_account_of(&wanted.user);
    match account {
        Some((namespace, name)) => ask("", "serviceaccounts", "", namespace, name)?,
        None => ask("", "users", "", "", &wanted.user)?,
    }
    for group in &wanted.groups {
        ask("", "groups", "", "", group)?;
    }
    const AUTHENTICATION: &str = "authentication.k8s.io";
    if !wanted.uid.is_empty() {
        ask(AUTHENTICATION, "uids", "", "", &wanted.uid)?;
    }
    for (key, values) in &wanted.extra {
        for value in values {
            ask(AUTHENTICATION, "userextras", key, "", value)?;
        }
    }
    let mut groups = wanted.groups.clone();
    if let (Some((namespace, _)), true) = (account, groups.is_empty()) {
        groups = vec!["system:serviceaccounts".into(), format!("system:serviceaccounts:{namespace}")];
    }
    let anonymous = wanted.user == super::ANONYMOUS;
    let implied = if anonymous { UNAUTHENTICATED } else { AUTHENTICATED };
    if !groups.iter().any(|group| group == AUTHENTICATED || group == UNAUTHENTICATED) {
        groups.push(implied.to_owned());
    }
    Ok(User { name: wanted.user.clone(), uid: wanted.uid.clone(), groups, extra: wanted.extra.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_get_their_groups() {
        let wanted = Impersonation { user: "system:serviceaccount:n:a".into(), ..Default::default() };
        let user = impersonate(&User::admin(), &wanted, |_| Ok(())).unwrap();
        assert_eq!(
            user.groups,
            ["system:serviceaccounts", "system:serviceaccounts:n", "system:authenticated"]
        );
    }

    #[test]
    fn a_group_needs_a_user() {
        let wanted = Impersonation { groups: vec!["g".into()], ..Default::default() };
        let refused = impersonate(&User::admin(), &wanted, |_| Ok(())).unwrap_err();
        assert_eq!(
            refused.message(),
            "requested &user.DefaultInfo{Name:\"\", UID:\"\", Groups:[]string{\"g\"}, Extra:map[string][]string(nil)} without impersonating a user name"
        );
    }
}
