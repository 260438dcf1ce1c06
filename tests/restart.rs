//! The server is killed and started again; clients go on.

use std::fs::{self, File};
use std::io::{Read, Write};

use libtest_mimic::Trial;
use standfast_lab::trial::trial;
use standfast_lab::{Direction, Guest, Lab, wait_until};
use standfast_nfs::v3::protocol::{
    CommitArgs, CreateArgs, CreateHow, Procedure, RenameArgs, StableHow, Status,
};
use standfast_tests::guests::{GUESTS, MOUNT, mounted, on_mount};
use standfast_tests::nfs3::{Answer, Nfs3, numbers, place, with_mode};
use standfast_tests::server::{PORT, Server, export};
use standfast_tests::wire::{Wire, connect, message, user};
use standfast_tests::{Result, SOON};

pub(crate) fn stories() -> Vec<Trial> {
    vec![
        trial("open_files_outlive_a_restart_of_the_server", GUESTS, open_files),
        trial("data_that_a_crash_loses_is_sent_again", GUESTS, lost_data),
        trial("handles_and_exclusive_creation_outlive_a_restart", &[], by_hand),
        trial("a_retransmission_after_a_restart_is_answered_and_not_run", &[], retransmissions),
    ]
}

/// Files, directories and a removed file stay open in a client over two restarts.
fn open_files(lab: &Lab) -> Result {
    let mut server = Server::start(lab, "rw,no_root_squash")?;
    let guest = mounted(lab, &server, "client")?;
    on_mount(&guest, "mkdir directory; echo kept >directory/kept; mkfifo /tmp/go /tmp/done")?;
    // Each word that comes through the pipe is worked on with what was opened before.
    let worker = guest.spawn(&format!(
        "set -e; cd {MOUNT}/directory; exec 3<>open 4<>removed 5>>appended; rm removed
         while read word </tmp/go; do
             echo $word >&3; echo $word >&4; echo $word >&5; cat kept >/dev/null
             echo $word >new-$word; ls >/dev/null
             [ $(cat /proc/self/fd/4 | wc -l) = $(cat open | wc -l) ]
             echo $word >/tmp/done
         done"
    ))?;
    for word in ["one", "two", "three"] {
        let spoken = guest.run_within(SOON, &format!("echo {word} >/tmp/go; cat /tmp/done"));
        assert_eq!(spoken.and_then(standfast_lab::Output::ok)?.trim(), word, "{}", worker.stderr());
        server.kill()?;
        server.restart()?;
    }
    assert!(worker.is_running(), "{}", worker.stderr());
    worker.kill()?;
    let directory = server.export().join("directory");
    for name in ["open", "appended"] {
        assert_eq!(fs::read_to_string(directory.join(name))?, "one\ntwo\nthree\n", "{name}");
    }
    for word in ["one", "two", "three"] {
        assert_eq!(fs::read_to_string(directory.join(format!("new-{word}")))?, format!("{word}\n"));
    }
    Ok(())
}

/// A machine that loses power loses what was written and not committed: here, the link is cut in
/// the middle of a large file, the server killed, and the file emptied. The client then has all
/// the data sent again, because the write verifier is another one.
fn lost_data(lab: &Lab) -> Result {
    const ATTEMPTS: usize = 5;
    let directory = lab.dir().join("export");
    fs::create_dir(&directory)?;
    let settings = "[metrics]\nlisten = \"127.0.0.1:9469\"\n".to_owned()
        + &export(&directory, "/export", &["*:rw,no_root_squash"]);
    let mut server = Server::start_with(lab, &settings)?;
    let guest = mounted(lab, &server, "client")?;
    guest.run("head -c 96M /dev/urandom >/tmp/source")?.ok()?;
    for attempt in 0..ATTEMPTS {
        if lose_once(&mut server, &guest, &format!("file-{attempt}"))? {
            return Ok(());
        }
    }
    Err(format!("the file was committed before the cut, {ATTEMPTS} times").into())
}

/// Whether the file was not committed, even in part, when the link was cut.
fn lose_once(server: &mut Server, guest: &Guest, name: &str) -> Result<bool> {
    let path = server.export().join(name);
    let commits = commits(server)?;
    let writer =
        guest.spawn(&format!("dd if=/tmp/source of={MOUNT}/{name} bs=1M conv=fsync 2>&1"))?;
    let size = || fs::metadata(&path).map_or(0, |metadata| metadata.len());
    wait_until(SOON, "some of the file to arrive", || size() > 2 << 20)?;
    server.host.cut_link(Direction::Both)?;
    let lost = self::commits(server)? == commits;
    server.kill()?;
    if lost {
        File::create(&path)?;
    }
    server.restart()?;
    server.host.mend_link()?;
    writer.wait(SOON)?.ok()?;
    assert!(self::commits(server)? > 0, "COMMIT is not counted");
    let sums = guest.run(&format!(
        "echo 3 >/proc/sys/vm/drop_caches; cmp /tmp/source {MOUNT}/{name} && sha256sum </tmp/source"
    ))?;
    let in_export = server.host.run(["sha256sum".as_ref(), path.as_os_str()])?.ok()?;
    assert_eq!(sums.ok()?.split(' ').next(), in_export.split(' ').next());
    Ok(lost)
}

/// How many COMMITs the server has answered since it started.
fn commits(server: &Server) -> Result<u64> {
    let mut stream = connect(&server.host, std::net::Ipv4Addr::LOCALHOST.into(), 9469)?;
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: server\r\nConnection: close\r\n\r\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    let counted = text
        .lines()
        .filter(|line| line.starts_with("standfast_nfs_operations") && line.contains("COMMIT"))
        .filter_map(|line| line.split(' ').next_back()?.parse::<f64>().ok())
        .sum::<f64>();
    assert!(text.contains("standfast_nfs"), "{text}");
    Ok(counted as u64)
}

fn by_hand(lab: &Lab) -> Result {
    let mut server = Server::start(lab, "rw,no_root_squash,insecure")?;
    let host = lab.host("client")?;
    let (mut client, root) = Nfs3::mount(&host, server.v4(), "/export")?;
    let file = client.make_file(&root, "file")?;
    let how = || CreateHow::Exclusive(*b"verifier");
    let exclusive = || CreateArgs { place: place(&root, "exclusive"), how: how() };
    let made = client.create(&exclusive())?.ok()?.object;
    let wrote = client.write_at(&file, 0, b"data", StableHow::Unstable)?.ok()?;

    server.kill()?;
    server.restart()?;
    let mut client = Nfs3 { wire: Wire::tcp(&host, server.v4(), PORT)? };
    // The same handles, for files and for the export.
    assert_eq!(client.mnt("/export")?, Ok(root.clone()));
    assert_eq!(client.find(&root, "file")?, file);
    assert_eq!(client.get_attr(&file)?.ok()?.size, 4);
    // Another verifier: unstable data may be lost.
    let commit = CommitArgs { file: file.clone(), offset: 0, count: 0 };
    assert_ne!(client.commit(&commit)?.ok()?.verifier, wrote.verifier);
    // The exclusive creation is known again, and only that one.
    assert_eq!(client.create(&exclusive())?.ok()?.object, made);
    let other =
        CreateArgs { place: place(&root, "exclusive"), how: CreateHow::Exclusive(*b"another1") };
    assert_eq!(client.create(&other)?.status(), Status::Exist);
    Ok(())
}

/// Each call is sent, the server killed and started, and the very same message sent again.
fn retransmissions(lab: &Lab) -> Result {
    let mut server = Server::start(lab, "rw,no_root_squash,insecure")?;
    let host = lab.host("client")?;
    let (mut client, root) = Nfs3::mount(&host, server.v4(), "/export")?;
    for name in ["old", "from"] {
        client.make_file(&root, name)?;
    }
    let credential = user(0, 0, &[]);
    let how = CreateHow::Guarded(with_mode(0o644));
    let create = CreateArgs { place: place(&root, "new"), how };
    let rename = RenameArgs { from: place(&root, "from"), to: place(&root, "to") };
    let messages = [
        message(0x7001, numbers(Procedure::Create), &credential, &create),
        message(0x7002, numbers(Procedure::Remove), &credential, &place(&root, "old")),
        message(0x7003, numbers(Procedure::Rename), &credential, &rename),
    ];
    let send_all = |wire: &mut Wire| -> Result<Vec<_>> {
        (0x7001..).zip(&messages).map(|(xid, message)| wire.exchange(xid, message)).collect()
    };
    let first = send_all(&mut client.wire)?;
    // What another client does meanwhile tells whether they are run again.
    let (directory, write) = (server.export(), |path, text: &str| fs::write(path, text));
    fs::remove_file(directory.join("new"))?;
    write(directory.join("old"), "again")?;
    write(directory.join("from"), "again")?;
    for _ in 0..2 {
        server.kill()?;
        server.restart()?;
        let again = send_all(&mut Wire::tcp(&host, server.v4(), PORT)?)?;
        assert_eq!(again, first);
    }
    assert!(!directory.join("new").exists());
    for name in ["old", "from"] {
        assert_eq!(fs::read_to_string(directory.join(name))?, "again", "{name}");
    }
    assert_eq!(fs::read_to_string(directory.join("to"))?, "");
    let shown = server.run(&["journal", "show", &directory.to_string_lossy()])?.ok()?;
    assert!(shown.contains("xid 0x00007001"), "{shown}");
    let verified = server.run(&["journal", "verify", &directory.to_string_lossy()])?.ok()?;
    assert!(verified.contains("\"epoch\": 3"), "{verified}");
    Ok(())
}
