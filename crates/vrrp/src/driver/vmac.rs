//! The virtual router's own Ethernet address, on a macvlan interface above the real one.

use standfast_net::{Error, Family, Link, MacAddress, Netlink, Setting};

use crate::instance::Config;

/// Answer ARP only for addresses of the interface that was asked, so that each address is at one
/// Ethernet address only.
const ARP_IGNORE: i64 = 1;
/// Never name the floating address in the questions of the other interface.
const ARP_ANNOUNCE: i64 = 2;
/// Replies leave by the real interface, so the strict reverse path check would drop the requests.
const LOOSE_REVERSE_PATH: i64 = 2;

/// A macvlan interface, up only while the router is master.
#[derive(Debug)]
pub(super) struct VirtualMac {
    index: u32,
    parent: u32,
    mac: MacAddress,
    /// Settings of the real interface and the values they had.
    before: Vec<(Setting, i64)>,
}

impl VirtualMac {
    pub(super) fn new(
        netlink: &mut Netlink,
        parent: &Link,
        config: &Config,
    ) -> Result<Self, Error> {
        let is_ipv4 = config.is_ipv4();
        let mac = MacAddress::of_virtual_router(config.router_id, is_ipv4);
        let family = if is_ipv4 { 4 } else { 6 };
        let name = format!("vr{family}-{}-{}", parent.index, config.router_id);
        if let Some(old) = netlink.links()?.iter().find(|link| link.name == name) {
            // Left behind by a run that was killed.
            netlink.remove_link(old.index)?;
        }
        let index = netlink.add_macvlan(parent.index, &name, mac)?;
        let mut this = Self { index, parent: parent.index, mac, before: Vec::new() };
        if is_ipv4 && let Err(error) = this.separate(&parent.name, &name) {
            this.remove(netlink);
            return Err(error);
        }
        Ok(this)
    }

    fn separate(&mut self, parent: &str, own: &str) -> Result<(), Error> {
        let set = |interface: &str, name: &str, value: i64| {
            let setting = Setting::of_interface(Family::Ipv4, interface, name);
            setting.write(value).map(|before| (setting, before))
        };
        self.before.push(set(parent, "arp_ignore", ARP_IGNORE)?);
        self.before.push(set(parent, "arp_announce", ARP_ANNOUNCE)?);
        set(own, "arp_ignore", ARP_IGNORE)?;
        set(own, "rp_filter", LOOSE_REVERSE_PATH)?;
        Ok(())
    }

    pub(super) fn index(&self) -> u32 {
        self.index
    }

    pub(super) fn parent(&self) -> u32 {
        self.parent
    }

    pub(super) fn mac(&self) -> MacAddress {
        self.mac
    }

    pub(super) fn set_down(&self, netlink: &mut Netlink) {
        if let Err(error) = netlink.set_down(self.index) {
            tracing::warn!(%error, "the virtual MAC stays up");
        }
    }

    /// Removes the interface and sets the real one back.
    pub(super) fn remove(self, netlink: &mut Netlink) {
        if let Err(error) = netlink.remove_link(self.index) {
            tracing::warn!(%error, "the virtual MAC's interface stays");
        }
        for (setting, value) in self.before.into_iter().rev() {
            if let Err(error) = setting.write(value) {
                tracing::warn!(%error, "a setting of the interface is not restored");
            }
        }
    }
}
