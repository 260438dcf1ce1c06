//! Requests to the kernel about interfaces and addresses.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use ipnet::IpNet;
use netlink_packet_core::{
    NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL, NLM_F_REPLACE, NLM_F_REQUEST, NetlinkHeader,
    NetlinkMessage, NetlinkPayload,
};
use netlink_packet_route::address::{
    AddressAttribute, AddressFlags, AddressHeaderFlags, AddressMessage, AddressScope, CacheInfo,
};
use netlink_packet_route::link::{
    AfSpecInet6, AfSpecUnspec, In6AddrGenMode, InfoData, InfoKind, InfoMacVlan, InfoVlan,
    LinkAttribute, LinkFlags, LinkInfo, LinkMessage, MacVlanMode,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use netlink_sys::Socket;
use netlink_sys::protocols::NETLINK_ROUTE;
use socket2::SockRef;

use crate::{Error, InterfaceAddress, Link, MacAddress};

/// The kernel answers within the system call; this is for a kernel that does not.
const ANSWER_LIMIT: Duration = Duration::from_secs(2);
/// Datagrams of one answer; some thousand interfaces.
const MOST_DATAGRAMS: usize = 4096;
const FOREVER: u32 = u32::MAX;

/// A connection to the kernel's routing tables.
#[derive(Debug)]
pub struct Netlink {
    socket: Socket,
    sequence: u32,
}

impl Netlink {
    /// Connects.
    ///
    /// # Errors
    /// If the kernel refuses the socket.
    pub fn new() -> Result<Self, Error> {
        let open = || {
            let mut socket = Socket::new(NETLINK_ROUTE)?;
            socket.bind_auto()?;
            SockRef::from(&socket).set_read_timeout(Some(ANSWER_LIMIT))?;
            Ok(socket)
        };
        let socket = open().map_err(Error::system("open a netlink socket"))?;
        Ok(Self { socket, sequence: 0 })
    }

    /// All interfaces.
    ///
    /// # Errors
    /// If the kernel does not answer, or not in words that can be read.
    pub fn links(&mut self) -> Result<Vec<Link>, Error> {
        let answers = self.ask(
            RouteNetlinkMessage::GetLink(LinkMessage::default()),
            NLM_F_DUMP,
            "list the interfaces",
        )?;
        let link = |message: &RouteNetlinkMessage| match message {
            RouteNetlinkMessage::NewLink(message) => Link::read(message),
            _ => None,
        };
        Ok(answers.iter().filter_map(link).collect())
    }

    /// All addresses of all interfaces.
    ///
    /// # Errors
    /// As [`Netlink::links`].
    pub fn addresses(&mut self) -> Result<Vec<InterfaceAddress>, Error> {
        let answers = self.ask(
            RouteNetlinkMessage::GetAddress(AddressMessage::default()),
            NLM_F_DUMP,
            "list the addresses",
        )?;
        let address = |message: &RouteNetlinkMessage| match message {
            RouteNetlinkMessage::NewAddress(message) => InterfaceAddress::read(message),
            _ => None,
        };
        Ok(answers.iter().filter_map(address).collect())
    }

    /// Puts a floating address on an interface; it may be there already. An IPv6 address is used at
    /// once, without duplicate address detection, and never chosen as a source by itself.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn add_address(&mut self, link: u32, address: IpNet) -> Result<(), Error> {
        let mut message = address_message(link, address);
        if address.addr().is_ipv6() {
            message.header.flags = AddressHeaderFlags::Nodad;
            message.attributes.push(AddressAttribute::Flags(AddressFlags::Nodad));
            let mut lifetime = CacheInfo::default();
            lifetime.ifa_valid = FOREVER;
            message.attributes.push(AddressAttribute::CacheInfo(lifetime));
        }
        self.ask(
            RouteNetlinkMessage::NewAddress(message),
            NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE,
            &format!("put {address} on interface number {link}"),
        )
        .map(|_| ())
    }

    /// Takes an address off an interface; returns whether it was there.
    ///
    /// # Errors
    /// What the kernel says, other than that there is no such address or interface.
    pub fn remove_address(&mut self, link: u32, address: IpNet) -> Result<bool, Error> {
        let request = RouteNetlinkMessage::DelAddress(address_message(link, address));
        let action = format!("take {address} off interface number {link}");
        match self.ask(request, NLM_F_ACK, &action) {
            Ok(_) => Ok(true),
            Err(error) if matches!(error.errno(), Some(libc::EADDRNOTAVAIL | libc::ENODEV)) => {
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// Makes a macvlan interface with the address `mac` above `parent`, without addresses of its
    /// own making, and returns its number.
    ///
    /// # Errors
    /// What the kernel says, such as that the name is taken.
    pub fn add_macvlan(&mut self, parent: u32, name: &str, mac: MacAddress) -> Result<u32, Error> {
        let action = format!("make the macvlan interface {name} with address {mac}");
        let mut message = LinkMessage::default();
        message.attributes = vec![
            LinkAttribute::IfName(name.into()),
            LinkAttribute::Link(parent),
            LinkAttribute::Address(mac.0.to_vec()),
            LinkAttribute::LinkInfo(vec![
                LinkInfo::Kind(InfoKind::MacVlan),
                LinkInfo::Data(InfoData::MacVlan(vec![InfoMacVlan::Mode(MacVlanMode::Bridge)])),
            ]),
        ];
        let flags = NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL;
        self.ask(RouteNetlinkMessage::NewLink(message), flags, &action)?;
        let links = self.links()?;
        let made = links.iter().find(|link| link.name == name);
        let index = made.map(|link| link.index).ok_or_else(|| Error::Answer {
            action,
            reason: "it is not among the interfaces afterwards".into(),
        })?;
        self.disable_address_generation(index, name)?;
        Ok(index)
    }

    /// Makes the VLAN interface `id` above `parent`, or finds it, and returns its number.
    ///
    /// # Errors
    /// What the kernel says, such as that the name is taken by something else.
    pub fn add_vlan(&mut self, parent: u32, name: &str, id: u16) -> Result<u32, Error> {
        let action = format!("make the VLAN interface {name} with id {id}");
        let mut message = LinkMessage::default();
        message.attributes = vec![
            LinkAttribute::IfName(name.into()),
            LinkAttribute::Link(parent),
            LinkAttribute::LinkInfo(vec![
                LinkInfo::Kind(InfoKind::Vlan),
                LinkInfo::Data(InfoData::Vlan(vec![InfoVlan::Id(id)])),
            ]),
        ];
        let flags = NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL;
        let is_this =
            |link: &Link| link.name == name && link.parent == Some(parent) && link.vlan == Some(id);
        match self.ask(RouteNetlinkMessage::NewLink(message), flags, &action) {
            Ok(_) => {}
            // It may be this one already, from before.
            Err(error) if error.errno() == Some(libc::EEXIST) => {
                if !self.links()?.iter().any(is_this) {
                    return Err(error);
                }
            }
            Err(error) => return Err(error),
        }
        let links = self.links()?;
        links.iter().find(|link| is_this(link)).map(|link| link.index).ok_or_else(|| {
            Error::Answer { action, reason: "it is not among the interfaces afterwards".into() }
        })
    }

    fn disable_address_generation(&mut self, link: u32, name: &str) -> Result<(), Error> {
        let mut message = LinkMessage::default();
        message.header.index = link;
        message.attributes = vec![LinkAttribute::AfSpecUnspec(vec![AfSpecUnspec::Inet6(vec![
            AfSpecInet6::AddrGenMode(In6AddrGenMode::None),
        ])])];
        let action = format!("turn off the making of IPv6 addresses on {name}");
        self.ask(RouteNetlinkMessage::SetLink(message), NLM_F_ACK, &action).map(|_| ())
    }

    /// Sets an interface up.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn set_up(&mut self, link: u32) -> Result<(), Error> {
        self.set_flags(link, LinkFlags::Up, "up")
    }

    /// Sets an interface down.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn set_down(&mut self, link: u32) -> Result<(), Error> {
        self.set_flags(link, LinkFlags::empty(), "down")
    }

    fn set_flags(&mut self, link: u32, flags: LinkFlags, word: &str) -> Result<(), Error> {
        let mut message = LinkMessage::default();
        message.header.index = link;
        message.header.flags = flags;
        message.header.change_mask = LinkFlags::Up;
        let action = format!("set interface number {link} {word}");
        self.ask(RouteNetlinkMessage::SetLink(message), NLM_F_ACK, &action).map(|_| ())
    }

    /// Removes an interface.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn remove_link(&mut self, link: u32) -> Result<(), Error> {
        let mut message = LinkMessage::default();
        message.header.index = link;
        let action = format!("remove interface number {link}");
        self.ask(RouteNetlinkMessage::DelLink(message), NLM_F_ACK, &action).map(|_| ())
    }

    /// Sends a request and collects the answer up to its end.
    pub(crate) fn ask(
        &mut self,
        request: RouteNetlinkMessage,
        flags: u16,
        action: &str,
    ) -> Result<Vec<RouteNetlinkMessage>, Error> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut header = NetlinkHeader::default();
        header.flags = flags | NLM_F_REQUEST;
        header.sequence_number = self.sequence;
        let mut message = NetlinkMessage::new(header, NetlinkPayload::from(request));
        message.finalize();
        let mut octets = vec![0; message.buffer_len()];
        message.serialize(&mut octets);
        self.socket.send(&octets, 0).map_err(Error::system(action))?;
        let mut answers = Vec::new();
        for _ in 0..MOST_DATAGRAMS {
            let (datagram, _) = self.socket.recv_from_full().map_err(Error::system(action))?;
            if self.read(&datagram, action, &mut answers)? {
                return Ok(answers);
            }
        }
        Err(Error::Answer { action: action.into(), reason: "it does not end".into() })
    }

    /// Reads one datagram; says whether it was the last.
    fn read(
        &self,
        datagram: &[u8],
        action: &str,
        answers: &mut Vec<RouteNetlinkMessage>,
    ) -> Result<bool, Error> {
        let unreadable = |reason: String| Error::Answer { action: action.into(), reason };
        let mut rest = datagram;
        while !rest.is_empty() {
            let message = NetlinkMessage::<RouteNetlinkMessage>::deserialize(rest)
                .map_err(|error| unreadable(error.to_string()))?;
            // Messages begin at multiples of four octets.
            let length = (message.header.length as usize).max(1).next_multiple_of(4);
            rest = rest.get(length..).unwrap_or_default();
            // What is left of an answer that an earlier request gave up.
            if message.header.sequence_number != self.sequence {
                continue;
            }
            match message.payload {
                NetlinkPayload::Done(_) => return Ok(true),
                NetlinkPayload::Error(error) => {
                    return match error.code {
                        None => Ok(true),
                        Some(_) => Err(Error::system(action)(error.to_io())),
                    };
                }
                NetlinkPayload::InnerMessage(message) => answers.push(message),
                _ => {}
            }
        }
        Ok(false)
    }
}

pub(crate) fn address_message(link: u32, address: IpNet) -> AddressMessage {
    let mut message = AddressMessage::default();
    message.header.prefix_len = address.prefix_len();
    message.header.scope = AddressScope::Universe;
    message.header.index = link;
    message.header.family = match address {
        IpNet::V4(_) => AddressFamily::Inet,
        IpNet::V6(_) => AddressFamily::Inet6,
    };
    message.attributes.push(AddressAttribute::Local(address.addr()));
    message.attributes.push(AddressAttribute::Address(address.addr()));
    if let (IpAddr::V4(broadcast), true) = (address.broadcast(), address.prefix_len() < 31)
        && broadcast != Ipv4Addr::UNSPECIFIED
    {
        message.attributes.push(AddressAttribute::Broadcast(broadcast));
    }
    message
}
