//! The program that is the guests' kernel.

use std::borrow::Cow;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use crate::{Error, write_program};

/// Debian's name for it.
pub(crate) const PROGRAM: &str = "linux.uml";

/// The size of a processor's register file (in the standard XSAVE format) that Debian's 6.1 kernel
/// has room for: up to AVX-512 and protection keys, but not AMX.
const KNOWN: u32 = 2696;

/// What its `put_fp_registers` does: `iov.iov_len = KNOWN; ptrace(PTRACE_SETREGSET, …)`.
const MOVE_TO_LENGTH: [u8; 4] = [0x48, 0xc7, 0x45, 0xf8];
const MOVE_SETREGSET: [u8; 5] = [0xbf, 0x05, 0x42, 0x00, 0x00];

/// Where the kernel is installed.
pub(crate) fn find() -> Option<PathBuf> {
    env::split_paths(&env::var_os("PATH")?).map(|dir| dir.join(PROGRAM)).find(|path| path.is_file())
}

/// Whether the kernel can switch the registers of this machine's processor.
pub(crate) fn fits(program: &Path) -> bool {
    register_file() <= KNOWN || fs::read(program).is_ok_and(|image| widen(&image, KNOWN).is_some())
}

/// The kernel to run: Debian's own where it fits this processor, else an adapted copy in `dir`.
pub(super) fn prepare(dir: &Path) -> Result<PathBuf, Error> {
    let program = find().ok_or_else(|| Error::Missing(vec![PROGRAM.into()]))?;
    let size = register_file();
    if size <= KNOWN {
        return Ok(program);
    }
    let image = fs::read(&program).map_err(Error::io(format!("read {}", program.display())))?;
    let adapted = widen(&image, size)
        .ok_or_else(|| Error::Missing(vec![format!("{PROGRAM} for this processor")]))?;
    // Written under another name first: a running program cannot be written.
    let (fresh, path) = (dir.join(format!("{PROGRAM}.new")), dir.join(PROGRAM));
    write_program(&fresh, &adapted)
        .and_then(|()| fs::rename(&fresh, &path))
        .map_err(Error::io(format!("write {}", path.display())))?;
    Ok(path)
}

/// The kernel with another length of the registers that it writes back to a process. The host
/// accepts the whole register file only, although it looks at no part of it that the header does
/// not declare in use; and the parts that the guest's kernel does not know are never in use, since
/// a process has to ask the host for AMX. So the bytes after the known ones do not matter.
fn widen(image: &[u8], size: u32) -> Option<Cow<'_, [u8]>> {
    let pattern = [&MOVE_TO_LENGTH[..], &KNOWN.to_le_bytes(), &MOVE_SETREGSET].concat();
    let mut places =
        image.windows(pattern.len()).enumerate().filter(|(_, bytes)| *bytes == pattern);
    let (start, _) = places.next()?;
    if places.next().is_some() {
        return None;
    }
    if size == KNOWN {
        return Some(Cow::Borrowed(image));
    }
    let mut adapted = image.to_vec();
    let length = start + MOVE_TO_LENGTH.len();
    adapted.get_mut(length..length + size_of::<u32>())?.copy_from_slice(&size.to_le_bytes());
    Some(Cow::Owned(adapted))
}

/// The size of this processor's register file, as far as its kernel lets programs use it.
#[cfg(target_arch = "x86_64")]
fn register_file() -> u32 {
    const XSAVE_LEAF: u32 = 0xd;
    std::arch::x86_64::__cpuid_count(XSAVE_LEAF, 0).ebx
}

/// User-mode Linux runs on x86 only.
#[cfg(not(target_arch = "x86_64"))]
fn register_file() -> u32 {
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(count: usize) -> Vec<u8> {
        let place = [&MOVE_TO_LENGTH[..], &KNOWN.to_le_bytes(), &MOVE_SETREGSET].concat();
        [vec![1, 2, 3], place.repeat(count), vec![4]].concat()
    }

    #[test]
    fn only_the_length_changes() {
        let adapted = widen(&image(1), 11008).unwrap().into_owned();
        let mut expected = image(1);
        expected[7..11].copy_from_slice(&[0x00, 0x2b, 0, 0]);
        assert_eq!(adapted, expected);
    }

    #[test]
    fn an_unknown_kernel_is_not_touched() {
        assert_eq!(widen(&image(0), 11008), None);
        assert_eq!(widen(&image(2), 11008), None);
        assert_eq!(widen(&[], 11008), None);
    }
}
