//! Processes whose presence is tracked. The end of a known process is seen at once through its
//! pidfd; new ones are looked for in `/proc` at each interval.

use std::collections::BTreeMap;
use std::fs;
use std::os::fd::OwnedFd;
use std::time::Duration;

use futures_util::future::select_all;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use tokio::io::unix::AsyncFd;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use super::Reporter;
use super::ready::readable;
use crate::settings::{ParameterMatch, ProcessSettings};
use crate::tracking::Status;

/// The kernel cuts names of processes after this many octets.
const NAME_LENGTH: usize = 15;

/// Whether a process is one of those that are tracked.
fn matches(settings: &ProcessSettings, name: &str, command_line: &[&str]) -> bool {
    let Some((program, parameters)) = command_line.split_first() else { return false };
    let cut = settings.process.get(..NAME_LENGTH).unwrap_or(&settings.process);
    let named = if settings.full_command { *program == settings.process } else { name == cut };
    named
        && settings
            .parameters
            .as_ref()
            .is_none_or(|wanted| parameters_match(settings.parameter_match, wanted, parameters))
}

fn parameters_match(how: ParameterMatch, wanted: &[String], there: &[&str]) -> bool {
    let same = |wanted: &[String]| wanted.iter().zip(there).all(|(wanted, there)| wanted == there);
    match (how, wanted.split_last()) {
        (ParameterMatch::Exact, _) => wanted.len() == there.len() && same(wanted),
        (ParameterMatch::Partial, _) => wanted.len() <= there.len() && same(wanted),
        (ParameterMatch::Initial, None) => true,
        (ParameterMatch::Initial, Some((last, rest))) => {
            same(rest)
                && there.get(rest.len()).is_some_and(|there| there.starts_with(last.as_str()))
        }
    }
}

/// The state that so many processes make.
fn status(settings: &ProcessSettings, count: usize) -> Status {
    let enough = count >= settings.quorum as usize;
    let few_enough = settings.quorum_max.is_none_or(|most| count <= most as usize);
    // A most of zero asks for none at all.
    let well = if settings.quorum_max == Some(0) { count == 0 } else { enough && few_enough };
    if well { Status::Up } else { Status::Down }
}

fn find(settings: &ProcessSettings, known: &mut BTreeMap<i32, AsyncFd<OwnedFd>>) {
    let Ok(entries) = fs::read_dir("/proc") else { return };
    let ids = entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()));
    let mut still = Vec::new();
    for id in ids {
        let name = fs::read_to_string(format!("/proc/{id}/comm")).unwrap_or_default();
        let line = fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line);
        let words: Vec<&str> = line.trim_end_matches('\0').split('\0').collect();
        // A zombie has no command line.
        if line.is_empty() || !matches(settings, name.trim_end(), &words) {
            continue;
        }
        still.push(id);
        if !known.contains_key(&id)
            && let Some(pid) = Pid::from_raw(id)
            && let Ok(pidfd) = pidfd_open(pid, PidfdFlags::NONBLOCK)
            && let Ok(pidfd) = readable(pidfd)
        {
            known.insert(id, pidfd);
        }
    }
    known.retain(|id, _| still.contains(id));
}

/// Waits until one of the known processes ends.
async fn wait_for_end(known: &BTreeMap<i32, AsyncFd<OwnedFd>>) -> Option<i32> {
    let waits = known.iter().map(|(id, pidfd)| {
        Box::pin(async move {
            // An error says as much as the end: it is to be looked for anew.
            let _ = pidfd.readable().await;
            *id
        })
    });
    let waits: Vec<_> = waits.collect();
    if waits.is_empty() { std::future::pending().await } else { Some(select_all(waits).await.0) }
}

/// Watches the processes.
pub(super) async fn watch(settings: ProcessSettings, reporter: Reporter) {
    let mut known = BTreeMap::new();
    let mut told = Status::Unknown;
    let mut turning: Option<(Status, Instant)> = None;
    let mut ticks = interval(settings.interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let due = turning.map(|(_, at)| at);
        tokio::select! {
            _ = ticks.tick() => find(&settings, &mut known),
            ended = wait_for_end(&known) => {
                ended.and_then(|id| known.remove(&id));
            }
            () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {}
        }
        let now = status(&settings, known.len());
        let delay = match now {
            _ if told == Status::Unknown => Duration::ZERO,
            Status::Up => settings.up_delay,
            _ => settings.down_delay,
        };
        turning = match turning {
            _ if now == told => None,
            Some((to, at)) if to == now => Some((to, at)),
            _ => Some((now, Instant::now() + delay)),
        };
        if let Some((to, at)) = turning
            && at <= Instant::now()
        {
            tracing::info!(process = settings.name, status = ?to, count = known.len(), "turned");
            told = to;
            turning = None;
            reporter.report(to);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(extra: &str) -> ProcessSettings {
        toml::from_str(&format!("name = \"x\"\nprocess = \"nfsd\"\n{extra}")).unwrap()
    }

    #[test]
    fn names_and_command_lines_are_compared() {
        let plain = settings("");
        assert!(matches(&plain, "nfsd", &["/usr/sbin/nfsd", "-a"]));
        assert!(!matches(&plain, "nfsdx", &["nfsdx"]));
        assert!(!matches(&plain, "nfsd", &[]));
        let mut full = settings("full_command = true");
        assert!(!matches(&full, "nfsd", &["/usr/sbin/nfsd"]));
        full.process = "/usr/sbin/nfsd".into();
        assert!(matches(&full, "other", &["/usr/sbin/nfsd"]));
        let mut long = settings("");
        long.process = "a-very-long-name-of-a-process".into();
        assert!(matches(&long, "a-very-long-nam", &["x"]));
    }

    #[test]
    fn parameters_are_compared_as_asked() {
        let with = |how: &str| settings(&format!("parameters = [\"-a\", \"b\"]\n{how}"));
        let exact = with("");
        assert!(matches(&exact, "nfsd", &["nfsd", "-a", "b"]));
        assert!(!matches(&exact, "nfsd", &["nfsd", "-a", "b", "c"]));
        let partial = with("parameter_match = \"partial\"");
        assert!(matches(&partial, "nfsd", &["nfsd", "-a", "b", "c"]));
        assert!(!matches(&partial, "nfsd", &["nfsd", "-a", "bc"]));
        let initial = with("parameter_match = \"initial\"");
        assert!(matches(&initial, "nfsd", &["nfsd", "-a", "bc"]));
        assert!(!matches(&initial, "nfsd", &["nfsd", "-a"]));
    }

    #[test]
    fn quorums_have_two_ends() {
        let some = settings("quorum = 2\nquorum_max = 3");
        let statuses: Vec<Status> = (1..=4).map(|count| status(&some, count)).collect();
        assert_eq!(statuses, [Status::Down, Status::Up, Status::Up, Status::Down]);
        let none = settings("quorum_max = 0");
        assert_eq!((status(&none, 0), status(&none, 1)), (Status::Up, Status::Down));
    }
}
