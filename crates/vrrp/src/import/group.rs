//! `vrrp_sync_group`.

use super::accounts::Accounts;
use super::script::map_notify;
use super::tracks;
use super::tree::Node;
use crate::settings::{GroupSettings, Settings};

/// What keeps the weights of a group's members.
const KEEPS_WEIGHTS: [&str; 2] = ["global_tracking", "sync_group_tracking_weight"];

pub(super) fn map(block: &Node, settings: &mut Settings, accounts: &mut Accounts) {
    let Some(name) = block.argument() else {
        return accounts.refuse_all(block, "it has no name");
    };
    accounts.mapped(block, "[[vrrp.group]]");
    let mut group = GroupSettings {
        name: name.into(),
        instances: Vec::new(),
        tracks: Vec::new(),
        notify: Vec::new(),
    };
    for node in &block.children {
        if map_notify(node, &mut group.notify, accounts)
            || tracks::map(node, &mut group.tracks, accounts)
        {
            continue;
        }
        match node.keyword() {
            "group" => {
                accounts.mapped(node, "instances");
                for member in &node.children {
                    accounts.mapped(member, "");
                    group.instances.extend(member.words.iter().cloned());
                }
            }
            keyword if KEEPS_WEIGHTS.contains(&keyword) => {
                accounts.mapped(node, "the weights of its instances count");
            }
            "notify_priority_changes" => {
                accounts.approximated(node, "set notify_priority_changes in [vrrp]");
            }
            "smtp_alert" => accounts.refused(node, "no mails are sent; use a notify script"),
            _ => accounts.refuse_all(node, "groups have no such setting here"),
        }
    }
    settings.groups.push(group);
}

/// Keepalived takes the weights of what members of a group track as zero, unless told otherwise.
pub(super) fn zero_weights(nodes: &[Node], settings: &mut Settings, accounts: &mut Accounts) {
    let groups = nodes.iter().filter(|node| node.keyword() == "vrrp_sync_group");
    for (block, group) in groups.zip(&settings.groups) {
        if KEEPS_WEIGHTS.iter().any(|keyword| block.child(keyword).is_some()) {
            continue;
        }
        let members = settings
            .instances
            .iter_mut()
            .filter(|instance| group.instances.contains(&instance.name));
        let mut tracks: Vec<_> = members.flat_map(|instance| &mut instance.tracks).collect();
        if !tracks.is_empty() {
            tracks.iter_mut().for_each(|track| track.weight = Some(0));
            let note = "what its instances track has weight 0, as Keepalived takes it";
            accounts.approximated(block, note);
        }
    }
}
