//! Clients in user space, datagrams, and IPv6.

use std::fs;
use std::net::IpAddr;

use libtest_mimic::Trial;
use standfast_lab::trial::trial;
use standfast_lab::{Host, Lab, Requirement};
use standfast_nfs::v3::protocol::{CommitArgs, StableHow, Status};
use standfast_tests::Result;
use standfast_tests::guests::{GUESTS, MOUNT, OPTIONS, on_mount};
use standfast_tests::nfs3::{Answer, Nfs3, place};
use standfast_tests::server::Server;

const LIBNFS: &[Requirement] = &[
    Requirement::Program("nfs-ls"),
    Requirement::Program("nfs-cp"),
    Requirement::Program("nfs-cat"),
];
const QUESTIONS: &[Requirement] =
    &[Requirement::Program("showmount"), Requirement::Program("rpcinfo")];

pub(crate) fn stories() -> Vec<Trial> {
    vec![
        trial("libnfs_lists_copies_and_reads", LIBNFS, libnfs),
        trial("showmount_and_rpcinfo_are_answered", QUESTIONS, questions),
        trial("datagrams_do_over_ipv4", &[], |lab| datagrams(lab, Server::v4)),
        trial("datagrams_do_over_ipv6", &[], |lab| datagrams(lab, Server::v6)),
        trial("a_linux_client_mounts_over_ipv6", GUESTS, ipv6),
    ]
}

fn libnfs(lab: &Lab) -> Result {
    let server = Server::start(lab, "rw,no_root_squash,insecure")?;
    let host = lab.host("client")?;
    let url = |name: &str| format!("nfs://{}/export/{name}", server.v4());
    let content: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
    let (there, back) = (lab.dir().join("there"), lab.dir().join("back"));
    fs::write(&there, &content)?;
    let (there, back) = (there.display().to_string(), back.display().to_string());
    host.run(["nfs-cp", &there, &url("copied")])?.ok()?;
    assert_eq!(fs::read(server.export().join("copied"))?, content);
    let listed = host.run(["nfs-ls", &url("")])?.ok()?;
    assert!(listed.contains("copied") && listed.contains("3000000"), "{listed}");
    host.run(["nfs-cp", &url("copied"), &back])?.ok()?;
    assert_eq!(fs::read(&back)?, content);
    fs::write(server.export().join("text"), "some text\n")?;
    assert_eq!(host.run(["nfs-cat", &url("text")])?.ok()?, "some text\n");
    assert!(!host.run(["nfs-cat", &url("none")])?.success());
    Ok(())
}

fn questions(lab: &Lab) -> Result {
    let server = Server::start(lab, "rw,insecure")?;
    let host = lab.host("client")?;
    let (v4, v6) = (server.v4().to_string(), server.v6().to_string());
    let ask = |argv: &[&str]| -> Result<String> { Ok(host.run(argv)?.ok()?) };
    for (transport, address) in [("tcp", &v4), ("udp", &v4), ("tcp6", &v6), ("udp6", &v6)] {
        for (program, version) in [("nfs", "3"), ("mountd", "1"), ("mountd", "3")] {
            let said = ask(&["rpcinfo", "-T", transport, address, program, version])?;
            assert!(said.contains("ready and waiting"), "{transport} {program}: {said}");
        }
        let refused = host.run(["rpcinfo", "-T", transport, address, "nfs", "2"])?;
        assert!(!refused.success(), "{refused}");
    }
    let all = ask(&["rpcinfo", &v4])?;
    for line in ["0.0.0.0.8.1", "::.8.1"] {
        assert!(all.contains(line), "no {line} in {all}");
    }
    assert!(ask(&["showmount", "-e", "--no-headers", &v4])?.starts_with("/export "));
    assert_eq!(ask(&["showmount", "-a", "--no-headers", &v4])?, "");
    let (mut client, _root) = Nfs3::mount(&host, server.v4(), "/export")?;
    let own = host.addresses().v4;
    assert_eq!(ask(&["showmount", "-a", "--no-headers", &v4])?, format!("{own}:/export\n"));
    assert_eq!(ask(&["showmount", "-d", "--no-headers", &v4])?, "/export\n");
    const UMNTALL: (u32, u32, u32) = (100_005, 3, 4);
    client.wire.call::<_, ()>(UMNTALL, &())?;
    assert_eq!(ask(&["showmount", "-a", "--no-headers", &v4])?, "");
    Ok(())
}

/// A whole conversation over UDP.
fn datagrams(lab: &Lab, address: fn(&Server) -> IpAddr) -> Result {
    let server = Server::start(lab, "rw,no_root_squash,insecure")?;
    let host: Host = lab.host("client")?;
    let (mut client, root) = Nfs3::mount_udp(&host, address(&server), "/export")?;
    let file = client.make_file(&root, "file")?;
    assert_eq!(client.find(&root, "file")?, file);
    let info = client.fs_info(&root)?.ok()?;
    assert_eq!((info.read_max, info.write_max), (32 << 10, 32 << 10));
    let data = vec![7; 32 << 10];
    for block in 0..4 {
        let offset = block * data.len() as u64;
        client.write_at(&file, offset, &data, StableHow::Unstable)?.ok()?;
    }
    client.commit(&CommitArgs { file: file.clone(), offset: 0, count: 0 })?.ok()?;
    let read = client.read_at(&file, data.len() as u64, data.len() as u32)?;
    assert_eq!(&read.data[..], data);
    // Asked for more than a datagram holds, the server gives less.
    let read = client.read_at(&file, 0, 128 << 10)?;
    assert!(!read.data.is_empty() && read.data.iter().all(|byte| *byte == 7));
    assert!(!read.end_of_file);
    client.remove(&place(&root, "file"))?.ok()?;
    assert_eq!(client.get_attr(&file)?.status(), Status::Stale);
    Ok(())
}

fn ipv6(lab: &Lab) -> Result {
    let server = Server::start(lab, "rw,no_root_squash")?;
    let guest = lab.guest("client").boot()?;
    let options = OPTIONS.replace("proto=tcp", "proto=tcp6");
    guest.mount_nfs(server.v6(), "/export", &options, MOUNT)?;
    on_mount(
        &guest,
        "head -c 5M /dev/urandom >/tmp/f; cp /tmp/f f; echo 3 >/proc/sys/vm/drop_caches
         cmp f /tmp/f; grep -q 'addr=fd00:9::' /proc/mounts",
    )?;
    Ok(())
}
