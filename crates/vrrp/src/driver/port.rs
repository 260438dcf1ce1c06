//! Where a virtual router touches the network: its advertisements, its addresses, its
//! announcements.

use std::io;
use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::num::NonZeroU32;
use std::time::Instant;

use ipnet::IpNet;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use standfast_net::{
    Family, InterfaceAddress, Link, MacAddress, Netlink, PacketSocket, Responder, Setting, frame,
};

use super::interfaces::Interfaces;
use super::plan::RouterPlan;
use super::{Error, vmac::VirtualMac};
use crate::packet::{PROTOCOL, TTL};

/// The interface as it is at the moment.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Base {
    link: Link,
    source: IpAddr,
}

/// A virtual router's access to the network.
#[derive(Debug)]
pub(super) struct Port {
    plan: RouterPlan,
    base: Option<Base>,
    virtual_mac: Option<VirtualMac>,
    unicast: Option<Socket>,
    pub(super) responder: Option<Responder>,
    /// What is raised, with the number of the interface it is on.
    raised: Vec<(u32, IpNet)>,
    /// Since when it holds the addresses.
    master_since: Option<Instant>,
}

impl Port {
    pub(super) fn new(plan: RouterPlan) -> Self {
        Self {
            plan,
            base: None,
            virtual_mac: None,
            unicast: None,
            responder: None,
            raised: Vec::new(),
            master_since: None,
        }
    }

    /// The number of the interface it speaks on.
    pub(super) fn link(&self) -> Option<u32> {
        self.base.as_ref().map(|base| base.link.index)
    }

    /// The address it sends from.
    pub(super) fn source(&self) -> Option<IpAddr> {
        self.base.as_ref().map(|base| base.source)
    }

    /// Looks at the interfaces anew; says whether it can be used.
    pub(super) fn refresh(&mut self, interfaces: &Interfaces, netlink: &mut Netlink) -> bool {
        let base = interfaces.link(&self.plan.interface).and_then(|link| {
            let source = self.choose_source(interfaces.addresses(link.index))?;
            Some(Base { link: link.clone(), source })
        });
        if base != self.base {
            self.base = base;
            self.rebuild(netlink);
        }
        let running = self.base.as_ref().is_some_and(|base| base.link.is_running);
        let sends = self.plan.config.peers.is_empty() || self.unicast.is_some();
        let has_mac = !self.plan.virtual_mac || self.virtual_mac.is_some();
        self.base.is_some() && (running || !self.plan.track_own_interface) && sends && has_mac
    }

    /// IPv6 multicast goes out from the link-local address, all else from any that is no floating
    /// one.
    fn choose_source<'a>(
        &self,
        addresses: impl Iterator<Item = &'a InterfaceAddress>,
    ) -> Option<IpAddr> {
        let multicast = self.plan.config.peers.is_empty();
        if let Some(source) = self.plan.source.filter(|_| multicast) {
            return Some(source);
        }
        let link_local = match self.plan.config.peers.first() {
            None => true,
            Some(IpAddr::V6(peer)) => peer.is_unicast_link_local(),
            Some(IpAddr::V4(_)) => false,
        };
        let is_ipv4 = self.plan.config.is_ipv4();
        let fits = |address: &&InterfaceAddress| {
            let own = address.address.addr();
            let floating =
                self.plan.addresses.iter().any(|floating| floating.address.addr() == own);
            address.is_usable
                && own.is_ipv4() == is_ipv4
                && (is_ipv4 || address.is_link_local() == link_local)
                && if let Some(source) = self.plan.source { source == own } else { !floating }
        };
        addresses.filter(fits).map(|address| address.address.addr()).next()
    }

    /// The interface came, went or changed.
    fn rebuild(&mut self, netlink: &mut Netlink) {
        let name = self.plan.name.clone();
        let log =
            |error: Error| tracing::error!(instance = name, %error, "cannot use the interface");
        self.unicast = None;
        let Some(base) = &self.base else {
            self.raised.clear();
            return;
        };
        if self.plan.virtual_mac {
            let config = &self.plan.config;
            let known = self.virtual_mac.as_ref().map(VirtualMac::parent);
            if known != Some(base.link.index) {
                self.virtual_mac = VirtualMac::new(netlink, &base.link, config)
                    .map_err(Error::from)
                    .map_err(log)
                    .ok();
            }
        }
        if !self.plan.config.peers.is_empty() {
            let action = format!("send VRRP from {} to peers", base.source);
            self.unicast = open_unicast(base).map_err(Error::system(action)).map_err(log).ok();
        }
    }

    /// Sends an advertisement to the group or to each peer.
    pub(super) fn advertise(&self, socket: &PacketSocket, priority: u8) -> Result<(), Error> {
        let Some(base) = &self.base else { return Ok(()) };
        let config = &self.plan.config;
        let advertisement = config.advertisement(priority);
        let encode = |destination| {
            advertisement.encode(base.source, destination).map_err(|error| {
                let source = io::Error::new(io::ErrorKind::InvalidInput, error);
                Error::System { action: "write an advertisement".into(), source }
            })
        };
        if config.peers.is_empty() {
            let packet = encode(config.group())?;
            let mac = self.mac().unwrap_or(MacAddress([0; 6]));
            let frame = frame::multicast(mac, base.source, config.group(), PROTOCOL, &packet);
            return Ok(socket.send(base.link.index, &frame)?);
        }
        let Some(unicast) = &self.unicast else { return Ok(()) };
        for peer in &config.peers {
            let packet = encode(*peer)?;
            let to = socket_address(*peer, base.link.index);
            if let Err(error) = unicast.send_to(&packet, &to) {
                tracing::debug!(instance = self.plan.name, %peer, %error, "cannot reach a peer");
            }
        }
        Ok(())
    }

    /// The Ethernet address at which the floating addresses are.
    fn mac(&self) -> Option<MacAddress> {
        match &self.virtual_mac {
            Some(virtual_mac) => Some(virtual_mac.mac()),
            None => self.base.as_ref()?.link.mac,
        }
    }

    /// Where a floating address belongs: on the interface it names, or on the router's.
    fn place(&self, interfaces: &Interfaces, interface: Option<&str>) -> Option<u32> {
        match interface {
            Some(name) => interfaces.link(name).map(|link| link.index),
            None => match &self.virtual_mac {
                Some(virtual_mac) => Some(virtual_mac.index()),
                None => self.link(),
            },
        }
    }

    fn placed(&self, interfaces: &Interfaces) -> Vec<(u32, IpNet)> {
        let place = |floating: &crate::settings::AddressSettings| {
            Some((self.place(interfaces, floating.interface.as_deref())?, floating.address))
        };
        self.plan.addresses.iter().filter_map(place).collect()
    }

    /// Puts the addresses on, or answers for them if they are not to be accepted.
    pub(super) fn raise(&mut self, interfaces: &Interfaces, netlink: &mut Netlink) {
        self.set_up(netlink);
        self.master_since = Some(Instant::now());
        if !self.plan.accept {
            self.responder = self.link().and_then(|link| {
                let addresses = self.plan.addresses.iter().map(|a| a.address.addr()).collect();
                Responder::new(link, addresses)
                    .inspect_err(|error| tracing::error!(%error, "cannot answer for addresses"))
                    .ok()
            });
            return;
        }
        for (link, address) in self.placed(interfaces) {
            match netlink.add_address(link, address) {
                Ok(()) => self.raised.push((link, address)),
                Err(error) => tracing::error!(instance = self.plan.name, %error, "no address"),
            }
        }
        self.master_since = Some(Instant::now());
    }

    /// Makes the virtual MAC's interface usable, if there is one.
    fn set_up(&self, netlink: &mut Netlink) {
        if let Some(virtual_mac) = &self.virtual_mac
            && let Err(error) = netlink.set_up(virtual_mac.index())
        {
            tracing::error!(instance = self.plan.name, %error, "cannot use the virtual MAC");
        }
    }

    /// Takes the addresses off, also those that an earlier run left behind.
    pub(super) fn lower(&mut self, interfaces: &Interfaces, netlink: &mut Netlink) {
        self.master_since = None;
        self.responder = None;
        let mut lowered = std::mem::take(&mut self.raised);
        for place in self.placed(interfaces) {
            if !lowered.contains(&place) && interfaces.has(place.0, place.1.addr()) {
                lowered.push(place);
            }
        }
        for (link, address) in lowered {
            if let Err(error) = netlink.remove_address(link, address) {
                tracing::error!(instance = self.plan.name, %error, "an address stays");
            }
        }
    }

    /// The slow part of leaving, for when everybody has been told.
    pub(super) fn settle(&self, netlink: &mut Netlink) {
        if self.master_since.is_none()
            && let Some(virtual_mac) = &self.virtual_mac
        {
            virtual_mac.set_down(netlink);
        }
    }

    /// Puts back what somebody else took off while we are master; says whether there was anything.
    pub(super) fn heal(&mut self, interfaces: &Interfaces, netlink: &mut Netlink) -> bool {
        // A picture from before the addresses were raised says nothing of them.
        let is_newer = |since: Instant| since < interfaces.looked_at();
        if !self.plan.accept || !self.master_since.is_some_and(is_newer) {
            return false;
        }
        let placed = self.placed(interfaces);
        let missing = |place: &&(u32, IpNet)| !interfaces.has(place.0, place.1.addr());
        let missing: Vec<_> = placed.iter().filter(missing).copied().collect();
        let mut any = false;
        if !missing.is_empty() {
            self.set_up(netlink);
        }
        for (link, address) in missing {
            if netlink.add_address(link, address).is_ok() {
                tracing::warn!(instance = self.plan.name, %address, "put an address back");
                any = true;
                if !self.raised.contains(&(link, address)) {
                    self.raised.push((link, address));
                }
            }
        }
        any
    }

    /// Tells everybody where the addresses are.
    pub(super) fn announce(&self, interfaces: &Interfaces, socket: &PacketSocket) {
        for floating in &self.plan.addresses {
            let address = floating.address.addr();
            let place = match &floating.interface {
                None => self.base.as_ref().map(|base| &base.link),
                Some(name) => interfaces.link(name),
            };
            let mac = match &floating.interface {
                None => self.mac(),
                Some(_) => place.and_then(|link| link.mac),
            };
            let (Some(link), Some(mac)) = (place, mac) else { continue };
            let frame = frame::announcement(mac, address, is_router(&link.name, address));
            for _ in 0..self.plan.announce_count {
                if let Err(error) = socket.send(link.index, &frame) {
                    tracing::warn!(instance = self.plan.name, %error, "cannot announce");
                    break;
                }
            }
        }
    }

    /// Answers the questions that wait, if the addresses are announced but not accepted.
    pub(super) fn respond(&self, socket: &PacketSocket, most: usize) {
        let (Some(responder), Some(base), Some(mac)) = (&self.responder, &self.base, self.mac())
        else {
            return;
        };
        for _ in 0..most {
            let Ok(Some(question)) = responder.question() else { return };
            let is_router = is_router(&base.link.name, question.target);
            if let Err(error) =
                socket.send(base.link.index, &frame::answer(mac, &question, is_router))
            {
                tracing::debug!(instance = self.plan.name, %error, "cannot answer");
            }
        }
    }

    /// Removes what it made.
    pub(super) fn close(&mut self, netlink: &mut Netlink) {
        if let Some(virtual_mac) = self.virtual_mac.take() {
            virtual_mac.remove(netlink);
        }
    }
}

/// Whether this machine forwards, which neighbour advertisements say (RFC 4861, section 4.4).
fn is_router(interface: &str, address: IpAddr) -> bool {
    address.is_ipv6()
        && Setting::of_interface(Family::Ipv6, interface, "forwarding").read().unwrap_or(0) != 0
}

fn socket_address(address: IpAddr, link: u32) -> SockAddr {
    match address {
        IpAddr::V4(_) => SocketAddr::new(address, 0).into(),
        IpAddr::V6(v6) => {
            let scope = if v6.is_unicast_link_local() { link } else { 0 };
            SocketAddrV6::new(v6, 0, 0, scope).into()
        }
    }
}

fn open_unicast(base: &Base) -> io::Result<Socket> {
    let protocol = Some(Protocol::from(i32::from(PROTOCOL)));
    let link = NonZeroU32::new(base.link.index);
    let socket = if base.source.is_ipv4() {
        let socket = Socket::new(Domain::IPV4, Type::RAW, protocol)?;
        socket.bind_device_by_index_v4(link)?;
        socket.set_ttl_v4(u32::from(TTL))?;
        socket
    } else {
        let socket = Socket::new(Domain::IPV6, Type::RAW, protocol)?;
        socket.bind_device_by_index_v6(link)?;
        socket.set_unicast_hops_v6(u32::from(TTL))?;
        socket
    };
    socket.set_nonblocking(true)?;
    // It only sends; a full queue of what it never reads would hold memory.
    socket.set_recv_buffer_size(0)?;
    socket.bind(&socket_address(base.source, base.link.index))?;
    Ok(socket)
}
