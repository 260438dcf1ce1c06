//! Makes the calls that the machine orders.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use standfast_rpc::auth::{AuthSys, OpaqueAuth};
use standfast_rpc::client::{CallError, OwnChannel, Target};
use standfast_rpc::gate::ReplyGate;
use standfast_rpc::xdr::{self, List, Opaque};
use standfast_rpc::{CallChannel, Transport};
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::time::timeout;

use super::super::keeper::{Callbacks, Keeper, Ticket};
use super::super::protocol::{
    CALLBACK_COMPOUND, CALLBACK_NULL, CALLBACK_VERSION, CallbackArgs, CallbackSecurity, FileHandle,
    SessionId,
};
use super::super::state::{Action, Connection};
use super::Callback;
use super::machine::{Answer, LinkId, Machine, Order, Over, Settings};
use super::route::{DialRoute, Route};
use crate::handles::HandleCodec;
use crate::locks::FileKey;

/// How calls are made.
#[derive(Clone, Copy, Debug)]
pub struct SenderSettings {
    /// What waits.
    pub machine: Settings,
    /// How long an answer may take, and a connection.
    pub timeout: Duration,
    /// Connect from a port below 1024, as clients of minor version 0 may expect; only root can.
    pub privileged: bool,
}

impl Default for SenderSettings {
    fn default() -> Self {
        let timeout = Duration::from_secs(10);
        Self { machine: Settings::default(), timeout, privileged: true }
    }
}

/// Sends callbacks.
pub struct Sender {
    keeper: Weak<Keeper>,
    handles: HandleCodec,
    gate: Arc<ReplyGate>,
    settings: SenderSettings,
    runtime: Handle,
    machine: Mutex<Machine>,
    /// One look at how a client is called reaches the machine before the next look begins.
    routing: Mutex<()>,
    channels: Mutex<HashMap<Connection, CallChannel>>,
    links: Mutex<HashMap<LinkId, OwnChannel>>,
    wake: Notify,
}

impl Sender {
    /// Sends the callbacks of `keeper`'s state from now on, on the runtime of the caller. Calls
    /// over connections of ours wait for `gate`, as replies do.
    pub fn start(
        keeper: &Arc<Keeper>,
        handles: HandleCodec,
        gate: Arc<ReplyGate>,
        settings: SenderSettings,
    ) -> Arc<Self> {
        let sender = Arc::new(Self {
            keeper: Arc::downgrade(keeper),
            handles,
            gate,
            settings,
            runtime: Handle::current(),
            machine: Mutex::new(Machine::new(settings.machine)),
            routing: Mutex::new(()),
            channels: Mutex::default(),
            links: Mutex::default(),
            wake: Notify::new(),
        });
        keeper.set_callbacks(Arc::new(Arc::clone(&sender)));
        tokio::spawn(run_timers(Arc::downgrade(&sender)));
        sender
    }

    /// Clients that can be called, and callbacks that wait or are under way.
    pub fn load(&self) -> (usize, usize) {
        self.machine.lock().load()
    }

    fn tell(self: &Arc<Self>, event: impl FnOnce(&mut Machine, Instant)) {
        let orders = {
            let mut machine = self.machine.lock();
            let before = machine.next_wake();
            event(&mut machine, Instant::now());
            if machine.next_wake() != before {
                self.wake.notify_one();
            }
            machine.take_orders()
        };
        orders.into_iter().for_each(|order| self.execute(order));
    }

    fn execute(self: &Arc<Self>, order: Order) {
        match order {
            Order::Call { id, over, program, security, compound } => {
                let sender = Arc::clone(self);
                self.runtime.spawn(async move {
                    let answer = sender.call(over, program, security, compound).await;
                    sender.tell(|machine, now| machine.answered(id, answer, now));
                });
            }
            Order::Dial { link, route } => {
                let sender = Arc::clone(self);
                self.runtime.spawn(async move { sender.dial(link, route).await });
            }
            Order::HangUp(link) => {
                self.links.lock().remove(&link);
            }
            Order::Failed(session, connection) => {
                tracing::info!(?connection, "callbacks do not get through on a connection");
                self.tell_state(session, |state| state.back_channel_failed(&session, connection));
            }
            Order::Fault(session) => {
                tracing::warn!("a client refuses the callbacks of its session");
                self.tell_state(session, |state| state.back_channel_fault(&session));
            }
        }
    }

    fn tell_state(
        self: &Arc<Self>,
        session: SessionId,
        tell: impl FnOnce(&mut super::super::keeper::ServiceState),
    ) {
        let Some(keeper) = self.keeper.upgrade() else { return };
        let (client, pending) = keeper.with(|state, _| {
            tell(state);
            state.session(&session).ok().map(|session| session.client)
        });
        // Neither is a change that anything must wait for.
        drop(pending);
        client.into_iter().for_each(|client| self.look_at(client));
    }

    /// Looks how a client is called now.
    fn look_at(self: &Arc<Self>, client: u64) {
        let Some(keeper) = self.keeper.upgrade() else { return };
        let routing = self.routing.lock();
        let route = keeper.look(|state| Route::of(state, client));
        self.tell(|machine, now| machine.route(client, route, now));
        drop(routing);
    }

    async fn call(
        &self,
        over: Over,
        program: u32,
        security: CallbackSecurity,
        compound: Option<CallbackArgs>,
    ) -> Answer {
        let channel = match over {
            Over::Connection(connection) => self.channels.lock().get(&connection).cloned(),
            Over::Link(link) => self.links.lock().get(&link).map(|own| own.channel().clone()),
        };
        let Some(channel) = channel else { return Answer::Lost };
        if matches!(over, Over::Link(_)) && !self.gate.may_send() {
            self.gate.opened().await;
        }
        let credential = credential(over, &security);
        let answer = async {
            let procedure = |number| (program, CALLBACK_VERSION, number);
            match compound {
                None => {
                    let call = channel.call(procedure(CALLBACK_NULL), &credential, &());
                    call.await.map(|_| Answer::Null)
                }
                Some(compound) => {
                    let call = channel.call(procedure(CALLBACK_COMPOUND), &credential, &compound);
                    let results = xdr::from_bytes(&call.await?)?;
                    Ok(Answer::Results(results))
                }
            }
        };
        let answer = timeout(self.settings.timeout, answer).await;
        answer.unwrap_or(Ok(Answer::Late)).unwrap_or_else(|error| {
            tracing::debug!(%error, ?over, "a callback failed");
            match error {
                CallError::Refused(_) => Answer::Refused,
                CallError::Decode(_) | CallError::TooLong(_) => Answer::Garbled,
                CallError::Busy | CallError::Timeout(_) | CallError::Silent => Answer::Late,
                CallError::Closed | CallError::Io(_) => Answer::Lost,
            }
        })
    }

    async fn dial(self: Arc<Self>, link: LinkId, route: DialRoute) {
        let Some(address) = route.address else { return };
        if !self.gate.may_send() {
            self.gate.opened().await;
        }
        let target = Target {
            address,
            source: None,
            transport: Transport::Tcp,
            procedure: (route.program, CALLBACK_VERSION, CALLBACK_NULL),
            credential: OpaqueAuth::none(),
            privileged: self.settings.privileged,
            timeout: self.settings.timeout,
            gate: Arc::clone(&self.gate),
        };
        let own = match target.open().await {
            Ok(own) => own,
            Err(error) => {
                tracing::info!(client = %address, %error, "a client cannot be called back");
                return self.tell(|machine, now| machine.dialled(link, false, now));
            }
        };
        let channel = own.channel().clone();
        self.links.lock().insert(link, own);
        self.tell(|machine, now| machine.dialled(link, true, now));
        channel.closed().await;
        self.links.lock().remove(&link);
        self.tell(|machine, now| machine.link_ended(link, now));
    }

    fn wire(&self, file: &FileKey) -> FileHandle {
        self.handles.seal(standfast_settings::ExportId(file.export), &file.handle).into()
    }

    fn send_all(self: &Arc<Self>, actions: Vec<Action>) {
        for action in actions {
            let (client, callback) = match action {
                Action::Recall { client, delegation, file } => {
                    (client, Callback::Recall { delegation, file: self.wire(&file) })
                }
                Action::NotifyLock { client, file, owner } => {
                    (client, Callback::NotifyLock { file: self.wire(&file), owner })
                }
            };
            self.send_one(client, callback);
        }
    }

    /// Sends a callback that no change of the state asks for, such as the end of a copy.
    pub fn send_one(self: &Arc<Self>, client: u64, callback: Callback) {
        // After a start nobody may have told how the client is called.
        self.look_at(client);
        self.tell(|machine, now| machine.send(client, callback, now));
    }
}

impl Callbacks for Arc<Sender> {
    fn send(&self, actions: Vec<Action>, durable: Ticket) {
        if durable.is_done() {
            return self.send_all(actions);
        }
        let sender = Arc::clone(self);
        self.runtime.spawn(async move {
            if durable.await.is_ok() {
                sender.send_all(actions);
            }
        });
    }

    fn attach(&self, channel: &CallChannel) {
        let connection = Connection(channel.id());
        self.channels.lock().insert(connection, channel.clone());
        let (sender, channel) = (Arc::clone(self), channel.clone());
        self.runtime.spawn(async move {
            channel.closed().await;
            sender.channels.lock().remove(&connection);
            let Some(keeper) = sender.keeper.upgrade() else { return };
            for client in keeper.connection_closed(connection) {
                sender.look_at(client);
            }
        });
    }

    fn changed(&self, client: u64) {
        self.look_at(client);
    }

    fn reaches(&self, client: u64) -> bool {
        if !self.machine.lock().knows(client) {
            // It was there before this start.
            self.look_at(client);
        }
        self.machine.lock().reaches(client)
    }
}

/// Whom callbacks are from: over the client's connections what it asked for, over ours root, which
/// is what clients of minor version 0 take.
fn credential(over: Over, security: &CallbackSecurity) -> OpaqueAuth {
    match (over, security) {
        (_, CallbackSecurity::Sys(sys)) => OpaqueAuth::sys(sys),
        (Over::Connection(_), _) => OpaqueAuth::none(),
        (Over::Link(_), _) => OpaqueAuth::sys(&AuthSys {
            stamp: 0,
            machine_name: Opaque::copy_from_slice(b"standfast"),
            uid: 0,
            gid: 0,
            gids: List(Vec::new()),
        }),
    }
}

async fn run_timers(sender: Weak<Sender>) {
    loop {
        let Some(strong) = sender.upgrade() else { return };
        let at = strong.machine.lock().next_wake();
        let wait = at.map(|at| at.saturating_duration_since(Instant::now()));
        // Looked at again now and then, so that the task ends with its sender.
        let wait = wait.unwrap_or(Duration::MAX).min(Duration::from_secs(60));
        let _woken_or_time = timeout(wait, strong.wake.notified()).await;
        strong.tell(Machine::tick);
    }
}
