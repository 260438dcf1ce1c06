//! `standfast node`.

use std::process::ExitCode;

use standfast_api::{ClusterRequest, NodeStatus};

use super::{age, lines, or_dash, request, status, table};
use crate::cli::cluster::{Node, NodeCommand};
use crate::commands::{print, print_json};

pub(crate) fn run(args: &Node) -> miette::Result<ExitCode> {
    match &args.command {
        NodeCommand::List(args) => {
            let status = status(&args.socket)?;
            if args.json {
                print_json(&status.nodes)?;
            } else {
                print(&render(&status.nodes, status.leader.as_deref()))?;
            }
        }
        NodeCommand::Drain(args) => {
            request(&args.socket, &ClusterRequest::Drain { node: args.name.clone() })?;
            print(&format!(
                "`{}` is being drained; `standfast node list` shows what it still holds\n",
                args.name
            ))?;
        }
        NodeCommand::Resume(args) => {
            request(&args.socket, &ClusterRequest::Resume { node: args.name.clone() })?;
            print(&format!("`{}` may hold services again\n", args.name))?;
        }
        NodeCommand::Remove(args) => {
            let order = ClusterRequest::RemoveNode { node: args.name.clone(), force: args.force };
            request(&args.socket, &order)?;
            let name = &args.name;
            print(&format!(
                "`{name}` is being removed; `standfast node list` shows it until it is gone\n"
            ))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The nodes as a table; the leader is marked.
pub(crate) fn render(nodes: &[NodeStatus], leader: Option<&str>) -> String {
    let mut table =
        table(&["id", "node", "role", "state", "heard", "services", "addresses", "version"]);
    for node in nodes {
        let leads = if leader == Some(node.name.as_str()) { " (leader)" } else { "" };
        let heard = node.heard_ms.map(|ms| format!("{} ago", age(ms)));
        table.add_row(vec![
            node.id.to_string(),
            format!("{}{leads}", node.name),
            node.role.clone(),
            node.state.clone(),
            or_dash(heard.as_deref()),
            or_dash(Some(&node.services.join(" "))),
            node.addresses.join(" "),
            node.version.clone(),
        ]);
    }
    lines(&table)
}
