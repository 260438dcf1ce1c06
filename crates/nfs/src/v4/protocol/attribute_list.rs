//! The attributes that are served, with their numbers and types (RFC 8881 section 5, RFC 7862
//! section 12, RFC 8275, RFC 8276).

use standfast_rpc::xdr::{Decode, DecodeError, Decoder, Encode, Encoder, List};
use standfast_rpc::{xdr_enum, xdr_struct, xdr_union};

use super::{
    Acl, Bitmap, Component, FileHandle, FileType, FsId, OwnerName, SpecData, Status, Time,
};

xdr_enum! {
    /// `change_attr_type4` (RFC 7862 section 12.2.3): what clients may conclude from `change`.
    pub enum ChangeAttributeType {
        /// It only grows.
        Monotonic = 0,
        /// It counts changes.
        VersionCounter = 1,
        /// It counts changes, not of data in a layout.
        VersionCounterNoPnfs = 2,
        /// It is the time of the last change.
        TimeMetadata = 3,
        /// Nothing.
        Undefined = 4,
    }
}

xdr_union! {
    /// `settime4`.
    pub enum SetTime {
        /// The server's clock.
        ServerTime = 0,
        /// This time.
        ClientTime(Time) = 1,
    }
}

xdr_struct! {
    /// `mode_masked4`.
    pub struct ModeMasked {
        /// Bits to set.
        pub value: u32,
        /// Bits that are meant.
        pub mask: u32,
    }

    /// `mode_umask4` (RFC 8275).
    pub struct ModeUmask {
        /// The mode that was asked for.
        pub mode: u32,
        /// What is masked out of it, where no ACL is inherited.
        pub umask: u32,
    }

    /// `fs_location4`.
    pub struct FsLocation {
        /// Servers, by name or address.
        pub servers: List<OwnerName, 64>,
        /// The path there.
        pub root: List<Component, 64>,
    }

    /// `fs_locations4`.
    pub struct FsLocations {
        /// The path here.
        pub root: List<Component, 64>,
        /// Where else it is.
        pub locations: List<FsLocation, 64>,
    }
}

macro_rules! attributes {
    ($($(#[$meta:meta])* $name:ident($type:ty) = $number:literal,)*) => {
        xdr_enum! {
            /// The number of an attribute that is served (`FATTR4_*`).
            pub enum Attribute {
                $($(#[$meta])* $name = $number,)*
            }
        }

        /// An attribute and its value.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum Value {
            $($(#[$meta])* $name($type),)*
        }

        impl Value {
            /// Which attribute it is of.
            pub fn attribute(&self) -> Attribute {
                match self {
                    $(Self::$name(_) => Attribute::$name,)*
                }
            }

            /// Reads the value of an attribute; on the wire, its number is not with it.
            pub(super) fn decode_as(
                attribute: Attribute,
                decoder: &mut Decoder<'_>,
            ) -> Result<Self, DecodeError> {
                match attribute {
                    $(Attribute::$name => <$type>::decode(decoder).map(Self::$name),)*
                }
            }
        }

        impl Encode for Value {
            fn encode(&self, encoder: &mut Encoder) {
                match self {
                    $(Self::$name(value) => value.encode(encoder),)*
                }
            }
        }
    };
}

attributes! {
    /// `supported_attrs`.
    SupportedAttributes(Bitmap) = 0,
    /// `type`.
    Type(FileType) = 1,
    /// `fh_expire_type`.
    HandleExpireType(u32) = 2,
    /// `change`.
    Change(u64) = 3,
    /// `size`, in bytes.
    Size(u64) = 4,
    /// `link_support`.
    LinkSupport(bool) = 5,
    /// `symlink_support`.
    SymlinkSupport(bool) = 6,
    /// `named_attr`.
    NamedAttributes(bool) = 7,
    /// `fsid`.
    FsId(FsId) = 8,
    /// `unique_handles`.
    UniqueHandles(bool) = 9,
    /// `lease_time`, in seconds on the wire.
    LeaseTime(u32) = 10,
    /// `rdattr_error`.
    ReadAttributeError(Status) = 11,
    /// `acl`.
    Acl(Acl) = 12,
    /// `aclsupport`.
    AclSupport(u32) = 13,
    /// `cansettime`.
    CanSetTime(bool) = 15,
    /// `case_insensitive`.
    CaseInsensitive(bool) = 16,
    /// `case_preserving`.
    CasePreserving(bool) = 17,
    /// `chown_restricted`.
    ChownRestricted(bool) = 18,
    /// `filehandle`.
    FileHandle(FileHandle) = 19,
    /// `fileid`.
    FileId(u64) = 20,
    /// `files_avail`.
    FilesAvailable(u64) = 21,
    /// `files_free`.
    FilesFree(u64) = 22,
    /// `files_total`.
    FilesTotal(u64) = 23,
    /// `fs_locations`.
    FsLocations(FsLocations) = 24,
    /// `homogeneous`.
    Homogeneous(bool) = 26,
    /// `maxfilesize`, in bytes.
    MaxFileSize(u64) = 27,
    /// `maxlink`.
    MaxLink(u32) = 28,
    /// `maxname`, in bytes.
    MaxName(u32) = 29,
    /// `maxread`, in bytes.
    MaxRead(u64) = 30,
    /// `maxwrite`, in bytes.
    MaxWrite(u64) = 31,
    /// `mode`.
    Mode(u32) = 33,
    /// `no_trunc`.
    NoTruncation(bool) = 34,
    /// `numlinks`.
    Links(u32) = 35,
    /// `owner`.
    Owner(OwnerName) = 36,
    /// `owner_group`.
    OwnerGroup(OwnerName) = 37,
    /// `quota_avail_hard`, in bytes.
    QuotaAvailableHard(u64) = 38,
    /// `quota_avail_soft`, in bytes.
    QuotaAvailableSoft(u64) = 39,
    /// `quota_used`, in bytes.
    QuotaUsed(u64) = 40,
    /// `rawdev`.
    RawDevice(SpecData) = 41,
    /// `space_avail`, in bytes.
    SpaceAvailable(u64) = 42,
    /// `space_free`, in bytes.
    SpaceFree(u64) = 43,
    /// `space_total`, in bytes.
    SpaceTotal(u64) = 44,
    /// `space_used`, in bytes.
    SpaceUsed(u64) = 45,
    /// `time_access`.
    AccessTime(Time) = 47,
    /// `time_access_set`.
    AccessTimeSet(SetTime) = 48,
    /// `time_create`.
    CreateTime(Time) = 50,
    /// `time_delta`.
    TimeDelta(Time) = 51,
    /// `time_metadata`.
    MetadataTime(Time) = 52,
    /// `time_modify`.
    ModifyTime(Time) = 53,
    /// `time_modify_set`.
    ModifyTimeSet(SetTime) = 54,
    /// `mounted_on_fileid`.
    MountedOnFileId(u64) = 55,
    /// `mode_set_masked`.
    ModeSetMasked(ModeMasked) = 74,
    /// `suppattr_exclcreat`.
    SupportedExclusiveCreate(Bitmap) = 75,
    /// `fs_charset_cap`.
    CharsetCapabilities(u32) = 76,
    /// `clone_blksize`, in bytes.
    CloneBlockSize(u32) = 77,
    /// `space_freed`, in bytes.
    SpaceFreed(u64) = 78,
    /// `change_attr_type`.
    ChangeAttributeType(ChangeAttributeType) = 79,
    /// `mode_umask`.
    ModeUmask(ModeUmask) = 81,
    /// `xattr_support`.
    XattrSupport(bool) = 82,
}
