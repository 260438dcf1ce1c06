//! Between the types of the filesystem and those of the wire.

use standfast_settings::ExportId;
use standfast_vfs::{
    Attributes, ChangeTime, CreateHow, DeviceNumber, FileKind, SetAttributes, SetTime, Stability,
    Timestamp,
};

use super::protocol as wire;

impl From<Timestamp> for wire::Time {
    /// The wire has 32 bits for the seconds; what is beyond them wraps, as it does everywhere.
    fn from(time: Timestamp) -> Self {
        Self { seconds: time.seconds as u32, nanoseconds: time.nanoseconds }
    }
}

impl From<&wire::Time> for Timestamp {
    fn from(time: &wire::Time) -> Self {
        Self { seconds: time.seconds.into(), nanoseconds: time.nanoseconds }
    }
}

impl From<FileKind> for wire::FileType {
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

/// The identity of a filesystem on the wire: that of the export, or one of its own for a
/// filesystem mounted below it.
fn fsid(export: ExportId, filesystem: u64) -> u64 {
    match filesystem {
        0 => export.0,
        other => export.0.rotate_left(17) ^ other,
    }
}

/// Attributes for the wire.
pub(super) fn attributes(export: ExportId, attributes: &Attributes) -> wire::Attributes {
    wire::Attributes {
        kind: attributes.kind.into(),
        mode: attributes.mode,
        links: attributes.links,
        uid: attributes.uid,
        gid: attributes.gid,
        size: attributes.size,
        used: attributes.used,
        device: wire::SpecData { major: attributes.device.major, minor: attributes.device.minor },
        fsid: fsid(export, attributes.filesystem),
        file_id: attributes.file_id,
        atime: attributes.accessed.into(),
        mtime: attributes.modified.into(),
        ctime: attributes.changed.into(),
    }
}

/// Weak cache consistency data for the wire.
pub(super) fn wcc(
    export: ExportId,
    before: Option<ChangeTime>,
    after: Option<&Attributes>,
) -> wire::WccData {
    wire::WccData {
        before: before.map(|before| wire::WccAttributes {
            size: before.size,
            mtime: before.modified.into(),
            ctime: before.changed.into(),
        }),
        after: after.map(|after| attributes(export, after)),
    }
}

impl From<&wire::SetAttributes> for SetAttributes {
    fn from(set: &wire::SetAttributes) -> Self {
        Self {
            mode: set.mode.map(|mode| mode & 0o7777),
            uid: set.uid,
            gid: set.gid,
            size: set.size,
            accessed: (&set.atime).into(),
            modified: (&set.mtime).into(),
        }
    }
}

impl From<&wire::SetTime> for SetTime {
    fn from(set: &wire::SetTime) -> Self {
        match set {
            wire::SetTime::Keep => Self::Keep,
            wire::SetTime::ServerTime => Self::Now,
            wire::SetTime::ClientTime(time) => Self::To(time.into()),
        }
    }
}

impl From<&wire::CreateHow> for CreateHow {
    fn from(how: &wire::CreateHow) -> Self {
        match how {
            wire::CreateHow::Unchecked(set) => Self::Unchecked(set.into()),
            wire::CreateHow::Guarded(set) => Self::Guarded(set.into()),
            wire::CreateHow::Exclusive(verifier) => Self::Exclusive(*verifier),
        }
    }
}

impl From<&wire::SpecData> for DeviceNumber {
    fn from(device: &wire::SpecData) -> Self {
        Self { major: device.major, minor: device.minor }
    }
}

impl From<wire::StableHow> for Stability {
    fn from(stable: wire::StableHow) -> Self {
        match stable {
            wire::StableHow::Unstable => Self::Unstable,
            wire::StableHow::DataSync => Self::DataSync,
            wire::StableHow::FileSync => Self::FileSync,
        }
    }
}

impl From<Stability> for wire::StableHow {
    fn from(stability: Stability) -> Self {
        match stability {
            Stability::Unstable => Self::Unstable,
            Stability::DataSync => Self::DataSync,
            Stability::FileSync => Self::FileSync,
        }
    }
}
