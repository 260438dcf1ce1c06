//! How the lock service behaves.

use std::path::PathBuf;
use std::time::Duration;

use super::GraceSettings;
use crate::nsm::NotifySettings;
use crate::nsm::backoff::Retry;

/// How the lock service behaves.
#[derive(Clone, Debug)]
pub struct LockSettings {
    /// Where the status monitor keeps its records.
    pub directory: PathBuf,
    /// Hosts that may have locks, and be on record, at the same time.
    pub hosts: usize,
    /// How long a host stays on record that has no locks any more.
    pub forget_hosts_after: Duration,
    /// How long clients may reclaim after a start.
    pub grace: GraceSettings,
    /// How clients are told of a start.
    pub notify: NotifySettings,
    /// How often a client is told of a granted lock that does not answer.
    pub grant_retry: Retry,
    /// Calls to clients that may be under way at the same time.
    pub calls: usize,
    /// Calls to one address that may be under way at the same time.
    pub calls_per_address: usize,
}

impl LockSettings {
    /// The usual settings, with records in `directory`.
    pub fn new(directory: PathBuf) -> Self {
        Self {
            directory,
            hosts: 10_000,
            forget_hosts_after: Duration::from_secs(10 * 60),
            grace: GraceSettings::default(),
            notify: NotifySettings::default(),
            grant_retry: Retry {
                first_pause: Duration::from_secs(1),
                longest_pause: Duration::from_secs(30),
                give_up_after: Duration::from_secs(10 * 60),
            },
            calls: 256,
            calls_per_address: 8,
        }
    }
}
