//! Callbacks: what the server asks of clients (RFC 7530 section 10.5, RFC 8881 sections 2.10.3 and
//! 20).
//!
//! [`Machine`] decides and has no I/O: callbacks to send, answers and the time go in, calls to make
//! come out. [`Sender`] makes them. A client of minor version 0 is called over a connection of
//! ours to the address that it gave, one of later versions over the connections that it bound to
//! its sessions.
//!
//! No callback is ever needed for what is right: a delegation whose recall is not answered is
//! revoked after a lease, a client that hears nothing of a lock or a copy asks by itself. So what
//! waits too long, or is too much, is dropped.

mod backchannel;
mod callback;
mod dial;
mod machine;
mod route;
mod sender;

#[cfg(test)]
mod tests;

pub use callback::Callback;
pub use machine::{Answer, CallId, LinkId, Machine, Order, Over, Settings};
pub use route::{DialRoute, Route, SessionRoute};
pub use sender::{Sender, SenderSettings};
