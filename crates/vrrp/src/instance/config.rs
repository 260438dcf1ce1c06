//! Settings of one virtual router, as the state machine needs them.

use std::net::IpAddr;
use std::time::Duration;

use crate::packet::{self, Authentication, EncodeError, Version};

/// When a master announces its addresses again after it announced them once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announcements {
    /// Once more after this time, for switches that were busy at the first; zero for never.
    pub again_after: Duration,
    /// And then each time this has passed.
    pub refresh: Option<Duration>,
}

/// Settings of one virtual router.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Version of the protocol.
    pub version: Version,
    /// Virtual router identifier, 1 to 255.
    pub router_id: u8,
    /// Base priority, 1 to 255.
    pub priority: u8,
    /// Time between two advertisements.
    pub interval: Duration,
    /// Addresses in the advertisements, of one family.
    pub addresses: Vec<IpAddr>,
    /// Authentication of version 2.
    pub authentication: Authentication,
    /// Unicast peers; empty for multicast.
    pub peers: Vec<IpAddr>,
    /// The least TTL of a packet from a peer; what comes by multicast must have 255.
    pub peer_min_ttl: u8,
    /// Whether to drop advertisements with other addresses than ours.
    pub check_addresses: bool,
    /// Whether to take over from a master of lower priority.
    pub preempt: bool,
    /// How much longer to wait before doing so.
    pub preempt_delay: Duration,
    /// How long to stay silent after the start of the process.
    pub startup_delay: Duration,
    /// Repeated announcements.
    pub announcements: Announcements,
    /// Whether a sync group decides about mastership.
    pub grouped: bool,
}

/// Why settings make no virtual router.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// A number out of range.
    #[error("{0} must be from 1 to 255")]
    Range(&'static str),
    /// What the wire cannot carry.
    #[error(transparent)]
    Packet(#[from] EncodeError),
}

impl Config {
    /// Whether the addresses are IPv4 addresses.
    pub fn is_ipv4(&self) -> bool {
        self.addresses.iter().all(IpAddr::is_ipv4)
    }

    /// The multicast group of its family.
    pub fn group(&self) -> IpAddr {
        if self.is_ipv4() { packet::GROUP_V4.into() } else { packet::GROUP_V6.into() }
    }

    /// Checks what the types cannot.
    ///
    /// # Errors
    /// If a number is out of range, or the interval, the addresses or the authentication do not fit
    /// the version.
    pub fn check(&self) -> Result<(), ConfigError> {
        if self.router_id == 0 {
            return Err(ConfigError::Range("the virtual router identifier"));
        }
        if self.priority == 0 {
            return Err(ConfigError::Range("the priority"));
        }
        let source = self.addresses.first().copied().unwrap_or(packet::GROUP_V4.into());
        self.advertisement(self.priority).encode(source, self.group())?;
        Ok(())
    }

    /// The advertisement it sends at `priority`.
    pub fn advertisement(&self, priority: u8) -> packet::Advertisement {
        packet::Advertisement {
            version: self.version,
            router_id: self.router_id,
            priority,
            interval: self.interval,
            addresses: self.addresses.clone(),
            authentication: self.authentication,
        }
    }
}
