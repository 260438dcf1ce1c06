//! What happened to the state, as values, and how they are written.

use bytes::Bytes;
use standfast_rpc::xdr::{self, DecodeError, List, Opaque};
use standfast_rpc::{xdr_enum, xdr_struct, xdr_union};
use standfast_vfs::Handle;

use crate::locks::FileKey;

use super::super::protocol::{
    CallbackClient, CallbackSecurity, ChannelAttributes, OpenOk, OwnerName, SessionId, Verifier,
};

/// Longest reply that is kept.
const MAX_REPLY: usize = 1 << 21;
/// Most changes of one record.
const MAX_CHANGES: usize = 1 << 20;

/// Who a request is from, as far as it decides over a client's state: credential flavor and
/// identity, in bytes of the caller's choice.
pub type Principal = Opaque<1024>;
/// An encoded reply, or what a request is about to do.
pub type Kept = Opaque<MAX_REPLY>;

xdr_enum! {
    /// The version of the records.
    pub enum Format {
        /// The first.
        One = 1,
    }

    /// What an owner owns.
    pub enum OwnerKind {
        /// Opens.
        Open = 1,
        /// Locks.
        Lock = 2,
    }

    /// Why a state was taken from its client.
    pub enum Revocation {
        /// The lease had expired and another client needed what it held.
        Expired = 1,
        /// By an administrator.
        Administrator = 2,
        /// A delegation was not returned in time.
        Recall = 3,
    }
}

xdr_struct! {
    /// The names that were given out.
    pub struct Base {
        /// Which instance gives them.
        pub instance: u32,
        /// The next number of anything but a client.
        pub next: u64,
        /// The next number of a client.
        pub next_client: u32,
    }

    /// Where callbacks of minor version 0 go.
    pub struct CallbackTarget {
        /// Program and address.
        pub client: CallbackClient,
        /// To be sent along.
        pub ident: u32,
    }

    /// A change of the callback that is not confirmed (RFC 7530 section 16.33.5).
    pub struct PendingCallback {
        /// What confirms it.
        pub confirm: u64,
        /// The callback.
        pub callback: CallbackTarget,
    }

    /// The reply to the last CREATE_SESSION.
    pub struct CreateSessionReply {
        /// Its sequence.
        pub sequence: u32,
        /// The encoded result.
        pub reply: Option<Kept>,
    }

    /// A client.
    pub struct ClientRecord {
        /// Its id.
        pub id: u64,
        /// Whether it uses sessions (minor version 1 and later).
        pub has_sessions: bool,
        /// What it calls itself.
        pub owner: OwnerName,
        /// Changes when it restarts.
        pub verifier: Verifier,
        /// Who it is.
        pub principal: Principal,
        /// What confirms it; minor version 0.
        pub confirm: u64,
        /// Whether it is confirmed.
        pub confirmed: bool,
        /// Whether it said RECLAIM_COMPLETE.
        pub reclaimed: bool,
        /// Where its callbacks go; minor version 0.
        pub callback: Option<CallbackTarget>,
        /// Where they will go.
        pub pending: Option<PendingCallback>,
        /// The last CREATE_SESSION.
        pub create_session: CreateSessionReply,
    }

    /// A session.
    pub struct SessionRecord {
        /// Its id.
        pub id: SessionId,
        /// Whose.
        pub client: u64,
        /// Of requests.
        pub fore: ChannelAttributes,
        /// Of callbacks.
        pub back: ChannelAttributes,
        /// Whether it has a back channel.
        pub has_back_channel: bool,
        /// RPC program of callbacks.
        pub callback_program: u32,
        /// Credential of callbacks.
        pub callback_security: CallbackSecurity,
        /// Minor version: that of its callbacks, too.
        pub minor: u32,
        /// Slots that it has.
        pub slots: u32,
    }

    /// What a slot's request is about to do.
    pub struct IntentRecord {
        /// The session.
        pub session: SessionId,
        /// The slot.
        pub slot: u32,
        /// Of the request.
        pub sequence: u32,
        /// Tells requests apart.
        pub fingerprint: u64,
        /// What it is about to do, in the caller's words.
        pub intent: Kept,
    }

    /// The reply of a slot.
    pub struct ReplyRecord {
        /// The session.
        pub session: SessionId,
        /// The slot.
        pub slot: u32,
        /// Of the request.
        pub sequence: u32,
        /// Tells requests apart.
        pub fingerprint: u64,
        /// The reply; none if it was not to be kept.
        pub reply: Option<Kept>,
    }

    /// An open owner or lock owner.
    pub struct OwnerRecord {
        /// Its number.
        pub id: u64,
        /// Whose.
        pub client: u64,
        /// What it owns.
        pub kind: OwnerKind,
        /// What the client calls it.
        pub name: OwnerName,
        /// Whether it is confirmed; minor version 0.
        pub confirmed: bool,
    }

    /// The last reply of an owner; minor version 0.
    pub struct OwnerReply {
        /// Which owner.
        pub owner: u64,
        /// Of the request.
        pub seqid: u32,
        /// Tells requests apart.
        pub fingerprint: u64,
        /// The encoded result.
        pub reply: Kept,
    }

    /// A file.
    pub struct FileRecord {
        /// The export.
        pub export: u64,
        /// The filesystem in it.
        pub filesystem: u64,
        /// The kernel's type of handle.
        pub kind: i32,
        /// The kernel's handle.
        pub handle: Opaque<{ Handle::MAX_BYTES }>,
    }

    /// What is kept of an OPEN of minor version 0 for a retransmission.
    pub struct KeptOpen {
        /// The result.
        pub ok: OpenOk,
        /// The file, which becomes the current one.
        pub file: FileRecord,
    }

    /// An open.
    pub struct OpenRecord {
        /// Its number.
        pub id: u64,
        /// Its seqid.
        pub seqid: u32,
        /// Whose.
        pub owner: u64,
        /// The file.
        pub file: FileRecord,
        /// `OPEN4_SHARE_ACCESS_*`.
        pub access: u32,
        /// `OPEN4_SHARE_DENY_*`.
        pub deny: u32,
        /// All that was opened, for the downgrade: bit `4 * access + deny` for each.
        pub opened: u32,
    }

    /// The locks of a lock owner by an open.
    pub struct LockStateRecord {
        /// Its number.
        pub id: u64,
        /// Its seqid.
        pub seqid: u32,
        /// Whose.
        pub owner: u64,
        /// By which open.
        pub open: u64,
    }

    /// A range that was locked.
    pub struct LockedRecord {
        /// The locks' number.
        pub state: u64,
        /// Their new seqid.
        pub seqid: u32,
        /// First byte.
        pub first: u64,
        /// Last byte.
        pub last: u64,
        /// For writing.
        pub exclusive: bool,
    }

    /// A range that was unlocked.
    pub struct UnlockedRecord {
        /// The locks' number.
        pub state: u64,
        /// Their new seqid.
        pub seqid: u32,
        /// First byte.
        pub first: u64,
        /// Last byte.
        pub last: u64,
    }

    /// A delegation.
    pub struct DelegationRecord {
        /// Its number.
        pub id: u64,
        /// Whose.
        pub client: u64,
        /// The file.
        pub file: FileRecord,
        /// For writing.
        pub write: bool,
    }

    /// A state that was taken from its client.
    pub struct RevokedRecord {
        /// Its number.
        pub id: u64,
        /// Whose.
        pub client: u64,
        /// The file.
        pub file: FileRecord,
        /// Its seqid.
        pub seqid: u32,
        /// Whether it was a delegation.
        pub delegation: bool,
        /// Why.
        pub why: Revocation,
    }

    /// Changes that become durable together: one record of the journal.
    pub struct Together {
        /// Its version.
        pub format: Format,
        /// In order.
        pub changes: List<Change, MAX_CHANGES>,
    }
}

xdr_union! {
    /// One change of the state. Applied in order to an empty state ([`super::State::apply`]), the
    /// changes rebuild it. Those with a record set what it names, be it new or known.
    pub enum Change {
        /// Which names were given out.
        Base(Base) = 1,
        /// A client.
        Client(ClientRecord) = 2,
        /// A client is gone, with all that it had.
        ClientRemoved(u64) = 3,
        /// A session.
        Session(SessionRecord) = 4,
        /// A session is gone.
        SessionRemoved(SessionId) = 5,
        /// A request is about to do what must not be done twice.
        Intended(IntentRecord) = 6,
        /// A request was answered.
        Replied(ReplyRecord) = 7,
        /// An owner.
        Owner(OwnerRecord) = 8,
        /// A request of an owner was answered.
        OwnerReplied(OwnerReply) = 9,
        /// An owner is gone.
        OwnerRemoved(u64) = 10,
        /// An open.
        Open(OpenRecord) = 11,
        /// A lock stateid.
        LockState(LockStateRecord) = 12,
        /// A lock.
        Locked(LockedRecord) = 13,
        /// An unlock.
        Unlocked(UnlockedRecord) = 14,
        /// A delegation.
        Delegation(DelegationRecord) = 15,
        /// An open is closed; its stateid still finds the owner's last reply.
        Closed(u64) = 16,
        /// A state was taken away; its stateid tells so.
        Revoked(RevokedRecord) = 17,
        /// A state is gone.
        StateRemoved(u64) = 18,
    }
}

impl Change {
    /// Changes as one record of the journal.
    pub fn encode_all(changes: Vec<Self>) -> Bytes {
        xdr::to_bytes(&Together { format: Format::One, changes: List(changes) })
    }

    /// The changes of a record.
    ///
    /// # Errors
    /// The record is damaged, or of a later version.
    pub fn decode_all(record: &Bytes) -> Result<Vec<Self>, DecodeError> {
        xdr::from_bytes::<Together>(record).map(|together| together.changes.0)
    }
}

impl From<&FileKey> for FileRecord {
    fn from(file: &FileKey) -> Self {
        Self {
            export: file.export,
            filesystem: file.handle.filesystem(),
            kind: file.handle.kind(),
            handle: Opaque::copy_from_slice(file.handle.bytes()),
        }
    }
}

impl FileRecord {
    /// The file; `None` never happens for what was made from one.
    pub fn key(&self) -> Option<FileKey> {
        let handle = Handle::new(self.filesystem, self.kind, &self.handle)?;
        Some(FileKey { export: self.export, handle })
    }
}
