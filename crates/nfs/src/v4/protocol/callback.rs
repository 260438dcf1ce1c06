//! Callbacks: what the server asks of a client (RFC 8881 section 20, RFC 7862 section 16). Only
//! those that this server sends.

use standfast_rpc::xdr::{Decode, DecodeError, Decoder, Encode, Encoder, List};
use standfast_rpc::{xdr_struct, xdr_union};

use super::{
    Bitmap, Fattr, FileHandle, Outcome, SessionId, StateId, StateOwner, Status, Tag, WriteResponse,
};

/// Version of the callback program; its number is the client's choice.
pub const CALLBACK_VERSION: u32 = 1;
/// Its procedures `CB_NULL` and `CB_COMPOUND`.
pub const CALLBACK_NULL: u32 = 0;
/// Runs callbacks.
pub const CALLBACK_COMPOUND: u32 = 1;
/// Most operations of a callback that are read.
const MAX_OPERATIONS: usize = 64;
/// Most referring calls.
const MAX_REFERRING: usize = 1024;

xdr_struct! {
    /// `CB_GETATTR4args`.
    pub struct CallbackGetAttrArgs {
        /// The file.
        pub file: FileHandle,
        /// Which.
        pub attributes: Bitmap,
    }

    /// `CB_RECALL4args`.
    pub struct CallbackRecallArgs {
        /// The delegation.
        pub stateid: StateId,
        /// The file will be truncated: nothing need be written back.
        pub truncate: bool,
        /// The file.
        pub file: FileHandle,
    }

    /// `referring_call4`.
    pub struct ReferringCall {
        /// Of the slot.
        pub sequence: u32,
        /// The slot.
        pub slot: u32,
    }

    /// `referring_call_list4`.
    pub struct ReferringCalls {
        /// The session.
        pub session: SessionId,
        /// The calls.
        pub calls: List<ReferringCall, MAX_REFERRING>,
    }

    /// `CB_SEQUENCE4args`.
    pub struct CallbackSequenceArgs {
        /// The session.
        pub session: SessionId,
        /// Of the slot.
        pub sequence: u32,
        /// The slot.
        pub slot: u32,
        /// The highest slot in use.
        pub highest_slot: u32,
        /// Keep the reply.
        pub cache_this: bool,
        /// Requests whose replies this callback may overtake.
        pub referring: List<ReferringCalls, MAX_REFERRING>,
    }

    /// `CB_SEQUENCE4resok`.
    pub struct CallbackSequenceOk {
        /// The session.
        pub session: SessionId,
        /// Of the slot.
        pub sequence: u32,
        /// The slot.
        pub slot: u32,
        /// The highest slot there is.
        pub highest_slot: u32,
        /// The highest slot that should be used.
        pub target_highest_slot: u32,
    }

    /// `CB_RECALL_ANY4args`.
    pub struct CallbackRecallAnyArgs {
        /// How many may stay.
        pub keep: u32,
        /// Of which types (`RCA4_TYPE_MASK_*`).
        pub types: Bitmap,
    }

    /// `CB_NOTIFY_LOCK4args`.
    pub struct CallbackNotifyLockArgs {
        /// The file.
        pub file: FileHandle,
        /// Who wanted a lock.
        pub owner: StateOwner,
    }

    /// `CB_OFFLOAD4args`.
    pub struct CallbackOffloadArgs {
        /// The destination.
        pub file: FileHandle,
        /// The copy.
        pub stateid: StateId,
        /// How it ended.
        pub info: OffloadInfo,
    }

    /// `CB_COMPOUND4args`.
    pub struct CallbackArgs {
        /// To be sent back.
        pub tag: Tag,
        /// Minor version.
        pub minor: u32,
        /// Which client it is for, by its `callback_ident` (minor version 0).
        pub ident: u32,
        /// What to do.
        pub operations: List<CallbackOperation, MAX_OPERATIONS>,
    }

    /// `CB_COMPOUND4res`.
    pub struct CallbackResults {
        /// Of the last operation that was tried.
        pub status: Status,
        /// As in the arguments.
        pub tag: Tag,
        /// The results up to the first failure.
        pub results: List<CallbackResult, MAX_OPERATIONS>,
    }
}

/// `offload_info4`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OffloadInfo {
    /// It is done.
    Done(WriteResponse),
    /// It failed after this many bytes.
    Failed(Status, u64),
}

impl Encode for OffloadInfo {
    fn encode(&self, encoder: &mut Encoder) {
        match self {
            Self::Done(response) => {
                Status::Ok.encode(encoder);
                response.encode(encoder);
            }
            Self::Failed(status, copied) => {
                status.encode(encoder);
                copied.encode(encoder);
            }
        }
    }
}

impl Decode for OffloadInfo {
    fn decode(decoder: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        match Status::decode(decoder)? {
            Status::Ok => WriteResponse::decode(decoder).map(Self::Done),
            status => Ok(Self::Failed(status, u64::decode(decoder)?)),
        }
    }
}

xdr_union! {
    /// `nfs_cb_argop4`.
    pub enum CallbackOperation {
        /// Get attributes from the holder of a write delegation.
        GetAttr(CallbackGetAttrArgs) = 3,
        /// Recall a delegation.
        Recall(CallbackRecallArgs) = 4,
        /// Recall some delegations.
        RecallAny(CallbackRecallAnyArgs) = 8,
        /// Use fewer slots: the highest one to use.
        RecallSlot(u32) = 10,
        /// Use a slot of the back channel.
        Sequence(CallbackSequenceArgs) = 11,
        /// A lock may be had now.
        NotifyLock(CallbackNotifyLockArgs) = 13,
        /// A copy ended.
        Offload(CallbackOffloadArgs) = 15,
    }

    /// `nfs_cb_resop4`.
    pub enum CallbackResult {
        /// Attributes.
        GetAttr(Outcome<Fattr>) = 3,
        /// Recalled.
        Recall(Status) = 4,
        /// Understood.
        RecallAny(Status) = 8,
        /// Understood.
        RecallSlot(Status) = 10,
        /// The slot.
        Sequence(Outcome<CallbackSequenceOk>) = 11,
        /// Understood.
        NotifyLock(Status) = 13,
        /// Understood.
        Offload(Status) = 15,
        /// No such operation.
        Illegal(Status) = 10044,
    }
}
