//! The types of MOUNT on the wire: version 3 (RFC 1813 appendix I) and version 1 (RFC 1094
//! appendix A).

use standfast_rpc::xdr::{Chain, Decode, DecodeError, Decoder, Encode, Encoder, List, Opaque};
use standfast_rpc::{xdr_enum, xdr_struct};

use crate::v3::protocol::FileHandle;

/// Program number of MOUNT.
pub const PROGRAM: u32 = 100_005;
/// Longest path (`MNTPATHLEN`).
pub const MAX_PATH: usize = 1024;
/// Longest host or group name (`MNTNAMLEN`).
pub const MAX_NAME: usize = 255;
/// The length of version 1's file handles (`FHSIZE`).
pub const HANDLE_SIZE_1: usize = 32;

/// A path (`dirpath`).
pub type Path = Opaque<MAX_PATH>;

xdr_enum! {
    /// The procedures, the same in both versions.
    pub enum Procedure {
        /// Do nothing.
        Null = 0,
        /// Get the file handle of a path.
        Mnt = 1,
        /// List who mounted what.
        Dump = 2,
        /// Say that a path is mounted no more.
        Umnt = 3,
        /// Say that nothing is mounted any more.
        UmntAll = 4,
        /// List the exports.
        Export = 5,
    }

    /// What came of MNT (`mountstat3`); version 1 has the same numbers.
    pub enum Status {
        /// Success.
        Ok = 0,
        /// Not owner.
        Perm = 1,
        /// No such file or directory.
        NoEnt = 2,
        /// An error of the storage.
        Io = 5,
        /// Permission denied.
        Access = 13,
        /// Not a directory.
        NotDir = 20,
        /// Invalid argument.
        Inval = 22,
        /// The name is too long.
        NameTooLong = 63,
        /// Not supported.
        NotSupp = 10004,
        /// The server failed.
        ServerFault = 10006,
    }
}

xdr_struct! {
    /// `mountres3_ok`.
    pub struct MountOk {
        /// The handle of the path.
        pub handle: FileHandle,
        /// Flavors of credentials that are accepted, the best first.
        pub flavors: List<u32, 16>,
    }

    /// `mountbody`.
    pub struct Mounted {
        /// Who.
        pub host: Opaque<MAX_NAME>,
        /// What.
        pub path: Path,
    }

    /// `exportnode`.
    pub struct ExportNode {
        /// The path.
        pub path: Path,
        /// Who may mount it; nobody named means everybody.
        pub groups: Chain<Opaque<MAX_NAME>>,
    }
}

/// The result of MNT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MountResult {
    /// Version 3: the handle and the flavors.
    V3(MountOk),
    /// Version 1: the handle alone.
    V1([u8; HANDLE_SIZE_1]),
    /// A failure.
    Fail(Status),
}

impl Encode for MountResult {
    fn encode(&self, encoder: &mut Encoder) {
        match self {
            Self::V3(ok) => {
                Status::Ok.encode(encoder);
                ok.encode(encoder);
            }
            Self::V1(handle) => {
                Status::Ok.encode(encoder);
                handle.encode(encoder);
            }
            Self::Fail(status) => status.encode(encoder),
        }
    }
}

impl MountResult {
    /// Reads the result of version 3.
    pub fn decode_v3(decoder: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        match Status::decode(decoder)? {
            Status::Ok => MountOk::decode(decoder).map(Self::V3),
            status => Ok(Self::Fail(status)),
        }
    }
}
