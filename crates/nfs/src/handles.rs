//! File handles on the wire: the export and the kernel's handle, signed.
//!
//! A handle names an object for ever, on every node that has the key and the filesystem. The
//! signature makes sure that a handle was given out by us: a client can neither forge one nor
//! turn one into that of an object outside the export.
//!
//! | bytes | meaning |
//! | --- | --- |
//! | 1 | format, 1 |
//! | 1 | the kernel's handle type |
//! | 1 | flags: bit 0 says that a filesystem number follows |
//! | 1 | length of the kernel's handle |
//! | 8 | export |
//! | 0 or 8 | number of a filesystem mounted below the export |
//! | up to 32 | the kernel's handle |
//! | 12 | SipHash-2-4-128 of all before it, cut to 96 bits |

use std::fs::{File, OpenOptions};
use std::hash::Hasher;
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use bytes::{BufMut, Bytes, BytesMut};
use siphasher::sip128::{Hasher128, SipHasher24};
use standfast_settings::ExportId;
use standfast_vfs::Handle;

const FORMAT: u8 = 1;
const HAS_FILESYSTEM: u8 = 1;
const HEADER: usize = 12;
const SIGNATURE: usize = 12;

/// The secret that signs file handles: 128 bits, the same wherever the service runs.
#[derive(Clone, PartialEq, Eq)]
pub struct HandleKey([u8; 16]);

/// Why the key could not be had.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// Reading or writing failed.
    #[error("cannot {action} the file handle key {path}: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is not 16 bytes long.
    #[error(
        "the file handle key {0} is damaged: it must hold exactly 16 bytes; restore it, or remove \
         it to have a new one made (clients must then mount again)"
    )]
    Length(PathBuf),
    /// Others may read the file.
    #[error("the file handle key {0} can be read by others; run: chmod 600 {0}")]
    Exposed(PathBuf),
}

impl HandleKey {
    /// A key from its bytes.
    pub fn new(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Its bytes: for what else is derived from the identity of a service.
    pub fn bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// The key kept in `path`, if there is one.
    ///
    /// # Errors
    /// When there is something that is no key.
    pub fn load(path: &Path) -> Result<Option<Self>, KeyError> {
        let fail = |action| move |source| KeyError::Io { action, path: path.into(), source };
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(fail("open")(error)),
        };
        if file.metadata().map_err(fail("read"))?.permissions().mode() & 0o077 != 0 {
            return Err(KeyError::Exposed(path.into()));
        }
        let mut bytes = Vec::new();
        (&file).take(17).read_to_end(&mut bytes).map_err(fail("read"))?;
        bytes.try_into().map(|key| Some(Self(key))).map_err(|_| KeyError::Length(path.into()))
    }

    /// Makes a key and keeps it in `path`.
    ///
    /// # Errors
    /// When it cannot be kept.
    pub fn generate(path: &Path) -> Result<Self, KeyError> {
        let mut bytes = [0; 16];
        let random = getrandom::fill(&mut bytes).map_err(io::Error::other);
        random.map_err(|source| KeyError::Io { action: "make", path: path.into(), source })?;
        let key = Self(bytes);
        key.store(path)?;
        Ok(key)
    }

    /// Keeps the key in `path`; a crash leaves no half-written one behind.
    ///
    /// # Errors
    /// When it cannot be kept.
    pub fn store(&self, path: &Path) -> Result<(), KeyError> {
        let kept = self.write(path);
        kept.map_err(|source| KeyError::Io { action: "create", path: path.into(), source })
    }

    fn write(&self, path: &Path) -> io::Result<()> {
        let new = path.with_extension("new");
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        file.write_all(&self.0)?;
        file.sync_all()?;
        std::fs::rename(&new, path)?;
        if let Some(directory) = path.parent() {
            File::open(directory)?.sync_all()?;
        }
        Ok(())
    }
}

/// A handle that is none of ours, or was altered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a file handle of this server")]
pub struct BadHandle;

/// Signs handles and checks signatures.
#[derive(Clone)]
pub struct HandleCodec {
    hasher: SipHasher24,
}

impl HandleCodec {
    /// A codec with this key.
    pub fn new(key: &HandleKey) -> Self {
        Self { hasher: SipHasher24::new_with_key(&key.0) }
    }

    /// The handle for the wire.
    pub fn seal(&self, export: ExportId, handle: &Handle) -> Bytes {
        let filesystem = handle.filesystem();
        let mut wire = BytesMut::with_capacity(64);
        wire.put_u8(FORMAT);
        // The filesystem refuses to be opened if its handle types do not fit.
        wire.put_u8(handle.kind() as u8);
        wire.put_u8(if filesystem == 0 { 0 } else { HAS_FILESYSTEM });
        wire.put_u8(handle.bytes().len() as u8);
        wire.put_u64(export.0);
        if filesystem != 0 {
            wire.put_u64(filesystem);
        }
        wire.put_slice(handle.bytes());
        let signature = self.sign(&wire);
        wire.put_slice(&signature);
        wire.freeze()
    }

    /// Checks a handle from the wire and takes it apart.
    pub fn open(&self, wire: &[u8]) -> Result<(ExportId, Handle), BadHandle> {
        let (signed, signature) = wire.split_last_chunk::<SIGNATURE>().ok_or(BadHandle)?;
        let (header, rest) = signed.split_first_chunk::<HEADER>().ok_or(BadHandle)?;
        // The comparison is of public data with a tag that is bound to it; its time tells
        // nothing that helps to find a 96-bit tag by guessing over the network.
        if header[0] != FORMAT || self.sign(signed) != *signature {
            return Err(BadHandle);
        }
        let export = u64::from_be_bytes(*header.last_chunk::<8>().ok_or(BadHandle)?);
        let (filesystem, bytes) = if header[2] & HAS_FILESYSTEM == 0 {
            (0, rest)
        } else {
            let (number, bytes) = rest.split_first_chunk::<8>().ok_or(BadHandle)?;
            (u64::from_be_bytes(*number), bytes)
        };
        if bytes.len() != usize::from(header[3]) {
            return Err(BadHandle);
        }
        let handle = Handle::new(filesystem, i32::from(header[1]), bytes).ok_or(BadHandle)?;
        Ok((ExportId(export), handle))
    }

    /// A number that stands for this key and `name`: the same on all nodes, another one elsewhere.
    pub fn identity(&self, name: &[u8]) -> u64 {
        let mut hasher = self.hasher;
        // No handle begins like this.
        hasher.write(&[0]);
        hasher.write(name);
        hasher.finish128().h1
    }

    fn sign(&self, message: &[u8]) -> [u8; SIGNATURE] {
        let mut hasher = self.hasher;
        hasher.write(message);
        let mut signature = [0; SIGNATURE];
        signature.copy_from_slice(&hasher.finish128().as_bytes()[..SIGNATURE]);
        signature
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn codec() -> HandleCodec {
        HandleCodec::new(&HandleKey::new(*b"0123456789abcdef"))
    }

    #[test]
    fn the_format_never_changes() {
        let handle = Handle::new(0, 1, &[1, 2, 3, 4, 5, 6, 7, 8]).unwrap();
        let wire = codec().seal(ExportId(7), &handle);
        let hex: String = wire.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(&hex[..40], "01010008000000000000000701020304050607".to_owned() + "08");
        assert_eq!(wire.len(), 32);
    }

    #[test]
    fn the_key_is_made_once_and_kept() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("handle.key");
        assert!(HandleKey::load(&path).unwrap().is_none());
        let first = HandleKey::generate(&path).unwrap();
        assert!(HandleKey::load(&path).unwrap() == Some(first));
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).unwrap();
        assert!(matches!(HandleKey::load(&path), Err(KeyError::Exposed(_))));
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
        std::fs::write(&path, b"short").unwrap();
        assert!(matches!(HandleKey::load(&path), Err(KeyError::Length(_))));
    }

    proptest! {
        #[test]
        fn what_is_sealed_opens_again(
            export: u64, filesystem: u64, kind in 0..=255, bytes in prop::collection::vec(any::<u8>(), 0..=32),
        ) {
            let handle = Handle::new(filesystem, kind, &bytes).unwrap();
            let wire = codec().seal(ExportId(export), &handle);
            prop_assert!(wire.len() <= 64);
            prop_assert_eq!(codec().open(&wire), Ok((ExportId(export), handle)));
        }

        #[test]
        fn what_is_altered_does_not_open(at: prop::sample::Index, bit in 0..8) {
            let handle = Handle::new(0, 1, &[1, 2, 3, 4, 5, 6, 7, 8]).unwrap();
            let mut wire = codec().seal(ExportId(7), &handle).to_vec();
            let at = at.index(wire.len());
            wire[at] ^= 1_u8 << bit;
            prop_assert_eq!(codec().open(&wire), Err(BadHandle));
        }

        #[test]
        fn garbage_does_not_open(wire in prop::collection::vec(any::<u8>(), 0..=64)) {
            prop_assert_eq!(codec().open(&wire), Err(BadHandle));
        }
    }
}
