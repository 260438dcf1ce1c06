//! Bad input: the server stays up, its memory stays in its limits, and others do not notice.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use libtest_mimic::Trial;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use standfast_lab::trial::trial;
use standfast_lab::{Host, Lab, wait_until};
use standfast_nfs::v3::protocol::{
    Attributes, FileHandle, Outcome, Procedure, ReadArgs, StableHow, Status,
};
use standfast_tests::nfs3::{Answer, Nfs3, numbers, place};
use standfast_tests::server::{PORT, Server, export};
use standfast_tests::wire::{
    LAST_FRAGMENT, Wire, connect, message, read_record, record, results, user,
};
use standfast_tests::{Result, SOON};

pub(crate) fn stories() -> Vec<Trial> {
    vec![
        trial("bad_records_do_no_harm", &[], |lab| attack(lab, SHORT, bad_records)),
        trial("clients_that_never_read_take_no_memory", &[], |lab| {
            attack(lab, SHORT, silent_readers)
        }),
        trial("10000_connections_do_no_harm", &[], |lab| attack(lab, LONG, crowd)),
        trial("forged_handles_open_nothing", &[], forged_handles),
    ]
}

/// What the settings below allow in memory.
const BYTES_IN_FLIGHT: u64 = 32 << 20;
const REPLY_CACHE: u64 = 4 << 20;
const CONNECTIONS: usize = 10_000;
/// What a connection may cost beside its requests and replies.
const PER_CONNECTION: u64 = 8 << 10;
/// What the program and its allocator take.
const REST: u64 = 48 << 20;

const LIMITS: &str = "[limits]\nconnections = 10000\nbytes_per_connection = \"2MiB\"\n\
    bytes_in_flight = \"32MiB\"\nreply_cache = \"4MiB\"\nrecord_timeout = \"2s\"\n";
/// How long a client may be deaf: not long, where that is what the story waits for, else long
/// enough for a machine that is busy with a crowd to answer the kernel's probes.
const SHORT: &str = "reply_timeout = \"3s\"\n";
const LONG: &str = "reply_timeout = \"1m\"\n";

/// Runs an attack from one machine while another machine works, and looks at the server after it.
fn attack(lab: &Lab, patience: &str, attack: fn(&Server, &Host) -> Result<usize>) -> Result {
    let directory = lab.dir().join("export");
    fs::create_dir(&directory)?;
    let allow = &["*:rw,no_root_squash,insecure"];
    let settings = LIMITS.to_owned() + patience + &export(&directory, "/export", allow);
    let server = Server::start_with(lab, &settings)?;
    let (attacker, friend) = (lab.host("attacker")?, lab.host("friend")?);
    let (mut client, root) = Nfs3::mount(&friend, server.v4(), "/export")?;
    let file = client.make_file(&root, "file")?;
    let (stop, rounds) = (AtomicBool::new(false), AtomicU64::new(0));
    let made = thread::scope(|scope| -> Result<usize> {
        let work = scope.spawn(|| -> Result {
            while !stop.load(Ordering::Relaxed) {
                let round = rounds.fetch_add(1, Ordering::Relaxed).to_be_bytes();
                client.write_at(&file, 0, &round, StableHow::Unstable)?.ok()?;
                assert_eq!(&client.read_at(&file, 0, 8)?.data[..], round);
            }
            Ok(())
        });
        // Also when the attack panics: nothing else ends the other client.
        let end = StopOnDrop(&stop);
        let attacked = attack(&server, &attacker);
        let now = rounds.load(Ordering::Relaxed);
        let goes_on = wait_until(SOON, "the other client to go on", || {
            work.is_finished() || rounds.load(Ordering::Relaxed) > now + 20
        });
        drop(end);
        work.join().map_err(|_| "the other client panicked")??;
        goes_on?;
        attacked
    })?;
    assert!(server.daemon()?.is_running(), "the server ended");
    let log = server.daemon()?.log();
    assert!(!log.contains("panicked"), "{log}");
    let (peak, limit) = (peak_memory(&server)?, memory_limit(made));
    assert!(peak < limit, "{peak} bytes of memory with a limit of {limit}");
    // Nothing of the attack is left: only the other client is connected, if it still is.
    wait_until(SOON, "the attacker's connections to be gone", || connections(&server) <= 1)?;
    Ok(())
}

/// Tells a thread to end, however this scope is left.
struct StopOnDrop<'a>(&'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The most memory that the server may take with so many connections at once.
fn memory_limit(connections: usize) -> u64 {
    REST + BYTES_IN_FLIGHT + REPLY_CACHE + connections as u64 * PER_CONNECTION
}

/// The most memory that the server's process ever had, in bytes.
fn peak_memory(server: &Server) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{}/status", server.daemon()?.pid()))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")).ok_or("no VmHWM")?;
    Ok(kib.trim().parse::<u64>()? << 10)
}

/// How many connections the server has, as it says.
fn connections(server: &Server) -> u64 {
    let Ok(status) = server.status() else { return u64::MAX };
    status["server"]["connections"].as_u64().unwrap_or(u64::MAX)
}

/// Waits until the server ends a connection; what it sends before does not matter.
fn wait_closed(mut stream: TcpStream) -> Result {
    stream.set_read_timeout(Some(SOON))?;
    match io::copy(&mut stream, &mut io::sink()) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            Err(format!("the server did not close the connection within {SOON:?}").into())
        }
        _ => Ok(()),
    }
}

/// A call that is fine.
fn null_call() -> Bytes {
    message(77, numbers(Procedure::Null), &user(0, 0, &[]), &())
}

fn bad_records(server: &Server, attacker: &Host) -> Result<usize> {
    let mut held = Vec::new();
    let open = || connect(attacker, server.v4(), PORT);
    let mut garbage = vec![0; 4096];
    let mut random = fs::File::open("/dev/urandom")?;
    for _ in 0..100 {
        random.read_exact(&mut garbage)?;
        let mut stream = open()?;
        // The server may be done with it in the middle of it.
        let _cut = stream.write_all(&garbage);
        held.push(stream);
    }
    let call = null_call();
    let oversized = (u32::MAX >> 1 | LAST_FRAGMENT).to_be_bytes();
    let truncated = record(&call)[..20].to_vec();
    let no_call = record(&[0xff; 64]);
    let reply = record(&[&call[..4], &1_u32.to_be_bytes(), &call[8..]].concat());
    for bad in [&oversized[..], &truncated, &no_call, &reply, &[0x80], &[0x80, 0, 0]] {
        let mut stream = open()?;
        stream.write_all(bad)?;
        held.push(stream);
    }
    // Fragments without end, and fragments with nothing in them.
    let mut endless = open()?;
    let fragment = [&(64_u32 << 10).to_be_bytes()[..], &vec![0; 64 << 10]].concat();
    while endless.write_all(&fragment).is_ok() {}
    let mut empty = open()?;
    let nothing = vec![0; 64 << 10];
    let mut sent = 0_usize;
    while sent < 64 << 20 && empty.write_all(&nothing).is_ok() {
        sent += nothing.len();
    }
    held.extend([endless, empty]);
    // A slow loris: calls that never end.
    for _ in 0..300 {
        let mut stream = open()?;
        stream.write_all(&record(&call)[..7])?;
        held.push(stream);
    }
    let count = held.len();
    held.into_iter().try_for_each(wait_closed)?;
    fragments_of_one_byte(server, attacker)?;
    bad_datagrams(server, attacker)?;
    Ok(count)
}

/// A call in fragments of one byte each is a call.
fn fragments_of_one_byte(server: &Server, attacker: &Host) -> Result {
    let mut stream = connect(attacker, server.v4(), PORT)?;
    let call = null_call();
    let fragments = call.iter().enumerate().flat_map(|(index, byte)| {
        let last = if index + 1 == call.len() { LAST_FRAGMENT } else { 0 };
        [&(1 | last).to_be_bytes()[..], &[*byte]].concat()
    });
    // At one go: the server waits only so long for the end of a record.
    stream.write_all(&fragments.collect::<Vec<_>>())?;
    results::<()>(&read_record(&mut stream)?)
}

/// Datagrams that are no calls get no reply, and calls after them get theirs.
fn bad_datagrams(server: &Server, attacker: &Host) -> Result {
    let mut wire = Wire::udp(attacker, server.v4(), PORT)?;
    let call = null_call();
    let mut random = fs::File::open("/dev/urandom")?;
    for length in (0..500).chain([1472, 9000, 65_000]) {
        let mut garbage = vec![0; length];
        random.read_exact(&mut garbage)?;
        wire.send(&garbage)?;
        wire.send(&call[..length.min(call.len() - 1)])?;
    }
    results::<()>(&wire.exchange(77, &call)?)
}

/// Clients that ask for a lot and take nothing.
fn silent_readers(server: &Server, attacker: &Host) -> Result<usize> {
    const CLIENTS: usize = 50;
    const MOST_CALLS: usize = 100_000;
    let (mut client, root) = Nfs3::mount(attacker, server.v4(), "/export")?;
    let file = client.make_file(&root, "large")?;
    client.write_at(&file, (8 << 20) - 1, b"x", StableHow::FileSync)?.ok()?;
    let read = ReadArgs { file, offset: 0, count: 1 << 20 };
    let call = record(&message(1, numbers(Procedure::Read), &user(0, 0, &[]), &read));
    let mut held = Vec::new();
    for _ in 0..CLIENTS {
        let mut stream = connect(attacker, server.v4(), PORT)?;
        stream.set_write_timeout(Some(Duration::from_millis(100)))?;
        // The server stops reading, so the calls end.
        let calls = (0..MOST_CALLS).take_while(|_| stream.write_all(&call).is_ok()).count();
        assert!(calls < MOST_CALLS, "the server takes calls without end");
        held.push(stream);
    }
    drop(client);
    wait_until(SOON, "the server to give up on them", || connections(server) <= 1)?;
    Ok(held.len())
}

/// As many connections as are allowed, and more.
fn crowd(server: &Server, attacker: &Host) -> Result<usize> {
    const AT_ONCE: usize = 500;
    raise_open_files()?;
    let address = SocketAddr::new(server.v4(), PORT);
    // Opened inside the host at one go.
    let open = move |count| {
        move || (0..count).map(|_| TcpStream::connect(address)).collect::<io::Result<Vec<_>>>()
    };
    // The other client has a connection already. No more at once than the kernel lets wait to be
    // accepted: beyond that, it forgets connections that the client takes for open.
    let mut crowd = Vec::new();
    while crowd.len() + 1 < CONNECTIONS {
        let count = AT_ONCE.min(CONNECTIONS - 1 - crowd.len());
        crowd.extend(attacker.enter(open(count))??);
        let all = crowd.len() as u64 + 1;
        wait_until(SOON, "all to be accepted", || connections(server) == all)?;
    }
    let call = record(&null_call());
    for stream in crowd.iter_mut().step_by(500) {
        stream.set_read_timeout(Some(SOON))?;
        stream.write_all(&call)?;
        results::<()>(&read_record(stream)?)?;
    }
    attacker.enter(open(20))??.into_iter().try_for_each(wait_closed)?;
    Ok(crowd.len())
}

/// Room for the connections of a crowd in this process.
fn raise_open_files() -> Result {
    const WANTED: u64 = CONNECTIONS as u64 + 2000;
    let old = getrlimit(Resource::Nofile);
    if old.current.is_some_and(|current| current < WANTED) {
        let maximum = old.maximum.map(|maximum| maximum.max(WANTED));
        setrlimit(Resource::Nofile, Rlimit { current: Some(WANTED), maximum })?;
    }
    Ok(())
}

fn forged_handles(lab: &Lab) -> Result {
    let server = Server::start(lab, "rw,no_root_squash,insecure")?;
    let outside = lab.dir().join("outside");
    fs::create_dir(&outside)?;
    fs::write(outside.join("secret"), "secret")?;
    std::os::unix::fs::symlink(&outside, server.export().join("way-out"))?;
    let host = lab.host("attacker")?;
    let (mut client, root) = Nfs3::mount(&host, server.v4(), "/export")?;
    let file = client.make_file(&root, "file")?;
    let mut status = |handle: Vec<u8>| -> Result<Status> {
        let answer: Outcome<Attributes, ()> =
            client.call(Procedure::GetAttr, &FileHandle::from(handle))?;
        Ok(answer.status())
    };
    assert_eq!(status(file.to_vec())?, Status::Ok);
    for genuine in [&root, &file] {
        for bit in 0..genuine.len() * 8 {
            let mut altered = genuine.to_vec();
            altered[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(status(altered)?, Status::BadHandle, "bit {bit}");
        }
        for length in 0..genuine.len() {
            assert_eq!(status(genuine[..length].to_vec())?, Status::BadHandle, "{length} bytes");
        }
        let longer = [&genuine[..], &[0; 4]].concat();
        assert_eq!(status(longer)?, Status::BadHandle);
    }
    ways_out(&mut client, &root)
}

/// No name, path or link leads out of the export.
fn ways_out(client: &mut Nfs3, root: &FileHandle) -> Result {
    assert_eq!(&client.find(root, "..")?, root);
    for name in ["../outside", "way-out/secret", "/etc", "./file"] {
        let status = client.lookup(&place(root, name))?.status();
        assert!(matches!(status, Status::NoEnt | Status::Inval), "{name}: {status:?}");
    }
    let link = client.find(root, "way-out")?;
    assert_eq!(client.lookup(&place(&link, "secret"))?.status(), Status::NotDir);
    for path in [
        "/",
        "/etc",
        "/export/..",
        "/export/../outside",
        "/export/way-out",
        "/export/way-out/secret",
    ] {
        let mounted = client.mnt(path)?;
        // `..` in a path is folded first, as it is by clients.
        assert!(mounted.is_err(), "{path} is mounted: {mounted:?}");
    }
    Ok(())
}
