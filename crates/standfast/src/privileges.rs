//! The rights of the process: what serving needs, and no more.

use caps::{CapSet, Capability, CapsHashSet};

/// What serving needs, each with its reason. `packaging/standfast.service` allows these and those
/// of [`MEMBER`].
const SERVING: [Capability; 10] = [
    // Act as the callers, who may own and change what is theirs.
    Capability::CAP_SETUID,
    Capability::CAP_SETGID,
    Capability::CAP_CHOWN,
    Capability::CAP_DAC_OVERRIDE,
    Capability::CAP_FOWNER,
    Capability::CAP_FSETID,
    Capability::CAP_MKNOD,
    // Open files by their handles.
    Capability::CAP_DAC_READ_SEARCH,
    // Confine clients to the export by a mount of its own.
    Capability::CAP_SYS_ADMIN,
    // Listen below port 1024.
    Capability::CAP_NET_BIND_SERVICE,
];

/// What a member of a cluster needs besides.
const MEMBER: [Capability; 2] = [
    // Put floating addresses on interfaces, and leave connections without a word when a service
    // goes on elsewhere.
    Capability::CAP_NET_ADMIN,
    // Announce these addresses, and wake the connections of clients.
    Capability::CAP_NET_RAW,
];

/// Who asks for rights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Serves what it was told, and is never part of a cluster.
    Alone,
    /// Is a member of a cluster, or may become one at any time while it runs.
    Node,
}

impl Role {
    fn needs(self) -> impl Iterator<Item = Capability> {
        let member = (self == Self::Node).then_some(MEMBER);
        SERVING.into_iter().chain(member.into_iter().flatten())
    }
}

/// Keeps these rights only, of those that the process has.
fn keep_only(needed: impl IntoIterator<Item = Capability>) -> Result<(), caps::errors::CapsError> {
    let permitted = caps::read(None, CapSet::Permitted)?;
    let kept: CapsHashSet =
        needed.into_iter().filter(|capability| permitted.contains(capability)).collect();
    caps::set(None, CapSet::Effective, &kept)?;
    caps::set(None, CapSet::Permitted, &kept)?;
    caps::clear(None, CapSet::Inheritable)
}

/// What the keeper needs: to take addresses down and to end connections without a word.
pub(crate) fn reduce_to_keeping() -> Result<(), caps::errors::CapsError> {
    keep_only([Capability::CAP_NET_ADMIN])
}

/// Gives up all rights that the role does not need. Called before there is a second thread: rights
/// are the thread's.
///
/// `CAP_SYS_RESOURCE` goes too once the limit of open files is raised: it would let callers eat
/// the blocks and quotas that filesystems keep for root.
pub(crate) fn reduce(role: Role) -> Result<(), caps::errors::CapsError> {
    let permitted = caps::read(None, CapSet::Permitted)?;
    let raise = permitted.contains(&Capability::CAP_SYS_RESOURCE);
    raise_open_files(raise);
    keep_only(role.needs())
}

/// Raises the limit of open files as far as allowed: each connection and each cached file takes
/// one.
fn raise_open_files(beyond_hard_limit: bool) {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    const WANTED: u64 = 1 << 17;
    let old = getrlimit(Resource::Nofile);
    let hard = old.maximum.unwrap_or(u64::MAX);
    let maximum = if beyond_hard_limit { hard.max(WANTED) } else { hard };
    let new = Rlimit { current: Some(maximum.min(WANTED)), maximum: old.maximum.map(|_| maximum) };
    if setrlimit(Resource::Nofile, new).is_err() {
        // Within the old hard limit it is always allowed.
        let within = Rlimit { current: old.maximum.map(|hard| hard.min(WANTED)), ..old };
        let _unchanged = setrlimit(Resource::Nofile, within);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Less in the unit, and something fails only under systemd; more, and it is for nothing.
    #[test]
    fn the_unit_allows_what_a_node_keeps_and_no_more() {
        let unit = include_str!("../../../packaging/standfast.service").replace("\\\n", " ");
        let setting = unit.lines().find_map(|line| line.strip_prefix("CapabilityBoundingSet="));
        let allowed: BTreeSet<_> =
            setting.unwrap_or_default().split_whitespace().map(str::to_owned).collect();
        let kept: BTreeSet<_> = Role::Node.needs().map(|kept| kept.to_string()).collect();
        assert_eq!(allowed, kept);
        assert!(Role::Alone.needs().all(|kept| !MEMBER.contains(&kept)));
    }
}
