//! Files that are kept for those who have them open, see [`crate::KeptFiles`].
//!
//! A file that is kept has a second name in a directory below the hidden one, made of its handle.

use std::collections::HashMap;
use std::ffi::{CStr, CString};
use std::fmt::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::{Mutex, MutexGuard};
use rustix::fs::{AtFlags, Dir, Mode};
use rustix::io::Errno;
use rustix::path::DecInt;

use super::cache::stripe;
use super::hidden::open_directory;
use super::identity::as_process;
use super::mounted::Mounted;
use super::node::Node;
use super::permit;
use super::{PosixFileSystem, STRIPES};
use crate::{Attributes, Context, Error, FileKind, Handle, Result, Wait};

/// The directory below the hidden one.
const DIRECTORY: &CStr = c"open-files";

/// The kept files of a filesystem.
#[derive(Default)]
pub(super) struct Kept {
    files: Mutex<HashMap<Handle, Holding>>,
    /// How many there are: says no without a lock.
    count: AtomicUsize,
}

/// How a file is kept.
enum Holding {
    /// By a name.
    Named,
    /// It could get none: by being held open.
    Open(#[expect(dead_code, reason = "held for its descriptor")] Arc<Node>),
}

impl Kept {
    /// Whether a file has a name that is not to be counted.
    pub(super) fn has_name(&self, file: &Handle) -> bool {
        self.count.load(Ordering::SeqCst) > 0
            && matches!(self.files.lock().get(file), Some(Holding::Named))
    }

    fn insert(&self, file: Handle, holding: Holding) {
        let mut files = self.files.lock();
        files.insert(file, holding);
        self.count.store(files.len(), Ordering::SeqCst);
    }

    fn remove(&self, file: &Handle) -> Option<Holding> {
        let mut files = self.files.lock();
        let held = files.remove(file);
        self.count.store(files.len(), Ordering::SeqCst);
        held
    }

    pub(super) fn contains(&self, file: &Handle) -> bool {
        self.count.load(Ordering::SeqCst) > 0 && self.files.lock().contains_key(file)
    }
}

/// A file that is about to lose a name: nobody opens or releases it meanwhile.
pub(super) struct Losing<'a> {
    filesystem: &'a PosixFileSystem,
    /// The file, if it is kept since this began.
    kept: Option<Arc<Node>>,
    _step: MutexGuard<'a, ()>,
}

impl Losing<'_> {
    /// The name did not go: the file is not to be kept for that.
    pub(super) fn take_back(self) {
        if let Some(node) = &self.kept
            && let Err(error) = self.filesystem.let_go(&node.filesystem, &node.handle)
        {
            tracing::warn!(file = ?node.handle, %error, "a file keeps a name that it should not");
        }
    }
}

impl PosixFileSystem {
    /// Before a file loses a name: keeps it if somebody has it open.
    pub(super) fn losing_name(&self, file: &Handle) -> Result<Option<Losing<'_>>> {
        let Some(open_files) = self.open_files.read().clone() else { return Ok(None) };
        let step = self.openings[stripe(file, STRIPES)].lock();
        let mut kept = None;
        if open_files.is_open(file) {
            let node = self.node(Wait::Allowed, file)?;
            if node.kind == FileKind::Regular && !node.filesystem.kept.contains(file) {
                self.keep(&node)?;
                kept = Some(node);
            }
        }
        Ok(Some(Losing { filesystem: self, kept, _step: step }))
    }

    /// Gives a file a name in the server's own directory.
    fn keep(&self, node: &Arc<Node>) -> Result<()> {
        let filesystem = &node.filesystem;
        let name = name_of(&node.handle)?;
        // Before the name is there, so that it is never counted.
        filesystem.kept.insert(node.handle, Holding::Named);
        let linked = filesystem.kept_directory().and_then(|directory| {
            let from = DecInt::from_fd(node.fd());
            let flags = AtFlags::SYMLINK_FOLLOW;
            as_process(|| {
                match rustix::fs::linkat(&self.proc_fds, from, &directory, &name, flags) {
                    Err(Errno::EXIST) => {}
                    linked => linked?,
                }
                if filesystem.flushes_together() {
                    return Ok(());
                }
                // The name that goes is flushed later, perhaps before this one would be.
                filesystem.noted(rustix::fs::fsync(&directory))?;
                node.flush()
            })
        });
        match linked {
            Ok(()) => Ok(()),
            Err(error @ (Error::WouldBlock | Error::Stale)) => {
                filesystem.kept.remove(&node.handle);
                Err(error)
            }
            Err(error) => {
                tracing::warn!(
                    file = ?node.handle,
                    %error,
                    "a file that is removed while clients have it open can be kept for them only \
                     until the server ends"
                );
                filesystem.kept.insert(node.handle, Holding::Open(Arc::clone(node)));
                Ok(())
            }
        }
    }

    /// Takes the name away that a file has in the server's own directory.
    fn let_go(&self, filesystem: &Arc<Mounted>, file: &Handle) -> Result<()> {
        let name = name_of(file)?;
        let directory = filesystem.kept_directory()?;
        let removed = as_process(|| {
            permit::ask()?;
            Ok(rustix::fs::unlinkat(&directory, &name, AtFlags::empty())?)
        });
        match removed {
            Ok(()) | Err(Error::Os(Errno::NOENT)) => {}
            Err(error) => return Err(error),
        }
        drop(filesystem.kept.remove(file));
        // If that was the last name, its space is to be had again.
        if let Some(node) = self.cache.get(file)
            && node.attributes().is_ok_and(|attributes| attributes.removed)
        {
            drop(self.cache.remove(file));
        }
        Ok(())
    }

    pub(super) fn do_confirm_open(
        &self,
        context: Context<'_>,
        file: &Handle,
    ) -> Result<Attributes> {
        let step = &self.openings[stripe(file, STRIPES)];
        let _not_while_it_loses_a_name = match context.wait {
            Wait::Never => step.try_lock().ok_or(Error::WouldBlock)?,
            Wait::Allowed => step.lock(),
        };
        let (node, attributes) = self.node_with_attributes(context.wait, file)?;
        let gone = attributes.removed && !node.filesystem.kept.contains(file);
        if gone { Err(Error::Stale) } else { Ok(attributes) }
    }

    pub(super) fn do_release(&self, file: &Handle) -> Result<()> {
        let filesystem = self.mounts.with_id(file.filesystem())?;
        if !filesystem.kept.contains(file) {
            return Ok(());
        }
        let _not_while_it_is_opened = self.openings[stripe(file, STRIPES)].lock();
        if self.open_files.read().as_ref().is_some_and(|files| files.is_open(file)) {
            return Ok(());
        }
        self.let_go(&filesystem, file)
    }

    pub(super) fn do_kept_files(&self) -> Vec<Handle> {
        let filesystems = self.mounts.all();
        let files = |filesystem: &Arc<Mounted>| -> Vec<Handle> {
            filesystem.kept.files.lock().keys().copied().collect()
        };
        filesystems.iter().flat_map(files).collect()
    }
}

impl Mounted {
    /// Learns which files an earlier server kept.
    pub(super) fn find_kept(&self) -> Result<()> {
        if !self.hidden.exists() {
            return Ok(());
        }
        let directory = self.kept_directory()?;
        for entry in Dir::read_from(&directory)? {
            let entry = entry?;
            if let Some(file) = handle_of_name(self.id, entry.file_name().to_bytes()) {
                self.kept.insert(file, Holding::Named);
            }
        }
        Ok(())
    }

    fn kept_directory(&self) -> Result<OwnedFd> {
        let hidden = self.hidden_directory()?;
        as_process(|| {
            match rustix::fs::mkdirat(&hidden, DIRECTORY, Mode::RWXU) {
                Ok(()) => self.noted(rustix::fs::fsync(&hidden))?,
                // Mounted read-only, there may be one from before.
                Err(Errno::EXIST | Errno::ROFS) => {}
                Err(errno) => return Err(errno.into()),
            }
            Ok(open_directory(hidden.as_fd(), DIRECTORY)?)
        })
    }
}

/// The name under which a file is kept: its handle in hexadecimal.
fn name_of(file: &Handle) -> Result<CString> {
    let mut name = format!("{:x}-", file.kind());
    let written = file.bytes().iter().try_for_each(|byte| write!(name, "{byte:02x}"));
    let name = written.ok().and_then(|()| CString::new(name).ok());
    name.ok_or(Error::BadHandle)
}

/// The file that has such a name.
fn handle_of_name(filesystem: u64, name: &[u8]) -> Option<Handle> {
    let (kind, bytes) = std::str::from_utf8(name).ok()?.split_once('-')?;
    let kind = u32::from_str_radix(kind, 16).ok()?.cast_signed();
    if bytes.len() % 2 != 0 || !bytes.is_ascii() {
        return None;
    }
    let byte = |at: usize| u8::from_str_radix(bytes.get(at..at + 2)?, 16).ok();
    let bytes = (0..bytes.len()).step_by(2).map(byte).collect::<Option<Vec<u8>>>()?;
    Handle::new(filesystem, kind, &bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_the_handle() {
        for (kind, bytes) in [(1, &[0x0A, 0xFF, 0][..]), (-2, &[]), (0x81, &[7; 32])] {
            let handle = Handle::new(3, kind, bytes).expect("not too long");
            let name = name_of(&handle).expect("a name");
            assert_eq!(handle_of_name(3, name.to_bytes()), Some(handle));
        }
        for bad in [&b"."[..], b"..", b"1", b"1-0", b"1-0g", b"x-00", b"1-\xC3\xA9", b"1--1"] {
            assert_eq!(handle_of_name(0, bad), None, "{}", String::from_utf8_lossy(bad));
        }
    }
}
