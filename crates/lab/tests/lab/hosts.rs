//! Hosts, links, captures.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::process::Command;
use std::time::Duration;

use libtest_mimic::Trial;
use standfast_lab::trial::{TestResult, trial};
use standfast_lab::{Direction, Error, Host, Lab, Requirement, wait_until};

use crate::SOON;

const TRACES: &[Requirement] = &[Requirement::Program("tcpdump"), Requirement::Program("tshark")];

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("hosts_reach_each_other", &[], hosts_reach_each_other),
        trial("a_host_has_its_own_name_and_processes", &[], own_name_and_processes),
        trial("a_daemon_is_frozen_thawed_and_ended", &[], daemon_is_frozen_thawed_and_ended),
        trial("a_command_has_a_time_limit", &[], command_has_a_time_limit),
        trial("sockets_are_opened_inside_a_host", &[], sockets_are_opened_inside),
        trial("a_killed_host_is_silent_and_comes_back", TRACES, killed_host_is_silent),
        trial("links_are_cut_one_way_and_mended", &[], links_are_cut_one_way),
        trial("labs_do_not_see_each_other", &[], labs_do_not_see_each_other),
    ]
}

fn hosts_reach_each_other(lab: &Lab) -> TestResult {
    let (a, b) = (lab.host("a")?, lab.host("b")?);
    for address in [b.addresses().v4.to_string(), b.addresses().v6.to_string()] {
        a.run(["ping", "-c1", "-W10", &address])?.ok()?;
    }
    Ok(())
}

fn own_name_and_processes(lab: &Lab) -> TestResult {
    let host = lab.host("alpha")?;
    assert_eq!(host.run(["uname", "-n"])?.ok()?, "alpha\n");
    // The first process, and `ps` itself.
    assert_eq!(host.run(["ps", "-e", "--no-headers"])?.ok()?.lines().count(), 2);
    assert_eq!(host.run(["ls", "/sys/class/net"])?.ok()?, "eth0\nlo\n");
    host.run(["touch", "/run/private"])?.ok()?;
    assert!(!std::path::Path::new("/run/private").exists());
    Ok(())
}

fn daemon_is_frozen_thawed_and_ended(lab: &Lab) -> TestResult {
    let host = lab.host("a")?;
    let daemon = host.start("ping", {
        let mut command = Command::new("ping");
        command.args(["-i", "0.01", "127.0.0.1"]);
        command
    })?;
    let state = || {
        let stat =
            std::fs::read_to_string(format!("/proc/{}/stat", daemon.pid())).unwrap_or_default();
        stat.split_whitespace().nth(2).unwrap_or_default().to_owned()
    };
    wait_until(SOON, "the daemon's first words", || daemon.log().contains("icmp_seq=2"))?;
    daemon.freeze()?;
    wait_until(SOON, "the daemon to stop", || state() == "T")?;
    assert!(daemon.is_running());
    daemon.thaw()?;
    wait_until(SOON, "the daemon to go on", || state() != "T")?;
    let status = daemon.terminate(SOON)?;
    assert!(!daemon.is_running());
    assert!(!status.success());
    let second = host.start("sleep", {
        let mut command = Command::new("sleep");
        command.arg("1000");
        command
    })?;
    second.kill()?;
    assert!(!second.is_running());
    Ok(())
}

fn command_has_a_time_limit(lab: &Lab) -> TestResult {
    let host = lab.host("a")?;
    let endless = host.run_within(Duration::from_secs(10), ["ping", "127.0.0.1"]);
    let message = endless.expect_err("ping never ends").to_string();
    assert!(message.starts_with("ping 127.0.0.1: not within 10s; it had said: PING"), "{message}");
    assert_eq!(host.run(["ps", "-e", "--no-headers"])?.ok()?.lines().count(), 2);
    let failed = host.run(["ls", "/no/such"])?;
    assert_eq!(failed.status, 2);
    assert!(failed.ok().expect_err("status 2").to_string().contains("No such file"));
    assert!(matches!(host.run(["/no/such/program"]), Err(Error::Io { .. })));
    Ok(())
}

fn sockets_are_opened_inside(lab: &Lab) -> TestResult {
    let (server, client) = (lab.host("server")?, lab.host("client")?);
    let listener = server.enter(|| TcpListener::bind("[::]:2049"))??;
    server.wait_port(2049, SOON)?;
    assert!(matches!(server.wait_port(2050, Duration::ZERO), Err(Error::TimedOut { .. })));
    let _udp = server.enter(|| UdpSocket::bind("0.0.0.0:111"))??;
    server.wait_udp_port(111, SOON)?;
    let address = (server.addresses().v4, 2049);
    let mut stream = client.enter(move || TcpStream::connect(address))??;
    let (mut accepted, peer) = listener.accept()?;
    assert_eq!(peer.ip().to_canonical(), client.addresses().v4);
    stream.write_all(b"x")?;
    accepted.read_exact(&mut [0])?;
    Ok(())
}

fn killed_host_is_silent(lab: &Lab) -> TestResult {
    let (server, client) = (lab.host("server")?, lab.host("client")?);
    let listener = server.enter(|| TcpListener::bind("0.0.0.0:2049"))??;
    let daemon = server.start("sleep", {
        let mut command = Command::new("sleep");
        command.arg("1000");
        command
    })?;
    let capture = lab.capture("tcp port 2049")?;
    let address = (server.addresses().v4, 2049);
    let mut stream = client.enter(move || TcpStream::connect(address))??;
    let (accepted, _) = listener.accept()?;
    server.kill()?;
    assert!(!daemon.is_running());
    assert!(matches!(server.run(["true"]), Err(Error::Off(_))));
    // Closing what the server had open says nothing to the client any more.
    drop((accepted, listener));
    stream.write_all(b"hello?")?;
    wait_until(SOON, "the client's retransmission", || {
        capture.fields("tcp.analysis.retransmission", &["tcp.len"]).is_ok_and(|f| !f.is_empty())
    })?;
    let farewells = capture.fields("tcp.flags.fin == 1 || tcp.flags.reset == 1", &["tcp.flags"])?;
    assert_eq!(farewells, Vec::<String>::new());

    server.restart()?;
    // The connection is unknown to the server now, and it says so.
    stream.set_read_timeout(Some(SOON))?;
    let error = stream.read(&mut [0]).expect_err("a reset");
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    assert!(capture.stop()?.exists());
    Ok(())
}

fn links_are_cut_one_way(lab: &Lab) -> TestResult {
    let (a, b) = (lab.host("a")?, lab.host("b")?);
    let bind = |host: &Host| -> Result<UdpSocket, Box<dyn std::error::Error + Send + Sync>> {
        let socket = host.enter(|| UdpSocket::bind("0.0.0.0:9"))??;
        socket.set_read_timeout(Some(SOON))?;
        Ok(socket)
    };
    let (from_a, from_b) = (bind(&a)?, bind(&b)?);
    let (to_a, to_b) = ((a.addresses().v4, 9), (b.addresses().v4, 9));
    let next = |socket: &UdpSocket| -> std::io::Result<u8> {
        let mut byte = [0];
        socket.recv(&mut byte).map(|_| byte[0])
    };
    for (direction, hears, is_heard) in [
        (Direction::In, false, true),
        (Direction::Out, true, false),
        (Direction::Both, false, false),
    ] {
        // Both know each other's hardware address before the cut.
        from_a.send_to(&[0], to_b)?;
        from_b.send_to(&[0], to_a)?;
        assert_eq!((next(&from_a)?, next(&from_b)?), (0, 0));
        b.cut_link(direction)?;
        from_a.send_to(&[1], to_b)?;
        from_b.send_to(&[1], to_a)?;
        b.mend_link()?;
        from_a.send_to(&[2], to_b)?;
        from_b.send_to(&[2], to_a)?;
        for (socket, passes) in [(&from_b, hears), (&from_a, is_heard)] {
            if passes {
                assert_eq!(next(socket)?, 1, "{direction:?}");
            }
            assert_eq!(next(socket)?, 2, "{direction:?}");
        }
    }
    Ok(())
}

fn labs_do_not_see_each_other(lab: &Lab) -> TestResult {
    let other = Lab::new("other")?;
    let (here, there) = (lab.host("a")?, other.host("a")?);
    assert_eq!(here.addresses(), there.addresses());
    assert_ne!(lab.dir(), other.dir());
    let neighbour = other.host("b")?.addresses().v4.to_string();
    there.run(["ping", "-c1", "-W10", "10.9.0.1"])?.ok()?;
    assert!(!here.run(["ping", "-c1", "-W1", &neighbour])?.success());
    Ok(())
}
