//! The `IPAddress` objects of services, written in one transaction with the Service: there is never one without the
//! other, whenever the process ends.

use std::net::{IpAddr, Ipv4Addr};

use cox_api::kind::{Kind, Unowned};
use cox_api::kinds::ip_address::{self, IPAddress};
use cox_api::managed::{self, Context};
use cox_api::{Header, Object, schema};
use cox_env::Env;
use cox_store::{Expect, Key, Txn};
use serde_json::{Value, json};

use crate::db::Db;
use crate::start::MANAGER;

fn key(address: Ipv4Addr) -> Key {
    Key::new(ip_address::STORE_PREFIX, "", &address.to_string())
}

/// A new object for an address of a service.
pub(crate) fn new(env: &Env, address: IpAddr, namespace: &str, service: &str) -> Object {
    let now = env.now_rfc3339();
    let type_id = IPAddress.info().type_id();
    let mut value = ip_address::of_service(address, namespace, service);
    value["metadata"]["uid"] = env.chance().uid().into();
    value["metadata"]["creationTimestamp"] = now.as_str().into();
    let context = Context {
        manager: MANAGER,
        force: false,
        api_version: &IPAddress.info().api_version(),
        subresource: "",
        now: &now,
        unowned: Unowned::Listed(&[]),
        reset: false,
        convert: None,
    };
    managed::track(&cox_api::Form::Table(type_id), None, &mut value, &context);
    schema::normalize(type_id, &mut value);
    stored(&value)
}

fn stored(value: &Value) -> Object {
    Object::new(value, Header::of(value, IPAddress.selectable(value)), 0)
}

/// Adds the object of an address that a service takes.
pub(super) fn add_taken(txn: Txn, env: &Env, address: Ipv4Addr, namespace: &str, service: &str) -> Txn {
    txn.and_put(key(address), Expect::Absent, new(env, address.into(), namespace, service))
}

/// Takes away the object of an address that a service gives up. Where others hold it by finalizers it is marked, and
/// the address stays taken until they let go.
pub(super) fn add_given_up(
    txn: Txn,
    db: &Db,
    now: &str,
    address: Ipv4Addr,
    (namespace, service): (&str, &str),
) -> Txn {
    let key = key(address);
    let Some(object) = db.get_key(&key) else { return txn };
    let mut value = object.value();
    if !ip_address::is_of_service(&value, namespace, service) {
        return txn;
    }
    let expect = Expect::Revision(object.revision());
    if value["metadata"]["finalizers"].as_array().is_none_or(Vec::is_empty) {
        return txn.and_delete(key, expect);
    }
    if !value["metadata"]["deletionTimestamp"].is_null() {
        return txn;
    }
    value["metadata"]["deletionTimestamp"] = now.into();
    value["metadata"]["deletionGracePeriodSeconds"] = json!(0);
    txn.and_put(key, expect, stored(&value))
}
