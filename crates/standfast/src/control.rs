//! What the control socket answers with.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use standfast_api::{
    ClientStatus, ClusterControl, Control, ExportStatus, LockStatus, ReloadReport, ServerStatus,
    Status,
};
use standfast_nfs::nlm::{HostReport, LockService};
use standfast_nfs::service::Export;
use standfast_nfs::v3::protocol::Procedure;
use standfast_rpc::program::Transport;
use standfast_rpc::server::ActivityReport;
use standfast_serving::Instance;

use crate::daemon::Daemon;

impl Control for Daemon {
    fn status(&self) -> Status {
        let instances = self.instances();
        let mut clients: Vec<_> = instances
            .iter()
            .flat_map(|instance| instance.server().registry().report())
            .map(|report| client(&report))
            .collect();
        clients.sort_by(|a, b| a.address.cmp(&b.address));
        let exports: Vec<_> =
            instances.iter().flat_map(|instance| instance.service().exports()).collect();
        Status {
            server: self.server_status(&instances),
            exports: exports.iter().map(|export| of_export(export)).collect(),
            clients,
            locks: instances.iter().flat_map(|instance| lock_status(instance.locks())).collect(),
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
    fn server_status(&self, instances: &[Arc<Instance>]) -> ServerStatus {
        let servers = || instances.iter().map(|instance| instance.server());
        let listening = instances.iter().flat_map(|instance| instance.listening());
        ServerStatus {
            version: env!("CARGO_PKG_VERSION").into(),
            pid: std::process::id(),
            uptime_seconds: self.started().elapsed().as_secs(),
            listening: listening.map(ToString::to_string).collect(),
            rpcbind: self.rpcbind().into(),
            connections: servers().map(|server| server.registry().len()).sum(),
            bytes_in_flight: servers().map(|server| server.bytes_in_flight()).sum(),
            cached_replies: servers().map(|server| server.reply_cache().usage().0).sum(),
            settings_problem: self.settings_problem(),
            journal_problem: self.journal_problem(),
        }
    }
}

fn lock_status(locks: &LockService) -> Vec<LockStatus> {
    let of_host = |host: HostReport| LockStatus {
        client: format!("{} ({})", String::from_utf8_lossy(&host.name), host.address),
        held: host.usage.held + host.usage.shares,
        waiting: host.usage.waiting,
    };
    locks.report().hosts.into_iter().map(of_host).collect()
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
