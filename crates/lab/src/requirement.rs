//! What this machine must offer for a test to run in a lab.

use std::env;
use std::fs;
use std::path::Path;
use std::thread;

use nix::sched::{CloneFlags, unshare};
use nix::unistd::Uid;

use crate::guest::kernel;

/// Where Debian's package keeps the modules of the guests' kernel.
const GUEST_MODULES: &str = "/usr/lib/uml/modules";

/// Something that a test needs of this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Requirement {
    /// To make a lab with hosts: root and namespaces.
    Hosts,
    /// To boot guests, in addition to what hosts need: user-mode Linux, tap devices, iproute2.
    Guests,
    /// A program that is found in `PATH`.
    Program(&'static str),
    /// A file or directory.
    File(&'static str),
}

/// What this machine lacks of `requirements`: nothing if it has it all.
#[must_use]
pub fn missing(requirements: &[Requirement]) -> Vec<String> {
    let mut lacking = Vec::new();
    for lack in requirements.iter().flat_map(Requirement::missing) {
        if !lacking.contains(&lack) {
            lacking.push(lack);
        }
    }
    lacking
}

impl Requirement {
    fn missing(&self) -> Vec<String> {
        match self {
            Self::Hosts => hosts(),
            Self::Guests => [hosts(), guests()].concat(),
            Self::Program(name) => program(name).into_iter().collect(),
            Self::File(path) => file(path).into_iter().collect(),
        }
    }
}

fn hosts() -> Vec<String> {
    let mut lacking = Vec::new();
    if !Uid::effective().is_root() {
        lacking.push("root".into());
    } else if !can_unshare() {
        lacking.push("the right to make namespaces".into());
    }
    lacking
}

fn guests() -> Vec<String> {
    let files = [file("/dev/net/tun"), file(GUEST_MODULES), file("/dev/shm")];
    let unfit = kernel::find()
        .filter(|program| !kernel::fits(program))
        .map(|_| format!("a `{}` that knows this processor's registers", kernel::PROGRAM));
    [program(kernel::PROGRAM), program("ip"), unfit].into_iter().chain(files).flatten().collect()
}

/// Tries it, on a thread that goes away with its namespaces.
fn can_unshare() -> bool {
    let flags = CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWPID;
    thread::spawn(move || unshare(flags).is_ok()).join().unwrap_or(false)
}

fn file(path: &str) -> Option<String> {
    (!Path::new(path).exists()).then(|| path.to_owned())
}

/// The lack of a program, with the Debian package that has it.
fn program(name: &str) -> Option<String> {
    let found = env::var_os("PATH")
        .is_some_and(|path| env::split_paths(&path).any(|dir| is_program(&dir.join(name))));
    (!found).then(|| match package(name) {
        Some(package) => format!("`{name}` (package {package})"),
        None => format!("`{name}`"),
    })
}

fn is_program(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|meta| meta.is_file())
}

/// The package of a program, where its name does not say it.
fn package(program: &str) -> Option<&'static str> {
    Some(match program {
        "ip" | "tc" => "iproute2",
        "linux.uml" => "user-mode-linux",
        "mount.nfs" | "rpc.statd" | "showmount" | "nfsstat" => "nfs-common",
        "rpcbind" | "rpcinfo" => "rpcbind",
        "ganesha.nfsd" => "nfs-ganesha",
        "rpc.nfsd" | "exportfs" | "rpc.mountd" => "nfs-kernel-server",
        "nfs-ls" | "nfs-cp" | "nfs-cat" => "libnfs-utils",
        "sqlite3" => "sqlite3",
        "mkfs.xfs" => "xfsprogs",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_program_and_package() {
        assert!(missing(&[Requirement::Program("sh"), Requirement::File("/")]).is_empty());
        let absent = Requirement::Program("no-such-program");
        assert_eq!(missing(&[absent, absent]), ["`no-such-program`"]);
        assert_eq!(missing(&[Requirement::File("/no/such")]), ["/no/such"]);
    }
}
