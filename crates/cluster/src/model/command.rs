//! What can be asked of the replicated state, and what it answers.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};
use standfast_settings::{ClusterSettings, ServiceSettings};

use super::{
    ChangeReason, ClusterId, Epoch, Keys, Member, NodeId, Role, Token, TokenHash, TokenId,
};

/// A command with the time at which the leader took it, which events and expiry go by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamped {
    /// Milliseconds of the Unix epoch, by the leader's clock.
    pub at_ms: u64,
    /// The command.
    pub command: Command,
}

/// What a new cluster begins with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InitialState {
    /// The identity of the cluster.
    pub cluster: ClusterId,
    /// Its certificate authority and its secrets.
    pub keys: Keys,
    /// Its first member.
    pub member: Member,
    /// Its settings.
    pub settings: ClusterSettings,
}

/// A change of the replicated state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Command {
    /// Founds the cluster. A second one is refused, if it is not the same.
    Found(Box<InitialState>),
    /// Lets a node in. One that was let in with the same key already is answered as then.
    Admit {
        /// The hash of the token's secret.
        token: TokenHash,
        /// The name of the node.
        name: String,
        /// Where the others reach it.
        addresses: Vec<SocketAddr>,
        /// What it is for.
        role: Role,
        /// SHA-256 of its public key, in hexadecimal.
        key_fingerprint: String,
        /// The newest format that it knows.
        format: u32,
        /// The version of its program.
        version: String,
        /// Takes the place of the member of this name, whose certificates are refused from then
        /// on.
        replace: bool,
        /// When its certificate will end, milliseconds of the Unix epoch.
        certificate_ends_ms: u64,
    },
    /// Gives a member a number for a new certificate.
    RenewCertificate {
        /// The member.
        node: NodeId,
        /// The number of the certificate that is to be renewed; another one was renewed already.
        expected: u64,
        /// SHA-256 of its public key.
        key_fingerprint: String,
        /// When the new certificate will end, milliseconds of the Unix epoch.
        ends_ms: u64,
    },
    /// A joining member votes from now on.
    MarkVoting {
        /// The member.
        node: NodeId,
    },
    /// Begins the removal of a member.
    Remove {
        /// The member.
        node: NodeId,
        /// Also if it holds services.
        force: bool,
    },
    /// Ends the removal of a member that has no vote any more.
    Forget {
        /// The member.
        node: NodeId,
    },
    /// A member says what it is: after a start, an upgrade, a change of address.
    Announce {
        /// The member.
        node: NodeId,
        /// Where the others reach it.
        addresses: Vec<SocketAddr>,
        /// The newest format that it knows.
        format: u32,
        /// The version of its program.
        version: String,
    },
    /// A member gives its services away and gets no new ones.
    Drain {
        /// The member.
        node: NodeId,
    },
    /// A drained member may hold services again.
    Resume {
        /// The member.
        node: NodeId,
    },
    /// Takes other settings, if they still are of the version that the change was made for.
    ApplySettings {
        /// The version that is to be replaced.
        expected: u64,
        /// The new settings.
        settings: Box<ClusterSettings>,
    },
    /// Makes a service, or changes it.
    PutService {
        /// Its name.
        name: String,
        /// Its settings.
        service: Box<ServiceSettings>,
        /// It must not be there yet.
        create: bool,
    },
    /// Deletes a service.
    DeleteService {
        /// Its name.
        name: String,
    },
    /// Asks for a planned change of holder.
    MoveService {
        /// The service.
        name: String,
        /// Where it is to go.
        target: NodeId,
    },
    /// Gives up a planned change of holder.
    CancelMove {
        /// The service.
        name: String,
    },
    /// Changes the holder of a service, if it is still in the epoch that the change was made for.
    ChangeHolder {
        /// The service.
        service: String,
        /// The epoch that must be the current one.
        expected: Epoch,
        /// The new holder.
        holder: Option<NodeId>,
        /// The run of the new holder's daemon.
        #[serde(default)]
        incarnation: u64,
        /// Why.
        reason: ChangeReason,
    },
    /// Names the node that is to get ready for a service, in an orderly move, or takes it back.
    NameSuccessor {
        /// The service.
        service: String,
        /// The epoch that must be the current one.
        epoch: Epoch,
        /// The node.
        successor: Option<NodeId>,
    },
    /// Keeps the steps of a change of holder for people to see.
    RecordTimeline {
        /// The service.
        service: String,
        /// The epoch that began.
        epoch: Epoch,
        /// Each step and its milliseconds since the change began.
        steps: Vec<(String, u64)>,
    },
    /// Keeps a token.
    CreateToken {
        /// Its name.
        id: TokenId,
        /// The token.
        token: Token,
    },
    /// Takes a token back.
    RevokeToken {
        /// Its name.
        id: TokenId,
    },
    /// Goes on in a newer format, which every member knows.
    RaiseFormat {
        /// The format.
        format: u32,
    },
}

/// What became of a command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It is done, or was done before.
    Done,
    /// A node may join.
    Admitted {
        /// Its number.
        node: NodeId,
        /// The number of its certificate.
        certificate: u64,
        /// When the certificate ends, milliseconds of the Unix epoch.
        ends_ms: u64,
    },
    /// A certificate may be made.
    Certificate {
        /// Its number.
        certificate: u64,
        /// When it ends, milliseconds of the Unix epoch.
        ends_ms: u64,
    },
    /// The settings have this version.
    Settings {
        /// The version.
        version: u64,
    },
    /// The service has this epoch.
    Holder {
        /// The epoch.
        epoch: Epoch,
    },
    /// Nothing was changed.
    Refused(Refusal),
}

/// Why a command changed nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// There is no cluster yet.
    #[error("the cluster is not founded yet")]
    NotFounded,
    /// There is a cluster already.
    #[error("this is the cluster {0} already")]
    Founded(ClusterId),
    /// The token is not known.
    #[error("the token is not known here; make one with `standfast token create`")]
    TokenUnknown,
    /// The token has ended.
    #[error("the token has expired; make a new one with `standfast token create`")]
    TokenExpired,
    /// The token has let in as many as it may.
    #[error("the token was used already; make a new one with `standfast token create`")]
    TokenUsed,
    /// There are too many tokens.
    #[error("there are {0} tokens already; take some back with `standfast token revoke`")]
    TooManyTokens(usize),
    /// Another member has the name.
    #[error(
        "there is a node `{0}` already; choose another name, or give --replace if this one takes \
         its place"
    )]
    NameTaken(String),
    /// There is no member of that name to replace.
    #[error("there is no node `{0}` that could be replaced")]
    NothingToReplace(String),
    /// The text cannot name anything.
    #[error("`{0}` is not a name: use letters, digits, `-`, `_` and `.`, 63 at most")]
    BadName(String),
    /// There are too many members.
    #[error("a cluster has at most {0} nodes")]
    TooManyMembers(usize),
    /// There is no such member.
    #[error("there is no node {0}")]
    NoSuchNode(NodeId),
    /// It is the last voter.
    #[error("node {0} is the last one that votes; nothing would remain")]
    LastVoter(NodeId),
    /// The member holds services.
    #[error(
        "node {node} holds {}; drain it first with `standfast node drain`, or give --force if it \
         is dead",
        .services.join(", ")
    )]
    HoldsServices {
        /// The member.
        node: NodeId,
        /// What it holds.
        services: Vec<String>,
    },
    /// The member is on its way out.
    #[error("node {0} is being removed")]
    IsLeaving(NodeId),
    /// The member may not hold services.
    #[error("node {0} cannot hold a service: it is a witness, or drained, or being removed")]
    CannotServe(NodeId),
    /// The settings were changed by somebody else.
    #[error("the settings were changed meanwhile: they have version {current}, not {expected}")]
    SettingsMoved {
        /// The version that was expected.
        expected: u64,
        /// The version that they have.
        current: u64,
    },
    /// The settings contradict themselves.
    #[error("{}", .0.join("; "))]
    Contradiction(Vec<String>),
    /// There is no such service.
    #[error("there is no service `{0}`")]
    NoSuchService(String),
    /// There is such a service.
    #[error("there is a service `{0}` already")]
    ServiceExists(String),
    /// The service is in another epoch.
    #[error("`{service}` is in epoch {current}, not {expected}")]
    EpochMoved {
        /// The service.
        service: String,
        /// The epoch that was expected.
        expected: Epoch,
        /// The epoch that it is in.
        current: Epoch,
    },
    /// A member does not know the format.
    #[error("node {node} does not know format {format} yet; upgrade it first")]
    FormatUnknown {
        /// The member.
        node: NodeId,
        /// The format.
        format: u32,
    },
    /// The node speaks a format that is too old or too new for this cluster.
    #[error("the cluster speaks format {cluster}, this node knows {node} at most; upgrade it")]
    FormatTooOld {
        /// What the cluster speaks.
        cluster: u32,
        /// What the node knows.
        node: u32,
    },
}
