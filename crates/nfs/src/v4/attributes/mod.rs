//! Attributes of objects between the filesystem and the wire (RFC 8881 section 5).

mod decode;
mod encode;
mod facts;
mod supported;

pub(super) use decode::{Wishes, read_wishes};
pub(super) use encode::{Subject, encode};
pub(super) use facts::{Facts, Needs};
pub(super) use supported::{exclusive_create, supported, write_only};
