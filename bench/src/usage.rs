//! What a process uses: processor time and memory.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use nix::time::{ClockId, clock_getcpuclockid};
use nix::unistd::Pid;
use serde::Serialize;

use crate::Error;

/// A process that is looked at from outside.
#[derive(Debug, Clone, Copy)]
pub struct Watched {
    pid: u32,
    clock: ClockId,
}

/// Resident memory, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Memory {
    /// Now (`VmRSS`).
    pub current: u64,
    /// Most since the last [`Watched::reset_peak`] (`VmHWM`).
    pub peak: u64,
}

impl Watched {
    /// The process `pid`.
    ///
    /// # Errors
    /// [`Error::Io`] if there is none.
    pub fn new(pid: u32) -> Result<Self, Error> {
        let clock = clock_getcpuclockid(Pid::from_raw(pid.cast_signed()))
            .map_err(Error::io(format!("find the processor clock of process {pid}")))?;
        Ok(Self { pid, clock })
    }

    /// Processor time of all its threads, those that ended too (user and system).
    ///
    /// # Errors
    /// [`Error::Io`] if it is gone.
    pub fn processor_time(&self) -> Result<Duration, Error> {
        let time = self
            .clock
            .now()
            .map_err(Error::io(format!("read the clock of process {}", self.pid)))?;
        Ok(time.into())
    }

    /// Its resident memory.
    ///
    /// # Errors
    /// [`Error::Io`] if it is gone.
    pub fn memory(&self) -> Result<Memory, Error> {
        let path = self.file("status");
        let status = fs::read_to_string(&path).map_err(Error::path("read", &path))?;
        Ok(Memory { current: kib(&status, "VmRSS:"), peak: kib(&status, "VmHWM:") })
    }

    /// Forgets the peak of its memory (`proc(5)`, `clear_refs`).
    ///
    /// # Errors
    /// [`Error::Io`] if it is gone.
    pub fn reset_peak(&self) -> Result<(), Error> {
        let path = self.file("clear_refs");
        fs::write(&path, "5").map_err(Error::path("write", &path))
    }

    fn file(&self, name: &str) -> PathBuf {
        format!("/proc/{}/{name}", self.pid).into()
    }
}

/// Processor time of this thread.
///
/// # Errors
/// [`Error::Io`].
pub fn own_processor_time() -> Result<Duration, Error> {
    let time = ClockId::CLOCK_THREAD_CPUTIME_ID.now().map_err(Error::io("read my own clock"))?;
    Ok(time.into())
}

/// A line of `/proc/PID/status` such as `VmRSS:     1234 kB`, in bytes.
fn kib(status: &str, key: &str) -> u64 {
    let value = status.lines().find_map(|line| line.strip_prefix(key));
    let number = value.and_then(|value| value.split_whitespace().next());
    number.and_then(|number| number.parse::<u64>().ok()).unwrap_or(0) << 10
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_status_lines() {
        let status = "Name:\tx\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\n";
        assert_eq!(kib(status, "VmHWM:"), 2 << 20);
        assert_eq!(kib(status, "VmRSS:"), 1 << 20);
        assert_eq!(kib(status, "VmSwap:"), 0);
    }

    #[test]
    fn watches_itself() {
        let me = Watched::new(std::process::id()).unwrap();
        assert!(me.memory().unwrap().current > 0);
        // In this order: with one test thread both are of the same thread, whose time goes on.
        let own = own_processor_time().unwrap();
        assert!(me.processor_time().unwrap() >= own);
    }
}
