//! Who asks for the floating address, and when the answer changes.

use std::io::{ErrorKind, Read as _};
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use socket2::{Domain, InterfaceIndexOrAddress, Protocol, Socket, Type};
use standfast_lab::Host;
use standfast_net::{Error as NetError, MacAddress, Netlink, PacketSocket, frame};
use standfast_vrrp::packet::{GROUP_V4, PROTOCOL};

use crate::Fallible;

/// Between two questions: the resolution of the measurement.
const PAUSE: Duration = Duration::from_micros(100);
/// Advertisements that the backup shall have heard before its master dies.
const HEARD: usize = 4;

/// For what must come soon.
const LIMIT: Duration = Duration::from_secs(10);

/// A host that asks.
pub(crate) struct Client {
    host: Host,
    floating: Ipv4Addr,
    link: u32,
    mac: MacAddress,
    arp: PacketSocket,
    advertisements: Socket,
}

/// The Ethernet address and the number of a host's interface.
fn interface(host: &Host) -> Fallible<(MacAddress, u32)> {
    let name = host.interface();
    let links = host.enter(|| Netlink::new().and_then(|mut netlink| netlink.links()))??;
    let link = links.into_iter().find(|link| link.name == name).ok_or("no interface")?;
    Ok((link.mac.ok_or("no Ethernet address")?, link.index))
}

fn listen(link: u32) -> std::io::Result<Socket> {
    let protocol = Some(Protocol::from(i32::from(PROTOCOL)));
    let socket = Socket::new(Domain::IPV4, Type::RAW, protocol)?;
    socket.join_multicast_v4_n(&GROUP_V4, &InterfaceIndexOrAddress::Index(link))?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

impl Client {
    pub(crate) fn new(host: Host, floating: Ipv4Addr) -> Fallible<Self> {
        let (mac, link) = interface(&host)?;
        let arp = host.enter(move || PacketSocket::for_arp(link))??;
        let advertisements = host.enter(move || listen(link))??;
        Ok(Self { host, floating, link, mac, arp, advertisements })
    }

    pub(crate) fn floating(&self) -> Ipv4Addr {
        self.floating
    }

    /// Waits for the next advertisement from `host`.
    fn wait_for_advertisement(&self, host: &Host, interval: Duration) -> Fallible<()> {
        let deadline = Instant::now() + interval * 10 + Duration::from_secs(5);
        let mut packet = [0; 64];
        while Instant::now() < deadline {
            let mut waiting = [PollFd::new(&self.advertisements, PollFlags::IN)];
            poll(&mut waiting, Timespec::try_from(interval).ok().as_ref())?;
            match (&self.advertisements).read(&mut packet) {
                Ok(_) if packet[12..16] == host.addresses().v4.octets() => return Ok(()),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(format!("no advertisement from {}", host.name()).into())
    }

    /// Waits until `host` has been master for a while.
    pub(crate) fn wait_for_settled(&self, host: &Host, interval: Duration) -> Fallible<()> {
        let mut packet = [0; 64];
        while (&self.advertisements).read(&mut packet).is_ok() {}
        for _ in 0..HEARD {
            self.wait_for_advertisement(host, interval)?;
        }
        Ok(())
    }

    /// Kills right after an advertisement, so that each measurement begins at the same place in the
    /// interval, and asks until `backup` answers. Gives the time from the kill to the answer.
    pub(crate) fn measure(
        &self,
        backup: &Host,
        interval: Duration,
        kill: impl FnOnce() -> Fallible<()>,
    ) -> Fallible<Duration> {
        let (backup_mac, _) = interface(backup)?;
        let question = frame::arp_request(self.mac, self.host.addresses().v4, self.floating);
        let mut packet = [0; 64];
        while (&self.advertisements).read(&mut packet).is_ok() {}
        while self.answer()?.is_some() {}
        self.advertisement()?;
        let begin = Instant::now();
        kill()?;
        let deadline = begin + interval * 10 + Duration::from_secs(5);
        while Instant::now() < deadline {
            self.arp.send(self.link, &question)?;
            let mut waiting = [PollFd::new(&self.arp, PollFlags::IN)];
            poll(&mut waiting, Timespec::try_from(PAUSE).ok().as_ref())?;
            while let Some(answer) = self.answer()? {
                if frame::read_arp_reply(&answer) == Some((backup_mac, self.floating)) {
                    return Ok(begin.elapsed());
                }
            }
        }
        Err(format!("{} does not answer", backup.name()).into())
    }

    /// Waits for any advertisement; there is one master only.
    fn advertisement(&self) -> Fallible<()> {
        let mut waiting = [PollFd::new(&self.advertisements, PollFlags::IN)];
        match poll(&mut waiting, Timespec::try_from(LIMIT).ok().as_ref())? {
            0 => Err("no advertisement any more".into()),
            _ => Ok(()),
        }
    }

    fn answer(&self) -> Result<Option<Vec<u8>>, NetError> {
        let mut buffer = [0; 128];
        Ok(self.arp.receive(&mut buffer)?.map(<[u8]>::to_vec))
    }
}
