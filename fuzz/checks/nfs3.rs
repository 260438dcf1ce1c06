//! NFSv3: arguments and results of all procedures.

use bytes::Bytes;
use standfast_nfs::v3::protocol::{
    AccessArgs, AccessOk, Attributes, CommitArgs, CommitOk, CreateArgs, CreateOk, DirOpArgs,
    FileHandle, FsInfoOk, FsStatOk, LinkArgs, LinkWcc, LookupOk, MkDirArgs, MkNodArgs, Outcome,
    PathConfOk, ReadArgs, ReadDirArgs, ReadDirOk, ReadDirPlusArgs, ReadDirPlusOk, ReadLinkOk,
    ReadOk, RenameArgs, RenameWcc, SetAttrArgs, SymLinkArgs, WccData, WriteArgs, WriteOk,
};

use crate::wire::each_same_again;

/// What a failure carries.
type Seen = Option<Attributes>;

/// Takes a message, and reads it as everything that it can be.
pub(crate) fn check(data: &[u8]) {
    let message = Bytes::copy_from_slice(data);
    each_same_again!(
        &message;
        FileHandle, SetAttrArgs, DirOpArgs, AccessArgs, ReadArgs, WriteArgs, CreateArgs, MkDirArgs,
        SymLinkArgs, MkNodArgs, RenameArgs, LinkArgs, ReadDirArgs, ReadDirPlusArgs, CommitArgs,
    );
    each_same_again!(
        &message;
        Outcome<Attributes, ()>, Outcome<WccData, WccData>, Outcome<LookupOk, Seen>,
        Outcome<AccessOk, Seen>, Outcome<ReadLinkOk, Seen>, Outcome<ReadOk, Seen>,
        Outcome<WriteOk, WccData>, Outcome<CreateOk, WccData>, Outcome<RenameWcc, RenameWcc>,
        Outcome<LinkWcc, LinkWcc>, Outcome<ReadDirOk, Seen>, Outcome<ReadDirPlusOk, Seen>,
        Outcome<FsStatOk, Seen>, Outcome<FsInfoOk, Seen>, Outcome<PathConfOk, Seen>,
        Outcome<CommitOk, WccData>,
    );
}
