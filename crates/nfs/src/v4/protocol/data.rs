//! Data of files: READ, WRITE, COMMIT and what minor version 2 adds (RFC 7862 section 15).

use standfast_rpc::xdr::{List, Opaque};
use standfast_rpc::{xdr_enum, xdr_struct, xdr_union};

use super::{Bitmap, Detail, Extent, MAX_DATA, NetAddress, OwnerName, StateId, Status, Verifier};

/// Most segments of one READ_PLUS, most servers of one COPY.
pub const MAX_SEGMENTS: usize = 1024;

xdr_enum! {
    /// `stable_how4`.
    pub enum StableHow {
        /// The page cache is enough.
        Unstable = 0,
        /// Data, and what is needed to find it.
        DataSync = 1,
        /// Data and attributes.
        FileSync = 2,
    }

    /// `data_content4`.
    pub enum Content {
        /// Bytes.
        Data = 0,
        /// A hole.
        Hole = 1,
    }
}

xdr_struct! {
    /// `READ4args` and `READ_PLUS4args`.
    pub struct ReadArgs {
        /// By which right.
        pub stateid: StateId,
        /// First byte.
        pub offset: u64,
        /// Number of bytes.
        pub count: u32,
    }

    /// `READ4resok`.
    pub struct ReadOk {
        /// Whether the file ends there.
        pub end: bool,
        /// The bytes.
        pub data: Opaque<MAX_DATA>,
    }

    /// `WRITE4args`.
    pub struct WriteArgs {
        /// By which right.
        pub stateid: StateId,
        /// First byte.
        pub offset: u64,
        /// How stable it must be.
        pub stable: StableHow,
        /// The bytes.
        pub data: Opaque<MAX_DATA>,
    }

    /// `WRITE4resok`.
    pub struct WriteOk {
        /// Number of bytes.
        pub count: u32,
        /// How stable they are.
        pub committed: StableHow,
        /// Changes when unstable data may have been lost.
        pub verifier: Verifier,
    }

    /// `COMMIT4args`.
    pub struct CommitArgs {
        /// First byte.
        pub offset: u64,
        /// Number of bytes; zero: to the end.
        pub count: u32,
    }

    /// `ALLOCATE4args` and `DEALLOCATE4args`.
    pub struct SpaceArgs {
        /// By which right.
        pub stateid: StateId,
        /// Which bytes.
        pub extent: Extent,
    }

    /// `COPY4args`.
    pub struct CopyArgs {
        /// By which right to read.
        pub source: StateId,
        /// By which right to write.
        pub destination: StateId,
        /// First byte to read.
        pub source_offset: u64,
        /// First byte to write.
        pub destination_offset: u64,
        /// Number of bytes; zero: to the end.
        pub count: u64,
        /// In order.
        pub consecutive: bool,
        /// Done when it returns.
        pub synchronous: bool,
        /// Where the source is; empty: here.
        pub servers: List<NetLocation, MAX_SEGMENTS>,
    }

    /// `write_response4`.
    pub struct WriteResponse {
        /// Names a copy that goes on.
        pub callback: List<StateId, 1>,
        /// Number of bytes.
        pub count: u64,
        /// How stable they are.
        pub committed: StableHow,
        /// Changes when unstable data may have been lost.
        pub verifier: Verifier,
    }

    /// `copy_requirements4`.
    pub struct CopyRequirements {
        /// In order.
        pub consecutive: bool,
        /// Done when it returns.
        pub synchronous: bool,
    }

    /// `COPY4resok`.
    pub struct CopyOk {
        /// What was written.
        pub response: WriteResponse,
        /// How.
        pub requirements: CopyRequirements,
    }

    /// `CLONE4args`.
    pub struct CloneArgs {
        /// By which right to read.
        pub source: StateId,
        /// By which right to write.
        pub destination: StateId,
        /// First byte to read.
        pub source_offset: u64,
        /// First byte to write.
        pub destination_offset: u64,
        /// Number of bytes; zero: to the end.
        pub count: u64,
    }

    /// `OFFLOAD_STATUS4resok`.
    pub struct OffloadStatusOk {
        /// Number of bytes so far.
        pub count: u64,
        /// How it ended, if it did.
        pub complete: List<Status, 1>,
    }

    /// `IO_ADVISE4args`.
    pub struct IoAdviseArgs {
        /// By which right.
        pub stateid: StateId,
        /// Which bytes; a length of zero: to the end.
        pub extent: Extent,
        /// `IO_ADVISE4_*`.
        pub hints: Bitmap,
    }

    /// `SEEK4args`.
    pub struct SeekArgs {
        /// By which right.
        pub stateid: StateId,
        /// From where.
        pub offset: u64,
        /// What to look for.
        pub what: Content,
    }

    /// `seek_res4`.
    pub struct SeekOk {
        /// There is none before the end of the file.
        pub end: bool,
        /// Where it is.
        pub offset: u64,
    }

    /// `data4`.
    pub struct DataSegment {
        /// First byte.
        pub offset: u64,
        /// The bytes.
        pub data: Opaque<MAX_DATA>,
    }

    /// `read_plus_res4`.
    pub struct ReadPlusOk {
        /// Whether the file ends there.
        pub end: bool,
        /// What was found, in order.
        pub segments: List<Segment, MAX_SEGMENTS>,
    }
}

xdr_union! {
    /// `netloc4`.
    pub enum NetLocation {
        /// A name.
        Name(OwnerName) = 1,
        /// A URL.
        Url(OwnerName) = 2,
        /// An address.
        Address(NetAddress) = 3,
    }

    /// `read_plus_content`.
    pub enum Segment {
        /// Bytes.
        Data(DataSegment) = 0,
        /// A hole.
        Hole(Extent) = 1,
    }
}

impl Detail for CopyRequirements {
    /// COPY tells what it could do instead.
    const STATUS: Status = Status::OffloadNoReqs;
}
