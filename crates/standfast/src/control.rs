//! What the control socket answers with.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use standfast_api::{
    ClientStatus, ClusterControl, Control, ExportStatus, LockStatus, ReloadReport, ServerStatus,
    Status,
};
use standfast_nfs::nlm::HostReport;
use standfast_nfs::service::Export;
use standfast_nfs::v3::protocol::Procedure;
use standfast_rpc::program::Transport;
use standfast_rpc::server::ActivityReport;

use crate::daemon::Daemon;

impl Control for Daemon {
    fn status(&self) -> Status {
        let mut clients: Vec<_> = self.server().registry().report().iter().map(client).collect();
        clients.sort_by(|a, b| a.address.cmp(&b.address));
        Status {
            server: self.server_status(),
            exports: self.service().exports().iter().map(|export| of_export(export)).collect(),
            clients,
            locks: self.lock_status(),
        }
    }

    fn reload(self: Arc<Self>) -> Pin<Box<dyn Future<Output = ReloadReport> + Send>> {
        Box::pin(async move { Daemon::reload(&self).await })
    }

    fn metrics(&self) -> String {
        self.encode_metrics()
    }

    fn cluster(&self) -> Option<Arc<dyn ClusterControl>> {
        self.cluster_host().map(|host| host as Arc<dyn ClusterControl>)
    }
}

impl Daemon {
    fn server_status(&self) -> ServerStatus {
        let server = self.server();
        ServerStatus {
            version: env!("CARGO_PKG_VERSION").into(),
            pid: std::process::id(),
            uptime_seconds: self.started().elapsed().as_secs(),
            listening: self.listening().iter().map(ToString::to_string).collect(),
            rpcbind: self.rpcbind().into(),
            connections: server.registry().len(),
            bytes_in_flight: server.bytes_in_flight(),
            cached_replies: server.reply_cache().usage().0,
            settings_problem: self.settings_problem(),
        }
    }

    fn lock_status(&self) -> Vec<LockStatus> {
        let of_host = |host: HostReport| LockStatus {
            client: format!("{} ({})", String::from_utf8_lossy(&host.name), host.address),
            held: host.usage.held + host.usage.shares,
            waiting: host.usage.waiting,
        };
        self.locks().report().hosts.into_iter().map(of_host).collect()
    }
}

fn of_export(export: &Export) -> ExportStatus {
    let settings = export.settings();
    let [operations, errors, read_bytes, written_bytes] = export.metrics().totals();
    ExportStatus {
        path: settings.export_path.display().to_string(),
        directory: settings.path.display().to_string(),
        fsid: export.id().to_string(),
        clients: settings.clients.iter().map(|rule| rule.client.to_string()).collect(),
        operations,
        errors,
        read_bytes,
        written_bytes,
    }
}

fn client(report: &ActivityReport) -> ClientStatus {
    let since = report.since.duration_since(UNIX_EPOCH).unwrap_or_default();
    ClientStatus {
        address: report.peer.address.to_string(),
        local: report.peer.local.to_string(),
        transport: match report.peer.transport {
            Transport::Tcp => "tcp".into(),
            Transport::Udp => "udp".into(),
        },
        since: since.as_secs(),
        idle_seconds: report.idle.as_secs(),
        calls: report.calls,
        running: report.running,
        received_bytes: report.received,
        sent_bytes: report.sent,
        last_call: report.last.map(name_of_call),
    }
}

/// What people call a call.
fn name_of_call((program, version, procedure): (u32, u32, u32)) -> String {
    let procedure_name = || Procedure::try_from(procedure).ok().map(Procedure::name);
    let (program_name, known) = match program {
        standfast_nfs::v3::protocol::PROGRAM => ("NFS", procedure_name()),
        standfast_nfs::mount::protocol::PROGRAM => ("MOUNT", None),
        standfast_nfs::nlm::protocol::PROGRAM => ("NLM", None),
        standfast_nfs::nsm::protocol::PROGRAM => ("NSM", None),
        _ => ("program", None),
    };
    match known {
        Some(name) => format!("{program_name}v{version} {name}"),
        None => format!("{program_name}v{version} procedure {procedure}"),
    }
}
