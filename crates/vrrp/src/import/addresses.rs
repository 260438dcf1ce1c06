//! `virtual_ipaddress` and its like.

use std::net::IpAddr;

use super::accounts::Accounts;
use super::tree::Node;
use crate::settings::AddressSettings;

/// Options of ip-address(8) that take a value.
const WITH_VALUE: [&str; 6] = ["brd", "broadcast", "scope", "label", "peer", "preferred_lft"];

/// The addresses of a block.
pub(super) fn map(block: &Node, as_what: &str, accounts: &mut Accounts) -> Vec<AddressSettings> {
    accounts.mapped(block, as_what);
    block.children.iter().filter_map(|node| one(node, accounts)).collect()
}

fn one(node: &Node, accounts: &mut Accounts) -> Option<AddressSettings> {
    let Some(address) = AddressSettings::parse(node.keyword()) else {
        accounts.refused(node, "it is no address");
        return None;
    };
    let mut interface = None;
    let mut dropped = Vec::new();
    let mut options = node.arguments().iter();
    while let Some(option) = options.next() {
        if option == "dev" {
            interface = options.next().cloned();
        } else {
            dropped.push(option.as_str());
            if WITH_VALUE.contains(&option.as_str()) {
                options.next();
            }
        }
    }
    if dropped.is_empty() {
        accounts.mapped(node, "");
    } else {
        accounts.approximated(node, &format!("without {}", dropped.join(", ")));
    }
    Some(AddressSettings { address, interface })
}

/// The peers of a block.
pub(super) fn peers(block: &Node, accounts: &mut Accounts) -> Vec<IpAddr> {
    accounts.mapped(block, "peers");
    let one = |node: &Node| match node.keyword().parse() {
        Ok(peer) => {
            let note = if node.words.len() > 1 { "without its options" } else { "" };
            if note.is_empty() {
                accounts.mapped(node, note)
            } else {
                accounts.approximated(node, note)
            }
            Some(peer)
        }
        Err(_) => {
            accounts.refused(node, "it is no address");
            None
        }
    };
    block.children.iter().filter_map(one).collect()
}
