//! The Debian packages that the tests need.

use std::process::{Command, Stdio};

use crate::run::{Failed, run_command, say};

/// Each with what it is for.
const PACKAGES: &[&str] = &[
    // Guests with a kernel of their own, and hosts in namespaces.
    "user-mode-linux",
    "kmod",
    "iproute2",
    "iputils-ping",
    "util-linux",
    "procps",
    "tcpdump",
    "tshark",
    // Clients and peers.
    "nfs-common",
    "rpcbind",
    "libnfs-utils",
    "nfs-ganesha",
    "nfs-ganesha-vfs",
    "keepalived",
    // Filesystems to serve.
    "e2fsprogs",
    "xfsprogs",
    "btrfs-progs",
    "acl",
    "attr",
    // Programs that work on a mount.
    "git",
    "rsync",
    "sqlite3",
    "postgresql",
    "fio",
    "stress-ng",
    "python3",
];

/// Installs what is missing, or says what it is.
pub(crate) fn run(list: bool) -> Result<(), Failed> {
    let missing: Vec<_> = PACKAGES.iter().filter(|package| !is_installed(package)).collect();
    if missing.is_empty() {
        say("all packages are installed");
        return Ok(());
    }
    if list {
        missing.iter().for_each(|package| say(package));
        return Ok(());
    }
    run_command(apt().args(["update", "-q"]))?;
    run_command(apt().args(["install", "-y", "-q", "--no-install-recommends"]).args(missing))
}

fn apt() -> Command {
    let mut command = Command::new("apt-get");
    command.env("DEBIAN_FRONTEND", "noninteractive");
    command
}

fn is_installed(package: &str) -> bool {
    let output = Command::new("dpkg-query")
        .args(["--show", "--showformat=${db:Status-Status}", package])
        .stderr(Stdio::null())
        .output();
    output.is_ok_and(|output| output.stdout == b"installed")
}
