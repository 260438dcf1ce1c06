//! NFS mounts in a guest.

use std::net::IpAddr;

use super::{Guest, quote};
use crate::Error;

impl Guest {
    /// Mounts `path` of `server` at the directory `at`, which is made; `options` as in nfs(5). With
    /// version 3 and without `nolock`, the services that its locks need are started first.
    ///
    /// # Errors
    /// [`Error::Failed`] with what `mount` said, [`Error::TimedOut`], [`Error::Off`].
    pub fn mount_nfs(
        &self,
        server: IpAddr,
        path: &str,
        options: &str,
        at: &str,
    ) -> Result<(), Error> {
        if wants_lock_services(options) {
            self.start_lock_services()?;
        }
        let source = match server {
            IpAddr::V4(address) => format!("{address}:{path}"),
            IpAddr::V6(address) => format!("[{address}]:{path}"),
        };
        let (source, options, at) = (quote(&source), quote(options), quote(at));
        self.run(&format!("mkdir -p {at} && mount -t nfs -o {options} {source} {at}"))?
            .ok()
            .map(drop)
    }

    /// Starts `rpcbind` and `rpc.statd`, once per boot, as a machine does that mounts over version
    /// 3; `rpc.statd` then tells the peers that it remembers of the reboot.
    ///
    /// # Errors
    /// [`Error::Failed`], [`Error::TimedOut`], [`Error::Off`].
    pub fn start_lock_services(&self) -> Result<(), Error> {
        // A lock: two mounts at once must not start them twice.
        let start = "exec 9>/run/lock/lab-nfs; flock 9\n\
                     [ -e /run/lab-nfs ] && exit 0\n\
                     { rpcbind -w && rpc.statd; } 9>&- && : >/run/lab-nfs";
        self.run(start)?.ok().map(drop)
    }
}

/// Whether a mount with these options needs `rpc.statd`.
fn wants_lock_services(options: &str) -> bool {
    let mut version_3 = false;
    for option in options.split(',') {
        match option.split_once('=') {
            Some(("vers" | "nfsvers", version)) => version_3 = version.starts_with('3'),
            None if option == "nolock" => return false,
            _ => {}
        }
    }
    version_3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lock_services_are_for_version_3_with_locks() {
        assert!(wants_lock_services("vers=3,tcp"));
        assert!(wants_lock_services("hard,nfsvers=3"));
        assert!(!wants_lock_services("vers=3,nolock"));
        assert!(!wants_lock_services("vers=4.1"));
        assert!(!wants_lock_services("hard"));
    }
}
