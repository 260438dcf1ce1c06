//! A set of namespaces with a thread that lives in them.

use std::fs::File;
use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::process::CommandExt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use nix::errno::Errno;
use nix::libc;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::signal::{SigHandler, Signal, signal};
use nix::unistd::read;

use crate::process::{Process, locked};
use crate::{Error, program};

type Job = Box<dyn FnOnce() + Send>;

/// Which network a cell lives in.
pub(crate) enum Network {
    /// A new, empty one.
    Own,
    /// That of another cell.
    Of(Arc<File>),
}

/// Namespaces, a thread that has entered them, and the first process of their PID namespace.
///
/// The first process reads a pipe which only this process holds: when this process ends, in whatever
/// way, it reads the end of the file and exits, and the kernel kills everything else in the PID
/// namespace. No namespace has a name, so they go with the last of them.
#[derive(Debug)]
pub(crate) struct Cell {
    name: String,
    jobs: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
    init: Process,
    network: Arc<File>,
    /// Children of this process in the PID namespace: it ends only once all of them are reaped.
    children: Mutex<Vec<Process>>,
}

impl Cell {
    /// Makes the namespaces; `prepare` runs in them first and may change mounts, if `mounts` says
    /// that they are the cell's own.
    pub(crate) fn start(
        name: &str,
        network: Network,
        mounts: bool,
        prepare: impl FnOnce() -> Result<(), Error> + Send + 'static,
    ) -> Result<Self, Error> {
        let (jobs, inbox) = channel::<Job>();
        let (report, started) = channel();
        let thread = thread::Builder::new()
            .name(format!("lab {name}"))
            .spawn(move || live(network, mounts, prepare, &report, &inbox))
            .map_err(Error::io(format!("start the thread of {name}")))?;
        let (child, network) = received(&started, name)??;
        Ok(Self {
            name: name.into(),
            jobs: Some(jobs),
            thread: Some(thread),
            init: Process::new(child),
            network: Arc::new(network),
            children: Mutex::default(),
        })
    }

    /// Runs `work` on the thread inside the namespaces; a panic in it continues here.
    pub(crate) fn enter<R: Send + 'static>(
        &self,
        work: impl FnOnce() -> R + Send + 'static,
    ) -> Result<R, Error> {
        let (result, done) = channel();
        let job = Box::new(move || {
            let _ = result.send(catch_unwind(AssertUnwindSafe(work)));
        });
        let sent = self.jobs.as_ref().is_some_and(|jobs| jobs.send(job).is_ok());
        if !sent {
            return Err(Error::Off(self.name.clone()));
        }
        received(&done, &self.name)?.or_else(|panic| resume_unwind(panic))
    }

    /// Starts a process inside the namespaces.
    pub(crate) fn spawn(&self, mut command: Command) -> Result<Process, Error> {
        // Held throughout, so that `kill` never misses a child.
        let mut children = locked(&self.children);
        if !self.init.is_running() {
            return Err(Error::Off(self.name.clone()));
        }
        let action = format!("{}: start {:?}", self.name, command.get_program());
        let child = self.enter(move || program::spawn(&mut command))?.map_err(Error::io(action))?;
        let process = Process::new(child);
        children.retain(Process::is_running);
        children.push(process.clone());
        Ok(process)
    }

    /// Kills every process of the PID namespace at once and waits until they are gone.
    pub(crate) fn kill(&self) {
        let children = locked(&self.children);
        let _ = self.init.signal(Signal::SIGKILL);
        children.iter().for_each(Process::reap);
        self.init.reap();
    }

    /// The process whose `/proc` entries show the namespaces.
    pub(crate) fn id(&self) -> u32 {
        self.init.id()
    }

    pub(crate) fn network(&self) -> Arc<File> {
        Arc::clone(&self.network)
    }
}

impl Drop for Cell {
    fn drop(&mut self) {
        self.kill();
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn received<T>(from: &Receiver<T>, name: &str) -> Result<T, Error> {
    from.recv().map_err(|_| Error::Off(name.into()))
}

/// The life of a cell's thread: enter the namespaces, report, then work until nobody sends more.
fn live(
    network: Network,
    mounts: bool,
    prepare: impl FnOnce() -> Result<(), Error>,
    report: &Sender<Result<(Child, File), Error>>,
    inbox: &Receiver<Job>,
) {
    let started = enter_namespaces(&network, mounts).and_then(|network| {
        prepare()?;
        Ok((start_init(mounts)?, network))
    });
    let failed = started.is_err();
    if report.send(started).is_ok() && !failed {
        inbox.iter().for_each(|job| job());
    }
}

fn enter_namespaces(network: &Network, mounts: bool) -> Result<File, Error> {
    // The PID namespace is for the children of this thread; the thread itself stays outside.
    let mut flags = CloneFlags::CLONE_NEWPID | CloneFlags::CLONE_NEWIPC | CloneFlags::CLONE_NEWUTS;
    match network {
        Network::Own => flags |= CloneFlags::CLONE_NEWNET,
        Network::Of(file) => setns(file.as_ref(), CloneFlags::CLONE_NEWNET)
            .map_err(Error::io("enter the lab's network namespace"))?,
    }
    if mounts {
        flags |= CloneFlags::CLONE_NEWNS;
    }
    unshare(flags).map_err(Error::io("make namespaces"))?;
    // Before anything is mounted over /proc, where this thread has no entry any more.
    let network = File::open("/proc/thread-self/ns/net")
        .map_err(Error::io("open /proc/thread-self/ns/net"))?;
    if mounts {
        let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
        mount(None::<&str>, "/", None::<&str>, private, None::<&str>)
            .map_err(Error::io("make mounts private"))?;
    }
    Ok(network)
}

/// Starts the first process of the PID namespace: a copy of this one that runs no program.
fn start_init(mounts: bool) -> Result<Child, Error> {
    let mut command = Command::new("/proc/self/exe");
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
    let be_init = move || -> io::Result<()> {
        // The kernel reaps the orphans that come to it.
        // SAFETY: setting a disposition to "ignore" installs no handler.
        unsafe { signal(Signal::SIGCHLD, SigHandler::SigIgn) }?;
        if mounts {
            // Only a process inside the PID namespace can mount its /proc.
            mount(Some(c"proc"), c"/proc", Some(c"proc"), MsFlags::empty(), None::<&str>)?;
        }
        // All descriptors but the pipe, also the one by which the parent learns that all is well.
        // SAFETY: the descriptors are this process's own; nothing in it uses them any more.
        if unsafe { libc::close_range(1, libc::c_uint::MAX, 0) } != 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: descriptor 0 is the pipe and stays open.
        let pipe = unsafe { BorrowedFd::borrow_raw(0) };
        let mut nothing = [0; 1];
        while matches!(read(pipe, &mut nothing), Ok(1..) | Err(Errno::EINTR)) {}
        // SAFETY: ends the process at once, without anything of the parent's being run.
        unsafe { libc::_exit(0) }
    };
    // SAFETY: after the fork, `be_init` only makes system calls and does not allocate.
    unsafe { command.pre_exec(be_init) };
    program::spawn(&mut command).map_err(Error::io("start the first process of a PID namespace"))
}
