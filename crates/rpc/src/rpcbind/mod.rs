//! rpcbind: where on this machine a program listens (RFC 1833).
//!
//! Either we answer at port 111 ourselves ([`Rpcbind`]), or our programs are registered with the
//! rpcbind that runs there ([`RunningRpcbind`]); [`Publication`] does the one or the other.
//! [`port_of`] asks another machine's.

mod lookup;
mod netid;
mod plan;
mod program;
pub mod protocol;
mod publish;
mod running;
mod table;

pub use lookup::{LookupError, port_at, port_of};
pub use netid::{Netid, from_universal};
pub use program::Rpcbind;
pub use publish::{Mode, Publication, PublishError};
pub use running::RunningRpcbind;
pub use table::Registration;
