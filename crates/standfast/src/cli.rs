//! The command line.

pub(crate) mod cluster;

use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use standfast_settings::ClientRule;

/// Where the daemon keeps its settings.
pub(crate) const DEFAULT_CONFIG: &str = "/etc/standfast/standfast.toml";

/// Shared storage that stays up
#[derive(Debug, Parser)]
#[command(name = "standfast", version, propagate_version = true, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// See a failover on this machine: three nodes, clients under load, faults, and what they saw
    Try(Try),
    /// Serve one directory over NFS, without a settings file
    Serve(Serve),
    /// Run the daemon with a settings file
    Run(Run),
    /// Say what is wrong with a settings file, and what in it is dangerous
    Check(Check),
    /// Show how the cluster is, exports, clients and what they do now
    Status(Status),
    /// Have the daemon read its settings file again; clients do not notice
    Reload(Reload),
    /// Hold floating addresses by VRRP, as Keepalived does
    Vrrp(Vrrp),
    /// Make settings of another program's configuration
    Import(Import),
    /// Look at the log of what clients were promised, also while it is in use
    Journal(Journal),
    /// Found a cluster; this node is its first
    Init(cluster::Init),
    /// Join a cluster, with a token that one of its nodes made
    Join(cluster::Join),
    /// Show what would change if a file became the cluster's settings
    Plan(cluster::Apply),
    /// Make a file the cluster's settings, the same on every node
    Apply(cluster::Apply),
    /// Show the cluster's settings, as a file that gives them
    Show(cluster::Show),
    /// Services: floating addresses with what is behind them
    Service(cluster::Service),
    /// Nodes of the cluster
    Node(cluster::Node),
    /// Tokens that let nodes join
    Token(cluster::Token),
    /// Show what happened in the cluster
    Events(cluster::Events),
    /// How services changed their nodes
    Failover(cluster::Failover),
    /// What the daemon starts beside itself: it takes the addresses down when the daemon dies
    #[command(hide = true)]
    Keeper,
}

const SERVE_EXAMPLES: &str = "\
Examples:
  standfast serve /srv/data
      everybody may read; mount with the command that it prints
  standfast serve /srv/data --export /data --allow 10.0.0.0/8:rw,no_root_squash
      the machines of 10.0.0.0/8 may write, as root too, and know it as /data
  standfast serve /srv/data --port 12049 --rpcbind off --allow 127.0.0.1:rw,insecure
      a try on a high port that leaves the machine's port 111 alone";

/// Arguments of `serve`.
#[derive(Debug, Args)]
#[command(after_help = SERVE_EXAMPLES)]
pub(crate) struct Serve {
    /// The directory to serve
    pub(crate) directory: PathBuf,
    /// The path by which clients ask for it [default: the directory itself]
    #[arg(long, value_name = "PATH")]
    pub(crate) export: Option<PathBuf>,
    /// Who may use it and how, for example 10.0.0.0/8:rw,no_root_squash; the options are those
    /// of exports(5) [default: *:ro]
    #[arg(long, value_name = "CLIENT[:OPTIONS]")]
    pub(crate) allow: Vec<ClientRule>,
    /// Also serve the filesystems that are mounted below the directory
    #[arg(long)]
    pub(crate) cross_mounts: bool,
    /// Listen on this address only; may be given several times [default: all, IPv4 and IPv6]
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) listen: Vec<IpAddr>,
    /// The port of NFS, MOUNT and locking; 0 takes any free one
    #[arg(long, default_value_t = 2049)]
    pub(crate) port: u16,
    /// How clients find the ports [default: auto]
    #[arg(long, value_enum, default_value = "auto")]
    pub(crate) rpcbind: RpcbindMode,
    /// Do not serve over UDP
    #[arg(long)]
    pub(crate) no_udp: bool,
    /// Where the key of the file handles is kept [default: /var/lib/standfast, or
    /// ~/.local/state/standfast for a user other than root]
    #[arg(long, value_name = "DIRECTORY")]
    pub(crate) state_dir: Option<PathBuf>,
    /// Where the control socket is made [default: /run/standfast, or $XDG_RUNTIME_DIR/standfast]
    #[arg(long, value_name = "DIRECTORY")]
    pub(crate) run_dir: Option<PathBuf>,
    /// Give metrics on this address
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(crate) metrics: Option<std::net::SocketAddr>,
    /// What to log: `info`, or such as `info,standfast_nfs=debug`
    #[arg(long, default_value = "info")]
    pub(crate) log: String,
}

/// How clients find the ports.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum RpcbindMode {
    /// Register with the rpcbind of the machine, or answer in its place if there is none
    Auto,
    /// Answer on port 111
    Serve,
    /// Register with the rpcbind of the machine
    Register,
    /// Neither; clients give the port
    Off,
}

/// Arguments of `run`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  standfast run\n  standfast run --config ./standfast.toml")]
pub(crate) struct Run {
    /// The settings file
    #[arg(long, value_name = "FILE", default_value = DEFAULT_CONFIG, env = "STANDFAST_CONFIG")]
    pub(crate) config: PathBuf,
}

/// Arguments of `check`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  standfast check\n  standfast check ./standfast.toml --json\n  \
    standfast check --exports /etc/exports --print\n      reads exports(5) and writes it as \
    settings\n\nExit code: 0 usable, 1 not usable; with --strict, 1 also for a warning"
)]
pub(crate) struct Check {
    /// The settings file
    #[arg(default_value = DEFAULT_CONFIG)]
    pub(crate) file: PathBuf,
    /// Check a file in the syntax of exports(5) instead
    #[arg(long, value_name = "FILE")]
    pub(crate) exports: Option<PathBuf>,
    /// Write the exports as settings, in TOML, to standard output
    #[arg(long)]
    pub(crate) print: bool,
    /// Fail also if there are only warnings
    #[arg(long)]
    pub(crate) strict: bool,
    /// Write the findings as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Where the daemon is asked.
#[derive(Debug, Args)]
pub(crate) struct Socket {
    /// The control socket [default: that of the daemon on this machine]
    #[arg(long, value_name = "PATH")]
    pub(crate) socket: Option<PathBuf>,
}

/// Arguments of `journal`.
#[derive(Debug, Args)]
pub(crate) struct Journal {
    #[command(subcommand)]
    pub(crate) command: JournalCommand,
}

/// What is done with the journal.
#[derive(Debug, Subcommand)]
pub(crate) enum JournalCommand {
    /// Show every record in words
    #[command(
        after_help = "Examples:\n  standfast journal show\n  standfast journal show /srv/data"
    )]
    Show {
        #[command(flatten)]
        place: JournalPlace,
        /// As JSON, one object a line
        #[arg(long)]
        json: bool,
    },
    /// Say whether it is whole, and how long it is
    #[command(after_help = "Examples:\n  standfast journal verify /srv/data")]
    Verify {
        #[command(flatten)]
        place: JournalPlace,
    },
}

/// Which journal.
#[derive(Debug, Args)]
pub(crate) struct JournalPlace {
    /// The directory that is exported, or that of the journal [default: that of the daemon on
    /// this machine]
    #[arg(value_name = "DIR")]
    pub(crate) directory: Option<PathBuf>,
    /// Where the daemon keeps what survives a restart
    #[arg(long, value_name = "DIR")]
    pub(crate) state_dir: Option<PathBuf>,
}

/// Arguments of `status`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  standfast status\n  standfast status --json | jq .clients")]
pub(crate) struct Status {
    #[command(flatten)]
    pub(crate) socket: Socket,
    /// Write it as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Arguments of `reload`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  standfast check && standfast reload\n\nExit code: 0 the new \
    settings are in force, 1 the old ones still are")]
pub(crate) struct Reload {
    #[command(flatten)]
    pub(crate) socket: Socket,
    /// Write the report as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Where the virtual routers keep their settings.
pub(crate) const DEFAULT_VRRP_CONFIG: &str = "/etc/standfast/vrrp.toml";

/// Arguments of `vrrp`.
#[derive(Debug, Args)]
pub(crate) struct Vrrp {
    #[command(subcommand)]
    pub(crate) command: VrrpCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum VrrpCommand {
    /// Run the virtual routers of a settings file
    #[command(after_help = "Examples:\n  standfast vrrp run --config ./vrrp.toml")]
    Run(VrrpConfig),
    /// Show the virtual routers, what they track and their counters, as JSON
    Status(VrrpSocket),
    /// Be master, whatever the priorities say
    TakeOver(VrrpInstance),
    /// Leave mastership to the others
    HandBack(VrrpInstance),
    /// Go by the settings again
    Release(VrrpInstance),
}

#[derive(Debug, Args)]
pub(crate) struct VrrpConfig {
    /// The settings file, with a section [vrrp]
    #[arg(long, value_name = "FILE", default_value = DEFAULT_VRRP_CONFIG)]
    pub(crate) config: PathBuf,
    /// What to log: `info`, or such as `info,standfast_vrrp=debug`
    #[arg(long, default_value = "info")]
    pub(crate) log: String,
}

#[derive(Debug, Args)]
pub(crate) struct VrrpSocket {
    /// The `control_socket` of the settings
    #[arg(long, value_name = "PATH", default_value = "/run/standfast/vrrp.sock")]
    pub(crate) socket: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct VrrpInstance {
    /// The name of the instance
    pub(crate) instance: String,
    #[command(flatten)]
    pub(crate) socket: VrrpSocket,
}

/// Arguments of `import`.
#[derive(Debug, Args)]
pub(crate) struct Import {
    #[command(subcommand)]
    pub(crate) of: ImportOf,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ImportOf {
    /// Of Keepalived: vrrp_instance, vrrp_sync_group, vrrp_script and what they need
    #[command(
        after_help = "Examples:\n  standfast import keepalived /etc/keepalived/keepalived.conf \
        --output /etc/standfast/vrrp.toml\n  standfast import keepalived keepalived.conf --config-id \
        nfs1\n\nThe account of each line goes to standard error. Exit code: 0 all was mapped or \
        approximated, 1 something was refused or it could not be read"
    )]
    Keepalived(ImportKeepalived),
}

#[derive(Debug, Args)]
pub(crate) struct ImportKeepalived {
    /// The configuration
    pub(crate) file: PathBuf,
    /// What `keepalived --config-id` is given: the lines that begin with @ID belong to it
    #[arg(long, value_name = "ID")]
    pub(crate) config_id: Option<String>,
    /// Write the settings to this file, which must not exist, and not to standard output
    #[arg(long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

/// Arguments of `try`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  sudo standfast try\n  sudo standfast try --keep\n  sudo \
    standfast try --runs 10 --json > pauses.json\n\nExit code: 0 the clients saw pauses and \
    nothing else, 1 they saw more, or it could not be run")]
pub(crate) struct Try {
    /// Leave the cluster up afterwards, until Ctrl-C, and say how to play with it
    #[arg(long)]
    pub(crate) keep: bool,
    /// How often each fault is tried
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) runs: usize,
    /// Decides what the clients do in which order [default: another one each time]
    #[arg(long)]
    pub(crate) seed: Option<u64>,
    /// Write what was measured as JSON; what happens is still told on standard error
    #[arg(long)]
    pub(crate) json: bool,
}
