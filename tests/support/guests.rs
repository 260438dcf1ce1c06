//! Clients with a Linux kernel.

use std::net::IpAddr;
use std::thread;

use standfast_lab::{Error, Guest, Lab, MIB, Requirement};

use crate::Result;
use crate::server::Server;

/// What a story with guests needs of this machine.
pub const GUESTS: &[Requirement] =
    &[Requirement::Guests, Requirement::Program("mount.nfs"), Requirement::Program("setpriv")];

/// How guests mount: locks stay in the guest.
pub const OPTIONS: &str = "vers=3,proto=tcp,nolock,retry=1";

/// The shell does not end when a negated command succeeds; this does.
const PREAMBLE: &str =
    "fails() { if \"$@\" 2>/dev/null; then echo \"unexpected success: $*\" >&2; exit 1; fi; }\n";

/// Where guests mount.
pub const MOUNT: &str = "/mnt/nfs";

/// A guest of 512 MiB that has mounted the export of [`Server::start`] at [`MOUNT`].
///
/// # Errors
/// What booting or mounting failed with.
pub fn mounted(lab: &Lab, server: &Server, name: &str) -> Result<Guest> {
    mounted_from(lab, server.v4(), name, OPTIONS)
}

/// The same, from an address of the server, with other mount options.
///
/// # Errors
/// What booting or mounting failed with.
pub fn mounted_from(lab: &Lab, server: IpAddr, name: &str, options: &str) -> Result<Guest> {
    let guest = lab.guest(name).memory(512 * MIB).boot()?;
    guest.mount_nfs(server, "/export", options, MOUNT)?;
    Ok(guest)
}

/// Two of them, booted at once.
///
/// # Errors
/// What booting or mounting failed with.
pub fn two_mounted_from(lab: &Lab, server: IpAddr, options: &str) -> Result<(Guest, Guest)> {
    let (first, second) = thread::scope(|scope| {
        let first = scope.spawn(|| mounted_from(lab, server, "first", options));
        let second = mounted_from(lab, server, "second", options);
        (first.join(), second)
    });
    Ok((first.map_err(|_| "a guest's thread panicked")??, second?))
}

/// Runs shell commands in the mounted directory of a guest; the first that fails ends them, and
/// one after `fails` must fail.
///
/// # Errors
/// [`Error::Failed`] with what they said; [`Error::TimedOut`].
pub fn on_mount(guest: &Guest, commands: &str) -> std::result::Result<String, Error> {
    guest.run_within(crate::SOON, &format!("{PREAMBLE}set -e; cd {MOUNT}; {commands}"))?.ok()
}
