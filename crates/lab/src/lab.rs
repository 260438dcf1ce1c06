//! The lab: a bridge, the machines on it, and the directory they work in.

use std::env;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex};

use crate::network::{self, Addresses};
use crate::process::{locked, text_of};
use crate::work_dir::WorkDir;
use crate::{Capture, Cell, Error, Guest, GuestBuilder, Host, Requirement, cell, missing};

/// How much of each log is printed when a test fails.
const LOG_TAIL: usize = 50;

/// A network of machines for one test. Everything it made is gone when it and its machines are
/// dropped, and when the process ends in any other way.
#[derive(Debug)]
pub struct Lab(Arc<Site>);

/// What the lab and its machines share.
#[derive(Debug)]
pub(crate) struct Site {
    name: String,
    /// Where the bridge is. First, so that it goes before the directories do.
    pub(crate) cell: Cell,
    pub(crate) dir: WorkDir,
    /// In memory: commands to the guests and their results, written synchronously.
    pub(crate) control: WorkDir,
    machines: AtomicU8,
    floating: AtomicU8,
    logs: Mutex<Vec<PathBuf>>,
    dumped: AtomicBool,
}

impl Lab {
    /// Makes a lab with an empty bridge; `name` is for messages. Labs run side by side.
    ///
    /// # Errors
    /// [`Error::Missing`] if this machine cannot run one, [`Error::Io`] and [`Error::Failed`] if
    /// making it failed.
    pub fn new(name: &str) -> Result<Self, Error> {
        let lacking = missing(&[Requirement::Hosts]);
        if !lacking.is_empty() {
            return Err(Error::Missing(lacking));
        }
        let dir = WorkDir::new(&env::temp_dir())?;
        for part in [SHARED, LOGS, DISKS, MACHINES] {
            make_dir(&dir.path().join(part))?;
        }
        let control = WorkDir::new(Path::new(MEMORY))?;
        let cell = Cell::start("the lab's network", cell::Network::Own, false, || Ok(()))?;
        network::make_bridge(&cell)?;
        Ok(Self(Arc::new(Site {
            name: name.into(),
            cell,
            dir,
            control,
            machines: AtomicU8::new(0),
            floating: AtomicU8::new(0),
            logs: Mutex::default(),
            dumped: AtomicBool::new(false),
        })))
    }

    /// Adds a host and switches it on: a machine made of namespaces, with this machine's kernel
    /// and files.
    ///
    /// # Errors
    /// [`Error::Full`], or what making it failed with.
    pub fn host(&self, name: &str) -> Result<Host, Error> {
        Host::new(Arc::clone(&self.0), name)
    }

    /// Describes a guest: a machine with a Linux kernel of its own. [`GuestBuilder::boot`] adds it.
    #[must_use]
    pub fn guest(&self, name: &str) -> GuestBuilder {
        Guest::builder(Arc::clone(&self.0), name)
    }

    /// Records the frames on the bridge that match `filter` (`pcap-filter`(7), empty for all).
    ///
    /// # Errors
    /// [`Error::Missing`] without `tcpdump`, or what starting it failed with.
    pub fn capture(&self, filter: &str) -> Result<Capture, Error> {
        Capture::start(Arc::clone(&self.0), filter)
    }

    /// A pair of addresses that no machine has: the first to float between machines.
    ///
    /// # Errors
    /// [`Error::Full`] when none is left.
    pub fn floating_addresses(&self) -> Result<Addresses, Error> {
        Addresses::floating(self.0.floating.fetch_add(1, Ordering::Relaxed))
    }

    /// The directory on disk in which the lab works.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.0.dir.path()
    }

    /// The directory that all guests see read-write at this very path.
    #[must_use]
    pub fn shared_dir(&self) -> PathBuf {
        self.0.shared_dir()
    }

    /// Makes a sparse disk of `size` bytes, for [`GuestBuilder::shared_disk`].
    ///
    /// # Errors
    /// What making the file failed with.
    pub fn make_disk(&self, name: &str, size: u64) -> Result<PathBuf, Error> {
        self.0.make_disk(name, size)
    }

    /// Runs `work` in the bridge's network, on a thread that must not start threads.
    ///
    /// # Errors
    /// [`Error::Off`] if the lab's thread is gone.
    pub fn enter<R: Send + 'static>(
        &self,
        work: impl FnOnce() -> R + Send + 'static,
    ) -> Result<R, Error> {
        self.0.cell.enter(work)
    }

    /// Prints the end of every log to stderr. A panicking test prints them by itself.
    pub fn dump_logs(&self) {
        self.0.dump_logs();
    }
}

const SHARED: &str = "shared";
const LOGS: &str = "logs";
const DISKS: &str = "disks";
const MACHINES: &str = "machines";
/// A filesystem in memory, also for the guests' memory.
pub(crate) const MEMORY: &str = "/dev/shm";

impl Site {
    /// The addresses of one more machine, and the name of its port.
    pub(crate) fn add_machine(&self, kind: &str) -> Result<(Addresses, String), Error> {
        let index = self.machines.fetch_add(1, Ordering::Relaxed);
        Ok((Addresses::machine(index)?, format!("{kind}{index}")))
    }

    pub(crate) fn shared_dir(&self) -> PathBuf {
        self.dir.path().join(SHARED)
    }

    /// What a machine keeps when it restarts, apart from its disks.
    pub(crate) fn machine_dir(&self, name: &str) -> Result<PathBuf, Error> {
        make_dir(&self.dir.path().join(MACHINES).join(name))
    }

    pub(crate) fn make_disk(&self, name: &str, size: u64) -> Result<PathBuf, Error> {
        let path = self.dir.path().join(DISKS).join(name);
        fs::File::create_new(&path)
            .and_then(|file| file.set_len(size))
            .map_err(Error::io(format!("make the disk {}", path.display())))?;
        Ok(path)
    }

    pub(crate) fn log_path(&self, name: &str) -> PathBuf {
        self.dir.path().join(LOGS).join(format!("{name}.log"))
    }

    /// The log file `name`, opened to append, and printed when the test fails.
    pub(crate) fn open_log(&self, name: &str) -> Result<(PathBuf, fs::File), Error> {
        let path = self.log_path(name);
        let file = fs::File::options()
            .create(true)
            .append(true)
            .open(&path)
            .map_err(Error::io(format!("open {}", path.display())))?;
        let mut logs = locked(&self.logs);
        if !logs.contains(&path) {
            logs.push(path.clone());
        }
        Ok((path, file))
    }

    fn dump_logs(&self) {
        if self.dumped.swap(true, Ordering::Relaxed) {
            return;
        }
        let mut text = format!("--- logs of lab {} ---\n", self.name);
        for path in locked(&self.logs).iter() {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            text.push_str(&format!("--- {name}\n{}", tail(&text_of(path), LOG_TAIL)));
        }
        let _ = io::stderr().write_all(text.as_bytes());
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.dump_logs();
        }
    }
}

/// The last `count` lines.
pub(crate) fn tail(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let skipped = lines.len().saturating_sub(count);
    lines.iter().skip(skipped).map(|line| format!("{line}\n")).collect()
}

pub(crate) fn make_dir(path: &Path) -> Result<PathBuf, Error> {
    fs::create_dir_all(path).map_err(Error::io(format!("make {}", path.display())))?;
    Ok(path.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tail_is_the_last_lines() {
        assert_eq!(tail("a\nb\nc", 2), "b\nc\n");
        assert_eq!(tail("a\n", 2), "a\n");
        assert_eq!(tail("", 2), "");
    }
}
