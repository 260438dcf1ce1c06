//! The cluster stays up, to play with.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::Duration;

use standfast_drill::cluster::Cluster;
use standfast_drill::round::Subject;

use crate::commands::{self, CONTROL_SOCKET};

/// Says what can be done with the cluster, and waits for Ctrl-C.
pub(super) fn keep(cluster: &Cluster, interrupted: &AtomicBool) -> miette::Result<()> {
    let (_, export) = cluster.service();
    let address = cluster.address();
    let mut text = format!("\nThe cluster stays up. It serves {export} at {address}. Its nodes:\n");
    let mut socket = None;
    for (name, own, process) in cluster.nodes() {
        let Some(process) = process else { continue };
        let path = format!("/proc/{process}/root/run/standfast/{CONTROL_SOCKET}");
        text += &format!("  {name}  {own}  process {process}\n");
        socket.get_or_insert((path, process));
    }
    if let Some((path, process)) = socket {
        text += &format!(
            "\nAsk it, and move the service:\n  \
             standfast status --socket {path}\n  \
             standfast service move demo node2 --socket {path}\n  \
             standfast failover show --socket {path}\n\
             \nFail a node, and look again:\n  kill -9 {process}\n\
             \nMount it with this machine's own client, in the network of a node:\n  \
             nsenter --net=/proc/{process}/ns/net mount -t nfs -o vers=4.1 {address}:{export} /mnt\n"
        );
    }
    text += "\nCtrl-C ends it; nothing of it stays.\n";
    commands::print(&text)?;
    while !interrupted.load(Ordering::Relaxed) {
        sleep(Duration::from_millis(100));
    }
    Ok(())
}
