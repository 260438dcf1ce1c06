//! The actions of the rows as NFS version 3 (RFC 1813).

mod calls;
mod data;
mod listing;
mod lookups;
mod names;
mod stage;

pub use calls::{get_attributes, mount};
pub use stage::Stage;
pub use standfast_nfs::v3::protocol::FileHandle;
