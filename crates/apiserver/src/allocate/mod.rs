//! Addresses and ports of services: given, kept and taken back together with the Service.

mod families;
mod pool;
mod service;

use std::sync::Arc;

use cox_api::{Part, Status};
use serde_json::Value;

use crate::config::Config;
use crate::core::call::Call;
use crate::db::Db;

use pool::{Claim, Pool};
use service::ServiceAllocator;

/// Everything that is allocated for objects of some kinds.
pub(crate) struct Allocators {
    services: ServiceAllocator,
}

/// What was allocated for a write; it goes back unless the write is kept.
#[derive(Default)]
#[must_use]
pub(crate) struct Reservation {
    /// Goes back where the write doesn't happen.
    taken: Vec<Claim>,
    /// Goes back where the write happens.
    given_up: Vec<(Arc<Pool>, u32)>,
}

impl Reservation {
    /// The write has happened.
    pub(crate) fn keep(self) {
        for claim in self.taken {
            claim.keep();
        }
        for (pool, number) in self.given_up {
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
