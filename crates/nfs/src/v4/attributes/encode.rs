//! Attributes for the wire.

use bytes::Bytes;
use standfast_rpc::xdr::{Encode, Encoder, Opaque};
use standfast_vfs::{FileKind, Timestamp};

use super::super::Nfs4;
use super::super::acl::{self, Who};
use super::super::protocol::{
    Attribute, Bitmap, ChangeAttributeType, Fattr, FileType, FsId, Status, Time,
};
use super::facts::Facts;
use super::supported::{exclusive_create, readable, supported};

/// Room for the values of most requests.
const USUAL_SIZE: usize = 256;

/// Handles are stable (`FH4_PERSISTENT`).
const PERSISTENT: u32 = 0;

/// Names are bytes, and what is no UTF-8 is accepted, too (`FSCHARSET_CAP4_CONTAINS_NON_UTF8`).
const CONTAINS_NON_UTF8: u32 = 1;

/// What the attributes are of.
pub(in super::super) struct Subject<'a> {
    pub(in super::super) nfs: &'a Nfs4,
    pub(in super::super) minor: u32,
    pub(in super::super) facts: &'a Facts,
    pub(in super::super) fsid: FsId,
    /// The handle, if it is asked for.
    pub(in super::super) handle: &'a Bytes,
    /// The file id of what it covers; its own if it covers nothing.
    pub(in super::super) mounted_on: u64,
}

/// Encodes those of the wanted attributes that there are.
pub(in super::super) fn encode(subject: &Subject<'_>, wanted: &Bitmap) -> Fattr {
    let mut mask = wanted.intersection(&readable(subject.minor));
    let mut encoder = Encoder::with_capacity(USUAL_SIZE);
    for number in mask.iter() {
        let known = Attribute::try_from(number).ok().and_then(|it| subject.put(it, &mut encoder));
        if known.is_none() {
            mask.remove(number);
        }
    }
    Fattr { mask, values: Opaque(encoder.into_segments().to_bytes()) }
}

impl Subject<'_> {
    /// Writes one value; `None`: there is none.
    fn put(&self, attribute: Attribute, to: &mut Encoder) -> Option<()> {
        use Attribute as It;
        let attributes = &self.facts.attributes;
        match attribute {
            It::SupportedAttributes => supported(self.minor).encode(to),
            It::Type => FileType::from(attributes.kind).encode(to),
            It::HandleExpireType => PERSISTENT.encode(to),
            It::Acl => self.put_acl(to)?,
            It::AclSupport => acl::SUPPORT.encode(to),
            It::Change => attributes.change.encode(to),
            It::Size => attributes.size.encode(to),
            It::LinkSupport | It::SymlinkSupport | It::UniqueHandles => true.encode(to),
            It::NamedAttributes => false.encode(to),
            It::FsId => self.fsid.encode(to),
            It::LeaseTime => self.nfs.lease_seconds().encode(to),
            It::ReadAttributeError => Status::Ok.encode(to),
            It::CanSetTime | It::CasePreserving | It::ChownRestricted => true.encode(to),
            It::CaseInsensitive => false.encode(to),
            It::FileHandle => to.opaque(self.handle),
            It::FileId => attributes.file_id.encode(to),
            It::FsLocations => {
                // No path, no locations.
                to.u32(0);
                to.u32(0);
            }
            It::Homogeneous | It::NoTruncation => true.encode(to),
            It::MaxRead => (self.nfs.service.limits().max_read as u64).encode(to),
            It::MaxWrite => (self.nfs.service.limits().max_write as u64).encode(to),
            It::Mode => attributes.mode.encode(to),
            It::Links => attributes.links.encode(to),
            It::Owner => to.opaque(&self.nfs.service.owners().user(attributes.uid)),
            It::OwnerGroup => to.opaque(&self.nfs.service.owners().group(attributes.gid)),
            It::RawDevice => {
                to.u32(attributes.device.major);
                to.u32(attributes.device.minor);
            }
            It::SpaceUsed => attributes.used.encode(to),
            It::AccessTime => Time::from(attributes.accessed).encode(to),
            It::CreateTime => Time::from(attributes.created?).encode(to),
            It::TimeDelta => Time { seconds: 0, nanoseconds: 1 }.encode(to),
            It::MetadataTime => Time::from(attributes.changed).encode(to),
            It::ModifyTime => Time::from(attributes.modified).encode(to),
            It::MountedOnFileId => self.mounted_on.encode(to),
            It::SupportedExclusiveCreate => exclusive_create(self.minor).encode(to),
            It::CharsetCapabilities => CONTAINS_NON_UTF8.encode(to),
            It::XattrSupport => true.encode(to),
            It::CloneBlockSize => CLONE_BLOCK_SIZE.encode(to),
            It::ChangeAttributeType => ChangeAttributeType::Monotonic.encode(to),
            other => return self.put_space(other, to),
        }
        Some(())
    }

    fn put_acl(&self, to: &mut Encoder) -> Option<()> {
        let is_directory = self.facts.attributes.kind == FileKind::Directory;
        let entries = self.facts.acl.as_ref()?.entries(is_directory);
        to.u32(entries.len() as u32);
        for entry in entries {
            entry.kind.encode(to);
            to.u32(entry.flags);
            to.u32(entry.mask);
            match entry.who {
                Who::User(uid) => to.opaque(&self.nfs.service.owners().user(uid)),
                Who::Group(gid) => to.opaque(&self.nfs.service.owners().group(gid)),
                special => to.opaque(special.special_name()?),
            }
        }
        Some(())
    }

    /// Writes a value that concerns the filesystem.
    fn put_space(&self, attribute: Attribute, to: &mut Encoder) -> Option<()> {
        use Attribute as It;
        let (space, limits) = (&self.facts.space, &self.facts.limits);
        match attribute {
            It::QuotaAvailableHard => self.facts.quota?.hard.encode(to),
            It::QuotaAvailableSoft => self.facts.quota?.soft.encode(to),
            It::QuotaUsed => self.facts.quota?.used.encode(to),
            It::FilesAvailable => space.as_ref()?.available_files.encode(to),
            It::FilesFree => space.as_ref()?.free_files.encode(to),
            It::FilesTotal => space.as_ref()?.total_files.encode(to),
            It::SpaceAvailable => space.as_ref()?.available_bytes.encode(to),
            It::SpaceFree => space.as_ref()?.free_bytes.encode(to),
            It::SpaceTotal => space.as_ref()?.total_bytes.encode(to),
            It::MaxFileSize => limits.as_ref()?.file_size.encode(to),
            It::MaxLink => limits.as_ref()?.links.encode(to),
            It::MaxName => limits.as_ref()?.name.encode(to),
            _ => return None,
        }
        Some(())
    }
}

/// The granularity of CLONE, in bytes.
const CLONE_BLOCK_SIZE: u32 = 4096;

impl From<Timestamp> for Time {
    fn from(time: Timestamp) -> Self {
        Self { seconds: time.seconds, nanoseconds: time.nanoseconds }
    }
}

impl From<FileKind> for FileType {
    fn from(kind: FileKind) -> Self {
        match kind {
            FileKind::Regular => Self::Reg,
            FileKind::Directory => Self::Dir,
            FileKind::Symlink => Self::Lnk,
            FileKind::BlockDevice => Self::Blk,
            FileKind::CharacterDevice => Self::Chr,
            FileKind::Socket => Self::Sock,
            FileKind::Fifo => Self::Fifo,
        }
    }
}
