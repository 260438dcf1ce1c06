//! Nodes that settings name.

use standfast_settings::{ClusterSettings, ServiceSettings};

use super::{Role, State};

impl State {
    /// What is wrong with the nodes that settings name. It is looked at when they are applied, and
    /// not later: a node may go that is still named.
    pub fn check_nodes_of(&self, settings: &ClusterSettings) -> Vec<String> {
        let services = settings.services.iter();
        services.flat_map(|(name, service)| self.check_nodes_of_service(name, service)).collect()
    }

    /// As [`Self::check_nodes_of`], for one service.
    pub fn check_nodes_of_service(&self, name: &str, service: &ServiceSettings) -> Vec<String> {
        let lists = [("prefer", &service.prefer), ("only", &service.only)];
        let named = lists.iter().flat_map(|(key, nodes)| nodes.iter().map(move |node| (key, node)));
        let wrong = |(key, node): (&&str, &String)| match self.member_by_name(node) {
            None => {
                let known: Vec<_> =
                    self.members.values().map(|member| member.name.as_str()).collect();
                Some(format!(
                    "`{key}` of `{name}` names the node `{node}`, which is not in the cluster; there \
                     are {}",
                    known.join(", ")
                ))
            }
            Some(member) if member.role == Role::Witness => Some(format!(
                "`{key}` of `{name}` names the node `{node}`, a witness, which holds no services"
            )),
            Some(_) => None,
        };
        named.filter_map(wrong).collect()
    }
}
