//! Attributes of objects between the filesystem and the wire (RFC 8881 section 5).

mod decode;
mod encode;
mod facts;
mod supported;

use standfast_vfs::{Attributes, ChangeTime, Timestamp};

pub(super) use decode::{SetError, Wishes, read_wishes};
pub(super) use encode::{Subject, encode};
pub(super) use facts::{Facts, Needs};
pub(super) use supported::{exclusive_create, readable, supported, writable, write_only};

const NANOSECONDS: u64 = 1_000_000_000;

/// The change attribute.
pub(super) fn change(attributes: &Attributes) -> u64 {
    change_of_time(attributes.changed)
}

/// The change attribute of an object as it was.
pub(super) fn change_before(before: &ChangeTime) -> u64 {
    change_of_time(before.changed)
}

fn change_of_time(time: Timestamp) -> u64 {
    (time.seconds as u64).wrapping_mul(NANOSECONDS).wrapping_add(time.nanoseconds.into())
}
