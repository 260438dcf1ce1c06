//! NSM: arguments and results of all procedures, and what is kept in files.

use bytes::Bytes;
use standfast_nfs::nsm::protocol::{
    Mon, MonId, MyId, StatArgs, StatResult, State, StateChange, Status,
};
use standfast_nfs::nsm::record::{HostRecord, StateRecord};

use crate::wire::each_same_again;

/// Takes a message or a file, and reads it as everything that it can be.
pub(crate) fn check(data: &[u8]) {
    let message = Bytes::copy_from_slice(data);
    each_same_again!(
        &message;
        StatArgs, MyId, MonId, Mon, StatResult, State, StateChange, Status, HostRecord, StateRecord,
    );
}
