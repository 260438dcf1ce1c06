//! Credentials of a call (RFC 5531 section 8, appendix A).

use bytes::Bytes;

use crate::xdr::{self, List, Opaque};
use crate::{xdr_enum, xdr_struct};

/// Longest body of a credential or verifier (RFC 5531 section 8.2).
pub const MAX_BODY: usize = 400;

/// `AUTH_NONE`: no identity.
pub const AUTH_NONE: u32 = 0;
/// `AUTH_SYS`: the client's word for a user and its groups.
pub const AUTH_SYS: u32 = 1;

xdr_enum! {
    /// Why a credential was refused (`auth_stat`, RFC 5531 section 9).
    pub enum AuthStat {
        /// Success.
        Ok = 0,
        /// The credential's seal is broken.
        BadCred = 1,
        /// The client must begin a new session.
        RejectedCred = 2,
        /// The verifier's seal is broken.
        BadVerf = 3,
        /// The verifier expired or was replayed.
        RejectedVerf = 4,
        /// This flavor is too weak here.
        TooWeak = 5,
    }
}

xdr_struct! {
    /// A flavor and its body (`opaque_auth`, RFC 5531 section 8.2).
    pub struct OpaqueAuth {
        /// Flavor number.
        pub flavor: u32,
        /// What the flavor defines.
        pub body: Opaque<MAX_BODY>,
    }

    /// The body of `AUTH_SYS` (`authsys_parms`, RFC 5531 appendix A).
    pub struct AuthSys {
        /// Arbitrary number of the client's machine.
        pub stamp: u32,
        /// Name of the client's machine.
        pub machine_name: Opaque<255>,
        /// Effective user.
        pub uid: u32,
        /// Effective group.
        pub gid: u32,
        /// Supplementary groups.
        pub gids: List<u32, 16>,
    }
}

impl OpaqueAuth {
    /// `AUTH_NONE` with an empty body.
    pub fn none() -> Self {
        Self { flavor: AUTH_NONE, body: Opaque(Bytes::new()) }
    }

    /// `AUTH_SYS` for `identity`.
    pub fn sys(identity: &AuthSys) -> Self {
        Self { flavor: AUTH_SYS, body: Opaque(xdr::to_bytes(identity)) }
    }
}

/// Who a call says it is from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credential {
    /// Nobody in particular.
    None,
    /// A user of the client's machine.
    Sys(AuthSys),
}

impl Credential {
    /// Reads a credential of a flavor that is served.
    pub fn from_opaque(auth: &OpaqueAuth) -> Result<Self, AuthStat> {
        match auth.flavor {
            AUTH_NONE => Ok(Self::None),
            AUTH_SYS => xdr::from_bytes(&auth.body.0).map(Self::Sys).map_err(|_| AuthStat::BadCred),
            _ => Err(AuthStat::TooWeak),
        }
    }
}
