//! A name in a directory.

use std::ffi::CStr;

use rustix::io::Errno;

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

    /// # Errors
    /// `EINVAL` for a name that is empty or holds `/` or NUL, `ENAMETOOLONG`.
    pub(super) fn new(name: &[u8]) -> Result<Self> {
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

    /// As [`Name::new`], for a name that is to be changed; `error` for `.` and `..`, which nobody
    /// may.
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
        assert!(Name::changeable(b"...", Errno::EXIST).is_ok());
    }
}
