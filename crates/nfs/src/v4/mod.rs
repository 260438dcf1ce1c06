//! NFS version 4: the wire and the state.

pub mod keeper;
pub mod protocol;
pub mod state;
