//! Bridges and their ports: networks inside one machine, for machines made of namespaces.

use std::os::fd::{AsRawFd, BorrowedFd};

use ipnet::IpNet;
use netlink_packet_core::{DefaultNla, NLM_F_ACK, NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::address::{AddressAttribute, AddressFlags, AddressHeaderFlags};
use netlink_packet_route::link::{
    BridgeStpState, InfoBridge, InfoData, InfoKind, InfoVeth, LinkAttribute, LinkInfo, LinkMessage,
};
use netlink_packet_route::tc::{
    TcAttribute, TcBpfFlags, TcFilterBpf, TcFilterBpfOption, TcHandle, TcMessage, TcOption,
};

use crate::netlink::address_message;
use crate::{Error, Link, MacAddress, Netlink};

/// The queueing discipline that filters at both ends of an interface hang on.
const CLSACT: &str = "clsact";
const CLSACT_HANDLE: TcHandle = TcHandle { major: u16::MAX, minor: 0 };
/// `TCA_BPF_OPS_LEN` and `TCA_BPF_OPS`.
const BPF_LENGTH: u16 = 4;
const BPF_PROGRAM: u16 = 5;
/// `BPF_RET | BPF_K`.
const BPF_RETURN: u16 = 6;
/// `TC_ACT_SHOT`.
const DROP: u32 = 2;
/// `ETH_P_ALL`.
const ALL_PROTOCOLS: u16 = 3;

/// The other end of a veth pair.
#[derive(Clone, Copy, Debug)]
pub struct VethPeer<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its Ethernet address.
    pub mac: MacAddress,
    /// The network namespace that it is in.
    pub namespace: BorrowedFd<'a>,
}

impl Netlink {
    /// The interface with this name.
    ///
    /// # Errors
    /// As [`Netlink::links`]; if there is none.
    pub fn link_named(&mut self, name: &str) -> Result<Link, Error> {
        let found = self.links()?.into_iter().find(|link| link.name == name);
        found.ok_or_else(|| Error::Answer {
            action: format!("find the interface {name}"),
            reason: "there is none of that name".into(),
        })
    }

    /// Makes a bridge that forwards at once and floods multicasts, and returns its number.
    ///
    /// # Errors
    /// What the kernel says, such as that the name is taken.
    pub fn add_bridge(&mut self, name: &str) -> Result<u32, Error> {
        // Snooping would swallow VRRP's multicasts, and the spanning tree would hold ports back.
        let data = InfoData::Bridge(vec![
            InfoBridge::StpState(BridgeStpState::Disabled),
            InfoBridge::ForwardDelay(0),
            InfoBridge::MulticastSnooping(false),
        ]);
        self.add_link(name, InfoKind::Bridge, data)
    }

    /// Makes a pair of Ethernet interfaces, one here and one in another network namespace, and
    /// returns the number of the one that is here.
    ///
    /// # Errors
    /// What the kernel says, such as that a name is taken.
    pub fn add_veth(&mut self, name: &str, peer: VethPeer<'_>) -> Result<u32, Error> {
        let mut other = LinkMessage::default();
        other.attributes = vec![
            LinkAttribute::IfName(peer.name.into()),
            LinkAttribute::Address(peer.mac.0.to_vec()),
            LinkAttribute::NetNsFd(peer.namespace.as_raw_fd()),
        ];
        self.add_link(name, InfoKind::Veth, InfoData::Veth(InfoVeth::Peer(other)))
    }

    fn add_link(&mut self, name: &str, kind: InfoKind, data: InfoData) -> Result<u32, Error> {
        let action = format!("make the {kind} interface {name}");
        let mut message = LinkMessage::default();
        message.attributes = vec![
            LinkAttribute::IfName(name.into()),
            LinkAttribute::LinkInfo(vec![LinkInfo::Kind(kind), LinkInfo::Data(data)]),
        ];
        let flags = NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL;
        self.ask(RouteNetlinkMessage::NewLink(message), flags, &action)?;
        self.link_named(name).map(|link| link.index)
    }

    /// Makes an interface a port of a bridge.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn join_bridge(&mut self, link: u32, bridge: u32) -> Result<(), Error> {
        let mut message = LinkMessage::default();
        message.header.index = link;
        message.attributes = vec![LinkAttribute::Controller(bridge)];
        let action = format!("make interface number {link} a port of number {bridge}");
        self.ask(RouteNetlinkMessage::SetLink(message), NLM_F_ACK, &action).map(|_| ())
    }

    /// Gives an interface an address of its own, to be used at once, also as a source.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn add_own_address(&mut self, link: u32, address: IpNet) -> Result<(), Error> {
        let mut message = address_message(link, address);
        if address.addr().is_ipv6() {
            message.header.flags = AddressHeaderFlags::Nodad;
            message.attributes.push(AddressAttribute::Flags(AddressFlags::Nodad));
        }
        let action = format!("give interface number {link} the address {address}");
        let flags = NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL;
        self.ask(RouteNetlinkMessage::NewAddress(message), flags, &action).map(|_| ())
    }

    /// Drops every frame that comes in at an interface, or goes out, or both, and no others. The
    /// carrier stays up.
    ///
    /// # Errors
    /// What the kernel says, such as that it was built without classifiers.
    pub fn drop_frames(&mut self, link: u32, incoming: bool, outgoing: bool) -> Result<(), Error> {
        self.pass_frames(link)?;
        let action = format!("drop the frames of interface number {link}");
        let mut discipline = clsact(link);
        discipline.attributes = vec![TcAttribute::Kind(CLSACT.into())];
        let flags = NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL;
        self.ask(RouteNetlinkMessage::NewQueueDiscipline(discipline), flags, &action)?;
        let hooks = [(incoming, TcHandle::MIN_INGRESS), (outgoing, TcHandle::MIN_EGRESS)];
        for (_, hook) in hooks.into_iter().filter(|(wanted, _)| *wanted) {
            let filter = RouteNetlinkMessage::NewTrafficFilter(dropping(link, hook));
            self.ask(filter, flags, &action)?;
        }
        Ok(())
    }

    /// Lets all frames through again.
    ///
    /// # Errors
    /// What the kernel says, other than that they pass already.
    pub fn pass_frames(&mut self, link: u32) -> Result<(), Error> {
        let action = format!("let the frames of interface number {link} pass");
        match self.ask(RouteNetlinkMessage::DelQueueDiscipline(clsact(link)), NLM_F_ACK, &action) {
            Err(error) if !matches!(error.errno(), Some(libc::ENOENT | libc::EINVAL)) => Err(error),
            _ => Ok(()),
        }
    }
}

fn clsact(link: u32) -> TcMessage {
    let mut message = TcMessage::with_index(link.cast_signed());
    message.header.handle = CLSACT_HANDLE;
    message.header.parent = TcHandle::CLSACT;
    message
}

/// A filter of one instruction, which drops what it is shown.
fn dropping(link: u32, hook: u16) -> TcMessage {
    let mut message = TcMessage::with_index(link.cast_signed());
    message.header.parent = TcHandle { major: TcHandle::CLSACT.major, minor: hook };
    message.header.info = u32::from(ALL_PROTOCOLS.to_be());
    let mut program = BPF_RETURN.to_ne_bytes().to_vec();
    program.extend([0, 0]);
    program.extend(DROP.to_ne_bytes());
    let length = DefaultNla::new(BPF_LENGTH, 1u16.to_ne_bytes().to_vec());
    let options = [
        TcFilterBpfOption::Other(length),
        TcFilterBpfOption::Other(DefaultNla::new(BPF_PROGRAM, program)),
        TcFilterBpfOption::Flags(TcBpfFlags::DirectAction),
    ];
    message.attributes = vec![
        TcAttribute::Kind(TcFilterBpf::KIND.into()),
        TcAttribute::Options(options.into_iter().map(TcOption::Bpf).collect()),
    ];
    message
}
