//! NLM: arguments and results of all procedures, with short and with long offsets.

use bytes::Bytes;
use standfast_nfs::nlm::protocol::{
    CancelArgs, FreeAllArgs, LockArgs, LockResult, ShareArgs, ShareResult, TestArgs, TestResult,
    UnlockArgs,
};

use crate::wire::each_same_again;

/// Takes a message, and reads it as everything that it can be.
pub(crate) fn check(data: &[u8]) {
    let message = Bytes::copy_from_slice(data);
    each_same_again!(
        &message;
        TestArgs<u32>, TestResult<u32>, LockArgs<u32>, CancelArgs<u32>, UnlockArgs<u32>,
        TestArgs<u64>, TestResult<u64>, LockArgs<u64>, CancelArgs<u64>, UnlockArgs<u64>,
        LockResult, ShareArgs, ShareResult, FreeAllArgs,
    );
}
