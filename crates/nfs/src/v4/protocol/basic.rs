//! Basic types that many operations share (RFC 7530 section 2.1, RFC 8881 section 3.3).

use standfast_rpc::xdr::{Decode, DecodeError, Decoder, Encode, Encoder, Opaque};
use standfast_rpc::{xdr_enum, xdr_struct};

/// Longest file handle (`NFS4_FHSIZE`).
pub const MAX_HANDLE: usize = 128;
/// Longest owner, client id string, server owner or scope (`NFS4_OPAQUE_LIMIT`).
pub const MAX_OPAQUE: usize = 1024;
/// Longest name that is read; what is above the filesystem's 255 has an error of its own.
pub const MAX_NAME: usize = 4096;
/// Longest target of a symbolic link that is read.
pub const MAX_PATH: usize = 8192;
/// Longest payload of one operation that is read; the server's own limit is lower.
pub const MAX_DATA: usize = 1 << 24;

/// A file handle (`nfs_fh4`).
pub type FileHandle = Opaque<MAX_HANDLE>;
/// A name in a directory (`component4`).
pub type Component = Opaque<MAX_NAME>;
/// The target of a symbolic link (`linktext4`).
pub type LinkText = Opaque<MAX_PATH>;
/// An owner's own name, or a client's.
pub type OwnerName = Opaque<MAX_OPAQUE>;
/// `verifier4`.
pub type Verifier = [u8; 8];
/// `sessionid4`.
pub type SessionId = [u8; 16];

xdr_enum! {
    /// `nfs_ftype4`.
    pub enum FileType {
        /// Regular file.
        Reg = 1,
        /// Directory.
        Dir = 2,
        /// Block device.
        Blk = 3,
        /// Character device.
        Chr = 4,
        /// Symbolic link.
        Lnk = 5,
        /// Socket.
        Sock = 6,
        /// Named pipe.
        Fifo = 7,
        /// Directory of named attributes.
        AttrDir = 8,
        /// Named attribute.
        NamedAttr = 9,
    }
}

/// `stateid4` (RFC 8881 section 8.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct StateId {
    /// Grows with each change of the state; zero stands for the newest.
    pub seqid: u32,
    /// Names the state.
    pub other: [u8; 12],
}

impl StateId {
    /// All zeros: no state, locks of others are respected.
    pub const ANONYMOUS: Self = Self { seqid: 0, other: [0; 12] };
    /// All ones: READ passes by all locks.
    pub const BYPASS: Self = Self { seqid: u32::MAX, other: [0xff; 12] };
    /// The current stateid of the COMPOUND (RFC 8881 section 16.2.3.1.2).
    pub const CURRENT: Self = Self { seqid: 1, other: [0; 12] };
    /// Never valid (RFC 8881 section 8.2.3).
    pub const INVALID: Self = Self { seqid: u32::MAX, other: [0; 12] };

    /// Whether it names no state.
    pub fn is_special(&self) -> bool {
        self.other == [0; 12] || self.other == [0xff; 12]
    }
}

impl Encode for StateId {
    fn encode(&self, encoder: &mut Encoder) {
        self.seqid.encode(encoder);
        self.other.encode(encoder);
    }
}

impl Decode for StateId {
    fn decode(decoder: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        Ok(Self { seqid: u32::decode(decoder)?, other: decoder.fixed()? })
    }
}

xdr_struct! {
    /// `nfstime4`.
    pub struct Time {
        /// Seconds since the epoch; negative before it.
        pub seconds: i64,
        /// Nanoseconds, below 1,000,000,000.
        pub nanoseconds: u32,
    }

    /// `fsid4`.
    pub struct FsId {
        /// First half.
        pub major: u64,
        /// Second half.
        pub minor: u64,
    }

    /// `specdata4`.
    pub struct SpecData {
        /// Major device number.
        pub major: u32,
        /// Minor device number.
        pub minor: u32,
    }

    /// `change_info4`: a directory before and after.
    pub struct ChangeInfo {
        /// Nothing else can have changed it in between.
        pub atomic: bool,
        /// The change attribute before.
        pub before: u64,
        /// And after.
        pub after: u64,
    }

    /// `netaddr4` (RFC 5665): how to reach an address.
    pub struct NetAddress {
        /// Transport, such as `tcp` or `tcp6`.
        pub netid: Opaque<64>,
        /// The address as text.
        pub address: Opaque<256>,
    }

    /// `open_owner4`, `lock_owner4` and `state_owner4`.
    pub struct StateOwner {
        /// The client; ignored from minor version 1 on.
        pub client: u64,
        /// What the client calls the owner.
        pub name: OwnerName,
    }

    /// A range of a file: `offset4` and `length4`.
    pub struct Extent {
        /// First byte.
        pub offset: u64,
        /// Number of bytes; what zero and all ones mean depends on the operation.
        pub length: u64,
    }
}
