//! What file protocols serve: the [`FileSystem`] trait and its POSIX implementation.
//!
//! Every method is synchronous and runs as the [`Caller`] that its [`Context`] names. A method
//! called with [`Wait::Never`] answers from memory or returns [`Error::WouldBlock`]; the protocol
//! server then repeats it with [`Wait::Allowed`] where waiting holds nobody up.

mod attributes;
mod context;
mod deferred;
mod error;
mod extended;
mod file_system;
mod handle;
mod kept_files;
mod permit;
mod posix;
mod ranges;

pub use attributes::{
    Attributes, ChangeTime, DeviceNumber, FileKind, SetAttributes, SetTime, Timestamp,
};
pub use context::{Caller, Context, Wait};
pub use deferred::Deferred;
pub use error::Error;
pub use extended::{AclEntry, AclKind, AclTag, ExtendedAttributes, PosixAcl, SetHow};
pub use file_system::{
    AccessMask, Changed, CreateHow, CreateKind, DirectoryEntry, FileSystem, Found, Limits, Listing,
    Quota, Read, Renamed, Space, Stability,
};
pub use handle::Handle;
pub use kept_files::{KeptFiles, OpenFiles};
pub use permit::{Permit, Verdict};
pub use posix::{IdentityScope, OpenError, Options, PosixFileSystem, can_switch_identity};
pub use ranges::{Advice, Content, Ranges};

/// The result of a filesystem operation.
pub type Result<T> = std::result::Result<T, Error>;
