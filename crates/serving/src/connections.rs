//! The connections of clients, on record so that a successor can wake them.
//!
//! A client whose server died waits for a timer of its own, up to a minute, unless somebody tells it
//! that its connection is gone. The successor can, if it knows the client's address and port. So each
//! holder keeps a table of its connections beside the journal, in a file of its own epoch: a holder
//! that was superseded writes where nobody looks any more. A record is a slot of its own that is
//! overwritten in place, which is why this is no part of the journal: a connection that comes and
//! goes leaves nothing behind, and no reply waits for it.
//!
//! What is lost with a crash (the newest connections, for some milliseconds) costs those clients a
//! timer and nothing else.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::os::fd::BorrowedFd;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, OnceLock};

use standfast_rpc::program::Peer;
use standfast_rpc::server::SocketWatch;

/// Connections that are on record; those beyond them wake by themselves.
const MOST: usize = 65_536;

/// Changes that wait to be written; what comes beyond them is not on record.
const MOST_WAITING: usize = 4096;

/// Octets of a record: a checksum, two addresses and two ports.
const SLOT: usize = 40;

/// The name of the table of an epoch begins with this.
const PREFIX: &str = "connections-";

/// Both ends of a connection: the server's, then the client's.
pub type Ends = (SocketAddr, SocketAddr);

/// Who is told of the sockets of a service: its table of connections, and whoever else wants to.
pub(crate) struct Sockets {
    /// None if there is no room for a table.
    pub(crate) connections: Option<Connections>,
    pub(crate) also: OnceLock<Arc<dyn SocketWatch>>,
}

impl SocketWatch for Sockets {
    fn listening(&self, socket: BorrowedFd<'_>) {
        if let Some(also) = self.also.get() {
            also.listening(socket);
        }
    }

    fn accepted(&self, socket: BorrowedFd<'_>, peer: &Peer) {
        if let Some(connections) = &self.connections {
            connections.tell(Change::Accepted((peer.local, peer.address)));
        }
        if let Some(also) = self.also.get() {
            also.accepted(socket, peer);
        }
    }

    fn ended(&self, peer: &Peer) {
        if let Some(connections) = &self.connections {
            connections.tell(Change::Ended((peer.local, peer.address)));
        }
        if let Some(also) = self.also.get() {
            also.ended(peer);
        }
    }
}

/// What happened.
enum Change {
    Accepted(Ends),
    Ended(Ends),
}

/// Takes note of connections. Dropped, it ends.
#[derive(Debug)]
pub(crate) struct Connections {
    changes: SyncSender<Change>,
}

impl Connections {
    /// Reads what earlier holders left, and begins the table of this one with it: should this
    /// holder die before its clients are back, the next one knows of them too.
    ///
    /// # Errors
    /// The table cannot be made; then none is kept.
    pub(crate) fn begin(directory: &Path, epoch: u64) -> io::Result<(Self, Vec<Ends>)> {
        let (before, earlier) = read_tables(directory, epoch)?;
        let path = directory.join(format!("{PREFIX}{epoch:016x}"));
        let mut options = OpenOptions::new();
        let file = options.write(true).create(true).truncate(true).mode(0o600).open(path)?;
        let mut table = Table { file, slots: HashMap::new(), free: Vec::new(), used: 0 };
        for ends in &before {
            table.apply(&Change::Accepted(*ends))?;
        }
        let (changes, inbox) = sync_channel(MOST_WAITING);
        std::thread::Builder::new().name("connections".into()).spawn(move || {
            for old in earlier {
                // Another holder may have been faster.
                let _removed = fs::remove_file(old);
            }
            table.keep(&inbox);
        })?;
        Ok((Self { changes }, before))
    }

    fn tell(&self, change: Change) {
        match self.changes.try_send(change) {
            Ok(()) | Err(TrySendError::Disconnected(_)) => {}
            Err(TrySendError::Full(_)) => {
                tracing::debug!("too many connections come and go: some are not on record");
            }
        }
    }
}

/// The file, and which slot has what.
struct Table {
    file: File,
    slots: HashMap<Ends, usize>,
    free: Vec<usize>,
    used: usize,
}

impl Table {
    /// Writes what comes, as much as there is at a time before each flush, until there is nobody
    /// left who tells.
    fn keep(mut self, inbox: &Receiver<Change>) {
        let mut is_well = true;
        while let Ok(change) = inbox.recv() {
            let mut written = self.apply(&change);
            for change in inbox.try_iter().take(MOST_WAITING) {
                written = written.and(self.apply(&change));
            }
            let written = written.and_then(|()| self.file.sync_data());
            if let Err(error) = &written
                && is_well
            {
                tracing::warn!(%error,
                    "connections are not on record now: after a change of holder their clients wait \
                     for timers of their own");
            }
            is_well = written.is_ok();
        }
    }

    fn apply(&mut self, change: &Change) -> io::Result<()> {
        match change {
            Change::Accepted(ends) => {
                if self.slots.contains_key(ends) {
                    return Ok(());
                }
                let slot = match self.free.pop() {
                    Some(slot) => slot,
                    None if self.used < MOST => {
                        self.used += 1;
                        self.used - 1
                    }
                    None => return Ok(()),
                };
                self.slots.insert(*ends, slot);
                self.write(slot, &encode(ends))
            }
            Change::Ended(ends) => {
                let Some(slot) = self.slots.remove(ends) else { return Ok(()) };
                self.free.push(slot);
                self.write(slot, &[0; SLOT])
            }
        }
    }

    fn write(&self, slot: usize, octets: &[u8; SLOT]) -> io::Result<()> {
        self.file.write_all_at(octets, (slot * SLOT) as u64)
    }
}

/// Everything that tables of earlier epochs have, and where they are.
fn read_tables(directory: &Path, epoch: u64) -> io::Result<(Vec<Ends>, Vec<PathBuf>)> {
    let (mut found, mut earlier) = (Vec::new(), Vec::new());
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        let of = name.to_str().and_then(|name| name.strip_prefix(PREFIX));
        let of = of.and_then(|of| u64::from_str_radix(of, 16).ok());
        if of.is_none_or(|of| of >= epoch) {
            continue;
        }
        let size = usize::try_from(entry.metadata()?.len()).unwrap_or(usize::MAX);
        if size <= MOST * SLOT {
            let octets = fs::read(entry.path())?;
            found.extend(octets.chunks_exact(SLOT).filter_map(decode));
        }
        earlier.push(entry.path());
    }
    found.sort_unstable();
    found.dedup();
    found.truncate(MOST);
    Ok((found, earlier))
}

fn encode((server, client): &Ends) -> [u8; SLOT] {
    let mut octets = [0; SLOT];
    let (sum, rest) = octets.split_at_mut(4);
    let fields = [end(server), end(client)].concat();
    rest.copy_from_slice(&fields);
    sum.copy_from_slice(&crc32fast::hash(&fields).to_be_bytes());
    octets
}

/// Sixteen octets of address, two of port.
fn end(address: &SocketAddr) -> [u8; 18] {
    let mut octets = [0; 18];
    let ip = match address.ip() {
        IpAddr::V4(v4) => v4.to_ipv6_mapped(),
        IpAddr::V6(v6) => v6,
    };
    octets[..16].copy_from_slice(&ip.octets());
    octets[16..].copy_from_slice(&address.port().to_be_bytes());
    octets
}

/// A record; nothing if the slot is empty, or was torn.
fn decode(octets: &[u8]) -> Option<Ends> {
    let (sum, fields) = octets.split_first_chunk::<4>()?;
    if u32::from_be_bytes(*sum) != crc32fast::hash(fields) {
        return None;
    }
    let (server, client) = fields.split_at_checked(18)?;
    Some((read_end(server)?, read_end(client)?))
}

fn read_end(octets: &[u8]) -> Option<SocketAddr> {
    let (ip, port) = octets.split_first_chunk::<16>()?;
    let port = u16::from_be_bytes(*port.first_chunk()?);
    (port != 0).then(|| SocketAddr::new(Ipv6Addr::from(*ip).to_canonical(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends(port: u16) -> Ends {
        ("[2001:db8::10]:2049".parse().unwrap(), SocketAddr::from(([192, 0, 2, 20], port)))
    }

    fn accepted(connections: &Connections, port: u16) {
        connections.tell(Change::Accepted(ends(port)));
    }

    fn ended(connections: &Connections, port: u16) {
        connections.tell(Change::Ended(ends(port)));
    }

    /// Waits until the thread has written everything: it ends when nobody tells any more.
    fn finish(connections: Connections, directory: &Path, epoch: u64, wanted: &[Ends]) {
        drop(connections);
        for _ in 0..3000 {
            if read_tables(directory, epoch + 1).unwrap().0 == wanted {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        panic!("{:?}", read_tables(directory, epoch + 1));
    }

    #[test]
    fn a_successor_knows_the_connections_and_keeps_them_for_the_next() {
        let directory = tempfile::tempdir().unwrap();
        let (first, before) = Connections::begin(directory.path(), 3).unwrap();
        assert_eq!(before, []);
        [801, 802, 803].iter().for_each(|port| accepted(&first, *port));
        ended(&first, 802);
        accepted(&first, 804);
        finish(first, directory.path(), 3, &[ends(801), ends(803), ends(804)]);
        let (second, before) = Connections::begin(directory.path(), 7).unwrap();
        assert_eq!(before, [ends(801), ends(803), ends(804)]);
        ended(&second, 801);
        finish(second, directory.path(), 7, &[ends(803), ends(804)]);
        // One that comes back late, with an old epoch, is told nothing and changes nothing.
        let (late, before) = Connections::begin(directory.path(), 5).unwrap();
        assert_eq!(before, []);
        accepted(&late, 999);
        finish(late, directory.path(), 5, &[ends(999)]);
        let (_, before) = Connections::begin(directory.path(), 8).unwrap();
        assert_eq!(before, [ends(803), ends(804), ends(999)]);
    }

    #[test]
    fn a_slot_that_was_torn_is_empty() {
        let mut octets = encode(&ends(801));
        assert_eq!(decode(&octets), Some(ends(801)));
        octets[20] ^= 1;
        assert_eq!(decode(&octets), None);
        assert_eq!(decode(&[0; SLOT]), None);
        assert_eq!(decode(&[]), None);
    }
}
