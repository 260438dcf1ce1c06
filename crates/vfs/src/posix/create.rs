//! Creating objects.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Timespec, Timestamps};
use rustix::io::Errno;
use rustix::path::DecInt;

use super::PosixFileSystem;
use super::identity::{as_caller, is_process};
use super::name::Name;
use super::names::Step;
use super::node::Node;
use crate::{
    Attributes, Changed, Context, CreateHow, CreateKind, DeviceNumber, Error, FileKind, Found,
    Handle, Result, SetAttributes, Timestamp,
};

const NEW_FILE: OFlags = OFlags::RDWR.union(OFlags::CLOEXEC).union(OFlags::NOCTTY);

/// How often to try again when others create and remove the name at the same time.
const TRIES: usize = 8;

impl PosixFileSystem {
    pub(super) fn do_create(
        &self,
        context: Context<'_>,
        directory: &Handle,
        name: &[u8],
        how: &CreateHow,
    ) -> Changed<Found> {
        self.change_directory(context, directory, |parent| {
            let name = Name::givable(name, Errno::EXIST)?;
            self.make_room(directory);
            match how {
                CreateHow::Guarded(set) => self.create_new(context, parent, &name, set),
                CreateHow::Unchecked(set) => new_or_existing(
                    || self.create_new(context, parent, &name, set),
                    || self.take_existing(context, parent, &name, set),
                ),
                CreateHow::Exclusive(verifier) => {
                    let times = verifier_times(*verifier);
                    new_or_existing(
                        || self.create_with_times(context, parent, &name, times),
                        || self.find_with_times(context, parent, &name, times),
                    )
                }
            }
        })
    }

    /// Creates a file whose name must be new.
    fn create_new(
        &self,
        context: Context<'_>,
        parent: &Node,
        name: &Name,
        set: &SetAttributes,
    ) -> Step<Found> {
        let mode = Mode::from_raw_mode(set.mode.unwrap_or_default() & 0o7777);
        let fd = as_caller(context.caller, || open_new(parent.fd(), name, mode))??;
        let created = self.adopt(context.wait, fd, true)?;
        self.finish(context, created, set)
    }

    /// An existing file will do; it is truncated if that is asked for.
    fn take_existing(
        &self,
        context: Context<'_>,
        parent: &Node,
        name: &Name,
        set: &SetAttributes,
    ) -> Step<Found> {
        let (node, mut attributes) =
            self.open_child(context, parent, parent.fd(), name.as_c_str())?;
        if node.kind != FileKind::Regular {
            return Err(Errno::EXIST.into());
        }
        if let Some(size) = set.size {
            let change = node.changes.begin();
            self.set_size(context.caller, &node, attributes.uid, size)?;
            drop(change);
            attributes = node.attributes()?;
        }
        Ok((Found { handle: node.handle, attributes }, Some(node)))
    }

    /// Creates a file that has these times as soon as it has its name, so that a retransmission
    /// finds them whatever happened in between. Its mode is zero until the client sets it.
    fn create_with_times(
        &self,
        context: Context<'_>,
        parent: &Node,
        name: &Name,
        times: [Timestamp; 2],
    ) -> Step<Found> {
        let fd = as_caller(context.caller, || -> Result<OwnedFd> {
            let nameless = if parent.filesystem.takes_nameless_files() {
                let flags = NEW_FILE | OFlags::TMPFILE;
                rustix::fs::openat(parent.fd(), c".", flags, Mode::empty())
            } else {
                Err(Errno::OPNOTSUPP)
            };
            match nameless {
                Ok(fd) => {
                    set_verifier(fd.as_fd(), times)?;
                    self.give_name(fd.as_fd(), parent, name)?;
                    Ok(fd)
                }
                Err(Errno::OPNOTSUPP | Errno::ISDIR) => {
                    let fd = open_new(parent.fd(), name, Mode::empty())?;
                    set_verifier(fd.as_fd(), times)?;
                    Ok(fd)
                }
                Err(errno) => Err(errno.into()),
            }
        })??;
        let (node, attributes) = self.adopt(context.wait, fd, true)?;
        // Its times were set apart from its name.
        Ok((Found { handle: node.handle, attributes }, Some(node)))
    }

    fn give_name(&self, fd: BorrowedFd<'_>, parent: &Node, name: &Name) -> Result<()> {
        let (from, to) = (DecInt::from_fd(fd), name.as_c_str());
        let flags = AtFlags::SYMLINK_FOLLOW;
        Ok(rustix::fs::linkat(&self.proc_fds, from, parent.fd(), to, flags)?)
    }

    /// An empty file with these times is the one that an earlier transmission of the same request
    /// made.
    fn find_with_times(
        &self,
        context: Context<'_>,
        parent: &Node,
        name: &Name,
        times: [Timestamp; 2],
    ) -> Step<Found> {
        let (node, attributes) = self.open_child(context, parent, parent.fd(), name.as_c_str())?;
        let ours = node.kind == FileKind::Regular
            && attributes.size == 0
            && [attributes.accessed, attributes.modified] == times;
        if !ours {
            return Err(Errno::EXIST.into());
        }
        Ok((Found { handle: node.handle, attributes }, Some(node)))
    }

    pub(super) fn do_make(
        &self,
        context: Context<'_>,
        directory: &Handle,
        name: &[u8],
        kind: &CreateKind,
        set: &SetAttributes,
    ) -> Changed<Found> {
        self.change_directory(context, directory, |parent| {
            let name = Name::givable(name, Errno::EXIST)?;
            let mode = Mode::from_raw_mode(set.mode.unwrap_or_default() & 0o7777);
            as_caller(context.caller, || make(parent.fd(), &name, kind, mode))??;
            let made = self.open_child(context, parent, parent.fd(), name.as_c_str())?;
            self.finish(context, made, &SetAttributes { size: None, ..set.clone() })
        })
    }

    /// Sets those attributes of a new object that did not come with its creation.
    fn finish(
        &self,
        context: Context<'_>,
        (node, mut attributes): (Arc<Node>, Attributes),
        set: &SetAttributes,
    ) -> Step<Found> {
        // Others than the superuser own what they make, whatever their client says.
        let may_give = is_process(context.caller);
        let rest = SetAttributes {
            mode: None,
            uid: set.uid.filter(|_| may_give),
            gid: set.gid.filter(|_| may_give),
            size: set.size.filter(|&size| size > 0),
            accessed: set.accessed,
            modified: set.modified,
        };
        let changed = rest != SetAttributes::default();
        if changed {
            self.apply(context.caller, &node, &attributes, &rest)?;
            attributes = node.attributes()?;
        }
        let found = Found { handle: node.handle, attributes };
        let touched = changed || !node.filesystem.stores_new_with_directory();
        Ok((found, touched.then_some(node)))
    }
}

/// Creates, or takes what exists, while others create and remove the name.
fn new_or_existing<T>(create: impl Fn() -> Result<T>, take: impl Fn() -> Result<T>) -> Result<T> {
    for _ in 0..TRIES {
        match create() {
            Err(Error::Os(Errno::EXIST)) => {}
            created => return created,
        }
        match take() {
            Err(Error::Os(Errno::NOENT)) => {}
            taken => return taken,
        }
    }
    Err(Errno::EXIST.into())
}

fn open_new(parent: BorrowedFd<'_>, name: &Name, mode: Mode) -> Result<OwnedFd> {
    let flags = NEW_FILE | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW;
    Ok(rustix::fs::openat(parent, name.as_c_str(), flags, mode)?)
}

fn make(parent: BorrowedFd<'_>, name: &Name, kind: &CreateKind, mode: Mode) -> Result<()> {
    let name = name.as_c_str();
    let node = |kind, device| rustix::fs::mknodat(parent, name, kind, mode, device);
    match kind {
        CreateKind::Directory => rustix::fs::mkdirat(parent, name, mode)?,
        CreateKind::Symlink(target) => rustix::fs::symlinkat(target.as_slice(), parent, name)?,
        CreateKind::CharacterDevice(number) => {
            node(FileType::CharacterDevice, device(*number)?)?;
        }
        CreateKind::BlockDevice(number) => node(FileType::BlockDevice, device(*number)?)?,
        CreateKind::Socket => node(FileType::Socket, 0)?,
        CreateKind::Fifo => node(FileType::Fifo, 0)?,
    }
    Ok(())
}

/// The kernel keeps 12 bits of the major number and 20 of the minor one.
fn device(number: DeviceNumber) -> Result<rustix::fs::Dev> {
    if number.major >= 1 << 12 || number.minor >= 1 << 20 {
        return Err(Errno::INVAL.into());
    }
    Ok(rustix::fs::makedev(number.major, number.minor))
}

/// The times of access and modification that keep the verifier of an exclusive creation, as the
/// kernel's NFS server keeps it: in seconds that a filesystem of 32 bit times can hold.
fn verifier_times(verifier: [u8; 8]) -> [Timestamp; 2] {
    let [a, b, c, d, e, f, g, h] = verifier;
    let time = |bytes| Timestamp {
        seconds: i64::from(u32::from_le_bytes(bytes) & 0x7FFF_FFFF),
        nanoseconds: 0,
    };
    [time([e, f, g, h]), time([a, b, c, d])]
}

fn set_verifier(fd: BorrowedFd<'_>, [accessed, modified]: [Timestamp; 2]) -> Result<()> {
    let time = |time: Timestamp| Timespec { tv_sec: time.seconds, tv_nsec: 0 };
    let times = Timestamps { last_access: time(accessed), last_modification: time(modified) };
    Ok(rustix::fs::futimens(fd, &times)?)
}
