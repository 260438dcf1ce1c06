//! `standfast token`.

use std::process::ExitCode;

use standfast_api::{ClusterReply, ClusterRequest, TokenStatus};
use standfast_settings::format_duration;

use super::{lines, request, table, unexpected};
use crate::cli::cluster::{Token, TokenCommand, TokenCreate};
use crate::commands::{print, print_json};

pub(crate) fn run(args: &Token) -> miette::Result<ExitCode> {
    match &args.command {
        TokenCommand::Create(args) => create(args)?,
        TokenCommand::List(args) => {
            let reply = request(&args.socket, &ClusterRequest::Tokens)?;
            let ClusterReply::Tokens { tokens } = reply else { return Err(unexpected(&reply)) };
            if args.json {
                print_json(&tokens)?;
            } else {
                print(&render(&tokens))?;
            }
        }
        TokenCommand::Revoke(args) => {
            request(&args.socket, &ClusterRequest::RevokeToken { id: args.name.clone() })?;
            print(&format!("token {} lets nobody in any more\n", args.name))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn create(args: &TokenCreate) -> miette::Result<()> {
    let uses = (args.uses > 0).then_some(args.uses);
    let order = ClusterRequest::CreateToken { lifetime_seconds: args.lifetime.as_secs(), uses };
    let reply = request(&args.socket, &order)?;
    let ClusterReply::Token { id, token } = reply else {
        return Err(unexpected(&ClusterReply::Done));
    };
    if args.quiet {
        return print(&format!("{token}\n"));
    }
    let often = match uses {
        Some(1) => "one node".to_owned(),
        Some(uses) => format!("{uses} nodes"),
        None => "any number of nodes".to_owned(),
    };
    print(&format!(
        "token {id} lets {often} in for {}; on the new node, run\n\n  standfast join --token {token}\n",
        format_duration(args.lifetime)
    ))
}

fn render(tokens: &[TokenStatus]) -> String {
    if tokens.is_empty() {
        return "  none\n".into();
    }
    let mut table = table(&["token", "uses left", "ends"]);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let now = now.unwrap_or_default().as_secs();
    for token in tokens {
        let left = token.ends.saturating_sub(now);
        let ends = match left {
            0 => "expired".into(),
            left => format!("in {}", format_duration(std::time::Duration::from_secs(left))),
        };
        let uses = token.uses_left.map_or_else(|| "any".into(), |uses| uses.to_string());
        table.add_row(vec![token.id.clone(), uses, ends]);
    }
    lines(&table)
}
