//! The floating addresses of one service on this node.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use standfast_net::{
    ANNOUNCE_AGAIN, BURST, Conflict, ConflictWatch, Error, Floating, Netlink, PacketSocket, Placed,
};
use standfast_settings::FloatingAddress;

/// How often it is looked whether another machine has one of the addresses.
const LOOK_FOR_CONFLICTS: Duration = Duration::from_millis(500);

/// A conflict is told again after this long.
const TELL_AGAIN: Duration = Duration::from_secs(10);

/// Where the addresses of a service belong here.
pub(super) fn place(
    netlink: &mut Netlink,
    addresses: &[FloatingAddress],
) -> Result<Vec<Placed>, String> {
    let text = |error: Error| error.to_string();
    addresses
        .iter()
        .map(|address| floating(netlink, address)?.place(netlink).map_err(text))
        .collect()
}

/// An address without an interface goes to the one that has an address of its network.
fn floating(netlink: &mut Netlink, address: &FloatingAddress) -> Result<Floating, String> {
    let interface = match &address.interface {
        Some(interface) => interface.clone(),
        None => neighbouring(netlink, address)?,
    };
    Ok(Floating { address: address.network, interface, vlan: address.vlan })
}

fn neighbouring(netlink: &mut Netlink, wanted: &FloatingAddress) -> Result<String, String> {
    let addresses = netlink.addresses().map_err(|error| error.to_string())?;
    let same = addresses.iter().find(|known| {
        let known = known.address;
        known.addr() != wanted.address()
            && known.trunc() == wanted.network.trunc()
            && known.addr().is_ipv4() == wanted.address().is_ipv4()
    });
    let links = netlink.links().map_err(|error| error.to_string())?;
    let link = same.and_then(|same| links.into_iter().find(|link| link.index == same.link));
    link.map(|link| link.name).ok_or_else(|| {
        format!(
            "no interface of this node has an address in {}: name one, such as {}@eth0",
            wanted.network.trunc(),
            wanted.network
        )
    })
}

/// Puts the addresses on their interfaces.
pub(super) fn raise(netlink: &mut Netlink, placed: &[Placed]) -> Result<(), String> {
    placed.iter().try_for_each(|one| one.raise(netlink)).map_err(|error| error.to_string())
}

/// Takes addresses off whatever interface has them: where they were put may have changed since.
pub(super) fn lower(netlink: &mut Netlink, addresses: &[IpAddr]) -> Result<(), String> {
    let known = netlink.addresses().map_err(|error| error.to_string())?;
    let mut failures = Vec::new();
    for on in known.iter().filter(|on| addresses.contains(&on.address.addr())) {
        if let Err(error) = netlink.remove_address(on.link, on.address) {
            failures.push(error.to_string());
        }
    }
    if failures.is_empty() { Ok(()) } else { Err(failures.join("; ")) }
}

/// Tells the neighbours where the addresses are, `count` times.
pub(super) fn announce(
    socket: &PacketSocket,
    placed: &[Placed],
    count: usize,
) -> Result<(), String> {
    placed.iter().try_for_each(|one| one.announce(socket, count)).map_err(|error| error.to_string())
}

/// The first burst.
pub(super) fn announce_now(placed: &[Placed]) -> Result<(), String> {
    let socket = PacketSocket::sender().map_err(|error| error.to_string())?;
    announce(&socket, placed, BURST)
}

/// Announces the addresses again and again at first, and defends them while they are up.
pub(super) async fn keep_announcing(service: String, placed: Vec<Placed>) {
    let socket = match PacketSocket::sender() {
        Ok(socket) => socket,
        Err(error) => return tracing::warn!(service, %error, "the addresses are announced once"),
    };
    let begun = Instant::now();
    for after in ANNOUNCE_AGAIN {
        tokio::time::sleep_until((begun + after).into()).await;
        if let Err(error) = announce(&socket, &placed, 1) {
            tracing::warn!(service, error, "cannot announce the addresses again");
        }
    }
    let mut watches = watches(&service, &placed);
    let mut told = BTreeMap::new();
    let mut look = tokio::time::interval(LOOK_FOR_CONFLICTS);
    while !watches.is_empty() {
        look.tick().await;
        for watch in &mut watches {
            let conflicts = watch.take().unwrap_or_default();
            if conflicts.is_empty() {
                continue;
            }
            tell(&service, &conflicts, &mut told);
            if watch.may_defend(Instant::now()) {
                let _sent = announce(&socket, &placed, 1);
            }
        }
    }
}

fn tell(service: &str, conflicts: &[Conflict], told: &mut BTreeMap<IpAddr, Instant>) {
    for conflict in conflicts {
        let known = told.get(&conflict.address);
        if known.is_none_or(|at| at.elapsed() > TELL_AGAIN) {
            told.insert(conflict.address, Instant::now());
            tracing::error!(service, "{conflict}");
        }
    }
}

fn watches(service: &str, placed: &[Placed]) -> Vec<ConflictWatch> {
    let mut by_link: BTreeMap<u32, Vec<&Placed>> = BTreeMap::new();
    for one in placed {
        by_link.entry(one.link).or_default().push(one);
    }
    let mut watches = Vec::new();
    for (link, placed) in by_link {
        let Some(mac) = placed.iter().find_map(|one| one.mac) else { continue };
        let addresses = placed.iter().map(|one| one.address.addr()).collect();
        match ConflictWatch::new(link, mac, addresses) {
            Ok(watch) => watches.push(watch),
            Err(error) => tracing::warn!(service, %error, "conflicts of addresses go unnoticed"),
        }
    }
    watches
}
