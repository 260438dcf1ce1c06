//! Clients with a Linux kernel.

use std::net::IpAddr;
use std::thread;

use libtest_mimic::Trial;
use standfast_lab::trial::trial;
use standfast_lab::{Error, Guest, Lab, MIB, Requirement};

use crate::Result;
use crate::server::Server;

/// What a story with guests needs of this machine.
pub const GUESTS: &[Requirement] =
    &[Requirement::Guests, Requirement::Program("mount.nfs"), Requirement::Program("setpriv")];

/// How guests mount over version 3: locks stay in the guest.
pub const OPTIONS: &str = "vers=3,proto=tcp,nolock,retry=1";

/// A version of NFS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// NFSv3.
    V3,
    /// NFSv4.0.
    V40,
    /// NFSv4.1.
    V41,
    /// NFSv4.2.
    V42,
}

impl Version {
    /// How guests mount. Only version 3 leaves locks in the guest.
    #[must_use]
    pub fn options(self) -> &'static str {
        match self {
            Self::V3 => OPTIONS,
            Self::V40 => "vers=4.0,proto=tcp,retry=1",
            Self::V41 => "vers=4.1,proto=tcp,retry=1",
            Self::V42 => "vers=4.2,proto=tcp,retry=1",
        }
    }

    /// What follows the name of a story that is told for several versions.
    #[must_use]
    pub fn suffix(self) -> &'static str {
        match self {
            Self::V3 => "",
            Self::V40 => "_over_4.0",
            Self::V41 => "_over_4.1",
            Self::V42 => "_over_4.2",
        }
    }
}

/// A story that is told for several versions.
pub fn for_versions(
    name: &str,
    needs: &'static [Requirement],
    versions: &[Version],
    story: fn(&Lab, Version) -> Result,
) -> Vec<Trial> {
    let tell = |version: &Version| {
        let version = *version;
        let name = format!("{name}{}", version.suffix());
        trial(&name, needs, move |lab| story(lab, version))
    };
    versions.iter().map(tell).collect()
}

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

/// The same, over some version.
///
/// # Errors
/// What booting or mounting failed with.
pub fn mounted_over(lab: &Lab, server: &Server, name: &str, version: Version) -> Result<Guest> {
    mounted_from(lab, server.v4(), name, version.options())
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
