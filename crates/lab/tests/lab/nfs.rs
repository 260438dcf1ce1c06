//! A guest mounts from a server on a host.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use libtest_mimic::Trial;
use standfast_lab::trial::{TestResult, trial};
use standfast_lab::{Daemon, Error, Host, Lab, Requirement, wait_until};

use crate::SOON;

const SERVER: &[Requirement] = &[
    Requirement::Guests,
    Requirement::Program("mount.nfs"),
    Requirement::Program("rpcbind"),
    Requirement::Program("rpc.statd"),
    Requirement::Program("ganesha.nfsd"),
    Requirement::Program("flock"),
];

pub(crate) fn trials() -> Vec<Trial> {
    vec![trial("a_guest_mounts_and_locks_over_nfs", SERVER, guest_mounts_and_locks)]
}

/// Starts NFS-Ganesha with one export, `/export`.
fn start_server(
    lab: &Lab,
    host: &Host,
) -> Result<Daemon, Box<dyn std::error::Error + Send + Sync>> {
    let export = lab.dir().join("export");
    fs::create_dir(&export)?;
    fs::set_permissions(&export, fs::Permissions::from_mode(0o777))?;
    let config = lab.dir().join("ganesha.conf");
    let text = format!(
        "NFS_CORE_PARAM {{ Protocols = 3, 4; Enable_NLM = true; Enable_RQUOTA = false; }}\n\
         NFSV4 {{ Graceless = true; RecoveryBackend = fs; }}\n\
         EXPORT {{ Export_Id = 1; Path = {}; Pseudo = /export; Access_Type = RW;\n\
         Squash = no_root_squash; SecType = sys; FSAL {{ Name = VFS; }} }}\n",
        export.display()
    );
    fs::write(&config, text)?;
    host.run(["rpcbind", "-w"])?.ok()?;
    host.run(["rpc.statd"])?.ok()?;
    let mut command = Command::new("ganesha.nfsd");
    command.args(["-F", "-L", "STDOUT", "-p", "/run/ganesha.pid", "-f"]).arg(&config);
    let daemon = host.start("ganesha", command)?;
    host.wait_port(2049, SOON)?;
    wait_until(SOON, "the server to be registered", || {
        host.run(["rpcinfo", "-t", "127.0.0.1", "nfs", "3"]).is_ok_and(|output| output.success())
    })?;
    Ok(daemon)
}

fn guest_mounts_and_locks(lab: &Lab) -> TestResult {
    let server = lab.host("server")?;
    let daemon = start_server(lab, &server)?;
    let guest = lab.guest("client").boot()?;
    let export = lab.dir().join("export");
    let (v4, v6) = (server.addresses().v4.into(), server.addresses().v6.into());
    guest.mount_nfs(v4, &export.to_string_lossy(), "vers=3,retry=0", "/mnt/v3")?;
    guest.mount_nfs(v6, "/export", "vers=4.1,retry=0", "/mnt/v4")?;
    guest.run("dd if=/dev/urandom of=/mnt/v3/f bs=64k count=64 conv=fsync")?.ok()?;
    guest.run("cmp /mnt/v3/f /mnt/v4/f")?.ok()?;
    assert_eq!(fs::metadata(export.join("f"))?.len(), 4 << 20);

    // A lock of one version stands in the way of the other: the server knows both.
    let try_v4 = || guest.run("flock -n /mnt/v4/f true");
    try_v4()?.ok()?;
    let holder = guest.spawn("exec 9</mnt/v3/f; flock -s 9 && sleep 1000")?;
    wait_until(SOON, "the lock to be held", || try_v4().is_ok_and(|tried| tried.status == 1))?;
    holder.kill()?;
    wait_until(SOON, "the lock to be free", || try_v4().is_ok_and(|tried| tried.success()))?;

    let refused = guest.mount_nfs(v4, "/none", "vers=4.1,retry=0", "/mnt/none");
    assert!(matches!(refused, Err(Error::Failed(_))), "{refused:?}");
    guest.run("umount /mnt/v3 && umount /mnt/v4")?.ok()?;
    assert!(daemon.is_running());
    Ok(())
}
