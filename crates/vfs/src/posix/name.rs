//! A name in a directory.

use std::ffi::CStr;

use rustix::io::Errno;

use super::hidden::is_hidden;
use crate::Result;

/// A name that may be given to the kernel: a single component.
pub(super) struct Name {
    length: usize,
    /// The name and a NUL.
    bytes: [u8; Self::LONGEST + 1],
}

impl Name {
    /// `NAME_MAX`.
    const LONGEST: usize = 255;

    /// A name that may exist.
    ///
    /// # Errors
    /// `EINVAL` for a name that is empty or holds `/` or NUL, `ENAMETOOLONG`; `ENOENT` for that of
    /// the server's own directory.
    pub(super) fn new(name: &[u8]) -> Result<Self> {
        if is_hidden(name) { Err(Errno::NOENT.into()) } else { Self::any(name) }
    }

    /// A name that is to be given; `error` for `.` and `..`, which exist, and `EACCES` for that of
    /// the server's own directory.
    pub(super) fn givable(name: &[u8], error: Errno) -> Result<Self> {
        if is_hidden(name) { Err(Errno::ACCESS.into()) } else { Self::changeable(name, error) }
    }

    fn any(name: &[u8]) -> Result<Self> {
        if name.is_empty() || name.iter().any(|&byte| byte == b'/' || byte == 0) {
            return Err(Errno::INVAL.into());
        }
        let mut bytes = [0; Self::LONGEST + 1];
        match bytes[..Self::LONGEST].get_mut(..name.len()) {
            Some(space) => space.copy_from_slice(name),
            None => return Err(Errno::NAMETOOLONG.into()),
        }
        Ok(Self { length: name.len(), bytes })
    }

    /// As [`Name::new`], for a name that is to be taken away; `error` for `.` and `..`, which
    /// nobody may.
    pub(super) fn changeable(name: &[u8], error: Errno) -> Result<Self> {
        let name = Self::new(name)?;
        if name.is_dot() || name.is_dot_dot() { Err(error.into()) } else { Ok(name) }
    }

    pub(super) fn as_c_str(&self) -> &CStr {
        CStr::from_bytes_with_nul(&self.bytes[..=self.length]).unwrap_or(c"")
    }

    /// Whether it names the directory itself.
    pub(super) fn is_dot(&self) -> bool {
        self.bytes[..self.length] == *b"."
    }

    /// Whether it names the parent.
    pub(super) fn is_dot_dot(&self) -> bool {
        self.bytes[..self.length] == *b".."
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;

    #[test]
    fn names_are_single_components() {
        for bad in [&b""[..], b"/", b"a/b", b"a\0"] {
            assert_eq!(Name::new(bad).err(), Some(Error::Os(Errno::INVAL)));
        }
        assert_eq!(Name::new(&[b'x'; 256]).err(), Some(Error::Os(Errno::NAMETOOLONG)));
        let longest = [0xFF; 255];
        assert_eq!(Name::new(&longest).map(|name| name.as_c_str().to_bytes() == longest), Ok(true));
        assert!(Name::changeable(b"..", Errno::EXIST).is_err());
        for hidden in [&b".standfast"[..], b".Standfast"] {
            assert_eq!(Name::new(hidden).err(), Some(Error::Os(Errno::NOENT)));
            let taken = Name::changeable(hidden, Errno::INVAL).err();
            assert_eq!(taken, Some(Error::Os(Errno::NOENT)));
            let given = Name::givable(hidden, Errno::EXIST).err();
            assert_eq!(given, Some(Error::Os(Errno::ACCESS)));
        }
        assert!(Name::new(b".standfast2").is_ok());
        assert!(Name::changeable(b"...", Errno::EXIST).is_ok());
    }
}
