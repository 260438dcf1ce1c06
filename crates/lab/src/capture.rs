//! Recording what passes over the bridge.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::lab::Site;
use crate::network::BRIDGE;
use crate::process::{Process, text_of};
use crate::wait::wait_for;
use crate::{Error, Requirement, missing};

const LIMIT: Duration = Duration::from_secs(120);

/// A running record of the frames on the bridge, in the pcap format.
#[derive(Debug)]
pub struct Capture {
    site: Arc<Site>,
    process: Process,
    path: PathBuf,
}

impl Capture {
    pub(crate) fn start(site: Arc<Site>, filter: &str) -> Result<Self, Error> {
        static COUNTER: AtomicU32 = AtomicU32::new(0);
        let lacking = missing(&[Requirement::Program("tcpdump")]);
        if !lacking.is_empty() {
            return Err(Error::Missing(lacking));
        }
        let name = format!("capture-{}", COUNTER.fetch_add(1, Ordering::Relaxed));
        let path = site.dir.path().join(format!("{name}.pcap"));
        let (log, file) = site.open_log(&name)?;
        let mut command = Command::new("tcpdump");
        // A frame at a time, unbuffered, and as root: the directory is root's.
        command.args(["-i", BRIDGE, "-U", "--immediate-mode", "-n", "-Z", "root", "-w"]);
        command.arg(&path).args(filter.split_whitespace());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(file);
        let process = site.cell.spawn(command)?;
        wait_for(LIMIT, "tcpdump to listen", || {
            if !process.is_running() {
                let source = std::io::Error::other(text_of(&log));
                return Err(Error::Io { action: "start tcpdump".into(), source });
            }
            Ok(text_of(&log).contains("listening on").then_some(()))
        })?;
        Ok(Self { site, process, path })
    }

    /// The file, to which frames are still added until [`Capture::stop`].
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Ends the record and gives its file, which stays as long as the lab.
    ///
    /// # Errors
    /// [`Error::TimedOut`], [`Error::Io`].
    pub fn stop(self) -> Result<PathBuf, Error> {
        self.process.signal(Signal::SIGINT)?;
        self.process.wait_within(LIMIT, "the end of tcpdump")?;
        Ok(self.path.clone())
    }

    /// The frames so far as `tshark` prints them, one line each: those that `display_filter`
    /// selects (empty for all), as the given fields separated by tabs.
    ///
    /// # Errors
    /// [`Error::Failed`] if `tshark` does not understand, [`Error::Io`] without it.
    pub fn fields(&self, display_filter: &str, fields: &[&str]) -> Result<Vec<String>, Error> {
        let mut command = Command::new("tshark");
        command.arg("-n").arg("-r").arg(&self.path).args(["-T", "fields"]);
        if !display_filter.is_empty() {
            command.args(["-Y", display_filter]);
        }
        fields.iter().for_each(|field| {
            command.args(["-e", field]);
        });
        let text = crate::process::run(&self.site.cell, command, "", LIMIT)?.ok()?;
        Ok(text.lines().map(str::to_owned).collect())
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        let _ = self.process.signal(Signal::SIGKILL);
        self.process.reap();
    }
}
