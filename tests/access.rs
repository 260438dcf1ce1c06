//! Who may do what: users, groups, squashing, access control lists, rules by address.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use libtest_mimic::Trial;
use standfast_lab::trial::trial;
use standfast_lab::{Error, Guest, Host, Lab, Requirement};
use standfast_nfs::mount::protocol::Status as MountStatus;
use standfast_nfs::v3::protocol::Status;
use standfast_tests::Result;
use standfast_tests::guests::{GUESTS, MOUNT, OPTIONS, mounted, on_mount};
use standfast_tests::nfs3::{Answer, Nfs3, place};
use standfast_tests::server::{PORT, Server, export};
use standfast_tests::wire::Wire;

const ACLS: &[Requirement] =
    &[Requirement::Guests, Requirement::Program("mount.nfs"), Requirement::Program("setfacl")];

pub(crate) fn stories() -> Vec<Trial> {
    vec![
        trial("users_have_the_rights_of_a_local_filesystem", GUESTS, users),
        trial("groups_beyond_16_are_looked_up_on_the_server", GUESTS, many_groups),
        trial("access_control_lists_of_the_server_hold", ACLS, access_control_lists),
        trial("identities_are_squashed", GUESTS, squashing),
        trial("rules_by_address_and_port_hold", GUESTS, rules),
    ]
}

const ANNA: u32 = 4001;
const BERT: u32 = 4002;

/// Runs a command in the mounted directory as a user whose only group has the same number.
fn as_user(guest: &Guest, user: u32, command: &str) -> std::result::Result<bool, Error> {
    let command = format!("cd {MOUNT} && {command}");
    Ok(guest.run_as(user, user, &[], &command)?.success())
}

fn users(lab: &Lab) -> Result {
    let server = Server::start(lab, "rw")?;
    let guest = mounted(lab, &server, "client")?;
    assert!(as_user(&guest, ANNA, "umask 022; echo hers >file; mkdir -m 700 private")?);
    assert!(as_user(&guest, ANNA, "echo x >private/x")?);
    assert!(as_user(&guest, BERT, "cat file")?);
    for denied in
        ["echo x >>file", "chmod 777 file", "ls private", "cat private/x", "chown 4002 file"]
    {
        assert!(!as_user(&guest, BERT, denied)?, "{denied}");
    }
    // Not even its owner gives a file away.
    assert!(!as_user(&guest, ANNA, "chown 4002 file")?);
    // The export's directory is sticky: others do not remove or rename what is hers.
    for denied in ["rm -f file", "mv file other", "rmdir private"] {
        assert!(!as_user(&guest, BERT, denied)?, "{denied}");
    }
    assert!(as_user(&guest, ANNA, "mkdir -m 777 open; echo x >open/hers")?);
    assert!(as_user(&guest, BERT, "rm -f open/hers && [ ! -e open/hers ]")?);
    // The owner writes to a file that has become read-only, through what is open already.
    assert!(as_user(
        &guest,
        ANNA,
        "exec 3>late; chmod 400 late; echo late >&3; grep -q late late"
    )?);
    // A set-group-id directory gives its group and itself to what is made in it.
    let shared = server.export().join("shared");
    fs::create_dir(&shared)?;
    std::os::unix::fs::chown(&shared, Some(ANNA), Some(5005))?;
    server.host.run(["chmod".as_ref(), "2777".as_ref(), shared.as_os_str()])?.ok()?;
    assert!(as_user(&guest, BERT, "mkdir shared/d && echo x >shared/f")?);
    let seen = on_mount(&guest, "stat -c '%u:%g:%A' shared/d shared/f")?;
    let expected = format!("{BERT}:5005:drwxr-sr-x\n{BERT}:5005:-rw-r--r--\n");
    assert_eq!(seen, expected);
    // Writing takes the set-user-id bit away, as it does locally.
    assert!(as_user(&guest, ANNA, "cp /bin/true suid && chmod 4755 suid")?);
    assert!(as_user(&guest, ANNA, "echo >>suid && [ ! -u suid ]")?);
    Ok(())
}

/// The server knows groups of the user that no request has room for.
fn many_groups(lab: &Lab) -> Result {
    const LAST: u32 = 6020;
    let allow = lab.dir().join("export");
    fs::create_dir(&allow)?;
    let server = Server::prepare(lab, &export(&allow, "/export", &["*:rw,no_root_squash"]))?;
    let mut groups = fs::read_to_string("/etc/group")?;
    for gid in 6001..=LAST {
        groups += &format!("story{gid}:x:{gid}:anna\n");
    }
    let users = fs::read_to_string("/etc/passwd")?
        + &format!("anna:x:{ANNA}:{ANNA}::/nonexistent:/bin/false\n");
    replace_file(&server.host, lab, "/etc/group", &groups)?;
    replace_file(&server.host, lab, "/etc/passwd", &users)?;
    let mut server = server;
    server.restart()?;
    let guest = mounted(lab, &server, "client")?;
    on_mount(
        &guest,
        "for gid in 6001 6016 6017 6020; do
             echo $gid >$gid; chgrp $gid $gid; chmod 640 $gid
         done
         echo x >6021; chgrp 6021 6021; chmod 640 6021",
    )?;
    // The client's own list is longer than a request: what it leaves out is in the server's.
    let own: Vec<u32> = (6001..=LAST).collect();
    let can = |groups: &[u32], command: &str| -> Result<bool> {
        Ok(guest.run_as(ANNA, ANNA, groups, &format!("cd {MOUNT} && {command}"))?.success())
    };
    assert!(can(&own, "cat 6001 6016 6017 6020")?);
    assert!(!can(&own, "cat 6021")?);
    assert!(can(&[6001], "cat 6001")?);
    // The server does not know this user: the groups of the request count.
    let asked = |groups: &[u32], name: &str| -> Result<bool> {
        Ok(guest.run_as(BERT, BERT, groups, &format!("cat {MOUNT}/{name}"))?.success())
    };
    assert!(asked(&own, "6001")?);
    assert!(!asked(&[], "6001")?);
    Ok(())
}

/// Gives a host a file of its own in place of this machine's.
fn replace_file(host: &Host, lab: &Lab, path: &str, content: &str) -> Result {
    let own = lab.dir().join(Path::new(path).file_name().ok_or("the path has no name")?);
    fs::write(&own, content)?;
    host.run(["mount".as_ref(), "--bind".as_ref(), own.as_os_str(), path.as_ref()])?.ok()?;
    Ok(())
}

fn access_control_lists(lab: &Lab) -> Result {
    let server = Server::start(lab, "rw,no_root_squash")?;
    let guest = mounted(lab, &server, "client")?;
    on_mount(&guest, "echo secret >file; chmod 600 file; mkdir -m 700 directory")?;
    let set = |list: &str, name: &str| -> Result {
        let path = server.export().join(name).display().to_string();
        server.host.run(["setfacl", "-m", list, &path])?.ok()?;
        Ok(())
    };
    assert!(!as_user(&guest, ANNA, "cat file")?);
    set(&format!("u:{ANNA}:r"), "file")?;
    set(&format!("u:{ANNA}:rwx,d:u:{ANNA}:rw"), "directory")?;
    on_mount(&guest, "echo 3 >/proc/sys/vm/drop_caches")?;
    assert!(as_user(&guest, ANNA, "cat file")?);
    assert!(!as_user(&guest, ANNA, "echo x >>file")?);
    assert!(!as_user(&guest, BERT, "cat file")?);
    assert!(as_user(&guest, ANNA, "echo x >directory/hers && ls directory")?);
    assert!(!as_user(&guest, BERT, "ls directory")?);
    // What root makes in it is hers to write, by the directory's default list.
    on_mount(&guest, "umask 002; echo x >directory/inherited")?;
    assert!(as_user(&guest, ANNA, "echo y >>directory/inherited")?);
    assert!(!as_user(&guest, BERT, "cat directory/inherited")?);
    Ok(())
}

fn squashing(lab: &Lab) -> Result {
    let make = |name: &str| -> Result<PathBuf> {
        let path = lab.dir().join(name);
        fs::create_dir(&path)?;
        fs::set_permissions(&path, PermissionsExt::from_mode(0o777))?;
        fs::write(path.join("roots"), "secret")?;
        fs::set_permissions(path.join("roots"), PermissionsExt::from_mode(0o600))?;
        Ok(path)
    };
    let exports = [
        export(&make("root")?, "/root", &["*:rw"]),
        export(&make("all")?, "/all", &["*:rw,all_squash,anonuid=7001,anongid=7002"]),
        export(&make("none")?, "/none", &["*:rw,no_root_squash"]),
        export(&make("readonly")?, "/readonly", &["*:ro,no_root_squash"]),
    ];
    let server = Server::start_with(lab, &exports.concat())?;
    let guest = lab.guest("client").boot()?;
    for name in ["root", "all", "none", "readonly"] {
        guest.mount_nfs(server.v4(), &format!("/{name}"), OPTIONS, &format!("/mnt/{name}"))?;
    }
    let owner = |name: &str, user: u32| -> Result<String> {
        let file = format!("/mnt/{name}/by-{user}");
        guest.run_as(user, user, &[], &format!("echo x >{file}"))?.ok()?;
        Ok(guest.run(&format!("stat -c %u:%g {file}"))?.ok()?.trim().to_owned())
    };
    assert_eq!(owner("root", 0)?, "65534:65534");
    assert_eq!(owner("root", ANNA)?, "4001:4001");
    assert_eq!(owner("all", 0)?, "7001:7002");
    assert_eq!(owner("all", ANNA)?, "7001:7002");
    assert_eq!(owner("none", 0)?, "0:0");
    assert_eq!(owner("none", ANNA)?, "4001:4001");
    let works = |command: &str| -> Result<bool> { Ok(guest.run(command)?.success()) };
    assert!(works("cat /mnt/none/roots")?);
    assert!(!works("cat /mnt/root/roots")?);
    assert!(!works("cat /mnt/all/roots")?);
    assert!(works("cat /mnt/readonly/roots")?);
    for command in ["touch /mnt/readonly/x", "rm -f /mnt/readonly/roots", "chmod 777 /mnt/readonly"]
    {
        let refused = guest.run(command)?;
        assert!(refused.stderr.contains("Read-only file system"), "{refused}");
    }
    Ok(())
}

fn rules(lab: &Lab) -> Result {
    let (friend, stranger) = (lab.host("friend")?, lab.host("stranger")?);
    let directory = lab.dir().join("export");
    fs::create_dir(&directory)?;
    fs::write(directory.join("file"), "content")?;
    let of = |host: &Host, options: &str| format!("{}:{options}", host.addresses().v4);
    let guest = lab.guest("client").boot()?;
    let guests = format!("{}:rw", guest.addresses().v4);
    let rules = [&*guests, &of(&friend, "ro,insecure")];
    let server = Server::start_with(lab, &export(&directory, "/export", &rules))?;

    let (mut allowed, root) = Nfs3::mount(&friend, server.v4(), "/export")?;
    let file = allowed.find(&root, "file")?;
    assert_eq!(&allowed.read_at(&file, 0, 10)?.data[..], b"content");
    // Another machine gets neither a handle nor anything with the handle of the first.
    let mut denied = Nfs3 { wire: Wire::tcp(&stranger, server.v4(), PORT)? };
    assert_eq!(denied.mnt("/export")?, Err(MountStatus::Access));
    assert_eq!(denied.mnt("/none")?, Err(MountStatus::Access));
    assert_eq!(denied.get_attr(&root)?.status(), Status::Stale);
    assert_eq!(denied.lookup(&place(&root, "file"))?.status(), Status::Stale);

    // The guest's requests must come from a port below 1024.
    guest.mount_nfs(server.v4(), "/export", OPTIONS, MOUNT)?;
    on_mount(&guest, "cat file; umount -l .")?;
    let insecure = format!("{OPTIONS},noresvport,retry=0");
    let refused = guest.mount_nfs(server.v4(), "/export", &insecure, "/mnt/insecure");
    let message = refused.err().map(|error| error.to_string()).unwrap_or_default();
    assert!(message.contains("access denied") || message.contains("not permitted"), "{message}");

    // A rule that is taken away holds at once, also for handles that were given.
    server.write_settings(&export(&directory, "/export", &[&*guests]))?;
    server.reload()?;
    assert_eq!(allowed.get_attr(&file)?.status(), Status::Stale);
    Ok(())
}
