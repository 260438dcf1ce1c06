//! What the lock service does, for people to see.

use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;

use crate::locks::Usage;

/// What one client has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostReport {
    /// What it calls itself.
    pub name: Bytes,
    /// Its address.
    pub address: IpAddr,
    /// What it has.
    pub usage: Usage,
}

/// What the lock service does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockReport {
    /// What all clients have.
    pub total: Usage,
    /// What each client has that has anything, by name and address.
    pub hosts: Vec<HostReport>,
    /// Time until the grace period ends at the latest; `None`: it is over.
    pub grace_left: Option<Duration>,
    /// Hosts that will be told of our next start.
    pub monitored: usize,
}
