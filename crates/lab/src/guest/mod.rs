//! Guests: machines with a Linux kernel of their own, by user-mode Linux.

mod builder;
pub(crate) mod kernel;
mod line;
mod nfs;
mod process;
mod session;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::host::COMMAND_LIMIT;
use crate::lab::Site;
use crate::network::{self, Addresses, Direction};
use crate::process::{locked, text_of};
use crate::{Error, Output};
use builder::Disk;
use session::{Hardware, Session};

pub use builder::{GuestBuilder, MIB};
pub use process::GuestProcess;

/// A machine with its own Linux kernel and one processor. Its files are this machine's, under a
/// layer in memory that takes what it writes; `/run`, `/tmp`, `/dev` and `/etc/exports` are its own
/// from the start, and `/var/lib/nfs` is its own and outlives a reboot.
#[derive(Debug)]
pub struct Guest {
    site: Arc<Site>,
    hardware: Hardware,
    /// `None` while it is switched off.
    session: Mutex<Option<Arc<Session>>>,
    pushes: std::sync::atomic::AtomicU64,
}

impl Guest {
    pub(crate) fn builder(site: Arc<Site>, name: &str) -> GuestBuilder {
        GuestBuilder::new(site, name)
    }

    fn boot(builder: GuestBuilder) -> Result<Self, Error> {
        let GuestBuilder { site, name, memory, disks, boot_limit } = builder;
        let (addresses, port) = site.add_machine("guest")?;
        network::make_guest_port(&site.cell, &port)?;
        let disks = disk_arguments(&site, &name, disks)?;
        let hardware = Hardware { name, addresses, port, memory, disks, boot_limit };
        let guest = Self { site, hardware, session: Mutex::new(None), pushes: Default::default() };
        guest.reboot()?;
        Ok(guest)
    }

    /// Its name, which is also its hostname.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.hardware.name
    }

    /// Its addresses on the bridge.
    #[must_use]
    pub fn addresses(&self) -> Addresses {
        self.hardware.addresses
    }

    /// Its network interface.
    #[must_use]
    pub fn interface(&self) -> &'static str {
        network::GUEST_INTERFACE
    }

    /// Runs shell commands (any number of lines) as root, for at most [`COMMAND_LIMIT`].
    ///
    /// # Errors
    /// As [`Guest::run_within`].
    pub fn run(&self, command: &str) -> Result<Output, Error> {
        self.run_within(COMMAND_LIMIT, command)
    }

    /// Runs shell commands as root; what still runs after `limit` is killed.
    ///
    /// # Errors
    /// [`Error::TimedOut`]; [`Error::Off`] if the guest is off or dies. Another status than 0 is no
    /// error; see [`Output::ok`].
    pub fn run_within(&self, limit: Duration, command: &str) -> Result<Output, Error> {
        let process = self.spawn(command)?;
        let ended = process.wait(limit);
        if ended.is_err() {
            let _ = process.kill();
        }
        ended
    }

    /// Runs shell commands as a user: `uid` and `gid`, and no other groups than `groups`.
    ///
    /// # Errors
    /// As [`Guest::run_within`].
    pub fn run_as(
        &self,
        uid: u32,
        gid: u32,
        groups: &[u32],
        command: &str,
    ) -> Result<Output, Error> {
        let groups = match groups {
            [] => "--clear-groups".to_owned(),
            some => format!(
                "--groups={}",
                some.iter().map(u32::to_string).collect::<Vec<_>>().join(",")
            ),
        };
        let command = quote(command);
        self.run(&format!("setpriv --reuid={uid} --regid={gid} {groups} sh -c {command}"))
    }

    /// Starts shell commands as root and does not wait for their end.
    ///
    /// # Errors
    /// [`Error::Off`].
    pub fn spawn(&self, command: &str) -> Result<GuestProcess, Error> {
        let session = self.session()?;
        let id = session.start(command)?;
        Ok(GuestProcess::new(session, id, command))
    }

    /// Puts a file into the guest, with its directories.
    ///
    /// # Errors
    /// As [`Guest::run`]; [`Error::Failed`] if the guest cannot write it.
    pub fn push(&self, path: &str, content: &[u8]) -> Result<(), Error> {
        use std::sync::atomic::Ordering;
        // Always a new file: a guest does not see changes of one that it has open.
        let count = self.pushes.fetch_add(1, Ordering::Relaxed);
        let from = self.site.shared_dir().join(format!(".{}.{count}", self.name()));
        let wrote = Error::io(format!("write {}", from.display()));
        std::fs::write(&from, content).map_err(wrote)?;
        let (source, path) = (quote(&from.to_string_lossy()), quote(path));
        let copy = format!("mkdir -p \"$(dirname {path})\" && cat {source} >{path}");
        let copied = self.run(&copy).and_then(Output::ok);
        let _ = std::fs::remove_file(&from);
        copied.map(drop)
    }

    /// A crash: every process of the guest's kernel is killed at once. What it had written to its
    /// disks stays, even without a flush: this is no power cut of the disk.
    pub fn crash(&self) {
        if let Some(session) = self.slot().take() {
            session.crash();
        }
    }

    /// Switches the guest on, after a crash if it runs: the same disks, addresses and
    /// `/var/lib/nfs`, and nothing else of what it wrote.
    ///
    /// # Errors
    /// [`Error::TimedOut`] or [`Error::Off`] if it does not come up.
    pub fn reboot(&self) -> Result<(), Error> {
        self.crash();
        let session = Session::boot(&self.site, &self.hardware)?;
        *self.slot() = Some(Arc::new(session));
        Ok(())
    }

    /// Writes everything to the disks and switches the guest off.
    ///
    /// # Errors
    /// As [`Guest::run`].
    pub fn shut_down(&self) -> Result<(), Error> {
        let synced = self.run("sync").and_then(Output::ok);
        self.crash();
        synced.map(drop)
    }

    /// Stops the guest's kernel: a node that hangs.
    ///
    /// # Errors
    /// [`Error::Off`], [`Error::Io`].
    pub fn freeze(&self) -> Result<(), Error> {
        self.session()?.signal(Signal::SIGSTOP)
    }

    /// Lets the guest go on after [`Guest::freeze`].
    ///
    /// # Errors
    /// [`Error::Off`], [`Error::Io`].
    pub fn thaw(&self) -> Result<(), Error> {
        self.session()?.signal(Signal::SIGCONT)
    }

    /// Cuts the link; its carrier stays up, as behind a failed switch.
    ///
    /// # Errors
    /// [`Error::Failed`].
    pub fn cut_link(&self, direction: Direction) -> Result<(), Error> {
        network::cut(&self.site.cell, &self.hardware.port, direction)
    }

    /// Mends the link.
    ///
    /// # Errors
    /// [`Error::Failed`].
    pub fn mend_link(&self) -> Result<(), Error> {
        network::mend(&self.site.cell, &self.hardware.port)
    }

    /// What the guest's kernel has said since it was made, through all its boots.
    #[must_use]
    pub fn console(&self) -> String {
        text_of(&self.site.log_path(self.name()))
    }

    /// The directory that all guests and this machine share, at this path everywhere.
    #[must_use]
    pub fn shared_dir(&self) -> PathBuf {
        self.site.shared_dir()
    }

    fn slot(&self) -> MutexGuard<'_, Option<Arc<Session>>> {
        locked(&self.session)
    }

    fn session(&self) -> Result<Arc<Session>, Error> {
        let running = self.slot().clone().filter(|session| session.is_running());
        running.ok_or_else(|| Error::Off(self.hardware.name.clone()))
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.crash();
        let _ = network::remove_port(&self.site.cell, &self.hardware.port);
    }
}

/// The kernel's arguments for the disks, whose files are made now.
fn disk_arguments(site: &Site, name: &str, disks: Vec<Disk>) -> Result<Vec<String>, Error> {
    let number = |(index, disk)| {
        let (flags, path) = match disk {
            Disk::New(size) => ("", site.make_disk(&format!("{name}-{index}"), size)?),
            Disk::File(path) => ("", path),
            // Not locked, and written through.
            Disk::Shared(path) => ("cs", path),
        };
        Ok(format!("ubd{index}{flags}={}", path.display()))
    };
    disks.into_iter().enumerate().map(number).collect()
}

/// A word for the shell.
fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_survive() {
        assert_eq!(quote("a 'b' $c"), r"'a '\''b'\'' $c'");
    }
}
