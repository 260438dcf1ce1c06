//! An address that moves between two hosts of the lab, with real TCP peers: what the neighbours and
//! the clients see.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at what it did not expect")]

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::process::{Command, ExitCode};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use ipnet::IpNet;
use standfast_lab::trial::{TestResult, run, trial};
use standfast_lab::{Direction, Host, Lab, Requirement, wait_for};
use standfast_net::{
    BURST, ConflictWatch, Connection, Floating, Netlink, PacketSocket, Placed, Tickler, silence,
};

/// How long anything may take at most; a slow machine is no failure.
const LIMIT: Duration = Duration::from_secs(120);
const PORT: u16 = 2049;

fn main() -> ExitCode {
    run(vec![
        trial("a_tickle_wakes_the_client_v4", &[], |lab| wakes(lab, true)),
        trial("a_tickle_wakes_the_client_v6", &[], |lab| wakes(lab, false)),
        trial("a_silenced_connection_says_nothing", &[], silenced),
        trial("a_conflict_is_heard_v4", &[], |lab| conflict(lab, true)),
        trial("a_conflict_is_heard_v6", &[], |lab| conflict(lab, false)),
        trial("a_vlan_is_made_once", &[Requirement::Program("ip")], vlan),
    ])
}

fn floating(lab: &Lab, v4: bool) -> (IpAddr, Floating) {
    let addresses = lab.floating_addresses().unwrap();
    let (address, prefix): (IpAddr, u8) =
        if v4 { (addresses.v4.into(), 24) } else { (addresses.v6.into(), 64) };
    let address_net = IpNet::new(address, prefix).unwrap();
    (address, Floating { address: address_net, interface: "eth0".into(), vlan: None })
}

/// What a new holder does: listen, raise, announce.
fn take_over(host: &Host, floating: &Floating) -> (TcpListener, Placed) {
    let floating = floating.clone();
    host.enter(move || {
        let any: IpAddr = if floating.address.addr().is_ipv4() {
            IpAddr::from([0, 0, 0, 0])
        } else {
            IpAddr::from([0_u16; 8])
        };
        let listener = TcpListener::bind((any, PORT)).unwrap();
        let mut netlink = Netlink::new().unwrap();
        let placed = floating.place(&mut netlink).unwrap();
        placed.raise(&mut netlink).unwrap();
        placed.announce(&PacketSocket::sender().unwrap(), BURST).unwrap();
        (listener, placed)
    })
    .unwrap()
}

/// A client that is connected and waits for an answer; says what it gets, and when.
fn client(host: &Host, server: IpAddr) -> (SocketAddr, Receiver<(ErrorKind, Instant)>) {
    let stream = host
        .enter(move || {
            let stream = TcpStream::connect_timeout(&(server, PORT).into(), LIMIT).unwrap();
            stream.set_read_timeout(Some(LIMIT)).unwrap();
            stream
        })
        .unwrap();
    let address = stream.local_addr().unwrap();
    let (tell, told) = channel();
    thread::spawn(move || {
        let mut stream = stream;
        let _ = stream.write_all(b"question");
        let mut buffer = [0; 64];
        let kind = match stream.read(&mut buffer) {
            Ok(0) => ErrorKind::UnexpectedEof,
            Ok(_) => ErrorKind::Other,
            Err(error) => error.kind(),
        };
        let _ = tell.send((kind, Instant::now()));
    });
    (address, told)
}

fn wakes(lab: &Lab, v4: bool) -> TestResult {
    let (old, new, user) = (lab.host("old")?, lab.host("new")?, lab.host("user")?);
    let (address, floating) = floating(lab, v4);
    let (listener, _) = take_over(&old, &floating);
    let (client_address, told) = client(&user, address);
    let (mut accepted, _) = listener.accept()?;
    accepted.set_read_timeout(Some(LIMIT))?;
    accepted.read_exact(&mut [0; 8])?;

    old.cut_link(Direction::Both)?;
    let begun = Instant::now();
    let (_listener, _) = take_over(&new, &floating);
    let raised = begun.elapsed();
    let connection = Connection { server: (address, PORT).into(), client: client_address };
    let sent = Instant::now();
    new.enter(move || Tickler::new().unwrap().tickle(&connection).unwrap())?;
    let (kind, at) = told.recv_timeout(LIMIT)?;
    println!(
        "address {address}: listened, raised and announced after {raised:?}, client reset {:?} \
         after the tickle",
        at.saturating_duration_since(sent)
    );
    // By the kernel of the new host, not by a time-out.
    assert_eq!(kind, ErrorKind::ConnectionReset);
    // And it finds the server at once.
    let again = user.enter(move || TcpStream::connect_timeout(&(address, PORT).into(), LIMIT))?;
    again?;
    Ok(())
}

fn silenced(lab: &Lab) -> TestResult {
    let (old, new, user) = (lab.host("old")?, lab.host("new")?, lab.host("user")?);
    let (address, floating) = floating(lab, true);
    let (listener, placed) = take_over(&old, &floating);
    let (client_address, told) = client(&user, address);
    let (accepted, _) = listener.accept()?;
    // What a holder does that gives up: the address first, then the sockets.
    old.enter(move || {
        assert!(placed.lower(&mut Netlink::new().unwrap()).unwrap());
        silence(&accepted).unwrap();
        drop(accepted);
        drop(listener);
    })?;
    assert!(told.try_recv().is_err(), "the client was told something");
    // The successor's tickle is the first thing that it hears.
    let (_listener, _) = take_over(&new, &floating);
    let connection = Connection { server: (address, PORT).into(), client: client_address };
    new.enter(move || Tickler::new().unwrap().tickle(&connection).unwrap())?;
    let (kind, _) = told.recv_timeout(LIMIT)?;
    assert_eq!(kind, ErrorKind::ConnectionReset);
    Ok(())
}

fn conflict(lab: &Lab, v4: bool) -> TestResult {
    let (ours, other) = (lab.host("ours")?, lab.host("other")?);
    let (address, floating) = floating(lab, v4);
    let (_listener, placed) = take_over(&ours, &floating);
    let own = placed.mac.unwrap();
    let mut watch = ours.enter(move || ConflictWatch::new(placed.link, own, vec![address]))??;
    assert_eq!(watch.take()?, []);
    let (_other_listener, other_placed) = take_over(&other, &floating);
    let conflict =
        wait_for(LIMIT, "the conflict", || Ok(watch.take().unwrap().into_iter().next()))?;
    assert_eq!((conflict.address, Some(conflict.mac)), (address, other_placed.mac));
    assert!(watch.may_defend(Instant::now()) && !watch.may_defend(Instant::now()));
    Ok(())
}

/// Asks `ip` for a VLAN interface: the kernel's reason, if it has no such kind.
fn no_vlans(host: &Host) -> Option<String> {
    let words = "link add link eth0 name probe type vlan id 7";
    let output =
        host.enter(move || Command::new("ip").args(words.split(' ')).output().unwrap()).unwrap();
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    if output.status.success() {
        return None;
    }
    assert!(said.contains("Unknown device type") || said.contains("not supported"), "{said}");
    Some(said)
}

fn vlan(lab: &Lab) -> TestResult {
    let host = lab.host("host")?;
    if let Some(why) = no_vlans(&host) {
        #[expect(clippy::print_stderr, reason = "whoever runs the tests is to know")]
        let () = eprintln!(
            "a_vlan_is_made_once was not run: the kernel makes no VLAN interfaces: {why}"
        );
        return Ok(());
    }
    let (_, floating) = floating(lab, true);
    let floating = Floating { vlan: Some(42), ..floating };
    let (first, second) = host.enter(move || {
        let mut netlink = Netlink::new().unwrap();
        let place = |netlink: &mut Netlink| floating.place(netlink).unwrap();
        (place(&mut netlink), place(&mut netlink))
    })?;
    assert_eq!(first, second);
    assert_eq!(first.interface, "eth0.42");
    Ok(())
}
