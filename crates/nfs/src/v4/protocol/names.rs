//! File handles, names, directories, attributes and extended attributes (RFC 8881 sections 18.1 to
//! 18.31, RFC 8276).

use standfast_rpc::xdr::{Chain, List, Opaque};
use standfast_rpc::{xdr_enum, xdr_struct, xdr_union};

use super::{
    Bitmap, ChangeInfo, Component, Fattr, FileHandle, LinkText, SpecData, StateId, Status, Verifier,
};

/// Longest value of an extended attribute (`XATTR_SIZE_MAX` of `xattr(7)`).
pub const MAX_XATTR: usize = 1 << 16;
/// Most names of one LISTXATTRS.
pub const MAX_XATTR_NAMES: usize = 1 << 16;

xdr_enum! {
    /// `secinfo_style4`.
    pub enum SecInfoStyle {
        /// Of the current file handle.
        Current = 0,
        /// Of its parent.
        Parent = 1,
    }

    /// `setxattr_option4`.
    pub enum SetXattrHow {
        /// Create or replace.
        Either = 0,
        /// It must be new.
        Create = 1,
        /// It must exist.
        Replace = 2,
    }
}

xdr_struct! {
    /// `ACCESS4args`.
    pub struct AccessArgs {
        /// The rights asked for.
        pub access: u32,
    }

    /// `ACCESS4resok`.
    pub struct AccessOk {
        /// What can be told.
        pub supported: u32,
        /// What is allowed.
        pub access: u32,
    }

    /// `CREATE4args`.
    pub struct CreateArgs {
        /// What.
        pub kind: CreateType,
        /// Its name.
        pub name: Component,
        /// Its attributes.
        pub attributes: Fattr,
    }

    /// `CREATE4resok`.
    pub struct CreateOk {
        /// The directory before and after.
        pub directory: ChangeInfo,
        /// Attributes that were set.
        pub attributes: Bitmap,
    }

    /// `GETATTR4args`.
    pub struct GetAttrArgs {
        /// Which.
        pub attributes: Bitmap,
    }

    /// `LINK4args`, `LOOKUP4args`, `REMOVE4args`, `SECINFO4args`: a name in a directory.
    pub struct NameArgs {
        /// The name.
        pub name: Component,
    }

    /// `READDIR4args`.
    pub struct ReadDirArgs {
        /// Where to go on.
        pub cookie: u64,
        /// Of that cookie.
        pub verifier: Verifier,
        /// Most bytes of names and cookies.
        pub directory_bytes: u32,
        /// Most bytes of the reply.
        pub max_bytes: u32,
        /// Attributes of each entry.
        pub attributes: Bitmap,
    }

    /// `entry4`.
    pub struct Entry {
        /// Where to go on behind it.
        pub cookie: u64,
        /// Its name.
        pub name: Component,
        /// Its attributes.
        pub attributes: Fattr,
    }

    /// `READDIR4resok`.
    pub struct ReadDirOk {
        /// Of the cookies.
        pub verifier: Verifier,
        /// The entries.
        pub entries: Chain<Entry>,
        /// Whether the last one is among them.
        pub end: bool,
    }

    /// `READLINK4resok`.
    pub struct ReadLinkOk {
        /// The target.
        pub target: LinkText,
    }

    /// `RENAME4args`.
    pub struct RenameArgs {
        /// The name in the saved directory.
        pub from: Component,
        /// The name in the current one.
        pub to: Component,
    }

    /// `RENAME4resok`.
    pub struct RenameOk {
        /// The source directory before and after.
        pub from: ChangeInfo,
        /// The target directory before and after.
        pub to: ChangeInfo,
    }

    /// `rpcsec_gss_info`.
    pub struct GssInfo {
        /// Mechanism.
        pub oid: Opaque<64>,
        /// Quality of protection.
        pub qop: u32,
        /// `rpc_gss_svc_t`.
        pub service: u32,
    }

    /// `SETATTR4args`.
    pub struct SetAttrArgs {
        /// Needed to change the size.
        pub stateid: StateId,
        /// What to set.
        pub attributes: Fattr,
    }

    /// `SETATTR4res`: which attributes were set, also if it failed.
    pub struct SetAttrResult {
        /// The status.
        pub status: Status,
        /// Which were set.
        pub attributes: Bitmap,
    }

    /// `SETXATTR4args`.
    pub struct SetXattrArgs {
        /// Create or replace.
        pub how: SetXattrHow,
        /// Its name.
        pub name: Component,
        /// Its value.
        pub value: Opaque<MAX_XATTR>,
    }

    /// `LISTXATTRS4args`.
    pub struct ListXattrsArgs {
        /// Where to go on.
        pub cookie: u64,
        /// Most bytes of the reply.
        pub max_bytes: u32,
    }

    /// `LISTXATTRS4resok`.
    pub struct ListXattrsOk {
        /// Where to go on.
        pub cookie: u64,
        /// Names.
        pub names: List<Component, MAX_XATTR_NAMES>,
        /// Whether the last one is among them.
        pub end: bool,
    }
}

xdr_union! {
    /// `createtype4`: what CREATE makes.
    pub enum CreateType {
        /// OPEN makes these.
        Regular = 1,
        /// A directory.
        Directory = 2,
        /// A block device.
        BlockDevice(SpecData) = 3,
        /// A character device.
        CharacterDevice(SpecData) = 4,
        /// A symbolic link.
        Symlink(LinkText) = 5,
        /// A socket.
        Socket = 6,
        /// A named pipe.
        Fifo = 7,
        /// Cannot be made.
        AttributeDirectory = 8,
        /// Cannot be made.
        NamedAttribute = 9,
    }

    /// `secinfo4`.
    pub enum SecInfo {
        /// `AUTH_NONE`.
        None = 0,
        /// `AUTH_SYS`.
        Sys = 1,
        /// `RPCSEC_GSS`.
        Gss(GssInfo) = 6,
    }
}

/// `SECINFO4resok`.
pub type SecInfoOk = List<SecInfo, 16>;
/// `GETFH4resok`.
pub type GetHandleOk = FileHandle;
/// `GETXATTR4resok`.
pub type XattrValue = Opaque<MAX_XATTR>;
