//! Changing names: removing, renaming, linking.

use std::sync::Arc;

use rustix::fs::AtFlags;
use rustix::io::Errno;
use rustix::path::DecInt;

use super::PosixFileSystem;
use super::flush::settle;
use super::identity::as_caller;
use super::name::Name;
use super::node::{Node, require_directory};
use crate::{
    Attributes, Caller, ChangeTime, Changed, Context, Error, FileKind, Handle, Renamed, Result,
    Wait,
};

/// What is to be removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Victim {
    /// Anything but a directory.
    File,
    /// An empty directory.
    Directory,
}

/// What a change in a directory gave, and which other object it touched.
pub(super) type Step<T> = Result<(T, Option<Arc<Node>>)>;

impl PosixFileSystem {
    /// Changes a directory: with the attributes before and after in one step, and stable when it
    /// returns or where that is deferred to.
    pub(super) fn change_directory<T>(
        &self,
        context: Context<'_>,
        directory: &Handle,
        change: impl FnOnce(&Arc<Node>) -> Step<T>,
    ) -> Changed<T> {
        let step = self.step(directory);
        let (node, before) = match self.changeable_directory(context, directory) {
            Ok(found) => found,
            Err(error) => return Changed::failed(error),
        };
        let result = require_directory(node.kind).and_then(|()| change(&node));
        let after = node.attributes().ok();
        drop(step);
        // The flush is outside the step, so that changes in one directory share it.
        let result = result
            .and_then(|(value, touched)| {
                let touched = [Some(Arc::clone(&node)), touched];
                settle(context, node.filesystem.flushes(touched))?;
                Ok(value)
            })
            .map_err(|error| Self::stale_if_removed(&node, error));
        Changed { result, before: Some(ChangeTime::from(&before)), after }
    }

    fn changeable_directory(
        &self,
        context: Context<'_>,
        directory: &Handle,
    ) -> Result<(Arc<Node>, Attributes)> {
        if context.wait == Wait::Never {
            return Err(Error::WouldBlock);
        }
        let (node, attributes) = self.node_with_attributes(context.wait, directory)?;
        if attributes.removed { Err(Error::Stale) } else { Ok((node, attributes)) }
    }

    pub(super) fn do_remove(
        &self,
        context: Context<'_>,
        directory: &Handle,
        name: &[u8],
        victim: Victim,
    ) -> Changed<()> {
        let changed = self.change_directory(context, directory, |parent| {
            let name = removable(name, victim)?;
            let flags = match victim {
                Victim::File => AtFlags::empty(),
                Victim::Directory => AtFlags::REMOVEDIR,
            };
            let held = self.taking_name(context.caller, parent, &name, || {
                Ok(rustix::fs::unlinkat(parent.fd(), name.as_c_str(), flags)?)
            })?;
            Ok((held, None))
        });
        // The removed object is closed only here: giving its space back may take its time.
        Changed { result: changed.result.map(drop), before: changed.before, after: changed.after }
    }

    /// Takes a name away by `take`, as the caller. Gives what had the name, if it is cached.
    fn taking_name(
        &self,
        caller: &Caller,
        directory: &Node,
        name: &Name,
        take: impl FnOnce() -> Result<()>,
    ) -> Result<Option<Arc<Node>>> {
        let victim = self.handle_of_name(caller, directory, name).ok().flatten();
        let losing = victim.map(|victim| self.losing_name(&victim)).transpose()?.flatten();
        let cached = victim.and_then(|victim| self.cache.get(&victim));
        let change = cached.as_ref().map(|node| node.changes.begin());
        let taken = as_caller(caller, take).flatten();
        drop(change);
        match (taken, losing) {
            (Ok(()), _) => Ok(self.forget_removed(cached)),
            (Err(error), losing) => {
                if let Some(losing) = losing {
                    losing.take_back();
                }
                Err(error)
            }
        }
    }

    /// Lets an object go of which a name was removed, if that was the last; else its space would
    /// stay in use until it is idle for long.
    fn forget_removed(&self, held: Option<Arc<Node>>) -> Option<Arc<Node>> {
        let node = held?;
        let gone = node.kind == FileKind::Directory
            || node.attributes().is_ok_and(|attributes| attributes.removed);
        if gone {
            drop(self.cache.remove(&node.handle));
        }
        Some(node)
    }

    pub(super) fn do_rename(
        &self,
        context: Context<'_>,
        from: (&Handle, &[u8]),
        to: (&Handle, &[u8]),
    ) -> Renamed {
        let steps = self.steps(from.0, to.0);
        let source = match self.changeable_directory(context, from.0) {
            Ok(source) => source,
            Err(error) => {
                return Renamed { result: Err(error), from: (None, None), to: (None, None) };
            }
        };
        let before = |(_, attributes): &(_, Attributes)| Some(ChangeTime::from(attributes));
        let after = |(node, _): &(Arc<Node>, _)| node.attributes().ok();
        let target = match self.changeable_directory(context, to.0) {
            Ok(target) => target,
            Err(error) => {
                let from = (before(&source), after(&source));
                return Renamed { result: Err(error), from, to: (None, None) };
            }
        };
        let result = self.rename_name(context.caller, (&source.0, from.1), (&target.0, to.1));
        let (from, to) = ((before(&source), after(&source)), (before(&target), after(&target)));
        drop(steps);
        let result = result.and_then(|replaced| {
            drop(replaced);
            let filesystem = Arc::clone(&source.0.filesystem);
            settle(context, filesystem.flushes([Some(source.0), Some(target.0)]))
        });
        Renamed { result, from, to }
    }

    /// Renames, and gives the object that was replaced if it was held open.
    fn rename_name(
        &self,
        caller: &Caller,
        (source, from): (&Node, &[u8]),
        (target, to): (&Node, &[u8]),
    ) -> Result<Option<Arc<Node>>> {
        let from = Name::changeable(from, Errno::INVAL)?;
        let to = Name::givable(to, Errno::INVAL)?;
        require_directory(source.kind)?;
        require_directory(target.kind)?;
        self.taking_name(caller, target, &to, || {
            let (from, to) = (from.as_c_str(), to.as_c_str());
            Ok(rustix::fs::renameat(source.fd(), from, target.fd(), to)?)
        })
    }

    pub(super) fn do_link(
        &self,
        context: Context<'_>,
        handle: &Handle,
        directory: &Handle,
        name: &[u8],
    ) -> Changed<Attributes> {
        self.change_directory(context, directory, |parent| {
            let name = Name::givable(name, Errno::EXIST)?;
            let (node, _) = self.node_with_attributes(context.wait, handle)?;
            if node.kind == FileKind::Directory {
                return Err(Errno::ISDIR.into());
            }
            let change = node.changes.begin();
            as_caller(context.caller, || {
                rustix::fs::linkat(
                    &self.proc_fds,
                    DecInt::from_fd(node.fd()),
                    parent.fd(),
                    name.as_c_str(),
                    // What is followed is only the way from `/proc` to the object itself.
                    AtFlags::SYMLINK_FOLLOW,
                )
            })??;
            drop(change);
            Ok((node.attributes()?, Some(node)))
        })
    }
}

/// A name that may be removed. RFC 1813 section 3.3.13 says what becomes of the two that may not;
/// for anything but directories it does not, and the answer is that of other servers.
fn removable(name: &[u8], victim: Victim) -> Result<Name> {
    match (victim, name) {
        (Victim::Directory, b".") => Err(Errno::INVAL.into()),
        (Victim::Directory, b"..") => Err(Errno::EXIST.into()),
        (Victim::File, b"." | b"..") => Err(Errno::ACCESS.into()),
        _ => Name::new(name),
    }
}
