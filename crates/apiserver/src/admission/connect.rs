//! Connections to pods, services and nodes (exec, attach, port-forward, proxy), as admission sees them: their options
//! are the object.
//! Source: <https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/#matching-requests-rules> (`CONNECT`)

use cox_api::{Options, Resource, Status, kinds};
use serde_json::{Value, json};

use super::{Attempt, Notes, Operation};
use crate::auth::User;
use crate::server::ApiServer;

/// Who wants to connect to what.
pub(crate) struct Connection<'a> {
    pub user: &'a User,
    pub resource: &'a Resource,
    pub namespace: &'a str,
    pub name: &'a str,
    pub subresource: &'a str,
    /// The parameters of the request; a path to be proxied is the parameter `path`.
    pub query: Vec<(String, String)>,
}

/// Asks admission whether a connection may be made.
///
/// # Errors
/// Its refusal.
pub(crate) async fn connect(
    server: &ApiServer,
    connection: Connection<'_>,
    notes: &mut Notes<'_>,
) -> Result<(), Status> {
    let Resource { group, version, plural } = connection.resource;
    let Some(kind) = kinds::by_resource(group, version, plural) else { return Ok(()) };
    let options = Options::default();
    let attempt = Attempt {
        server,
        user: connection.user,
        operation: Operation::Connect,
        kind,
        info: kind.info(),
        subresource: connection.subresource,
        namespace: connection.namespace,
        name: connection.name.to_owned(),
        old: None,
        options: &options,
        dry_run: false,
        patches: false,
    };
    let mut object = object(plural, connection.subresource, &connection.query);
    server.admission().admit_asked(&attempt, &mut object, notes).await
}

/// `PodExecOptions` and the like, out of the parameters of a request.
fn object(plural: &str, subresource: &str, query: &[(String, String)]) -> Value {
    let kind = match (plural, subresource) {
        (_, "exec") => "PodExecOptions",
        (_, "attach") => "PodAttachOptions",
        (_, "portforward") => "PodPortForwardOptions",
        ("services", _) => "ServiceProxyOptions",
        ("nodes", _) => "NodeProxyOptions",
        _ => "PodProxyOptions",
    };
    let mut object = json!({"kind": kind, "apiVersion": "v1"});
    for (key, value) in query {
        match (subresource, key.as_str()) {
            ("exec" | "attach", "stdin" | "stdout" | "stderr" | "tty") => {
                if matches!(value.as_str(), "1" | "true" | "t" | "T" | "True" | "TRUE") {
                    object[key.as_str()] = true.into();
                }
            }
            ("exec" | "attach", "container") | ("proxy", "path") => {
                object[key.as_str()] = value.as_str().into()
            }
            ("exec", "command") => push(&mut object, key, value.as_str().into()),
            ("portforward", "ports") => {
                for port in value.split(',').filter_map(|port| port.parse::<i32>().ok()) {
                    push(&mut object, key, port.into());
                }
            }
            _ => {}
        }
    }
    object
}

fn push(object: &mut Value, key: &str, value: Value) {
    match object[key].as_array_mut() {
        Some(list) => list.push(value),
        None => object[key] = json!([value]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_become_options() {
        let query = |text: &str| -> Vec<(String, String)> {
            text.split('&')
                .filter_map(|p| p.split_once('='))
                .map(|(k, v)| (k.to_owned(), v.to_owned()))
                .collect()
        };
        assert_eq!(
            object("pods", "exec", &query("command=sh&command=-c&stdin=true&tty=false&container=c&x=y")),
            json!({"kind": "PodExecOptions", "apiVersion": "v1", "command": ["sh", "-c"], "stdin": true, "container": "c"})
        );
        assert_eq!(
            object("services", "proxy", &query("path=/a")),
            json!({"kind": "ServiceProxyOptions", "apiVersion": "v1", "path": "/a"})
        );
    }
}
