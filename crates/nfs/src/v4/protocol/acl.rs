//! Access control lists (RFC 8881 section 6.2.1).

use standfast_rpc::xdr::{List, Opaque};
use standfast_rpc::{xdr_enum, xdr_struct};

/// Most entries of a list that are read.
const MAX_ENTRIES: usize = 1024;

/// `fattr4_acl`.
pub type Acl = List<Ace, MAX_ENTRIES>;

xdr_enum! {
    /// `acetype4`.
    pub enum AceKind {
        /// Allows.
        Allow = 0,
        /// Denies.
        Deny = 1,
        /// Logs.
        Audit = 2,
        /// Raises an alarm.
        Alarm = 3,
    }
}

xdr_struct! {
    /// `nfsace4`: an entry of an access control list.
    pub struct Ace {
        /// What it does.
        pub kind: AceKind,
        /// `ACE4_*_INHERIT_ACE` and the like.
        pub flags: u32,
        /// The rights, `ACE4_READ_DATA` and the like.
        pub mask: u32,
        /// Whom it is about.
        pub who: Opaque<1024>,
    }
}
