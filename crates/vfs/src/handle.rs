//! The filesystem's own name of an object, valid for as long as the object exists.

/// Names an object for as long as it exists, across restarts, remounts and nodes: the kernel's
/// `struct file_handle` (`name_to_handle_at(2)`) and the filesystem it belongs to.
///
/// A handle of this type is trusted: what comes from a client must be checked (signature) before
/// it becomes one.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Handle {
    filesystem: u64,
    kind: i32,
    length: u8,
    bytes: [u8; Self::MAX_BYTES],
}

impl Handle {
    /// The longest kernel handle that is served, in bytes.
    pub const MAX_BYTES: usize = 32;

    /// A handle from its parts; `None` if `bytes` is longer than [`Handle::MAX_BYTES`].
    ///
    /// `filesystem` has the meaning of [`crate::Attributes::filesystem`]; `kind` is the kernel's
    /// `handle_type`.
    pub fn new(filesystem: u64, kind: i32, bytes: &[u8]) -> Option<Self> {
        let mut fixed = [0; Self::MAX_BYTES];
        fixed.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(Self { filesystem, kind, length: u8::try_from(bytes.len()).ok()?, bytes: fixed })
    }

    /// A handle that no kernel made: `kind` says so.
    pub fn of_number(kind: i32, number: u64) -> Self {
        let mut bytes = [0; Self::MAX_BYTES];
        let number = number.to_be_bytes();
        bytes[..number.len()].copy_from_slice(&number);
        Self { filesystem: 0, kind, length: number.len() as u8, bytes }
    }

    /// Which filesystem inside the export; zero for the export's own.
    pub fn filesystem(&self) -> u64 {
        self.filesystem
    }

    /// The kernel's `handle_type`.
    pub fn kind(&self) -> i32 {
        self.kind
    }

    /// The kernel's `f_handle`.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }
}

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:x}:{:x}:", self.filesystem, self.kind)?;
        self.bytes().iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
