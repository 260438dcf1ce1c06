//! Paths in the one form in which they can be compared.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

/// Why a path cannot be exported under that name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// It does not start with `/`.
    #[error("`{}` is not an absolute path; it must start with `/`", .0.display())]
    Relative(PathBuf),
    /// It has `.` or `..` in it.
    #[error("`{}` has `.` or `..` in it; write the path without them", .0.display())]
    Dots(PathBuf),
    /// It has a byte in it that no path can have.
    #[error("the path has a zero byte in it")]
    Nul,
    /// It is longer than the MOUNT protocol can carry (`MNTPATHLEN`, RFC 1813 section 5.1.4).
    #[error("the path is longer than 1024 bytes, the most that a client can ask for")]
    TooLong,
}

/// The path without doubled and trailing slashes.
///
/// # Errors
/// Says why it is no path that can be exported.
pub fn normal_path(path: impl AsRef<OsStr>) -> Result<PathBuf, PathError> {
    let path = path.as_ref();
    let bytes = path.as_bytes();
    if !bytes.starts_with(b"/") {
        return Err(PathError::Relative(path.into()));
    }
    if bytes.contains(&0) {
        return Err(PathError::Nul);
    }
    if bytes.split(|&byte| byte == b'/').any(|name| matches!(name, b"." | b"..")) {
        return Err(PathError::Dots(path.into()));
    }
    if bytes.len() > 1024 {
        return Err(PathError::TooLong);
    }
    Ok(Path::new(path).components().filter(|part| !matches!(part, Component::CurDir)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_brought_to_one_form() {
        let normal = |path: &str| normal_path(path);
        assert_eq!(normal("/srv//data/"), Ok("/srv/data".into()));
        assert_eq!(normal("/"), Ok("/".into()));
        assert_eq!(normal("/srv/...x"), Ok("/srv/...x".into()));
        assert_eq!(normal("srv"), Err(PathError::Relative("srv".into())));
        assert_eq!(normal(""), Err(PathError::Relative("".into())));
        assert_eq!(normal("/srv/./x"), Err(PathError::Dots("/srv/./x".into())));
        assert_eq!(normal("/srv/.."), Err(PathError::Dots("/srv/..".into())));
        assert_eq!(normal("/a\0b"), Err(PathError::Nul));
        assert_eq!(normal(&format!("/{}", "x".repeat(1024))), Err(PathError::TooLong));
    }
}
