//! The part of the command line that is about the cluster.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use standfast_settings::{ClientRule, FloatingAddress};

use super::Socket;

/// Where a node keeps its state and is asked.
#[derive(Debug, Args)]
pub(crate) struct Home {
    /// Where the node keeps what makes it a member [default: /var/lib/standfast, or
    /// ~/.local/state/standfast for a user other than root]
    #[arg(long, value_name = "DIRECTORY")]
    pub(crate) state_dir: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) socket: Socket,
    /// The name of this node [default: that of the machine]
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Where the other nodes reach this one; may be given several times, the best first [default:
    /// the address that this machine uses towards others, port 7420]
    #[arg(long, value_name = "ADDRESS[:PORT]")]
    pub(crate) address: Vec<String>,
    /// Where this node listens for the others, if not at its addresses
    #[arg(long, value_name = "ADDRESS[:PORT]")]
    pub(crate) listen: Vec<String>,
}

/// Arguments of `init`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  standfast init\n  standfast init --name nas1 --address 10.0.0.1 \
    --settings cluster.toml\n\nOne node is a cluster of one and needs nothing else. To add another, \
    run `standfast token create` here and `standfast join` there."
)]
pub(crate) struct Init {
    #[command(flatten)]
    pub(crate) home: Home,
    /// The settings to begin with
    #[arg(long, value_name = "FILE")]
    pub(crate) settings: Option<PathBuf>,
}

/// Arguments of `join`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  standfast join 10.0.0.1 --token standfast1_…\n  ssh nas1 standfast \
    token create --quiet | standfast join --token-file -\n  standfast join 10.0.0.1 --token-file \
    /run/token --witness\n\nA node whose certificate has expired joins again with a new token; \
    nothing is lost."
)]
pub(crate) struct Join {
    /// Members to ask [default: those that the token names]
    #[arg(value_name = "ADDRESS[:PORT]")]
    pub(crate) members: Vec<String>,
    /// The token that `standfast token create` printed. Others on this machine can see arguments:
    /// --token-file hides it
    #[arg(long, env = "STANDFAST_TOKEN", hide_env_values = true)]
    pub(crate) token: Option<String>,
    /// A file with the token; `-` is standard input
    #[arg(long, value_name = "FILE", conflicts_with = "token")]
    pub(crate) token_file: Option<PathBuf>,
    /// Vote, and store and serve nothing
    #[arg(long)]
    pub(crate) witness: bool,
    /// Take the place of the node of this name, which is refused from then on
    #[arg(long)]
    pub(crate) replace: bool,
    #[command(flatten)]
    pub(crate) home: Home,
}

/// Arguments of `apply` and `plan`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  standfast plan cluster.toml && standfast apply cluster.toml\n  \
    standfast show > cluster.toml\n\nExit code: 0 done or nothing to do, 1 refused"
)]
pub(crate) struct Apply {
    /// The settings of the cluster; `-` is standard input
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) socket: Socket,
    /// Only if the settings in force have this version still
    #[arg(long, value_name = "VERSION")]
    pub(crate) expect: Option<u64>,
    /// Write the differences as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Arguments of what only shows something.
#[derive(Debug, Args)]
pub(crate) struct Show {
    #[command(flatten)]
    pub(crate) socket: Socket,
    /// Write it as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Arguments of `service`.
#[derive(Debug, Args)]
pub(crate) struct Service {
    #[command(subcommand)]
    pub(crate) command: ServiceCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ServiceCommand {
    /// Make a service: floating addresses with exports behind them
    Create(Box<ServiceCreate>),
    /// Move a service to another node, as planned: requests in flight finish
    #[command(after_help = "Examples:\n  standfast service move vmstore nas2")]
    Move(ServiceMove),
    /// Delete a service; its data stays
    Delete(Named),
    /// List the services, who holds each, since when and why
    List(Show),
}

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  standfast service create vmstore --address 10.0.0.10/24 --pool shared \
    --export /mnt/shared/vm=/vm --allow 10.0.0.0/8:rw,no_root_squash\n  standfast service create \
    home --address 10.0.0.11/24@bond0.20 --address fd00::11/64 --prefer nas2 --failback idle"
)]
pub(crate) struct ServiceCreate {
    /// Its name
    pub(crate) name: String,
    /// A floating address with its prefix, and the interface if it is not plain: 10.0.0.10/24,
    /// fd00::10/64@bond0, 10.1.0.1/24@bond0.20 (VLAN 20)
    #[arg(long, value_name = "ADDRESS/PREFIX[@INTERFACE]")]
    pub(crate) address: Vec<FloatingAddress>,
    /// The pool that its state and its exports live in
    #[arg(long)]
    pub(crate) pool: Option<String>,
    /// A directory to export, and the path by which clients ask for it
    #[arg(long, value_name = "DIRECTORY[=PATH]")]
    pub(crate) export: Vec<String>,
    /// Who may use the exports and how [default: *:ro]
    #[arg(long, value_name = "CLIENT[:OPTIONS]")]
    pub(crate) allow: Vec<ClientRule>,
    /// A node that should hold it; the first is the best
    #[arg(long, value_name = "NODE")]
    pub(crate) prefer: Vec<String>,
    /// A node that may hold it; any if none is given
    #[arg(long, value_name = "NODE")]
    pub(crate) only: Vec<String>,
    /// A service that should be on another node
    #[arg(long, value_name = "SERVICE")]
    pub(crate) apart_from: Vec<String>,
    /// A service that must be on the same node
    #[arg(long, value_name = "SERVICE")]
    pub(crate) together_with: Vec<String>,
    /// What happens when a preferred node comes back
    #[arg(long, value_enum, default_value = "stay")]
    pub(crate) failback: FailbackArgument,
    #[command(flatten)]
    pub(crate) socket: Socket,
}

/// What happens when a preferred node comes back.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum FailbackArgument {
    /// Nothing
    Stay,
    /// The service returns when its clients are idle
    Idle,
    /// It returns at once, as a planned move
    Now,
}

#[derive(Debug, Args)]
pub(crate) struct ServiceMove {
    /// The service
    pub(crate) name: String,
    /// Where it is to go
    pub(crate) node: String,
    #[command(flatten)]
    pub(crate) socket: Socket,
}

/// A command about one thing.
#[derive(Debug, Args)]
pub(crate) struct Named {
    /// Its name
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) socket: Socket,
}

/// Arguments of `node`.
#[derive(Debug, Args)]
pub(crate) struct Node {
    #[command(subcommand)]
    pub(crate) command: NodeCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum NodeCommand {
    /// List the nodes
    List(Show),
    /// Have a node give its services away and get no new ones
    Drain(Named),
    /// Let a drained node hold services again
    Resume(Named),
    /// Remove a node; a dead one with --force
    #[command(
        after_help = "Examples:\n  standfast node drain nas3 && standfast node remove nas3\n  \
        standfast node remove nas3 --force"
    )]
    Remove(NodeRemove),
}

#[derive(Debug, Args)]
pub(crate) struct NodeRemove {
    /// Its name
    pub(crate) name: String,
    /// Also if it holds services, because it is dead
    #[arg(long)]
    pub(crate) force: bool,
    #[command(flatten)]
    pub(crate) socket: Socket,
}

/// Arguments of `token`.
#[derive(Debug, Args)]
pub(crate) struct Token {
    #[command(subcommand)]
    pub(crate) command: TokenCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Make a token that lets a node join
    Create(TokenCreate),
    /// List the tokens, without their secrets
    List(Show),
    /// Take a token back
    Revoke(Named),
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  standfast token create\n  standfast token create --uses 5 \
    --lifetime 1d\n  standfast token create --quiet > /run/token")]
pub(crate) struct TokenCreate {
    /// How long it is good for
    #[arg(long, default_value = "1h", value_parser = standfast_settings::parse_duration)]
    pub(crate) lifetime: std::time::Duration,
    /// How many nodes it lets in; 0 is without a limit
    #[arg(long, default_value_t = 1)]
    pub(crate) uses: u32,
    /// Write the token and nothing else
    #[arg(long)]
    pub(crate) quiet: bool,
    #[command(flatten)]
    pub(crate) socket: Socket,
}

/// Arguments of `events`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  standfast events\n  standfast events --after 120 --json")]
pub(crate) struct Events {
    /// Only events from this number on
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    pub(crate) after: u64,
    #[command(flatten)]
    pub(crate) show: Show,
}

/// Arguments of `failover`.
#[derive(Debug, Args)]
pub(crate) struct Failover {
    #[command(subcommand)]
    pub(crate) command: FailoverCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum FailoverCommand {
    /// Show the last changes of holder, step by step
    Show(FailoverShow),
}

#[derive(Debug, Args)]
pub(crate) struct FailoverShow {
    /// Of this service only
    pub(crate) service: Option<String>,
    #[command(flatten)]
    pub(crate) show: Show,
}
