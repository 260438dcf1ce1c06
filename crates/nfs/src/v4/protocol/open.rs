//! Opening and closing files, delegations (RFC 7530 sections 16.2, 16.16 to 16.19, RFC 8881
//! section 18.16).

use standfast_rpc::{xdr_enum, xdr_struct, xdr_union};

use super::{Ace, Bitmap, ChangeInfo, Component, Fattr, StateId, StateOwner, Verifier};

/// Bits of `share_access` (`OPEN4_SHARE_ACCESS_*`).
pub mod share_access {
    /// `READ`.
    pub const READ: u32 = 1;
    /// `WRITE`.
    pub const WRITE: u32 = 2;
    /// The two.
    pub const BOTH: u32 = 3;
    /// `WANT_DELEG_MASK`.
    pub const WANT_MASK: u32 = 0xff00;
    /// `WANT_READ_DELEG`.
    pub const WANT_READ: u32 = 0x0100;
    /// `WANT_WRITE_DELEG`.
    pub const WANT_WRITE: u32 = 0x0200;
    /// `WANT_ANY_DELEG`.
    pub const WANT_ANY: u32 = 0x0300;
    /// `WANT_NO_DELEG`.
    pub const WANT_NONE: u32 = 0x0400;
    /// `WANT_CANCEL`.
    pub const WANT_CANCEL: u32 = 0x0500;
}

/// Flags of the result of OPEN (`OPEN4_RESULT_*`).
pub mod open_flags {
    /// `CONFIRM`: OPEN_CONFIRM must follow (minor version 0).
    pub const CONFIRM: u32 = 2;
    /// `LOCKTYPE_POSIX`.
    pub const POSIX_LOCKS: u32 = 4;
    /// `PRESERVE_UNLINKED`.
    pub const PRESERVE_UNLINKED: u32 = 8;
    /// `MAY_NOTIFY_LOCK`.
    pub const MAY_NOTIFY_LOCK: u32 = 0x20;
}

xdr_enum! {
    /// `open_delegation_type4`.
    pub enum DelegationType {
        /// None.
        None = 0,
        /// For reading.
        Read = 1,
        /// For writing.
        Write = 2,
        /// None, with the reason (minor version 1).
        NoneExplained = 3,
    }
}

xdr_struct! {
    /// `creatverfattr`.
    pub struct CreateVerifier {
        /// Tells a retransmission from another client's file.
        pub verifier: Verifier,
        /// Attributes to set.
        pub attributes: Fattr,
    }

    /// `open_claim_delegate_cur4`.
    pub struct ClaimDelegation {
        /// The delegation.
        pub delegation: StateId,
        /// The name of the file.
        pub name: Component,
    }

    /// `OPEN4args`.
    pub struct OpenArgs {
        /// Of the owner; ignored from minor version 1 on.
        pub seqid: u32,
        /// See [`share_access`].
        pub access: u32,
        /// What to deny others; the same bits.
        pub deny: u32,
        /// Who opens.
        pub owner: StateOwner,
        /// Whether and how to create.
        pub how: OpenHow,
        /// What to open, and on what grounds.
        pub claim: OpenClaim,
    }

    /// `open_read_delegation4`.
    pub struct ReadDelegation {
        /// Names it.
        pub stateid: StateId,
        /// It is recalled already.
        pub recall: bool,
        /// Who may read without ACCESS.
        pub permissions: Ace,
    }

    /// `nfs_modified_limit4`.
    pub struct BlockLimit {
        /// Blocks.
        pub blocks: u32,
        /// Their size in bytes.
        pub block_size: u32,
    }

    /// `open_write_delegation4`.
    pub struct WriteDelegation {
        /// Names it.
        pub stateid: StateId,
        /// It is recalled already.
        pub recall: bool,
        /// How much may be written before a flush.
        pub limit: SpaceLimit,
        /// Who may write without ACCESS.
        pub permissions: Ace,
    }

    /// `OPEN4resok`.
    pub struct OpenOk {
        /// Names the open.
        pub stateid: StateId,
        /// The directory before and after.
        pub directory: ChangeInfo,
        /// See [`open_flags`].
        pub flags: u32,
        /// Attributes that were set.
        pub attributes: Bitmap,
        /// The delegation that comes with it.
        pub delegation: Delegation,
    }

    /// `OPEN_CONFIRM4args`.
    pub struct OpenConfirmArgs {
        /// The open.
        pub stateid: StateId,
        /// Of the owner.
        pub seqid: u32,
    }

    /// `OPEN_DOWNGRADE4args`.
    pub struct OpenDowngradeArgs {
        /// The open.
        pub stateid: StateId,
        /// Of the owner; ignored from minor version 1 on.
        pub seqid: u32,
        /// What stays.
        pub access: u32,
        /// What stays denied.
        pub deny: u32,
    }

    /// `CLOSE4args`.
    pub struct CloseArgs {
        /// Of the owner; ignored from minor version 1 on.
        pub seqid: u32,
        /// The open.
        pub stateid: StateId,
    }
}

xdr_union! {
    /// `createhow4`.
    pub enum CreateHow {
        /// An existing file will do.
        Unchecked(Fattr) = 0,
        /// The name must be new.
        Guarded(Fattr) = 1,
        /// The name must be new, or made with this verifier.
        Exclusive(Verifier) = 2,
        /// The same, with attributes (minor version 1).
        ExclusiveWith(CreateVerifier) = 3,
    }

    /// `openflag4`.
    pub enum OpenHow {
        /// It must exist.
        NoCreate = 0,
        /// It may be created.
        Create(CreateHow) = 1,
    }

    /// `open_claim4`.
    pub enum OpenClaim {
        /// A name in the current directory.
        Null(Component) = 0,
        /// It was open before the server lost its state.
        Previous(DelegationType) = 1,
        /// By a delegation that the client holds.
        DelegateCurrent(ClaimDelegation) = 2,
        /// By a delegation from before the client restarted.
        DelegatePrevious(Component) = 3,
        /// The current file (minor version 1).
        FileHandle = 4,
        /// The current file by a delegation (minor version 1).
        DelegateCurrentHandle(StateId) = 5,
        /// The current file by an earlier delegation (minor version 1).
        DelegatePreviousHandle = 6,
    }

    /// `nfs_space_limit4`.
    pub enum SpaceLimit {
        /// A size in bytes.
        Size(u64) = 1,
        /// Blocks.
        Blocks(BlockLimit) = 2,
    }

    /// `open_none_delegation4`.
    pub enum WhyNoDelegation {
        /// Not wanted.
        NotWanted = 0,
        /// Contended; whether it will be pushed later.
        Contention(bool) = 1,
        /// Out of resources; whether it will be signalled later.
        Resource(bool) = 2,
        /// Not for this type of file.
        FileType = 3,
        /// Not for writing this type of file.
        WriteFileType = 4,
        /// No upgrades.
        Upgrade = 5,
        /// No downgrades.
        Downgrade = 6,
        /// Cancelled.
        Cancelled = 7,
        /// A directory.
        IsDirectory = 8,
    }

    /// `open_delegation4`.
    pub enum Delegation {
        /// None.
        None = 0,
        /// For reading.
        Read(ReadDelegation) = 1,
        /// For writing.
        Write(WriteDelegation) = 2,
        /// None, with the reason.
        NoneExplained(WhyNoDelegation) = 3,
    }
}
