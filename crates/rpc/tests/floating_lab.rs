//! Listening on addresses before they are there, on a host of a lab.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use standfast_lab::trial::{TestResult, run, trial};
use standfast_lab::{COMMAND_LIMIT, Host, Lab, wait_until};
use standfast_rpc::auth::OpaqueAuth;
use standfast_rpc::client::{CallError, Target};
use standfast_rpc::server::{Binding, Reactors, ServerLimits, listen_tcp, listen_udp};
use standfast_rpc::{Call, CallFuture, Program, Reply, Server, Transport};
use tokio::runtime::{Handle, Runtime};
use tokio::sync::watch;

const NUMBER: u32 = 0x2000_0002;
const PORT: u16 = 2049;
const PATIENCE: Duration = Duration::from_secs(120);

fn main() -> ExitCode {
    run(vec![trial("an_address_is_served_from_the_moment_that_it_is_there", &[], |lab| {
        let runtime = Runtime::new()?;
        served_once_there(lab, runtime.handle())
    })])
}

/// Says which service it is.
struct Service(u32);

impl Program for Service {
    fn number(&self) -> u32 {
        NUMBER
    }

    fn versions(&self) -> RangeInclusive<u32> {
        1..=1
    }

    fn call(self: Arc<Self>, _call: Call) -> CallFuture {
        Box::pin(async move { Reply::success(&self.0) })
    }
}

/// Serves `service` on an address of a host that may not be there yet.
fn serve(
    host: &Host,
    handle: &Handle,
    (service, ip): (u32, IpAddr),
) -> Result<watch::Sender<bool>, Box<dyn std::error::Error + Send + Sync>> {
    let server = Server::new(
        vec![Arc::new(Service(service))],
        ServerLimits::default(),
        Arc::new(|| Box::new(())),
        Reactors::default(),
    );
    let (stop, stopped) = watch::channel(false);
    let inside = handle.clone();
    let bound = host.enter(move || {
        let _runtime = inside.enter();
        let address = SocketAddr::new(ip, PORT);
        let unknown = listen_tcp(address, Binding::Present).map(drop);
        assert_eq!(unknown.expect_err("no such address").kind(), io::ErrorKind::AddrNotAvailable);
        Ok::<_, io::Error>((
            listen_tcp(address, Binding::Ahead)?,
            listen_udp(address, Binding::Ahead)?,
        ))
    })?;
    let (stream, datagram) = bound?;
    handle.spawn(Arc::clone(&server).serve_tcp(stream, stopped.clone()));
    handle.spawn(server.serve_udp(datagram, stopped));
    Ok(stop)
}

/// Which service answers there.
fn ask(
    host: &Host,
    handle: &Handle,
    (ip, transport): (IpAddr, Transport),
) -> Result<Result<u32, CallError>, standfast_lab::Error> {
    let target = Target {
        address: SocketAddr::new(ip, PORT),
        source: None,
        transport,
        procedure: (NUMBER, 1, 0),
        credential: OpaqueAuth::none(),
        privileged: false,
        timeout: PATIENCE,
        gate: Arc::default(),
    };
    let handle = handle.clone();
    host.enter(move || handle.block_on(target.call::<(), u32>(&())))
}

fn served_once_there(lab: &Lab, handle: &Handle) -> TestResult {
    let host = lab.host("server")?;
    let services: [(u32, IpAddr); 4] = [
        (1, "192.0.2.10".parse()?),
        (2, "192.0.2.11".parse()?),
        (3, "2001:db8::10".parse()?),
        (4, "2001:db8::11".parse()?),
    ];
    // Services of one port, each with an address of its own, in no one's way.
    let mut serving = Vec::new();
    for service in services {
        serving.push(serve(&host, handle, service)?);
    }
    for (service, ip) in services {
        let prefix = if ip.is_ipv4() { 32 } else { 128 };
        host.run(["ip", "addr", "add", &format!("{ip}/{prefix}"), "dev", "lo", "nodad"])?.ok()?;
        // An IPv6 address has its route a moment after it is there.
        wait_until(COMMAND_LIMIT, "a route to the address", || {
            let route = host.run(["ip", "route", "get", &ip.to_string()]);
            route.and_then(|route| route.ok()).is_ok_and(|route| route.starts_with("local "))
        })?;
        for transport in [Transport::Tcp, Transport::Udp] {
            assert_eq!(ask(&host, handle, (ip, transport))??, service, "{ip} {transport:?}");
        }
    }
    // One goes; the others do not notice.
    serving.remove(0).send(true)?;
    for (service, ip) in &services[1..] {
        for transport in [Transport::Tcp, Transport::Udp] {
            assert_eq!(ask(&host, handle, (*ip, transport))??, *service, "{ip} {transport:?}");
        }
    }
    Ok(())
}
