//! Who asks, and what they may do.

mod attributes;
mod bootstrap_token;
mod certificates;
pub mod defaults;
mod escalation;
mod impersonation;
mod login;
mod node;
pub mod rbac;
mod roles;
mod token;
mod user;

pub use attributes::Attributes;
pub use certificates::certificate_user;
pub(crate) use escalation::check_escalation;
pub use impersonation::{Impersonation, impersonate};
pub use login::{Login, LoginError};
pub use roles::Decision;
pub use token::{Bound, Claims, Reference, Tokens, Verified};
pub use user::{ANONYMOUS, AUTHENTICATED, MASTERS, NODES, UNAUTHENTICATED, User, service_account_of};

pub(crate) use roles::Authorizer;
