//! The types of NFS version 4 on the wire: minor versions 0 (RFC 7530, RFC 7531), 1 (RFC 8881,
//! RFC 5662), 2 (RFC 7862, RFC 7863), extended attributes (RFC 8276) and `mode_umask` (RFC 8275).
//!
//! Every length that a message states has a limit here, and memory follows the bytes that really
//! arrived. A COMPOUND is read one operation at a time ([`Operations`]): those before one that
//! cannot be read have run by then, as the protocol wants it.
//!
//! Operations that this server will not run (pNFS layouts, SSV, directory delegations, named
//! attributes, application data blocks) are known by number only: their result ends the COMPOUND,
//! so nothing behind them is ever read.

mod acl;
mod attribute_list;
mod attributes;
mod basic;
mod bitmap;
mod callback;
mod client;
mod compound;
mod data;
mod lock;
mod names;
mod open;
mod operation;
mod operation_name;
mod outcome;
mod session;
mod status;

#[cfg(test)]
mod tests;

pub use acl::{Ace, AceKind, Acl};
pub use attribute_list::{
    Attribute, ChangeAttributeType, FsLocation, FsLocations, ModeMasked, ModeUmask, SetTime, Value,
};
pub use attributes::{AttributeError, Fattr};
pub use basic::*;
pub use bitmap::{Bitmap, MAX_WORDS};
pub use callback::*;
pub use client::*;
pub use compound::{
    CompoundArgs, CompoundResults, MAX_TAG, OperationError, Operations, Tag, refused,
};
pub use data::*;
pub use lock::*;
pub use names::*;
pub use open::*;
pub use operation::{Operation, OperationCode, OperationResult};
pub use outcome::{Detail, Detailed, Outcome};
pub use session::*;
pub use status::Status;

/// Program number of NFS.
pub const PROGRAM: u32 = 100_003;
/// This version of it.
pub const VERSION: u32 = 4;
/// The highest minor version.
pub const MAX_MINOR: u32 = 2;
