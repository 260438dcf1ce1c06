//! `standfast init` and `standfast join`.

use std::io::Read;
use std::net::{SocketAddr, ToSocketAddrs, UdpSocket};
use std::path::Path;
use std::process::ExitCode;

use miette::{IntoDiagnostic, WrapErr, miette};
use standfast_api::{ClientError, ClusterFailure, ClusterRequest};
use standfast_cluster::consensus::{DEFAULT_PORT, Entrant, found, join as join_cluster, with_port};
use standfast_cluster::model::Role;
use standfast_cluster::pki::{Identity, IdentityFiles, JoinToken, PkiError};
use standfast_settings::{ClusterSettings, load_cluster};

use crate::cli::cluster::{Home, Init, Join};
use crate::cluster;
use crate::commands::{ask, client, default_state_dir, findings, print};

/// An address that nobody has (RFC 5737): towards it, this machine uses the address that others
/// reach it at. Nothing is sent.
const SOMEWHERE: &str = "198.51.100.1:9";

pub(crate) fn init(args: &Init) -> miette::Result<ExitCode> {
    let settings = match &args.settings {
        Some(file) => {
            let loaded = load_cluster(file);
            findings::print_cluster(&loaded);
            let Some(settings) = loaded.settings else { return Ok(ExitCode::FAILURE) };
            settings
        }
        None => ClusterSettings::default(),
    };
    let entrant = entrant(&args.home, SOMEWHERE)?;
    let identity = found(&files(&args.home), &entrant, settings).map_err(told)?;
    print(&format!("cluster {} is founded; this node is {}\n", identity.cluster, identity.name))?;
    begin(&args.home, &identity)
}

pub(crate) fn join(args: &Join) -> miette::Result<ExitCode> {
    let token = read_token(args)?;
    let hints: Vec<_> = args.members.iter().map(|member| with_port(member)).collect();
    let towards = hints.first().or(token.addresses.first()).map_or(SOMEWHERE, String::as_str);
    let mut entrant = entrant(&args.home, towards)?;
    entrant.replace = args.replace;
    if args.witness {
        entrant.role = Role::Witness;
    }
    let files = files(&args.home);
    let joined = ask(join_cluster(&files, &entrant, &token, &hints))?;
    let identity = joined.map_err(told)?;
    let Identity { cluster, node, name, .. } = &identity;
    print(&format!("this node is {name}, node {node} of cluster {cluster}\n"))?;
    begin(&args.home, &identity)
}

/// An error whose text has its cause in it already.
fn told(error: impl std::fmt::Display) -> miette::Report {
    miette!("{error}")
}

fn files(home: &Home) -> IdentityFiles {
    cluster::files(&home.state_dir.clone().unwrap_or_else(default_state_dir))
}

/// A daemon that runs already takes part from now on.
fn begin(home: &Home, identity: &Identity) -> miette::Result<ExitCode> {
    let client = client(&home.socket);
    let answer = ask(async { client.cluster(&ClusterRequest::Status).await })?;
    let advice = match answer {
        Ok(Ok(_)) => format!("its daemon takes part; it listens on {}\n", shown(&identity.listen)),
        Err(ClientError::Connect { .. }) => {
            "start its daemon now: systemctl enable --now standfast, or `standfast run`\n".into()
        }
        Ok(Err(ClusterFailure::NoCluster)) => {
            "its daemon keeps its state elsewhere: give the same --state-dir to both\n".into()
        }
        Ok(Err(failure)) => return Err(miette!("its daemon does not take part: {failure}")),
        Err(error) => format!("restart its daemon, so that it takes part ({error})\n"),
    };
    print(&advice)?;
    Ok(ExitCode::SUCCESS)
}

fn shown(addresses: &[SocketAddr]) -> String {
    addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn entrant(home: &Home, towards: &str) -> miette::Result<Entrant> {
    let name = match &home.name {
        Some(name) => name.clone(),
        None => {
            let system = rustix::system::uname();
            system.nodename().to_string_lossy().into_owned()
        }
    };
    let mut addresses = resolve(&home.address)?;
    if addresses.is_empty() {
        addresses.extend(own_address(towards).map(|ip| SocketAddr::new(ip, DEFAULT_PORT)));
    }
    let listen = resolve(&home.listen)?;
    Ok(Entrant { name, addresses, listen, role: Role::Full, replace: false })
}

fn resolve(addresses: &[String]) -> miette::Result<Vec<SocketAddr>> {
    let one = |text: &String| {
        let found = with_port(text).to_socket_addrs().into_diagnostic();
        let found = found.wrap_err_with(|| format!("`{text}` is not an address"))?.next();
        found.ok_or_else(|| miette!("`{text}` has no address"))
    };
    addresses.iter().map(one).collect()
}

/// The address that this machine uses towards another.
fn own_address(towards: &str) -> Option<std::net::IpAddr> {
    let target = with_port(towards).to_socket_addrs().ok()?.next()?;
    let any: SocketAddr = match target {
        SocketAddr::V4(_) => ([0, 0, 0, 0], 0).into(),
        SocketAddr::V6(_) => (std::net::Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any).ok()?;
    socket.connect(target).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

fn read_token(args: &Join) -> miette::Result<JoinToken> {
    let text = match (&args.token, &args.token_file) {
        (Some(token), _) => token.clone(),
        (None, Some(file)) => read_text(file)?,
        (None, None) => {
            return Err(miette!(
                "a token is needed: run `standfast token create` on a member and give it with \
                 --token or --token-file"
            ));
        }
    };
    text.parse().map_err(|error: PkiError| told(error))
}

/// A file, or standard input for `-`.
pub(super) fn read_text(file: &Path) -> miette::Result<String> {
    const MAX: u64 = 16 << 20;
    let mut text = String::new();
    let read = if file == Path::new("-") {
        std::io::stdin().lock().take(MAX).read_to_string(&mut text)
    } else {
        std::fs::File::open(file).and_then(|file| file.take(MAX).read_to_string(&mut text))
    };
    read.into_diagnostic().wrap_err_with(|| format!("cannot read {}", file.display()))?;
    Ok(text)
}
