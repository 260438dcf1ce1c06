//! `vrrp_instance`.

use std::time::Duration;

use super::accounts::Accounts;
use super::addresses;
use super::global::{Defaults, is_on, map_announce, seconds};
use super::script::map_notify;
use super::tracks;
use super::tree::Node;
use crate::packet::AH_REFUSAL;
use crate::settings::{AuthenticationSettings, InstanceSettings, MacSettings, Settings};

/// The hop limit with which Keepalived sends to IPv6 peers: the kernel's own.
const KEEPALIVED_HOP_LIMIT: u8 = 64;

pub(super) fn map(
    block: &Node,
    defaults: &Defaults,
    settings: &mut Settings,
    accounts: &mut Accounts,
) {
    let Some(name) = block.argument() else {
        return accounts.refuse_all(block, "it has no name");
    };
    accounts.mapped(block, "[[vrrp.instance]]");
    let mut instance = InstanceSettings {
        name: name.into(),
        interface: String::new(),
        router_id: 0,
        version: defaults.version,
        priority: 100,
        advert_interval: Duration::from_secs(1),
        addresses: Vec::new(),
        excluded_addresses: Vec::new(),
        preempt: true,
        preempt_delay: Duration::ZERO,
        accept: defaults.accept,
        mac: MacSettings::Interface,
        authentication: None,
        source: None,
        peers: Vec::new(),
        peer_min_ttl: crate::packet::TTL,
        check_addresses: defaults.check_addresses,
        track_own_interface: true,
        announce: defaults.announce.clone(),
        tracks: Vec::new(),
        notify: Vec::new(),
    };
    for node in &block.children {
        let taken = map_announce(node, &mut instance.announce, accounts)
            || map_notify(node, &mut instance.notify, accounts)
            || tracks::map(node, &mut instance.tracks, accounts)
            || map_identity(node, &mut instance, accounts)
            || map_addresses(node, &mut instance, accounts)
            || map_conduct(node, &mut instance, accounts);
        if !taken {
            refuse(node, accounts);
        }
    }
    finish(block, &mut instance, accounts);
    settings.instances.push(instance);
}

/// Who the router is.
fn map_identity(node: &Node, instance: &mut InstanceSettings, accounts: &mut Accounts) -> bool {
    match node.keyword() {
        "interface" => {
            instance.interface = node.argument().unwrap_or_default().into();
            accounts.mapped(node, "interface");
        }
        "virtual_router_id" => {
            if let Some(id) = accounts.value(node, "a number from 1 to 255") {
                instance.router_id = id;
                accounts.mapped(node, "router_id");
            }
        }
        "version" => {
            if let Some(version) = accounts.value(node, "2 or 3") {
                instance.version = version;
                accounts.mapped(node, "version");
            }
        }
        "priority" => {
            if let Some(priority) = accounts.value(node, "a number from 1 to 255") {
                instance.priority = priority;
                accounts.mapped(node, "priority");
            }
        }
        "advert_int" => {
            if let Some(time) = seconds(node, accounts) {
                instance.advert_interval = time;
                accounts.mapped(node, "advert_interval");
            }
        }
        "authentication" => map_authentication(node, instance, accounts),
        "state" => accounts.approximated(node, "every router starts as backup; priority decides"),
        "native_ipv6" => accounts.mapped(node, "the addresses say so"),
        _ => return false,
    }
    true
}

fn map_authentication(block: &Node, instance: &mut InstanceSettings, accounts: &mut Accounts) {
    let kind = block.child("auth_type").and_then(Node::argument).unwrap_or_default();
    let password = block.child("auth_pass").and_then(Node::argument).unwrap_or_default();
    if kind.eq_ignore_ascii_case("AH") {
        return accounts.refuse_all(block, AH_REFUSAL);
    }
    accounts.mapped(block, "authentication");
    for node in &block.children {
        accounts.mapped(node, "");
    }
    // No more than eight octets are sent, there as here.
    let shortened: String = password.chars().take(8).collect();
    instance.authentication = Some(AuthenticationSettings::Pass { password: shortened });
}

/// Where it speaks and what it holds.
fn map_addresses(node: &Node, instance: &mut InstanceSettings, accounts: &mut Accounts) -> bool {
    match node.keyword() {
        "virtual_ipaddress" => {
            instance.addresses.extend(addresses::map(node, "addresses", accounts));
        }
        "virtual_ipaddress_excluded" => {
            let excluded = addresses::map(node, "excluded_addresses", accounts);
            instance.excluded_addresses.extend(excluded);
        }
        "unicast_peer" => instance.peers = addresses::peers(node, accounts),
        "mcast_src_ip" | "unicast_src_ip" => {
            instance.source = accounts.value(node, "an address");
            if instance.source.is_some() {
                accounts.mapped(node, "source");
            }
        }
        "use_vmac" => {
            instance.mac = MacSettings::Virtual;
            if node.words.len() > 1 {
                accounts.approximated(node, "the interface's name and address are not chosen");
            } else {
                accounts.mapped(node, "mac = \"virtual\"");
            }
        }
        "vmac_xmit_base" => {
            let note = "advertisements leave the interface itself, with the virtual MAC as source";
            accounts.approximated(node, note);
        }
        "check_unicast_src" => accounts.mapped(node, "it is always so"),
        _ => return false,
    }
    true
}

/// How it behaves.
fn map_conduct(node: &Node, instance: &mut InstanceSettings, accounts: &mut Accounts) -> bool {
    match node.keyword() {
        "nopreempt" | "preempt" => {
            instance.preempt = node.keyword() == "preempt";
            accounts.mapped(node, "preempt");
        }
        "preempt_delay" => {
            if let Some(time) = seconds(node, accounts) {
                instance.preempt_delay = time;
                accounts.mapped(node, "preempt_delay");
            }
        }
        "accept" | "no_accept" => {
            instance.accept = node.keyword() == "accept";
            accounts.mapped(node, "accept");
        }
        "skip_check_adv_addr" => {
            instance.check_addresses = !is_on(node);
            accounts.mapped(node, "check_addresses");
        }
        "dont_track_primary" => {
            instance.track_own_interface = false;
            accounts.mapped(node, "track_own_interface = false");
        }
        "strict_mode" => accounts.approximated(node, "the checks are always strict"),
        "track_src_ip" => accounts.approximated(node, "a source for peers must always exist"),
        "notify_priority_changes" => {
            accounts.approximated(node, "set notify_priority_changes in [vrrp]");
        }
        "debug" | "kernel_rx_buf_size" | "linkbeat_use_polling" => {
            accounts.approximated(node, "there is no need for it");
        }
        _ => return false,
    }
    true
}

fn refuse(node: &Node, accounts: &mut Accounts) {
    let note = match node.keyword() {
        "virtual_routes" | "virtual_rules" => {
            "routes and rules do not float here; set them in a notify script"
        }
        "promote_secondaries" => "set net.ipv4.conf.IF.promote_secondaries in sysctl.conf(5)",
        "smtp_alert" => "no mails are sent; use a notify script, the FIFO or the metrics",
        "lvs_sync_daemon_interface" => "load balancing with LVS is not a part of Standfast",
        "mcast_dst_ip" => "advertisements go to the group of the RFC, or to peers",
        "use_ipvlan" => "use mac = \"virtual\"",
        _ => "instances have no such setting here",
    };
    accounts.refuse_all(node, note);
}

/// What lines say only together.
fn finish(block: &Node, instance: &mut InstanceSettings, accounts: &mut Accounts) {
    let Some(first) = instance.addresses.first() else {
        return accounts.refused(block, "it has no virtual_ipaddress, so it cannot run");
    };
    let is_ipv4 = first.address.addr().is_ipv4();
    let (own, other) = std::mem::take(&mut instance.addresses)
        .into_iter()
        .partition(|address| address.address.addr().is_ipv4() == is_ipv4);
    instance.addresses = own;
    if !other.is_empty() {
        instance.excluded_addresses.extend(other);
        accounts.approximated(block, "addresses of the other family become excluded_addresses");
    }
    if !is_ipv4 && instance.version != 3 {
        instance.version = 3;
        accounts.approximated(block, "version = 3, the only one for IPv6");
    }
    if !is_ipv4 && !instance.peers.is_empty() {
        instance.peer_min_ttl = KEEPALIVED_HOP_LIMIT;
        accounts.approximated(
            block,
            "peer_min_ttl = 64, which Keepalived sends to IPv6 peers; raise it to 255 once all are ours",
        );
    }
    if instance.version == 3 && instance.authentication.take().is_some() {
        let node = block.child("authentication").unwrap_or(block);
        accounts.refused(node, "version 3 has no authentication");
    }
    if instance.interface.is_empty() {
        accounts.refused(block, "it names no interface, so it cannot run");
    }
    if instance.router_id == 0 {
        accounts.refused(block, "it has no virtual_router_id, so it cannot run");
    }
}
