//! The member that this daemon runs, and what it answers about the cluster.

mod addresses;
mod hands;
mod host;
mod leave;
mod pools;
mod status;
mod thinking;
mod tickles;

pub(crate) use host::ClusterHost;

use std::path::Path;

use standfast_cluster::pki::IdentityFiles;

/// Where a node keeps what makes it a member.
pub(crate) fn files(state_dir: &Path) -> IdentityFiles {
    IdentityFiles::new(state_dir.join("cluster"))
}
