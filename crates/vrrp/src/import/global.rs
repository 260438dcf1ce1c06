//! `global_defs`.

use std::time::Duration;

use super::accounts::Accounts;
use super::tree::Node;
use crate::settings::{AnnounceSettings, Settings};

/// What instances take that say nothing themselves.
#[derive(Clone, Debug)]
pub(super) struct Defaults {
    /// `vrrp_version`; Keepalived's own default is 2.
    pub(super) version: u8,
    /// `vrrp_garp_master_...`
    pub(super) announce: AnnounceSettings,
    /// Not `vrrp_skip_check_adv_addr`.
    pub(super) check_addresses: bool,
    /// Not `vrrp_strict`.
    pub(super) accept: bool,
}

impl Default for Defaults {
    fn default() -> Self {
        let announce = AnnounceSettings::default();
        Self { version: 2, announce, check_addresses: true, accept: true }
    }
}

/// A time in seconds, with a fraction.
pub(super) fn seconds(node: &Node, accounts: &mut Accounts) -> Option<Duration> {
    let seconds: f64 = accounts.value(node, "a time in seconds")?;
    let time = Duration::try_from_secs_f64(seconds).ok();
    if time.is_none() {
        accounts.refused(node, "it does not name a time in seconds");
    }
    // Durations are written in whole milliseconds.
    time.map(|time| Duration::from_millis(u64::try_from(time.as_millis()).unwrap_or(u64::MAX)))
}

/// `on` unless it says otherwise.
pub(super) fn is_on(node: &Node) -> bool {
    !matches!(node.argument(), Some("off" | "false" | "no"))
}

/// Whether a line is about announcements, which global lines and those of instances name alike.
pub(super) fn map_announce(
    node: &Node,
    announce: &mut AnnounceSettings,
    accounts: &mut Accounts,
) -> bool {
    let keyword = node.keyword();
    match keyword.strip_prefix("vrrp_").unwrap_or(keyword) {
        "garp_master_delay" => {
            if let Some(time) = seconds(node, accounts) {
                announce.again_after = time;
                accounts.mapped(node, "announce.again_after");
            }
        }
        "garp_master_repeat" => {
            if let Some(count) = accounts.value(node, "a number up to 255") {
                announce.count = count;
                accounts.mapped(node, "announce.count");
            }
        }
        "garp_master_refresh" => {
            if let Some(time) = seconds(node, accounts) {
                announce.refresh = (!time.is_zero()).then_some(time);
                accounts.mapped(node, "announce.refresh");
            }
        }
        "garp_master_refresh_repeat" | "garp_lower_prio_repeat" => {
            accounts.approximated(node, "each announcement has announce.count frames");
        }
        "garp_lower_prio_delay" => {
            accounts.approximated(node, "a master of lower priority is answered at once");
        }
        "garp_interval" | "gna_interval" => {
            accounts.approximated(node, "announcements are sent without a pause");
        }
        _ => return false,
    }
    true
}

pub(super) fn map(
    block: &Node,
    settings: &mut Settings,
    defaults: &mut Defaults,
    accounts: &mut Accounts,
) {
    accounts.mapped(block, "[vrrp]");
    for node in &block.children {
        if !map_announce(node, &mut defaults.announce, accounts) {
            map_line(node, settings, defaults, accounts);
        }
    }
}

fn map_line(
    node: &Node,
    settings: &mut Settings,
    defaults: &mut Defaults,
    accounts: &mut Accounts,
) {
    match node.keyword() {
        "vrrp_version" => {
            if let Some(version) = accounts.value(node, "2 or 3") {
                defaults.version = version;
                accounts.mapped(node, "version of each instance that has none");
            }
        }
        "vrrp_startup_delay" => {
            if let Some(time) = seconds(node, accounts) {
                settings.startup_delay = time;
                accounts.mapped(node, "startup_delay");
            }
        }
        "script_user" => {
            settings.script_user = node.argument().map(str::to_owned);
            accounts.mapped(node, "script_user");
            if node.words.len() > 2 {
                accounts.approximated(node, "the group is the user's own");
            }
        }
        "notify_fifo" | "vrrp_notify_fifo" => {
            settings.notify_fifo = node.argument().map(Into::into);
            accounts.mapped(node, "notify_fifo");
        }
        "vrrp_notify_priority_changes" => {
            settings.notify_priority_changes = is_on(node);
            accounts.mapped(node, "notify_priority_changes");
        }
        "vrrp_rt_priority" => {
            settings.realtime_priority = accounts.value(node, "a real-time priority");
            if settings.realtime_priority.is_some() {
                accounts.mapped(node, "realtime_priority");
            }
        }
        "vrrp_skip_check_adv_addr" => {
            defaults.check_addresses = !is_on(node);
            accounts.mapped(node, "check_addresses of each instance");
        }
        "vrrp_strict" => {
            defaults.accept = !is_on(node);
            let note = "accept = false; the checks of the protocol are always strict";
            accounts.approximated(node, note);
        }
        _ => map_remark(node, accounts),
    }
}

/// Lines that set nothing here.
fn map_remark(node: &Node, accounts: &mut Accounts) {
    match node.keyword() {
        "enable_script_security" => accounts.mapped(node, "it is always so"),
        "dynamic_interfaces" => accounts.mapped(node, "it is always so"),
        "vrrp_check_unicast_src" => accounts.mapped(node, "it is always so"),
        "vrrp_no_swap" | "vrrp_priority" | "max_auto_priority" | "process_names" => {
            accounts.approximated(node, "see realtime_priority");
        }
        "router_id" => accounts.approximated(node, "it is only a name in mails and logs"),
        "notification_email"
        | "notification_email_from"
        | "smtp_server"
        | "smtp_helo_name"
        | "smtp_connect_timeout"
        | "smtp_alert"
        | "smtp_alert_vrrp" => accounts
            .refuse_all(node, "no mails are sent; use a notify script, the FIFO or the metrics"),
        keyword => {
            let note = format!("`{keyword}` has no counterpart here");
            accounts.refuse_all(node, &note);
        }
    }
}
