//! Whose rights a thread's system calls have.
//!
//! Linux keeps the identity that filesystem permission checks use (`setfsuid(2)`, `setfsgid(2)`,
//! supplementary groups) per thread. When the filesystem user leaves zero the kernel drops the
//! filesystem capabilities (`CAP_DAC_OVERRIDE`, `CAP_FOWNER`, `CAP_CHOWN`, …) of the thread, and
//! gives them back when it returns: so mode bits, ACLs, sticky and setgid directories, quota and
//! the clearing of setuid bits are the kernel's work.
//!
//! `CAP_SYS_RESOURCE`, which lets a process exceed quotas and use reserved blocks, is not a
//! filesystem capability in that sense: a daemon that serves others drops it at start.

use std::cell::RefCell;
use std::marker::PhantomData;
use std::sync::{Arc, OnceLock};

use rustix::io::Errno;
use rustix::thread::CapabilitySet;

use super::permit;
use super::syscall;
use crate::{Caller, Error, Result};

/// The process's own identity.
struct Process {
    caller: Caller,
    can_switch: bool,
}

/// The identity of a thread now. `uid` and the groups move separately: to open by handle, only
/// the user has to be the process's own.
struct Current {
    depth: usize,
    uid: u32,
    gid: u32,
    groups: Arc<[u32]>,
}

thread_local! {
    static CURRENT: RefCell<Current> = RefCell::new(Current::of_process());
}

fn process() -> &'static Process {
    static PROCESS: OnceLock<Process> = OnceLock::new();
    PROCESS.get_or_init(|| {
        let groups = rustix::process::getgroups().unwrap_or_default();
        let caller = Caller {
            uid: rustix::process::geteuid().as_raw(),
            gid: rustix::process::getegid().as_raw(),
            groups: groups.iter().map(|gid| gid.as_raw()).collect(),
        };
        let can_switch = caller.uid == 0 && probe_switch(&caller);
        Process { caller, can_switch }
    })
}

/// Tries an unprivileged identity on a thread of its own.
fn probe_switch(process: &Caller) -> bool {
    const NOBODY: u32 = 65534;
    let groups = Arc::clone(&process.groups);
    let probe = move || {
        let switched = syscall::set_thread_groups(&groups)
            .and_then(|()| syscall::set_thread_fsgid(NOBODY))
            .and_then(|()| syscall::set_thread_fsuid(NOBODY));
        // With SECBIT_NO_SETUID_FIXUP the capabilities would stay, and with them all rights.
        let dropped = rustix::thread::capabilities(None)
            .is_ok_and(|sets| !sets.effective.contains(CapabilitySet::DAC_OVERRIDE));
        switched.is_ok() && dropped
    };
    std::thread::spawn(probe).join().unwrap_or(false)
}

/// Whether operations can run as their callers. If not (the process is not root, or its user
/// namespace knows too few users), all callers act with the rights of the process itself.
pub fn can_switch_identity() -> bool {
    process().can_switch
}

/// Whether this caller's operations run with all the rights of the process.
pub(super) fn is_process(caller: &Caller) -> bool {
    caller.uid == process().caller.uid || !can_switch_identity()
}

/// A part of a thread's work in which the identity of the last caller may stay in force, so that
/// consecutive operations of one caller need no system calls to become it.
///
/// Scopes nest; when the outermost ends, also by a panic, the thread has the process's own
/// identity again. Every operation of [`crate::PosixFileSystem`] opens one, so a server only
/// needs its own around a batch of operations. A scope must not be held across an `await`, and no
/// thread may be started inside one (it would inherit the caller's identity).
#[must_use = "the scope ends when this is dropped"]
pub struct IdentityScope {
    /// A scope belongs to its thread.
    _thread: PhantomData<*const ()>,
}

impl IdentityScope {
    /// Opens a scope on this thread.
    pub fn enter() -> Self {
        CURRENT.with_borrow_mut(|current| current.depth += 1);
        Self { _thread: PhantomData }
    }
}

impl Drop for IdentityScope {
    fn drop(&mut self) {
        CURRENT.with_borrow_mut(|current| {
            current.depth -= 1;
            if current.depth == 0 {
                current.switch_to(&process().caller).unwrap_or_else(|_| no_way_back());
            }
        });
    }
}

/// Going on would run unrelated work of this thread with a client's rights.
fn no_way_back() -> ! {
    tracing::error!("a thread cannot return to the process's own identity");
    std::process::abort()
}

impl Current {
    /// The state of a thread that comes here first. A thread starts with the identity that the
    /// starting thread had at that moment, so nothing is taken for granted.
    fn of_process() -> Self {
        let Caller { uid, gid, groups } = process().caller.clone();
        if can_switch_identity() {
            let reset = syscall::set_thread_fsuid(uid)
                .and_then(|()| syscall::set_thread_fsgid(gid))
                .and_then(|()| syscall::set_thread_groups(&groups));
            reset.unwrap_or_else(|_| no_way_back());
        }
        Self { depth: 0, uid, gid, groups }
    }

    /// Makes this identity the thread's, with as few system calls as that takes.
    fn switch_to(&mut self, caller: &Caller) -> rustix::io::Result<()> {
        if !Arc::ptr_eq(&self.groups, &caller.groups) {
            if self.groups != caller.groups {
                syscall::set_thread_groups(&caller.groups)?;
            }
            self.groups = Arc::clone(&caller.groups);
        }
        if self.gid != caller.gid {
            syscall::set_thread_fsgid(caller.gid)?;
            self.gid = caller.gid;
        }
        self.set_uid(caller.uid)
    }

    fn set_uid(&mut self, uid: u32) -> rustix::io::Result<()> {
        if self.uid != uid {
            syscall::set_thread_fsuid(uid)?;
            self.uid = uid;
        }
        Ok(())
    }
}

/// Runs `operation` with the rights of `caller`. Must be inside an [`IdentityScope`].
///
/// # Errors
/// `EPERM` if the caller is nobody that this user namespace knows (user or group 2^32-1).
pub(super) fn as_caller<T>(caller: &Caller, operation: impl FnOnce() -> T) -> Result<T> {
    if can_switch_identity() {
        CURRENT.with_borrow_mut(|current| {
            debug_assert!(current.depth > 0, "no identity scope");
            current.switch_to(caller).map_err(|_| Error::Os(Errno::PERM))
        })?;
    }
    // As late as can be: the thread may have been stopped until now.
    permit::ask()?;
    Ok(operation())
}

/// Runs `operation` with the rights of the process, whatever caller's identity the scope holds.
pub(super) fn as_process<T>(operation: impl FnOnce() -> Result<T>) -> Result<T> {
    CURRENT.with_borrow_mut(|current| {
        debug_assert!(current.depth > 0, "no identity scope");
        current.set_uid(process().caller.uid)
    })?;
    operation()
}
