//! ONC RPC (RFC 5531) and XDR (RFC 4506): records, authentication, transport, rpcbind.
//!
//! A request travels: [`server`] reads a record from a connection, decodes the call header
//! ([`message`]) and the credential ([`auth`]), asks the reply cache whether it ran before, and
//! gives it to the [`Program`] it is for; the reply leaves through the connection it came on.

pub mod auth;
pub mod budget;
pub mod channel;
pub mod client;
pub mod gate;
pub mod message;
pub mod program;
pub mod record;
pub mod reply_cache;
pub mod results;
pub mod rpcbind;
pub mod server;
pub mod xdr;

pub use channel::CallChannel;
pub use program::{Call, CallFuture, Peer, Program, Reply, Transport};
pub use server::Server;
