//! Heartbeats: one that is accepted says the same when it is written and read again.

use std::time::Duration;

use standfast_cluster::heartbeat::{ClusterId, Datagram, MOST_ENTRIES, Seal};

const CLUSTER: [u8; 16] = [7; 16];

/// A datagram, as it is and with the right authentication code.
pub(crate) fn check(data: &[u8]) {
    let seal = Seal::new(ClusterId(CLUSTER), &[9; 32], None);
    let _ = seal.read(data);
    let mut mended = data.to_vec();
    // By chance these would hardly ever be right.
    if let Some(magic) = mended.get_mut(..4) {
        magic.copy_from_slice(b"SFHB");
    }
    if let Some(cluster) = mended.get_mut(8..24) {
        cluster.copy_from_slice(&CLUSTER);
    }
    let Ok(datagram) = seal.read(&seal.sealed(mended)) else { return };
    assert!(datagram.reports.len() <= MOST_ENTRIES);
    let again = seal.read(&seal.write(&datagram)).expect("what was read can be written");
    assert_eq!(without_age(again), without_age(datagram));
}

/// The age of a renewal grows a little whenever it is written.
fn without_age(mut datagram: Datagram) -> Datagram {
    if let Some(renewal) = &mut datagram.word.renewal {
        renewal.age = Duration::ZERO;
    }
    datagram
}
