//! What is exported, to whom and how.

use std::fmt;
use std::hash::Hasher;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::Serialize;
use siphasher::sip::SipHasher24;

use crate::ClientMatch;

/// The user and group of squashed callers, if the settings name no other (`nobody`).
pub const NOBODY: u32 = 65534;

/// Whose identity is replaced by the anonymous one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Squash {
    /// Nobody's: the client's root is root here.
    None,
    /// That of root: uid 0 and gid 0.
    #[default]
    Root,
    /// Everybody's.
    All,
}

/// How a client proves who its users are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SecurityFlavour {
    /// `AUTH_SYS` (RFC 5531 appendix A): the client is believed.
    Sys,
}

/// What a client may do with an export.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ClientAccess {
    /// Nothing may be changed.
    pub read_only: bool,
    /// Whose identity is replaced.
    pub squash: Squash,
    /// The user that squashed users become.
    pub anon_uid: u32,
    /// The group that squashed groups become.
    pub anon_gid: u32,
    /// Requests must come from a port below 1024.
    pub secure_ports: bool,
    /// Answer READDIRPLUS; without it clients fall back to READDIR.
    pub readdirplus: bool,
    /// The flavours that are accepted, the preferred one first.
    pub security: Vec<SecurityFlavour>,
}

impl Default for ClientAccess {
    /// As exports(5): read only, root squashed to nobody, from privileged ports.
    fn default() -> Self {
        Self {
            read_only: true,
            squash: Squash::Root,
            anon_uid: NOBODY,
            anon_gid: NOBODY,
            secure_ports: true,
            readdirplus: true,
            security: vec![SecurityFlavour::Sys],
        }
    }
}

/// Clients and what they may do.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ClientRule {
    /// Which clients.
    pub client: ClientMatch,
    /// What they may do.
    pub access: ClientAccess,
}

/// The identity of an export as it is set (`fsid=` of exports(5)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fsid {
    /// A small number. Zero marks the root of the NFSv4 name space.
    Number(u32),
    /// A UUID.
    Uuid(u128),
}

/// Why a text is no fsid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an fsid; write a number below 2^32, `root`, or a UUID of 32 hex digits")]
pub struct FsidError(String);

impl FromStr for Fsid {
    type Err = FsidError;

    fn from_str(text: &str) -> Result<Self, FsidError> {
        let is_uuid_character =
            |char: char| char.is_ascii_hexdigit() || char.is_ascii_punctuation();
        let digits = || text.chars().filter(char::is_ascii_hexdigit);
        if text == "root" {
            Ok(Self::Number(0))
        } else if let Some(number) = text.parse().ok().filter(|_| !text.starts_with('+')) {
            Ok(Self::Number(number))
        } else if digits().count() == 32 && text.chars().all(is_uuid_character) {
            let uuid = u128::from_str_radix(&digits().collect::<String>(), 16);
            uuid.map(Self::Uuid).map_err(|_| FsidError(text.into()))
        } else {
            Err(FsidError(text.into()))
        }
    }
}

impl fmt::Display for Fsid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Uuid(uuid) => {
                let hex = format!("{uuid:032x}");
                let parts = [0..8, 8..12, 12..16, 16..20, 20..32].map(|range| &hex[range]);
                f.write_str(&parts.join("-"))
            }
        }
    }
}

/// The number that stands for an export in file handles and in the `fsid` attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct ExportId(pub u64);

impl fmt::Display for ExportId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// A directory that is offered to clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportSettings {
    /// The directory on this machine: absolute, without `.`, `..` and doubled slashes.
    pub path: PathBuf,
    /// The path by which clients ask for it, in the same form.
    pub export_path: PathBuf,
    /// Its identity, if one is set.
    pub fsid: Option<Fsid>,
    /// Clients also see the filesystems mounted below it.
    pub cross_mounts: bool,
    /// Clients of NFSv4 are given delegations.
    pub delegations: bool,
    /// This directory must be a mount point, or nothing is exported.
    pub mount_point: Option<PathBuf>,
    /// Who may use it.
    pub clients: Vec<ClientRule>,
}

impl ExportSettings {
    /// The directory under its own name, for no client yet.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        Self {
            export_path: path.clone(),
            path,
            fsid: None,
            cross_mounts: false,
            delegations: true,
            mount_point: None,
            clients: Vec::new(),
        }
    }

    /// The identity of the export: the same on every node and after every restart.
    ///
    /// It comes from the `fsid` setting, else from the path that clients use: that is what all
    /// nodes of a service have in common whatever holds their data. Who changes the path and
    /// wants the handles of the clients to stay valid sets `fsid`.
    pub fn id(&self) -> ExportId {
        match self.fsid {
            Some(Fsid::Number(number)) => ExportId(number.into()),
            Some(Fsid::Uuid(uuid)) => hashed_id(b'u', &uuid.to_be_bytes()),
            None => hashed_id(b'p', self.export_path.as_os_str().as_bytes()),
        }
    }
}

/// A hash that must never change: handles on clients outlive every version of this program. It
/// keeps out of the range of numbers that people set.
fn hashed_id(kind: u8, value: &[u8]) -> ExportId {
    let mut hasher = SipHasher24::new();
    hasher.write(&[kind]);
    hasher.write(value);
    ExportId(hasher.finish() | 1 << 63)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_fsid_is_a_number_a_uuid_or_root() {
        let uuid = Fsid::Uuid(0x1234_5678_1234_1234_1234_1234_5678_9abc);
        for (text, expected) in [
            ("0", Some(Fsid::Number(0))),
            ("root", Some(Fsid::Number(0))),
            ("42", Some(Fsid::Number(42))),
            ("4294967295", Some(Fsid::Number(u32::MAX))),
            ("12345678-1234-1234-1234-123456789abc", Some(uuid)),
            ("12345678123412341234123456789ABC", Some(uuid)),
            ("4294967296", None),
            ("+1", None),
            ("-1", None),
            ("12345678-1234-1234-1234-123456789ab", None),
            ("x2345678-1234-1234-1234-123456789abc", None),
            ("", None),
        ] {
            assert_eq!(text.parse().ok(), expected, "{text}");
        }
        assert_eq!(uuid.to_string(), "12345678-1234-1234-1234-123456789abc");
    }

    #[test]
    fn the_identity_of_an_export_never_changes() {
        let mut export = ExportSettings::new("/srv/data");
        let derived = export.id();
        assert_eq!(derived, ExportId(0xf505_0a4f_2731_9c84));
        export.path = "/elsewhere".into();
        assert_eq!(export.id(), derived);
        export.export_path = "/other".into();
        assert_ne!(export.id(), derived);
        export.fsid = Some(Fsid::Number(7));
        assert_eq!(export.id(), ExportId(7));
        export.fsid = Some(Fsid::Uuid(7));
        assert_eq!(export.id(), ExportId(0xa4da_03f1_fdbb_abb4));
    }
}
