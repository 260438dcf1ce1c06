//! A program to call, and a server that carries it.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use standfast_rpc::message::ReplyStatus;
use standfast_rpc::reply_cache::CacheLimits;
use standfast_rpc::server::{Binding, Reactors, ServerLimits, listen_tcp, listen_udp};
use standfast_rpc::xdr::Opaque;
use standfast_rpc::{Call, CallChannel, CallFuture, Program, Reply, Server};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;

pub(crate) const NUMBER: u32 = 0x2000_0001;
pub(crate) const VERSION: u32 = 2;

pub(crate) const NULL: u32 = 0;
/// Gives its argument back.
pub(crate) const ECHO: u32 = 1;
/// Waits until it is let go, then gives its argument back.
pub(crate) const WAIT: u32 = 2;
/// Gives as many bytes as it is asked for.
pub(crate) const LARGE: u32 = 3;
/// Fails before, or while, it waits.
pub(crate) const PANIC_AT_ONCE: u32 = 4;
pub(crate) const PANIC_LATER: u32 = 5;
/// As `WAIT`, but must not run twice; gives the number of its run.
pub(crate) const ONCE: u32 = 6;
/// As `ONCE`, and its run comes to no reply.
pub(crate) const ONCE_SILENT: u32 = 7;

/// Lets the test call the client.
pub(crate) const CALL_ME: u32 = 8;

pub(crate) type Data = Opaque<{ 2 << 20 }>;

/// What a test sees and steers of the program.
#[derive(Debug)]
pub(crate) struct Echo {
    /// Calls that wait go on, one for each permit.
    pub(crate) gate: Semaphore,
    /// Calls that wait or have waited.
    pub(crate) begun: AtomicU32,
    /// Calls that ran to their end after a wait.
    pub(crate) ended: AtomicU32,
    /// Ways to call those that asked for `CALL_ME`, in order.
    pub(crate) channels: Mutex<Vec<CallChannel>>,
}

impl Echo {
    fn new() -> Arc<Self> {
        let (begun, ended, channels) = Default::default();
        Arc::new(Self { gate: Semaphore::new(0), begun, ended, channels })
    }

    async fn wait(&self) -> u32 {
        let number = self.begun.fetch_add(1, Ordering::SeqCst);
        self.gate.acquire().await.expect("the gate").forget();
        self.ended.fetch_add(1, Ordering::SeqCst);
        number
    }

    async fn answer(self: Arc<Self>, call: Call) -> Result<Reply, Reply> {
        Ok(match call.procedure {
            NULL => Reply::success(&()),
            ECHO => Reply::success(&call.decode::<Data>()?),
            WAIT => {
                let data = call.decode::<Data>()?;
                self.wait().await;
                Reply::success(&data)
            }
            LARGE => {
                let size: u32 = call.decode()?;
                Reply::success(&Data::from(vec![7; size as usize]))
            }
            PANIC_LATER => {
                tokio::task::yield_now().await;
                unreachable!("a fault of the program, on purpose")
            }
            CALL_ME => {
                self.channels.lock().extend(call.activity.channel().cloned());
                Reply::success(&())
            }
            ONCE => Reply::success(&self.wait().await),
            ONCE_SILENT => {
                self.wait().await;
                Reply::None
            }
            _ => Reply::status(ReplyStatus::ProcedureUnavailable),
        })
    }
}

impl Program for Echo {
    fn number(&self) -> u32 {
        NUMBER
    }

    fn versions(&self) -> RangeInclusive<u32> {
        VERSION..=VERSION + 1
    }

    fn runs_once(&self, call: &Call) -> bool {
        [ONCE, ONCE_SILENT].contains(&call.procedure)
    }

    fn reply_size(&self, call: &Call) -> usize {
        match call.procedure {
            ECHO | WAIT => call.arguments.len(),
            LARGE => call.decode::<u32>().map_or(0, |size| size as usize),
            _ => 64,
        }
    }

    fn call(self: Arc<Self>, call: Call) -> CallFuture {
        assert_ne!(call.procedure, PANIC_AT_ONCE, "a fault of the program, on purpose");
        Box::pin(async { self.answer(call).await.unwrap_or_else(|refusal| refusal) })
    }
}

/// Limits that tests reach soon.
pub(crate) fn small_limits() -> ServerLimits {
    ServerLimits {
        connections: 100,
        requests_per_connection: 16,
        callbacks_per_connection: 8,
        bytes_per_connection: 1 << 20,
        bytes_in_flight: 8 << 20,
        record_size: 1 << 20,
        idle_timeout: Duration::from_secs(600),
        record_timeout: Duration::from_secs(10),
        send_timeout: Duration::from_secs(60),
        reply_cache: CacheLimits {
            entries: 1 << 16,
            bytes: 1 << 20,
            age: Duration::from_secs(900),
        },
    }
}

/// A server on loopback.
pub(crate) struct Fixture {
    pub(crate) program: Arc<Echo>,
    pub(crate) server: Arc<Server>,
    pub(crate) tcp: SocketAddr,
    pub(crate) shutdown: watch::Sender<bool>,
    pub(crate) accepting: JoinHandle<()>,
}

impl Fixture {
    pub(crate) fn start(limits: ServerLimits) -> Self {
        let program = Echo::new();
        let programs: Vec<Arc<dyn Program>> = vec![Arc::clone(&program) as _];
        let server = Server::new(programs, limits, Arc::new(|| Box::new(())), Reactors::default());
        let (shutdown, stop) = watch::channel(false);
        let listener =
            listen_tcp(([127, 0, 0, 1], 0).into(), Binding::Present).expect("a listener");
        let tcp = listener.local_addr().expect("an address");
        let accepting = tokio::spawn(Arc::clone(&server).serve_tcp(listener, stop));
        Self { program, server, tcp, shutdown, accepting }
    }

    /// Serves UDP on all addresses of a family; gives the port.
    pub(crate) fn serve_udp(&self, any: SocketAddr) -> u16 {
        let socket = listen_udp(any, Binding::Present).expect("a socket");
        let port = socket.local_addr().expect("an address").port();
        let stop = self.shutdown.subscribe();
        tokio::spawn(Arc::clone(&self.server).serve_udp(socket, stop));
        port
    }

    /// Lets `count` waiting calls go on.
    pub(crate) fn release(&self, count: usize) {
        self.program.gate.add_permits(count);
    }

    pub(crate) async fn until_begun(&self, count: u32) {
        until(|| self.program.begun.load(Ordering::SeqCst) >= count).await;
    }

    pub(crate) async fn until_nothing_in_flight(&self) {
        until(|| self.server.bytes_in_flight() == 0).await;
    }
}

/// Waits for a condition, for a bounded time.
pub(crate) async fn until(mut condition: impl FnMut() -> bool) {
    let wait = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.expect("the condition");
}

/// How long tests wait for what must come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(300);
