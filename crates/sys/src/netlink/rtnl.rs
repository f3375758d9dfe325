//! rtnetlink: the socket, and what is asked of it in batches.

use super::codec::Batch;
use super::link::{self, Link};
use super::route::{self, Route};
use super::socket::{Family, Socket};
use super::{Error, Result};

/// A socket for interfaces, addresses, routes and neighbours of one network namespace.
pub struct Rtnl(Socket);

// === impl Rtnl ===

impl Rtnl {
    /// Opens it in the network namespace of the calling thread.
    ///
    /// # Errors
    /// The system's refusal.
    pub fn open() -> Result<Self> {
        Ok(Rtnl(Socket::open(Family::Route)?))
    }

    /// Executes the requests in order. A failed one does not stop those after it; the first failure is
    /// returned.
    ///
    /// # Errors
    /// The kernel's refusal of a request.
    pub fn execute(&mut self, mut batch: Batch) -> Result<()> {
        if batch.is_empty() {
            return Ok(());
        }
        let last = batch.len() - 1;
        self.0.execute(&mut batch, last)
    }

    /// As [`Rtnl::execute`], but failures that `tolerate` accepts don't count.
    ///
    /// # Errors
    /// The first failure that isn't tolerated.
    pub fn execute_unless(&mut self, mut batch: Batch, tolerate: impl Fn(&Error) -> bool) -> Result<()> {
        if batch.is_empty() {
            return Ok(());
        }
        let last = batch.len() - 1;
        match self.0.execute_all(&mut batch, last)?.into_iter().find(|e| !tolerate(e)) {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    /// All interfaces.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn links(&mut self) -> Result<Vec<Link>> {
        self.0.dump(link::request_all, link::parse)
    }

    /// One interface by its name.
    ///
    /// # Errors
    /// The kernel's refusal; no such interface is `None`.
    pub fn link(&mut self, name: &str) -> Result<Option<Link>> {
        let mut batch = Batch::new();
        link::request_one(&mut batch, name);
        match self.0.get(&mut batch, link::parse) {
            Err(error) if error.is_not_found() => Ok(None),
            other => other,
        }
    }

    /// All IPv4 routes of the main table.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn routes(&mut self) -> Result<Vec<Route>> {
        self.0.dump(route::request_all, route::parse)
    }
}
