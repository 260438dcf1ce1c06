//! The status monitor as a program.

use std::future::Future;
use std::net::{IpAddr, Ipv4Addr};
use std::ops::RangeInclusive;
use std::pin::Pin;
use std::sync::Arc;

use standfast_rpc::message::ReplyStatus;
use standfast_rpc::xdr;
use standfast_rpc::{Call, CallFuture, Program, Reply, Transport};

use super::StatusMonitor;
use super::caller::{Caller, Destination};
use super::names::same_host;
use super::notify::resolve;
use super::protocol::{
    Mon, MonId, MyId, Outcome, PROGRAM, Procedure, StatArgs, StatResult, State, StateChange,
    Status, VERSION,
};
use super::record::Record;
use crate::nlm;

/// Ports from here on are open to any user of a machine.
const FIRST_UNPRIVILEGED_PORT: u16 = 1024;

/// Hears of restarts.
pub trait RebootListener: Send + Sync + 'static {
    /// The host that calls itself `name`, at address `from`, restarted; it has a new `state`
    /// number.
    fn rebooted<'a>(
        &'a self,
        name: &'a [u8],
        from: IpAddr,
        state: i32,
    ) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

    /// We are to do as after a crash.
    fn crash(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;
}

/// Program 100024.
pub struct NsmProgram {
    monitor: Arc<StatusMonitor>,
    caller: Arc<dyn Caller>,
    listener: Arc<dyn RebootListener>,
}

impl NsmProgram {
    /// Keeps its records in `monitor`, tells `listener` of restarts, and programs of this machine
    /// that asked for it by way of `caller`.
    pub fn new(
        monitor: Arc<StatusMonitor>,
        caller: Arc<dyn Caller>,
        listener: Arc<dyn RebootListener>,
    ) -> Self {
        Self { monitor, caller, listener }
    }

    async fn run(&self, call: &Call) -> Result<Reply, Reply> {
        let procedure = Procedure::try_from(call.procedure)
            .map_err(|_| Reply::status(ReplyStatus::ProcedureUnavailable))?;
        Ok(match procedure {
            Procedure::Null => Reply::success(&()),
            Procedure::Stat => Reply::success(&self.stat(call, &call.decode()?).await),
            Procedure::Mon => Reply::success(&self.mon(call, call.decode()?).await),
            Procedure::Unmon => {
                let MonId { mon_name, my_id } = call.decode()?;
                Reply::success(&self.unmon(call, Some(&mon_name), &my_id).await)
            }
            Procedure::UnmonAll => Reply::success(&self.unmon(call, None, &call.decode()?).await),
            Procedure::SimuCrash => {
                if is_local(call) {
                    self.listener.crash().await;
                }
                Reply::success(&())
            }
            Procedure::Notify => {
                self.notify(call, call.decode()?).await;
                Reply::success(&())
            }
        })
    }

    /// Others than local programs learn only of hosts that are monitored already: they must not
    /// make us ask name servers.
    async fn stat(&self, call: &Call, args: &StatArgs) -> StatResult {
        let monitored = |mon: &Mon| same_host(&mon.id.mon_name, &args.mon_name);
        let can = self.monitor.registrations().iter().any(monitored)
            || is_local(call) && !resolve(&args.mon_name).await.is_empty();
        self.result(can)
    }

    async fn mon(&self, call: &Call, mon: Mon) -> StatResult {
        // Only the lock service is called back: any other program could be made to believe that
        // a privileged local program calls it.
        let lawful = is_local(call) && mon.id.my_id.program == nlm::protocol::PROGRAM;
        let name = mon.id.mon_name.clone();
        if !lawful || resolve(&name).await.is_empty() {
            return self.result(false);
        }
        let monitored = self.monitor.monitor(Record::Registration(mon)).await;
        if let Err(error) = &monitored {
            tracing::warn!(host = %name.escape_ascii(), %error, "not monitored");
        }
        self.result(monitored.is_ok())
    }

    async fn unmon(&self, call: &Call, mon_name: Option<&[u8]>, my_id: &MyId) -> State {
        if is_local(call) {
            let same_program = |other: &MyId| {
                let key = |id: &MyId| (id.program, id.version, id.procedure);
                key(my_id) == key(other) && my_id.my_name == other.my_name
            };
            for mon in self.monitor.registrations() {
                let named = mon_name.is_none_or(|name| same_host(name, &mon.id.mon_name));
                if named && same_program(&mon.id.my_id) {
                    self.monitor.unmonitor(&Record::Registration(mon), |_| false).await;
                }
            }
        }
        State { state: self.monitor.state() }
    }

    async fn notify(&self, call: &Call, change: StateChange) {
        let from = call.peer.address.ip();
        tracing::info!(host = %change.mon_name.escape_ascii(), %from, state = change.state,
            "a host tells that it restarted");
        self.listener.rebooted(&change.mon_name, from, change.state).await;
        for mon in self.monitor.registrations() {
            let (caller, change) = (Arc::clone(&self.caller), change.clone());
            tokio::spawn(pass_on(caller, mon, change, from));
        }
    }

    fn result(&self, can: bool) -> StatResult {
        let outcome = if can { Outcome::Success } else { Outcome::Fail };
        StatResult { outcome, state: if can { self.monitor.state() } else { -1 } }
    }
}

/// Whether a privileged program of this machine asks.
fn is_local(call: &Call) -> bool {
    let peer = call.peer.address;
    peer.ip().is_loopback() && peer.port() < FIRST_UNPRIVILEGED_PORT
}

/// Tells a program of this machine of a restart, if it is that of the host it asked for.
async fn pass_on(caller: Arc<dyn Caller>, mon: Mon, change: StateChange, from: IpAddr) {
    let MonId { mon_name, my_id } = mon.id;
    if !same_host(&mon_name, &change.mon_name) && !resolve(&mon_name).await.contains(&from) {
        return;
    }
    let status = Status { mon_name, state: change.state, private: mon.private };
    let address = Ipv4Addr::LOCALHOST.into();
    let to = Destination { address, local: None, transport: Transport::Udp };
    let procedure = (my_id.program, my_id.version, my_id.procedure);
    if let Err(error) = caller.call(to, procedure, xdr::to_bytes(&status)).await {
        tracing::warn!(%error, program = my_id.program, "not told of a host's restart");
    }
}

impl Program for NsmProgram {
    fn number(&self) -> u32 {
        PROGRAM
    }

    fn versions(&self) -> RangeInclusive<u32> {
        VERSION..=VERSION
    }

    fn call(self: Arc<Self>, call: Call) -> CallFuture {
        Box::pin(async move { self.run(&call).await.unwrap_or_else(|refused| refused) })
    }
}
