//! Debian's rpcbind and its tools against ours, on hosts of a lab.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::{Command, ExitCode};

use libtest_mimic::Trial;
use standfast_lab::trial::{TestResult, run, trial};
use standfast_lab::{COMMAND_LIMIT, Host, Lab, Requirement};
use standfast_rpc::rpcbind::{Mode, Publication, Registration, RunningRpcbind};
use standfast_rpc::server::ServerLimits;
use standfast_rpc::{Transport, client::CallError};
use tokio::runtime::{Handle, Runtime};
use tokio::sync::watch;

const NFS: u32 = 100_003;
const REQUIREMENTS: &[Requirement] =
    &[Requirement::Program("rpcbind"), Requirement::Program("rpcinfo")];

fn main() -> ExitCode {
    run(vec![
        test("ours_is_understood_by_rpcinfo", ours_is_understood_by_rpcinfo),
        test("ours_serves_other_services_of_the_machine", ours_serves_others),
        test("debians_rpcbind_knows_our_ports", debians_rpcbind_knows_our_ports),
    ])
}

fn test(name: &str, test: fn(&Lab, &Handle) -> TestResult) -> Trial {
    trial(name, REQUIREMENTS, move |lab| {
        let runtime = Runtime::new()?;
        test(lab, runtime.handle())
    })
}

/// NFS version 3 on every transport, at `port`.
fn registrations(port: u16) -> Vec<Registration> {
    let any: [SocketAddr; 2] =
        [(Ipv4Addr::UNSPECIFIED, port).into(), (Ipv6Addr::UNSPECIFIED, port).into()];
    let each = |address| {
        [Transport::Tcp, Transport::Udp].map(|transport| Registration {
            program: NFS,
            version: 3,
            transport,
            address,
        })
    };
    any.into_iter().flat_map(each).collect()
}

/// Makes NFS known on a host.
fn publish(host: &Host, handle: &Handle, mode: Mode) -> Result<Publication, standfast_lab::Error> {
    let handle = handle.clone();
    host.enter(move || {
        let start = Publication::start(mode, registrations(2049), ServerLimits::default());
        handle.block_on(start).expect("a publication")
    })
}

fn rpcinfo(host: &Host, arguments: &[&str]) -> Result<String, standfast_lab::Error> {
    host.run(["rpcinfo"].iter().chain(arguments))?.ok()
}

/// The lines about NFS, their words one space apart.
fn lines_of_nfs(text: &str) -> Vec<String> {
    let lines = text.lines().filter(|line| line.trim_start().starts_with("100003"));
    lines.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

fn ours_is_understood_by_rpcinfo(lab: &Lab, handle: &Handle) -> TestResult {
    let (server, client) = (lab.host("server")?, lab.host("client")?);
    let publication = publish(&server, handle, Mode::Auto)?;
    assert!(matches!(publication, Publication::Serving(_)));
    let (shutdown, stop) = watch::channel(false);
    let running = handle.spawn(publication.run(stop));
    let addresses = server.addresses();
    let (v4, v6) = (addresses.v4.to_string(), addresses.v6.to_string());
    for (host, name) in [(&server, "127.0.0.1"), (&client, &v4)] {
        let text = rpcinfo(host, &["-p", name])?;
        assert_eq!(lines_of_nfs(&text), ["100003 3 tcp 2049 nfs", "100003 3 udp 2049 nfs"]);
        assert_eq!(text.matches("portmapper").count(), 6, "{text}");
    }
    for (host, name) in [(&server, "127.0.0.1"), (&client, &v4), (&client, &v6)] {
        let lines = lines_of_nfs(&rpcinfo(host, &["-s", name])?);
        assert_eq!(lines.len(), 1, "{lines:?}");
        let line = &lines[0];
        assert!(line.starts_with("100003 3 ") && line.ends_with(" nfs standfast"), "{line}");
        for netid in ["tcp", "udp", "tcp6", "udp6"] {
            assert!(line.split([' ', ',']).any(|word| word == netid), "{line}");
        }
    }
    for (name, netid) in [(&v4, "tcp"), (&v4, "udp"), (&v6, "tcp6"), (&v6, "udp6")] {
        for version in ["3", "4"] {
            let text = rpcinfo(&client, &["-T", netid, name, "100000", version])?;
            assert!(text.contains("ready and waiting"), "{text}");
        }
    }
    let text = rpcinfo(&client, &["-l", &v4, "100003", "3"])?;
    assert!(text.contains(&format!("{v4}.8.1")), "{text}");
    shutdown.send(true)?;
    handle.block_on(running)?;
    Ok(())
}

fn ours_serves_others(lab: &Lab, handle: &Handle) -> TestResult {
    let host = lab.host("server")?;
    let publication = publish(&host, handle, Mode::Serve)?;
    let (_shutdown, stop) = watch::channel(false);
    handle.spawn(publication.run(stop));
    let mut statd = Command::new("rpc.statd");
    statd.args(["--foreground", "--no-notify"]);
    let statd = host.start("statd", statd)?;
    standfast_lab::wait_until(COMMAND_LIMIT, "rpc.statd to register", || {
        rpcinfo(&host, &["-p", "127.0.0.1"]).is_ok_and(|text| text.contains("100024"))
    })?;
    let text = rpcinfo(&host, &["-s", "127.0.0.1"])?;
    assert!(text.contains("superuser"), "{text}");
    statd.terminate(COMMAND_LIMIT)?;
    Ok(())
}

fn debians_rpcbind_knows_our_ports(lab: &Lab, handle: &Handle) -> TestResult {
    let host = lab.host("server")?;
    let rpcbind = |name| -> Result<_, standfast_lab::Error> {
        let mut command = Command::new("rpcbind");
        command.args(["-f"]);
        let daemon = host.start(name, command)?;
        host.wait_port(111, COMMAND_LIMIT)?;
        Ok(daemon)
    };
    let first = rpcbind("rpcbind")?;
    let stale = register(&host, handle, 20_049)?;
    assert_eq!(stale, 4);
    let publication = publish(&host, handle, Mode::Auto)?;
    assert!(matches!(publication, Publication::Registered(_)));
    let known = ["100003 3 udp 2049 nfs", "100003 3 tcp 2049 nfs"];
    let listed = || -> Result<Vec<String>, standfast_lab::Error> {
        let mut lines = lines_of_nfs(&rpcinfo(&host, &["-p", "127.0.0.1"])?);
        lines.sort_unstable_by(|one, other| other.cmp(one));
        Ok(lines)
    };
    assert_eq!(listed()?, known);
    let text = rpcinfo(&host, &["-s", "127.0.0.1"])?;
    assert!(lines_of_nfs(&text).iter().all(|line| line.contains("tcp6")), "{text}");

    first.kill()?;
    let _second = rpcbind("rpcbind-again")?;
    assert_eq!(listed()?, [""; 0]);
    assert_eq!(register(&host, handle, 2049)?, 4, "all of them again");
    assert_eq!(register(&host, handle, 2049)?, 0, "nothing is left to do");
    assert_eq!(listed()?, known);

    let (shutdown, stop) = watch::channel(true);
    let inside = handle.clone();
    host.enter(move || inside.block_on(publication.run(stop)))?;
    drop(shutdown);
    assert_eq!(listed()?, [""; 0], "taken back");
    Ok(())
}

/// Registers NFS at `port` with the rpcbind of a host; how many steps it took.
fn register(host: &Host, handle: &Handle, port: u16) -> Result<usize, standfast_lab::Error> {
    let handle = handle.clone();
    let work = async move { RunningRpcbind::find().await?.register(&registrations(port)).await };
    let changed: Result<usize, CallError> = host.enter(move || handle.block_on(work))?;
    Ok(changed.expect("registrations"))
}
