//! The checks of a received packet that need settings (RFC 9568 and RFC 3768, section 7.1).

use std::time::Instant;

use super::{Action, Event, Instance, State};
use crate::packet::{
    Advertisement, Authentication, DecodeError, Envelope, PRIORITY_LEAVING, PRIORITY_OWNER, Version,
};
use crate::statistics::ProtoErrReason;

impl Instance {
    /// Whether packets for virtual router `router_id` in this envelope are meant for this instance:
    /// by multicast if it has no peers, else by unicast from one of them.
    pub fn accepts(&self, router_id: u8, envelope: &Envelope) -> bool {
        let config = &self.config;
        let by_way = if config.peers.is_empty() {
            envelope.destination == config.group()
        } else {
            !envelope.destination.is_multicast() && config.peers.contains(&envelope.source)
        };
        router_id == config.router_id && envelope.source.is_ipv4() == config.is_ipv4() && by_way
    }

    /// Checks, counts and handles one packet, decoded or not.
    pub fn receive(
        &mut self,
        packet: Result<Advertisement, DecodeError>,
        envelope: &Envelope,
        now: Instant,
    ) -> Vec<Action> {
        let advertisement = match packet {
            Ok(advertisement) => advertisement,
            Err(error) => {
                tracing::debug!(source = %envelope.source, %error, "dropped a packet");
                self.statistics.count(&error);
                return Vec::new();
            }
        };
        if let Err(reason) = self.check(&advertisement, envelope) {
            tracing::debug!(source = %envelope.source, reason, "dropped an advertisement");
            return Vec::new();
        }
        self.handle(Event::Advertisement { advertisement, source: envelope.source }, now)
    }

    fn check(
        &mut self,
        advertisement: &Advertisement,
        envelope: &Envelope,
    ) -> Result<(), &'static str> {
        if Some(envelope.source) == self.primary {
            return Err("it is our own");
        }
        self.statistics.rcvd_advertisements += 1;
        if !envelope.destination.is_multicast() && envelope.ttl < self.config.peer_min_ttl {
            self.statistics.count(&DecodeError::Ttl(envelope.ttl));
            return Err("it crossed more routers than peer_min_ttl allows");
        }
        if advertisement.version != self.config.version {
            self.statistics.proto_err_reason = ProtoErrReason::VersionError;
            return Err("it is of the other version");
        }
        self.check_authentication(advertisement)?;
        if advertisement.interval != self.config.interval {
            self.statistics.adv_interval_errors += 1;
            if self.config.version == Version::V2 {
                return Err("its interval is not ours, and version 2 asks for the same everywhere");
            }
        }
        if !self.has_same_addresses(advertisement) {
            self.statistics.address_list_errors += 1;
            if self.config.check_addresses && advertisement.priority != PRIORITY_OWNER {
                return Err("its addresses are not ours");
            }
        }
        // An owner does not listen (RFC 9568, section 7.1).
        if self.state() == State::Master && self.priority() == PRIORITY_OWNER {
            return Err("we own the addresses");
        }
        if advertisement.priority == PRIORITY_LEAVING {
            self.statistics.rcvd_pri_zero_packets += 1;
        }
        Ok(())
    }

    fn check_authentication(&mut self, advertisement: &Advertisement) -> Result<(), &'static str> {
        match (advertisement.authentication, self.config.authentication) {
            (Authentication::None, Authentication::None) => Ok(()),
            (Authentication::Password(theirs), Authentication::Password(ours)) => {
                if theirs == ours {
                    return Ok(());
                }
                self.statistics.auth_failures += 1;
                Err("its password is wrong")
            }
            _ => {
                self.statistics.auth_type_mismatch += 1;
                Err("its authentication type is not ours")
            }
        }
    }

    fn has_same_addresses(&self, advertisement: &Advertisement) -> bool {
        let ours = &self.config.addresses;
        ours.len() == advertisement.addresses.len()
            && ours.iter().all(|address| advertisement.addresses.contains(address))
    }
}

#[cfg(test)]
mod tests;
