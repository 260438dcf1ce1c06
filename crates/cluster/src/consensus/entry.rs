//! The ways into a cluster: founding one, joining one.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use data_encoding::HEXLOWER;
use standfast_settings::{ClusterSettings, is_name};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::wire::{
    JoinRequest, LeaderAnswer, LeaderError, MAX_STRANGER_FRAME, Reply, Request, encode, read_frame,
    write_frame,
};
use crate::model::{
    Activity, ClusterId, FORMAT, InitialState, Keys, Member, Membership, NodeId, Role, Secret,
};
use crate::pki::{
    Authority, Founding, Identity, IdentityFiles, JoinToken, PkiError, authority_fingerprint,
    explain, joining_client, random,
};

/// The port on which members find each other.
pub const DEFAULT_PORT: u16 = 7420;

/// How long one member may take to answer a node that joins.
const PATIENCE: Duration = Duration::from_secs(15);

/// The first node's number, and its certificate's.
const FIRST: u64 = 1;

/// Why a node does not come into a cluster.
#[derive(Debug, thiserror::Error)]
pub enum EntryError {
    /// It belongs to one already.
    #[error(
        "this node is node {node} of cluster {cluster} already; to have it in another one, remove it \
         there (`standfast node remove`), stop its daemon, and move {directory} away"
    )]
    AlreadyMember {
        /// The cluster.
        cluster: ClusterId,
        /// Its number there.
        node: NodeId,
        /// Where that is written.
        directory: std::path::PathBuf,
    },
    /// The name cannot be one.
    #[error("`{0}` is not a name: use letters, digits, `-`, `_` and `.`, 63 at most")]
    BadName(String),
    /// There is no address to reach the node at.
    #[error(
        "this node needs an address at which the others reach it; give one with --address, such \
         as 10.0.0.1:{DEFAULT_PORT}"
    )]
    NoAddress,
    /// There is nobody to ask.
    #[error("the token names no address of a member; give one, such as 10.0.0.1:{DEFAULT_PORT}")]
    NobodyToAsk,
    /// Nobody answered.
    #[error(
        "no member of the cluster could be asked:\n{}\nis a daemon running there, and TCP port \
         {DEFAULT_PORT} open? Any member will do: give the address of one that runs",
        .0.join("\n")
    )]
    NobodyAnswers(Vec<String>),
    /// The cluster does not let the node in.
    #[error("the cluster does not let this node in: {0}")]
    Refused(String),
    /// Keys or certificates cannot be made or kept.
    #[error(transparent)]
    Pki(#[from] PkiError),
}

/// What a node says of itself when it founds or joins a cluster.
#[derive(Clone, Debug)]
pub struct Entrant {
    /// Its name.
    pub name: String,
    /// Where the others reach it.
    pub addresses: Vec<SocketAddr>,
    /// Where it listens; `addresses` if that is empty.
    pub listen: Vec<SocketAddr>,
    /// What it is for.
    pub role: Role,
    /// Whether it takes the place of the member of its name.
    pub replace: bool,
}

impl Entrant {
    fn check(&self) -> Result<(), EntryError> {
        if !is_name(&self.name) {
            return Err(EntryError::BadName(self.name.clone()));
        }
        let reachable = |address: &SocketAddr| !address.ip().is_unspecified() && address.port() > 0;
        if self.addresses.is_empty() || !self.addresses.iter().all(reachable) {
            return Err(EntryError::NoAddress);
        }
        Ok(())
    }

    fn identity(&self, cluster: ClusterId, node: NodeId) -> Identity {
        let listen = if self.listen.is_empty() { &self.addresses } else { &self.listen };
        Identity { cluster, node, name: self.name.clone(), listen: listen.clone(), timing: None }
    }
}

/// Makes this node the first of a new cluster. It exists when its member was started once.
///
/// # Errors
/// The node belongs to a cluster already, or its files cannot be written.
pub fn found(
    files: &IdentityFiles,
    entrant: &Entrant,
    settings: ClusterSettings,
) -> Result<Identity, EntryError> {
    entrant.check()?;
    refuse_members(files)?;
    files.create()?;
    let now = SystemTime::now();
    let cluster = ClusterId(u128::from_be_bytes(random()?));
    let node = NodeId(FIRST);
    let authority = Authority::found(cluster, now)?;
    let key = files.key()?;
    let request = crate::pki::Request::from_pem(&key.request()?)?;
    let ends = now + settings.timing.certificate_lifetime;
    let certificate = authority.certify(&request, node, FIRST, now, ends)?;
    let ends_ms = ends.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    let member = Member {
        id: node,
        name: entrant.name.clone(),
        addresses: entrant.addresses.clone(),
        role: entrant.role,
        activity: Activity::Active,
        membership: Membership::Voting,
        key_fingerprint: request.fingerprint(),
        certificate: FIRST,
        least_certificate: 0,
        certificate_ends_ms: u64::try_from(ends_ms).unwrap_or(u64::MAX),
        since_ms: 0,
        format: FORMAT,
        version: env!("CARGO_PKG_VERSION").into(),
    };
    let keys = Keys {
        authority_certificate: authority.certificate().into(),
        authority_key: authority.key(),
        file_handles: Secret::new(HEXLOWER.encode(&random::<16>()?)),
        heartbeats: Secret::new(HEXLOWER.encode(&random::<32>()?)),
    };
    let mut identity = entrant.identity(cluster, node);
    identity.timing = Some(settings.timing.clone());
    files
        .write_founding(&Founding { initial: InitialState { cluster, keys, member, settings } })?;
    files.write_certificates(&certificate, authority.certificate())?;
    // Last: from now on the node is a member.
    files.write_identity(&identity)?;
    Ok(identity)
}

fn refuse_members(files: &IdentityFiles) -> Result<(), EntryError> {
    match files.identity()? {
        None => Ok(()),
        Some(Identity { cluster, node, .. }) => {
            let directory = files.directory().to_owned();
            Err(EntryError::AlreadyMember { cluster, node, directory })
        }
    }
}

/// Lets this node into the cluster that made the token. `hints` are tried before the addresses of
/// the token. A node that is a member already gets a new certificate: that is the way back for one
/// whose certificate has expired.
///
/// # Errors
/// No member can be reached, or the cluster refuses.
pub async fn join(
    files: &IdentityFiles,
    entrant: &Entrant,
    token: &JoinToken,
    hints: &[String],
) -> Result<Identity, EntryError> {
    entrant.check()?;
    files.create()?;
    let known = files.identity()?;
    // Before the token is used up for a node that is elsewhere.
    if let Some(Identity { cluster, node, .. }) = known
        && authority_fingerprint(&files.certificates()?.1)? != token.authority
    {
        let directory = files.directory().to_owned();
        return Err(EntryError::AlreadyMember { cluster, node, directory });
    }
    let key = files.key()?;
    let request = JoinRequest {
        secret: token.secret(),
        name: entrant.name.clone(),
        addresses: entrant.addresses.clone(),
        role: entrant.role,
        request: key.request()?,
        replace: entrant.replace,
        member: known.as_ref().map(|known| known.node),
        format: FORMAT,
        version: env!("CARGO_PKG_VERSION").into(),
    };
    let answer = ask_somebody(token, hints, &request).await?;
    if let Some(Identity { cluster, node, .. }) =
        known.filter(|known| known.cluster != answer.cluster || known.node != answer.node)
    {
        let directory = files.directory().to_owned();
        return Err(EntryError::AlreadyMember { cluster, node, directory });
    }
    files.write_certificates(&answer.certificate, &answer.authority)?;
    let identity = entrant.identity(answer.cluster, answer.node);
    files.write_identity(&identity)?;
    Ok(identity)
}

async fn ask_somebody(
    token: &JoinToken,
    hints: &[String],
    request: &JoinRequest,
) -> Result<super::wire::JoinAnswer, EntryError> {
    let mut failures = Vec::new();
    for address in hints.iter().chain(&token.addresses) {
        match timeout(PATIENCE, ask(token, address, request)).await {
            Ok(Ok(Reply::Leader(Ok(LeaderAnswer::Joined(answer))))) => return Ok(*answer),
            Ok(Ok(Reply::Leader(Err(LeaderError::Refused(why))) | Reply::Refused(why))) => {
                return Err(EntryError::Refused(why));
            }
            Ok(Ok(Reply::Leader(Err(error)))) => failures.push(format!("  {address}: {error}")),
            Ok(Ok(_)) => failures.push(format!("  {address}: it answered something else")),
            Ok(Err(why)) => failures.push(format!("  {address}: {why}")),
            Err(_) => failures.push(format!("  {address}: no answer in time")),
        }
    }
    if failures.is_empty() {
        return Err(EntryError::NobodyToAsk);
    }
    Err(EntryError::NobodyAnswers(failures))
}

async fn ask(token: &JoinToken, address: &str, request: &JoinRequest) -> Result<Reply, String> {
    let address = with_port(address);
    let stream = TcpStream::connect(&address).await.map_err(|error| error.to_string())?;
    let (client, name) = joining_client(token.authority).map_err(|error| error.to_string())?;
    let connected = TlsConnector::from(client).connect(name, stream).await;
    let mut stream = connected.map_err(|error| match explain(&error) {
        why if why.contains("another cluster") => {
            "it belongs to another cluster than the token".to_owned()
        }
        why => why,
    })?;
    let frame = encode(1, &Request::Join(request.clone())).map_err(|error| error.to_string())?;
    write_frame(&mut stream, &frame).await.map_err(|error| explain(&error))?;
    match read_frame::<Reply>(&mut stream, MAX_STRANGER_FRAME).await {
        Ok(Some((_, reply))) => Ok(reply),
        Ok(None) => Err("it hung up".into()),
        Err(error) => Err(explain(&error)),
    }
}

/// An address with the port of the cluster, if it names none.
pub fn with_port(address: &str) -> String {
    let bare_v6 = address.parse::<std::net::Ipv6Addr>().is_ok();
    let has_port = address.parse::<SocketAddr>().is_ok()
        || (!bare_v6
            && address.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok()));
    match (has_port, bare_v6) {
        (true, _) => address.to_owned(),
        (false, true) => format!("[{address}]:{DEFAULT_PORT}"),
        (false, false) => format!("{address}:{DEFAULT_PORT}"),
    }
}

/// A new token of the cluster, which is yet to be agreed on.
///
/// # Errors
/// The authority's certificate cannot be read, or the system gives no random numbers.
pub fn make_token(authority: &str, addresses: Vec<String>) -> Result<JoinToken, EntryError> {
    Ok(JoinToken::new(authority_fingerprint(authority)?, addresses)?)
}
