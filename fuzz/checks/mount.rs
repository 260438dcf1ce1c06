//! MOUNT: arguments and results of all procedures.

use bytes::Bytes;
use standfast_nfs::mount::protocol::{ExportNode, MountResult, Mounted, Path};
use standfast_rpc::xdr::Chain;

use crate::wire::{each_same_again, same_again_by};

/// Takes a message, and reads it as everything that it can be.
pub(crate) fn check(data: &[u8]) {
    let message = Bytes::copy_from_slice(data);
    each_same_again!(&message; Path, Chain<Mounted>, Chain<ExportNode>);
    same_again_by(MountResult::decode_v3, &message);
}
