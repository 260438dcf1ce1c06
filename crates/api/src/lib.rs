//! The control socket, status and metrics.
//!
//! The daemon answers HTTP with JSON on a Unix socket that only its own user and root can open;
//! the command line is a client of it. Metrics are given on the same socket and, if set, on a TCP
//! address of their own.

mod client;
mod cluster;
mod server;
mod status;

pub use client::{Client, ClientError};
pub use cluster::{
    ClusterAnswer, ClusterControl, ClusterFailure, ClusterReply, ClusterRequest, ClusterStatus,
    EventStatus, Health, NodeStatus, ServiceStatus, TokenStatus,
};
pub use server::{Control, bind_control_socket, serve_control, serve_metrics};
pub use status::{ClientStatus, ExportStatus, LockStatus, ReloadReport, ServerStatus, Status};
