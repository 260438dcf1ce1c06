//! The names that the server gives: clients, sessions, states.
//!
//! Each carries the number of the instance: what was given out before a journal was lost is told
//! apart from what never existed.

use super::super::protocol::{SessionId, StateId};

/// A client's id: the instance and a number that is never used again.
pub(super) fn client_id(instance: u32, number: u32) -> u64 {
    u64::from(instance) << 32 | u64::from(number)
}

/// The number in a client's id.
pub(super) fn client_number(id: u64) -> u32 {
    id as u32
}

/// A session's id.
pub(super) fn session_id(instance: u32, number: u64) -> SessionId {
    let mut id = [0; 16];
    id[..4].copy_from_slice(&instance.to_be_bytes());
    id[8..].copy_from_slice(&number.to_be_bytes());
    id
}

/// The number in a session's id.
pub(super) fn session_number(id: &SessionId) -> u64 {
    id[8..].iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// A stateid.
pub(super) fn state_id(instance: u32, number: u64, seqid: u32) -> StateId {
    let mut other = [0; 12];
    other[..4].copy_from_slice(&instance.to_be_bytes());
    other[4..].copy_from_slice(&number.to_be_bytes());
    StateId { seqid, other }
}

/// Instance and number of a stateid.
pub(super) fn state_number(id: &StateId) -> (u32, u64) {
    let fold = |bytes: &[u8]| bytes.iter().fold(0, |all, byte| all << 8 | u64::from(*byte));
    (fold(&id.other[..4]) as u32, fold(&id.other[4..]))
}

/// The seqid after this one; zero is left out, as it stands for the newest.
pub(super) fn next_seqid(seqid: u32) -> u32 {
    seqid.wrapping_add(1).max(1)
}
