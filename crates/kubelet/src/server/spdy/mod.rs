//! SPDY/3.1, as far as exec, attach and port-forward need it: clients open streams, this side answers on them.
//!
//! Both of upstream's ends use a library that knows no flow control: it neither sends nor honours `WINDOW_UPDATE`,
//! so this side doesn't wait for any.
//! Source: <https://www.chromium.org/spdy/spdy-protocol/spdy-protocol-draft3-1/>

mod frame;
mod headers;
mod session;
mod upgrade;

pub(super) use session::{Opened, Session};
pub(super) use upgrade::{is_spdy, switch};
