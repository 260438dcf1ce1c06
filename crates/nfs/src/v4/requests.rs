//! Who asks, and what tells one request from another.

use standfast_rpc::Call;
use standfast_rpc::auth::Credential;

use super::keeper::Keeper;
use super::state::{Principal, RequestId};

/// How much of a request goes into its checksum: enough to tell another request from a
/// retransmission, without reading all of a large write again.
const CHECKSUM_BYTES: usize = 4096;

/// Who a request is from, as far as it decides over a client's state: flavor and user. A client's
/// groups and machine name may change while it lives.
pub(super) fn principal(call: &Call) -> Principal {
    let mut bytes = Vec::with_capacity(8);
    match &call.credential {
        Credential::None => bytes.extend([0; 4]),
        Credential::Sys(sys) => {
            bytes.extend(1_u32.to_be_bytes());
            bytes.extend(sys.uid.to_be_bytes());
        }
    }
    Principal::from(bytes)
}

/// A checksum of a request and of who sent it; a retransmission has the same.
pub(super) fn fingerprint(call: &Call) -> u64 {
    let arguments = &call.arguments;
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&principal(call));
    hasher.update(&arguments[..arguments.len().min(CHECKSUM_BYTES)]);
    u64::from(hasher.finalize()) << 32 | arguments.len() as u64 & 0xffff_ffff
}

/// What tells the request of a slot from others.
pub(super) fn request_id(keeper: &Keeper, call: &Call) -> RequestId {
    RequestId { fingerprint: fingerprint(call), connection: keeper.connection(call) }
}
