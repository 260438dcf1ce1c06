//! Whatever is in a message of NFSv3 or MOUNT, it is read as it was written.

use std::fmt::Debug;

use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;
use standfast_nfs::mount::protocol::{self as mount, ExportNode, MountOk, MountResult, Mounted};
use standfast_nfs::v3::protocol::{
    AccessArgs, AccessOk, Attributes, CommitArgs, CommitOk, CreateArgs, CreateHow, CreateOk,
    DeviceData, DirOpArgs, Entry, EntryPlus, FileHandle, FileType, FsInfoOk, FsStatOk, LinkArgs,
    LinkWcc, LookupOk, MkDirArgs, MkNodArgs, MkNodData, Outcome, PathConfOk, ReadArgs, ReadDirArgs,
    ReadDirOk, ReadDirPlusArgs, ReadDirPlusOk, ReadLinkOk, ReadOk, RenameArgs, RenameWcc,
    SetAttrArgs, SetAttributes, SetTime, SpecData, StableHow, Status, SymLinkArgs, Time,
    WccAttributes, WccData, WriteArgs, WriteOk,
};
use standfast_rpc::xdr::{Chain, Decode, DecodeError, Decoder, Encode, to_bytes};

use crate::draw::{Draw, Source, draw_enums, draw_structs, draw_unions};

/// The status of a mount; of the other types the names differ.
type MountStatus = mount::Status;

draw_enums! { Status FileType StableHow MountStatus }

draw_unions! {
    SetTime { Keep, ServerTime; ClientTime }
    CreateHow { ; Unchecked, Guarded, Exclusive }
    MkNodData { Regular, Directory, Symlink; BlockDevice, CharacterDevice, Socket, Fifo }
}

draw_structs! {
    SpecData { major, minor }
    Time { seconds, nanoseconds }
    Attributes {
        kind, mode, links, uid, gid, size, used, device, fsid, file_id, atime, mtime, ctime
    }
    WccAttributes { size, mtime, ctime }
    WccData { before, after }
    SetAttributes { mode, uid, gid, size, atime, mtime }
    DirOpArgs { directory, name }
    SetAttrArgs { object, attributes, guard }
    LookupOk { object, attributes, directory }
    AccessArgs { object, access }
    AccessOk { attributes, access }
    ReadLinkOk { attributes, target }
    ReadArgs { file, offset, count }
    ReadOk { attributes, count, end_of_file, data }
    WriteArgs { file, offset, count, stable, data }
    WriteOk { file, count, committed, verifier }
    CreateArgs { place, how }
    MkDirArgs { place, attributes }
    SymLinkArgs { place, attributes, target }
    MkNodArgs { place, what }
    DeviceData { attributes, device }
    CreateOk { object, attributes, directory }
    RenameArgs { from, to }
    RenameWcc { from, to }
    LinkArgs { object, link }
    LinkWcc { attributes, directory }
    ReadDirArgs { directory, cookie, verifier, count }
    Entry { file_id, name, cookie }
    ReadDirOk { attributes, verifier, entries, end }
    ReadDirPlusArgs { directory, cookie, verifier, dir_count, max_count }
    EntryPlus { file_id, name, cookie, attributes, handle }
    ReadDirPlusOk { attributes, verifier, entries, end }
    FsStatOk {
        attributes, total_bytes, free_bytes, available_bytes, total_files, free_files,
        available_files, unchanged_for
    }
    FsInfoOk {
        attributes, read_max, read_preferred, read_multiple, write_max, write_preferred,
        write_multiple, readdir_preferred, max_file_size, time_delta, properties
    }
    PathConfOk {
        attributes, max_links, max_name, no_truncation, chown_restricted, case_insensitive,
        case_preserving
    }
    CommitArgs { file, offset, count }
    CommitOk { file, verifier }
    MountOk { handle, flavors }
    Mounted { host, path }
    ExportNode { path, groups }
}

impl<T: Draw, F: Draw> Draw for Outcome<T, F> {
    fn draw(source: &mut Source<'_>) -> Self {
        match Status::draw(source) {
            Status::Ok => Self::Ok(T::draw(source)),
            status => Self::Fail(status, F::draw(source)),
        }
    }
}

/// Of version 3.
impl Draw for MountResult {
    fn draw(source: &mut Source<'_>) -> Self {
        match MountStatus::draw(source) {
            MountStatus::Ok => Self::V3(MountOk::draw(source)),
            status => Self::Fail(status),
        }
    }
}

fn round_trip_by<T: Draw + Encode + PartialEq + Debug>(
    decode: fn(&mut Decoder<'_>) -> Result<T, DecodeError>,
    bytes: &[u8],
) -> TestCaseResult {
    let value = T::draw(&mut Source::new(bytes));
    let message = to_bytes(&value);
    prop_assert_eq!(message.len() % 4, 0);
    let mut decoder = Decoder::new(&message);
    prop_assert_eq!(decode(&mut decoder), Ok(value));
    prop_assert_eq!(decoder.finish(), Ok(()));
    Ok(())
}

macro_rules! round_trips {
    ($bytes:expr; $($type:ty),* $(,)?) => {$(
        round_trip_by(<$type>::decode, $bytes)?;
    )*};
}

/// What a failure carries.
type Seen = Option<Attributes>;

fn source() -> impl Strategy<Value = Vec<u8>> {
    // Small bytes are the first arms of unions and the ends of lists.
    let byte = prop_oneof![2 => any::<u8>(), 1 => 0..4_u8];
    prop::collection::vec(byte, 0..600)
}

proptest! {
    #[test]
    fn arguments_of_nfs3(bytes in source()) {
        round_trips!(
            &bytes;
            FileHandle, SetAttrArgs, DirOpArgs, AccessArgs, ReadArgs, WriteArgs, CreateArgs,
            MkDirArgs, SymLinkArgs, MkNodArgs, RenameArgs, LinkArgs, ReadDirArgs, ReadDirPlusArgs,
            CommitArgs,
        );
    }

    /// A failure is as likely as its statuses are many: results are drawn without their status
    /// too.
    #[test]
    fn results_of_nfs3(bytes in source()) {
        round_trips!(
            &bytes;
            Outcome<Attributes, ()>, Outcome<WccData, WccData>, Outcome<LookupOk, Seen>,
            Outcome<CreateOk, WccData>, Outcome<RenameWcc, RenameWcc>, Outcome<LinkWcc, LinkWcc>,
        );
        round_trips!(
            &bytes;
            Attributes, WccData, LookupOk, AccessOk, ReadLinkOk, ReadOk, WriteOk, CreateOk,
            RenameWcc, LinkWcc, ReadDirOk, ReadDirPlusOk, FsStatOk, FsInfoOk, PathConfOk, CommitOk,
        );
    }

    #[test]
    fn messages_of_mount(bytes in source()) {
        round_trips!(&bytes; mount::Path, MountOk, Chain<Mounted>, Chain<ExportNode>);
        round_trip_by(MountResult::decode_v3, &bytes)?;
    }
}
