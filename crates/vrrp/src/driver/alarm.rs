//! A timer that can be waited for together with sockets. The time limit of poll(2) would not do: the
//! kernel lets that be late by a thousandth of the time, which is milliseconds after a few seconds.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};

use super::Error;

/// A timerfd(2) on the monotonic clock.
#[derive(Debug)]
pub(super) struct Alarm {
    fd: OwnedFd,
    /// What it is set to, unless it has gone off.
    set_to: Option<Instant>,
}

impl Alarm {
    pub(super) fn new() -> Result<Self, Error> {
        let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
        let fd = timerfd_create(TimerfdClockId::Monotonic, flags)
            .map_err(Error::system("make a timer"))?;
        Ok(Self { fd, set_to: None })
    }

    /// Makes it readable from `at` on, or never.
    pub(super) fn set(&mut self, at: Option<Instant>) -> rustix::io::Result<()> {
        let mut expirations = [0; 8];
        // There is nothing to read unless it has gone off.
        if rustix::io::read(&self.fd, &mut expirations).is_ok() {
            self.set_to = None;
        }
        if at == self.set_to {
            return Ok(());
        }
        let off = Timespec { tv_sec: 0, tv_nsec: 0 };
        let rest = at.map(|at| {
            // Zero would turn it off.
            let rest = at.saturating_duration_since(Instant::now()).max(Duration::from_nanos(1));
            Timespec::try_from(rest).unwrap_or(Timespec { tv_sec: i64::MAX, tv_nsec: 0 })
        });
        let value = Itimerspec { it_interval: off, it_value: rest.unwrap_or(off) };
        timerfd_settime(&self.fd, TimerfdTimerFlags::empty(), &value)?;
        self.set_to = at;
        Ok(())
    }
}

impl AsFd for Alarm {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use rustix::event::{PollFd, PollFlags, poll};

    use super::*;

    fn is_readable(alarm: &Alarm, wait: bool) -> bool {
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        let mut waiting = [PollFd::new(alarm, PollFlags::IN)];
        poll(&mut waiting, if wait { None } else { Some(&now) }).unwrap() == 1
    }

    #[test]
    fn it_goes_off_when_it_is_set_to() {
        let mut alarm = Alarm::new().unwrap();
        let at = Instant::now() + Duration::from_millis(5);
        alarm.set(Some(at)).unwrap();
        assert!(is_readable(&alarm, true));
        assert!(Instant::now() >= at);
        alarm.set(Some(Instant::now() + Duration::from_secs(1000))).unwrap();
        assert!(!is_readable(&alarm, false));
        let past = Instant::now();
        alarm.set(Some(past)).unwrap();
        assert!(is_readable(&alarm, true));
        alarm.set(Some(past)).unwrap();
        assert!(is_readable(&alarm, true), "set again to the same time, it goes off again");
        alarm.set(None).unwrap();
        assert!(!is_readable(&alarm, false));
    }
}
