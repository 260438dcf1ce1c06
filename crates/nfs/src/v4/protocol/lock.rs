//! Byte-range locks (RFC 8881 sections 18.10 to 18.12).

use standfast_rpc::{xdr_enum, xdr_struct, xdr_union};

use super::{Detail, StateId, StateOwner, Status};

xdr_enum! {
    /// `nfs_lock_type4`.
    pub enum LockType {
        /// Shared.
        Read = 1,
        /// Exclusive.
        Write = 2,
        /// Shared; the client would wait.
        ReadWait = 3,
        /// Exclusive; the client would wait.
        WriteWait = 4,
    }
}

xdr_struct! {
    /// `open_to_lock_owner4`.
    pub struct NewLockOwner {
        /// Of the open owner; ignored from minor version 1 on.
        pub open_seqid: u32,
        /// The open.
        pub open: StateId,
        /// Of the lock owner; ignored from minor version 1 on.
        pub lock_seqid: u32,
        /// Who locks.
        pub owner: StateOwner,
    }

    /// `exist_lock_owner4`.
    pub struct KnownLockOwner {
        /// The locks that the owner has.
        pub lock: StateId,
        /// Of the lock owner; ignored from minor version 1 on.
        pub lock_seqid: u32,
    }

    /// `LOCK4args`.
    pub struct LockArgs {
        /// How.
        pub kind: LockType,
        /// It was held before the server lost its state.
        pub reclaim: bool,
        /// First byte.
        pub offset: u64,
        /// Number of bytes; all ones: to the end.
        pub length: u64,
        /// Who.
        pub locker: Locker,
    }

    /// `LOCK4denied`.
    pub struct LockDenied {
        /// First byte.
        pub offset: u64,
        /// Number of bytes; all ones: to the end.
        pub length: u64,
        /// How.
        pub kind: LockType,
        /// Who holds it.
        pub owner: StateOwner,
    }

    /// `LOCKT4args`.
    pub struct LockTestArgs {
        /// How.
        pub kind: LockType,
        /// First byte.
        pub offset: u64,
        /// Number of bytes; all ones: to the end.
        pub length: u64,
        /// Who.
        pub owner: StateOwner,
    }

    /// `LOCKU4args`.
    pub struct UnlockArgs {
        /// Has no meaning here.
        pub kind: LockType,
        /// Of the lock owner; ignored from minor version 1 on.
        pub seqid: u32,
        /// The locks.
        pub stateid: StateId,
        /// First byte.
        pub offset: u64,
        /// Number of bytes; all ones: to the end.
        pub length: u64,
    }
}

xdr_union! {
    /// `locker4`.
    pub enum Locker {
        /// It has locks here already.
        Known(KnownLockOwner) = 0,
        /// The owner's first lock on this open.
        New(NewLockOwner) = 1,
    }
}

impl Detail for LockDenied {
    /// LOCK and LOCKT name the holder.
    const STATUS: Status = Status::Denied;
}
