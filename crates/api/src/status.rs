//! What `standfast status` and `standfast reload` say.

use serde::{Deserialize, Serialize};

/// The state of a node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// The server as a whole.
    pub server: ServerStatus,
    /// What is exported.
    pub exports: Vec<ExportStatus>,
    /// Who is connected.
    pub clients: Vec<ClientStatus>,
    /// Locks of NFSv3 clients.
    pub locks: Vec<LockStatus>,
}

/// The server as a whole.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServerStatus {
    /// Its version.
    pub version: String,
    /// Its process.
    pub pid: u32,
    /// Seconds since it started.
    pub uptime_seconds: u64,
    /// Where it listens.
    pub listening: Vec<String>,
    /// How clients find its ports.
    pub rpcbind: String,
    /// Connections.
    pub connections: usize,
    /// Bytes of requests and replies in memory.
    pub bytes_in_flight: usize,
    /// Replies kept for retransmissions.
    pub cached_replies: usize,
    /// Why the exports in force are not those of the settings file, if they are not.
    pub settings_problem: Option<String>,
    /// What is the matter with the room on the journal's disk, if anything is.
    #[serde(default)]
    pub journal_problem: Option<String>,
}

/// An export.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ExportStatus {
    /// The path that clients use.
    pub path: String,
    /// The directory behind it.
    pub directory: String,
    /// Its identity, in hexadecimal.
    pub fsid: String,
    /// Who may use it.
    pub clients: Vec<String>,
    /// Operations so far.
    pub operations: u64,
    /// Operations that failed.
    pub errors: u64,
    /// Bytes read.
    pub read_bytes: u64,
    /// Bytes written.
    pub written_bytes: u64,
}

/// A connection, or a datagram that is being answered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClientStatus {
    /// Where it comes from.
    pub address: String,
    /// The address of ours that it uses.
    pub local: String,
    /// `tcp` or `udp`.
    pub transport: String,
    /// Since when, seconds of the Unix epoch.
    pub since: u64,
    /// Seconds since its last call.
    pub idle_seconds: u64,
    /// Calls so far.
    pub calls: u64,
    /// Calls that run now.
    pub running: u64,
    /// Bytes received from it.
    pub received_bytes: u64,
    /// Bytes sent to it.
    pub sent_bytes: u64,
    /// What its last call was, or what it does now.
    pub last_call: Option<String>,
}

/// The locks of one client.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LockStatus {
    /// The client's name.
    pub client: String,
    /// Locks that it holds.
    pub held: usize,
    /// Locks that it waits for.
    pub waiting: usize,
}

/// What a reload did.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ReloadReport {
    /// Settings that are in force now.
    pub applied: Vec<String>,
    /// Settings that differ and wait for a restart.
    pub needs_restart: Vec<String>,
    /// Warnings about the file.
    pub warnings: Vec<String>,
    /// Why nothing was changed, if the file could not be used.
    pub errors: Vec<String>,
}
