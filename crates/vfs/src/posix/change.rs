//! The change attribute: a number of an object that is another, greater one after each change.
//!
//! It is made from ctime, the one thing of the kind that the kernel shows to processes, that is
//! stored with the object, and that local processes' changes move too. So it is the same after a
//! restart and on another node, without a memory of ours that could be lost.
//!
//! Since Linux 6.13 (multigrain timestamps; ext4, XFS, btrfs, tmpfs) a ctime that somebody looked
//! at is never given to a later change, and ctime in nanoseconds is all it takes. Elsewhere ctime
//! comes from a coarse clock that moves on at each timer tick only (1 to 10 ms), and changes within
//! one tick have the same. What is handed out there depends on whether the clock has moved on:
//!
//! - *Settled*: the coarse clock, read before the object was looked at, is past its ctime. A change
//!   after the look gets a later ctime. The value is the ctime.
//! - *Unsettled*: a change after the look may get the same ctime. The value is less than the ctime,
//!   but by less than a tick; and each look gets another, later one than all looks before it.
//!
//! Why that is right. Call the ctimes of two looks T and T', the second look after the first, `C`
//! the most by which a value is less than its ctime, and let something have changed in between.
//!
//! - First settled: then T' > T, so by a tick at least, and `C` is less than a tick: also an
//!   unsettled second value is greater than T.
//! - First unsettled, T' = T: a second unsettled value comes from a later reading of a clock that
//!   never shows the same twice; a settled one is T, which is greater than all unsettled ones.
//! - First unsettled, T' > T: a settled value is T' > T; an unsettled one grows with both its
//!   ctime and the clock.
//!
//! What it costs: an object that is looked at within the tick of its last change has two values
//! without a change in between, and a client asks again for what it could have kept.
//!
//! A ctime later than the clock (which was set back) counts as settled, as a change now gets
//! another. That the clock of the machine does not go back is all that is asked for; if it does,
//! values still differ, but not all grow.
//!
//! After a power cut a change is there with its ctime, as what is flushed is always both.

use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicI64, Ordering};

use rustix::fs::{AtFlags, Mode, OFlags, Statx, StatxFlags};
use rustix::time::{ClockId, clock_gettime};

const MILLISECOND: i64 = 1_000_000;
const SECOND: i64 = 1_000_000_000;

/// Nanoseconds per step of unsettled values, so that those of the longest tick (10 ms) fit below
/// the shortest (1 ms).
const UNIT: i64 = 16;

/// How many changes of ctime tell a fine clock from a coarse one, and how often that is tried.
const PROBES: i64 = 32;
const TRIES: usize = 20;

/// What a filesystem's ctime is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ChangeClock {
    /// A change after a look has another ctime.
    Fine,
    /// Changes within `step` (in nanoseconds) may have the same.
    Coarse { step: i64 },
}

/// An object's attributes and when they were looked at.
pub(super) struct Look {
    pub(super) stat: Statx,
    /// The coarse clock before and after.
    before: i64,
    after: i64,
}

impl Look {
    /// Looks by `statx`.
    pub(super) fn by(
        statx: impl FnOnce() -> rustix::io::Result<Statx>,
    ) -> rustix::io::Result<Self> {
        let before = now(ClockId::RealtimeCoarse);
        let stat = statx()?;
        Ok(Self { stat, before, after: now(ClockId::RealtimeCoarse) })
    }
}

impl ChangeClock {
    /// Finds out by a nameless file below `directory`. To be run as the process.
    pub(super) fn probe(directory: BorrowedFd<'_>) -> Self {
        Self::observe(directory).unwrap_or(Self::Coarse { step: MILLISECOND })
    }

    /// That of an ext4 filesystem with these attributes of a directory, where trying does harm.
    pub(super) fn of_ext4(directory: &Statx) -> Self {
        // Only inodes that have room for a time of birth have room for nanoseconds.
        let whole_seconds = directory.stx_mask & StatxFlags::BTIME.bits() == 0;
        match whole_seconds {
            true => Self::Coarse { step: SECOND },
            false if is_multigrain_kernel() => Self::Fine,
            false => Self::Coarse { step: MILLISECOND },
        }
    }

    fn observe(directory: BorrowedFd<'_>) -> rustix::io::Result<Self> {
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        let file = rustix::fs::openat(directory, c".", flags, Mode::RUSR)?;
        let ctime = || {
            rustix::fs::fchmod(&file, Mode::RUSR)?;
            let stat = rustix::fs::statx(&file, c"", AtFlags::EMPTY_PATH, StatxFlags::CTIME)?;
            Ok(nanoseconds(stat.stx_ctime.tv_sec, stat.stx_ctime.tv_nsec.into()))
        };
        for _ in 0..TRIES {
            let began = now(ClockId::Monotonic);
            let mut seen = (0..PROBES).map(|_| ctime()).collect::<rustix::io::Result<Vec<_>>>()?;
            let took = now(ClockId::Monotonic) - began;
            let precise = seen.iter().any(|ctime| ctime % SECOND != 0);
            seen.dedup();
            let all_differ = seen.len() as i64 == PROBES;
            match (all_differ, precise) {
                (false, true) => return Ok(Self::Coarse { step: MILLISECOND }),
                (false, false) => return Ok(Self::Coarse { step: SECOND }),
                // In so short a time a coarse clock cannot have moved on so often.
                (true, _) if took < (PROBES - 2) * MILLISECOND => return Ok(Self::Fine),
                (true, _) => {}
            }
        }
        Ok(Self::Fine)
    }

    /// The change attribute of an object that was looked at.
    pub(super) fn value(self, look: &Look) -> u64 {
        let ctime = &look.stat.stx_ctime;
        let ctime = nanoseconds(ctime.tv_sec, ctime.tv_nsec.into());
        let value = match self {
            Self::Coarse { step } if is_unsettled(ctime, step, look.before, look.after) => {
                unsettled(ctime, step, stamp())
            }
            Self::Coarse { .. } | Self::Fine => ctime,
        };
        value.cast_unsigned()
    }
}

/// Whether a change after a look may get the ctime that was seen, by the coarse clock before and
/// after the look.
fn is_unsettled(ctime: i64, step: i64, before: i64, after: i64) -> bool {
    // Filesystems cut off what they cannot store.
    let precision = if step >= SECOND { SECOND } else { 1000 };
    ctime >= before - before.rem_euclid(precision) && ctime <= after
}

/// The value of an unsettled look, by a clock in [`UNIT`]s that never shows the same twice.
fn unsettled(ctime: i64, step: i64, stamp: i64) -> i64 {
    // Ticks may be a little shorter than they should be.
    let below = step / 10 * 9;
    let value = ctime - below + (stamp - ctime / UNIT);
    // The timer was late by several ticks: the settled value is not to be used all the same.
    if value >= ctime { value + 1 } else { value }
}

/// The clock in [`UNIT`]s, later at each call unless it was set back by much.
fn stamp() -> i64 {
    static LAST: AtomicI64 = AtomicI64::new(0);
    let now = now(ClockId::Realtime) / UNIT;
    let next = |last: i64| if last - now > SECOND / UNIT { now } else { now.max(last + 1) };
    let last = LAST.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |last| Some(next(last)));
    next(last.unwrap_or_default())
}

/// Whether this kernel gives ext4 multigrain timestamps: those since 6.13 do.
fn is_multigrain_kernel() -> bool {
    let system = rustix::system::uname();
    let mut numbers = system.release().to_bytes().split(|byte| !byte.is_ascii_digit());
    let mut number = || std::str::from_utf8(numbers.next()?).ok()?.parse::<u32>().ok();
    number().zip(number()).is_some_and(|version| version >= (6, 13))
}

fn now(clock: ClockId) -> i64 {
    let time = clock_gettime(clock);
    nanoseconds(time.tv_sec, time.tv_nsec)
}

fn nanoseconds(seconds: i64, nanoseconds: i64) -> i64 {
    seconds.saturating_mul(SECOND).saturating_add(nanoseconds)
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;

    /// A filesystem with a coarse clock: objects have a ctime and are looked at and changed.
    struct World {
        tick: i64,
        step: i64,
        /// Nanoseconds since some beginning.
        time: i64,
    }

    impl World {
        fn coarse(&self) -> i64 {
            let coarse = self.time - self.time % self.tick;
            if self.step >= SECOND { coarse - coarse % SECOND } else { coarse }
        }

        fn look(&self, ctime: i64) -> i64 {
            let coarse = self.time - self.time % self.tick;
            if is_unsettled(ctime, self.step, coarse, coarse) {
                unsettled(ctime, self.step, self.time / UNIT)
            } else {
                ctime
            }
        }
    }

    /// Numbers from a seed (splitmix64).
    fn random(seed: &mut u64) -> u64 {
        *seed = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (*seed ^ (*seed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    #[test]
    fn a_change_gives_a_greater_value_whatever_the_tick() {
        let ticks = [(1, MILLISECOND), (4, MILLISECOND), (10, MILLISECOND), (4, SECOND)];
        for (tick, step) in ticks {
            for run in 0..200_u64 {
                let mut seed = run;
                let start = 1_700_000_000 * SECOND;
                let mut world = World { tick: tick * MILLISECOND, step, time: start };
                let mut ctime = world.coarse();
                let mut last = world.look(ctime);
                for _ in 0..500 {
                    // Calls take some time, so that the clock never shows the same.
                    let longest = if random(&mut seed).is_multiple_of(8) {
                        2 * tick * MILLISECOND
                    } else {
                        9000
                    };
                    world.time += UNIT + (random(&mut seed) % longest.unsigned_abs()).cast_signed();
                    let changed = random(&mut seed).is_multiple_of(2);
                    if changed {
                        ctime = world.coarse();
                    }
                    let value = world.look(ctime);
                    let grew = if changed { value > last } else { value >= last };
                    assert!(grew, "tick {tick} ms, step {step}, run {run}: {last} then {value}");
                    last = value;
                }
            }
        }
    }

    #[test]
    fn a_settled_value_stays() {
        let world = World { tick: 4 * MILLISECOND, step: MILLISECOND, time: 9 * MILLISECOND };
        assert_eq!(world.look(4 * MILLISECOND), 4 * MILLISECOND);
        // Also one of a clock that was set back.
        assert_eq!(world.look(60 * SECOND), 60 * SECOND);
        assert!(world.look(8 * MILLISECOND) < 8 * MILLISECOND);
    }

    #[test]
    fn stamps_are_never_the_same() {
        let mut last = stamp();
        for _ in 0..10_000 {
            let next = stamp();
            assert!(next > last);
            last = next;
        }
    }

    #[test]
    fn a_fine_clock_is_told_from_a_coarse_one() {
        // Whatever this kernel has: two looks with a change in between differ.
        let directory = tempfile::tempdir().expect("a directory");
        let fd = std::fs::File::open(directory.path()).expect("it opens");
        let clock = ChangeClock::probe(fd.as_fd());
        let value = || {
            let wanted = StatxFlags::BASIC_STATS;
            let look = Look::by(|| rustix::fs::statx(&fd, c"", AtFlags::EMPTY_PATH, wanted));
            clock.value(&look.expect("attributes"))
        };
        let mut last = value();
        for bits in 0..1000 {
            let mode = Mode::RWXU | Mode::from_raw_mode(bits & 0o7);
            rustix::fs::fchmod(&fd, mode).expect("mode");
            let next = value();
            assert!(next > last, "{clock:?}");
            last = next;
        }
    }
}
