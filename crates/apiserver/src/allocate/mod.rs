//! Addresses and ports of services: given, kept and taken back together with the Service.

pub(crate) mod address_objects;
mod addresses;
mod families;
mod pool;
mod service;

use std::net::Ipv4Addr;
use std::sync::Arc;

use cox_api::{Part, Status};
use cox_store::Txn;
use serde_json::Value;

use crate::config::Config;
use crate::core::call::Call;
use crate::db::Db;

use addresses::AddressClaim;
use pool::{Claim, Pool};
use service::ServiceAllocator;
pub(crate) use service::addresses as addresses_of;

/// Everything that is allocated for objects of some kinds.
pub(crate) struct Allocators {
    services: ServiceAllocator,
}

/// What was allocated for a write; it goes back unless the write is kept.
#[derive(Default)]
#[must_use]
pub(crate) struct Reservation {
    /// Goes back where the write doesn't happen.
    ports: Vec<Claim>,
    /// Goes back where the write happens.
    ports_given_up: Vec<(Arc<Pool>, u32)>,
    /// Taken for as long as the write is under way; then the objects that are written with it say so.
    addresses: Vec<AddressClaim>,
    /// Their objects go with the write.
    addresses_given_up: Vec<Ipv4Addr>,
}

impl Reservation {
    /// Adds what is to be written together with the object.
    pub(crate) fn join(&self, call: &Call<'_>, name: &str, mut txn: Txn) -> Txn {
        for claim in &self.addresses {
            txn = address_objects::add_taken(txn, call.server.env(), claim.address(), call.namespace, name);
        }
        for &address in &self.addresses_given_up {
            let service = (call.namespace, name);
            txn = address_objects::add_given_up(txn, call.server.db(), &call.now, address, service);
        }
        txn
    }

    /// The write has happened.
    pub(crate) fn keep(self) {
        for claim in self.ports {
            claim.keep();
        }
        for (pool, number) in self.ports_given_up {
            pool.release(number);
        }
    }
}

impl Allocators {
    /// Takes over what stored objects hold.
    pub(crate) fn new(db: &Db, config: &Config, chance: &cox_env::Chance) -> Allocators {
        Allocators { services: ServiceAllocator::new(db, config, chance.clone()) }
    }

    /// Fills in what a new object gets.
    pub(crate) fn begin_create(&self, call: &Call<'_>, object: &mut Value) -> Result<Reservation, Status> {
        if !is_service(call) {
            return Ok(Reservation::default());
        }
        self.services.begin(call, object, None)
    }

    /// Fills in what a changed object gets, and notes what it gives up.
    pub(crate) fn begin_update(
        &self,
        call: &Call<'_>,
        part: Part,
        object: &mut Value,
        old: &Value,
    ) -> Result<Reservation, Status> {
        if part != Part::Main || !is_service(call) {
            return Ok(Reservation::default());
        }
        self.services.begin(call, object, Some(old))
    }

    /// Whether objects of the call's kind are given something, so that a write of one may have to be made anew.
    pub(crate) fn concern(&self, call: &Call<'_>) -> bool {
        is_service(call)
    }

    /// Adds what goes together with an object that goes.
    pub(crate) fn join_removal(&self, call: &Call<'_>, object: &Value, txn: Txn) -> Txn {
        if !is_service(call) {
            return txn;
        }
        let given_up = Reservation { addresses_given_up: addresses_of(object), ..Reservation::default() };
        given_up.join(call, call.name, txn)
    }

    /// An object is gone: what it held can be given again.
    pub(crate) fn released(&self, call: &Call<'_>, object: &Value) {
        if is_service(call) {
            self.services.released(object);
        }
    }
}

/// Allocation is hooked to one resource.
fn is_service(call: &Call<'_>) -> bool {
    call.info().group.is_empty() && call.info().plural == "services" && call.subresource.is_empty()
}
