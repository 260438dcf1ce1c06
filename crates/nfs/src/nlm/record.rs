//! What the lock manager changes, as it is written to the journal: the changes of the lock table
//! that are of its owners, and what is known of their hosts.

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use standfast_rpc::xdr::{self, DecodeError, List, Opaque};
use standfast_rpc::{Transport, xdr_enum, xdr_struct, xdr_union};

use super::host::{Host, LockOwner};
use super::protocol::{Name, Netobj};
use crate::holder::{ServiceClient, ServiceHolder};
use crate::locks::{Access, Change, FileKey, Mode, Range, Share, WaiterId};
use crate::nsm::record::AddressText;
use crate::v4::state::{Change as StateChange, FileRecord};

/// Most changes of one record.
const MAX_CHANGES: usize = 1 << 20;
/// Most bytes of the changes of NFSv4 that belong to them.
const MAX_STATE: usize = 8 << 20;

type TableChange = Change<FileKey, ServiceHolder>;

xdr_enum! {
    /// The version of the records.
    pub enum Format {
        /// The first.
        One = 1,
    }
}

xdr_struct! {
    /// A lock manager of a client.
    pub struct HostName {
        /// What it calls itself.
        pub name: Name,
        /// Its address.
        pub address: AddressText,
        /// The address of ours that it uses.
        pub local: AddressText,
        /// Whether its calls come over UDP.
        pub udp: bool,
        /// Whether it speaks version 4.
        pub wide: bool,
    }

    /// A process of a client.
    pub struct OwnerName {
        /// Its machine.
        pub host: HostName,
        /// Its number there.
        pub svid: i32,
        /// What else the client calls it by.
        pub name: Netobj,
    }

    /// A lock that is held or waited for.
    pub struct LockRecord {
        /// The file.
        pub file: FileRecord,
        /// Whose.
        pub owner: OwnerName,
        /// First byte.
        pub first: u64,
        /// Last byte.
        pub last: u64,
        /// For writing.
        pub exclusive: bool,
        /// The request that waits or waited.
        pub waiter: Option<u64>,
    }

    /// Bytes that are held no more.
    pub struct ReleasedRecord {
        /// The file.
        pub file: FileRecord,
        /// Whose.
        pub owner: OwnerName,
        /// First byte.
        pub first: u64,
        /// Last byte.
        pub last: u64,
    }

    /// A request that waits no more.
    pub struct CancelledRecord {
        /// The file.
        pub file: FileRecord,
        /// The request.
        pub waiter: u64,
    }

    /// A share reservation.
    pub struct SharedRecord {
        /// The file.
        pub file: FileRecord,
        /// Whose.
        pub owner: OwnerName,
        /// It reads: 1, it writes: 2.
        pub access: u32,
        /// Others must not read: 1, not write: 2.
        pub deny: u32,
    }

    /// A share reservation that is gone.
    pub struct UnsharedRecord {
        /// The file.
        pub file: FileRecord,
        /// Whose.
        pub owner: OwnerName,
    }

    /// Which run of a host its locks are of.
    pub struct RunRecord {
        /// The host.
        pub host: HostName,
        /// The state number in its last lock; 0 if it has none.
        pub state: i32,
        /// The state number that it told of last.
        pub told: Option<i32>,
    }

    /// One record of the journal: changes that become durable together.
    pub struct Together {
        /// Its version.
        pub format: Format,
        /// Changes of the state of NFSv4 that these follow from.
        pub state: Opaque<MAX_STATE>,
        /// Changes of locks, in order.
        pub locks: List<LockChange, MAX_CHANGES>,
    }
}

xdr_union! {
    /// One change of what the lock manager knows.
    pub enum LockChange {
        /// A lock is held.
        Granted(LockRecord) = 1,
        /// Bytes are held no more.
        Released(ReleasedRecord) = 2,
        /// A request waits.
        Waiting(LockRecord) = 3,
        /// It waits no more, and was not granted.
        Cancelled(CancelledRecord) = 4,
        /// A share reservation.
        Shared(SharedRecord) = 5,
        /// A share reservation is gone.
        Unshared(UnsharedRecord) = 6,
        /// All of an owner is gone.
        OwnerReleased(OwnerName) = 7,
        /// All of a host is gone.
        HostReleased(HostName) = 8,
        /// Which run of a host its locks are of.
        Run(RunRecord) = 9,
    }
}

/// What a [`LockChange`] says, in the words of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Read {
    /// A change of the table.
    Table(TableChange),
    /// Which run of a host its locks are of: the last state number, and that it told of last.
    Run(Arc<Host>, i32, Option<i32>),
}

/// Changes as one record of the journal, with those of NFSv4 that they follow from.
pub fn encode(state: Vec<StateChange>, locks: Vec<LockChange>) -> Bytes {
    let state = if state.is_empty() { Bytes::new() } else { StateChange::encode_all(state) };
    xdr::to_bytes(&Together { format: Format::One, state: Opaque(state), locks: List(locks) })
}

/// The changes of a record.
///
/// # Errors
/// It is damaged, or of a later version.
pub fn decode(record: &Bytes) -> Result<(Vec<StateChange>, Vec<LockChange>), DecodeError> {
    let together = xdr::from_bytes::<Together>(record)?;
    let state = match together.state.is_empty() {
        true => Vec::new(),
        false => StateChange::decode_all(&together.state.0)?,
    };
    Ok((state, together.locks.0))
}

impl From<&Host> for HostName {
    fn from(host: &Host) -> Self {
        let text = |address: IpAddr| Opaque::copy_from_slice(address.to_string().as_bytes());
        Self {
            name: Opaque(host.name.clone()),
            address: text(host.address),
            local: text(host.local),
            udp: host.transport == Transport::Udp,
            wide: host.wide,
        }
    }
}

impl From<&LockOwner> for OwnerName {
    fn from(owner: &LockOwner) -> Self {
        let host = (&*owner.host).into();
        Self { host, svid: owner.svid, name: Opaque(owner.name.clone()) }
    }
}

fn bits(access: Access) -> u32 {
    u32::from(access.read) | u32::from(access.write) << 1
}

fn access(bits: u32) -> Access {
    Access { read: bits & 1 != 0, write: bits & 2 != 0 }
}

impl LockChange {
    /// The run of a host.
    pub fn run(host: &Host, state: i32, told: Option<i32>) -> Self {
        Self::Run(RunRecord { host: host.into(), state, told })
    }

    /// A change of the table; `None` if it is of an owner of another protocol.
    pub fn of_table(change: &TableChange) -> Option<Self> {
        let lock = |file: &FileKey, owner, range: Range, mode, waiter: Option<WaiterId>| {
            Some(LockRecord {
                file: file.into(),
                owner: nlm(owner)?,
                first: range.first(),
                last: range.last(),
                exclusive: mode == Mode::Exclusive,
                waiter: waiter.map(|waiter| waiter.0),
            })
        };
        Some(match change {
            Change::Granted { file, owner, range, mode, waiter } => {
                Self::Granted(lock(file, owner, *range, *mode, *waiter)?)
            }
            Change::Waiting { file, owner, range, mode, waiter } => {
                Self::Waiting(lock(file, owner, *range, *mode, Some(*waiter))?)
            }
            Change::Released { file, owner, range } => Self::Released(ReleasedRecord {
                file: file.into(),
                owner: nlm(owner)?,
                first: range.first(),
                last: range.last(),
            }),
            Change::Cancelled { file, waiter } => {
                Self::Cancelled(CancelledRecord { file: file.into(), waiter: waiter.0 })
            }
            Change::Shared { file, owner, share } => Self::Shared(SharedRecord {
                file: file.into(),
                owner: nlm(owner)?,
                access: bits(share.access),
                deny: bits(share.deny),
            }),
            Change::Unshared { file, owner } => {
                Self::Unshared(UnsharedRecord { file: file.into(), owner: nlm(owner)? })
            }
            Change::OwnerReleased { owner } => Self::OwnerReleased(nlm(owner)?),
            Change::ClientReleased { client: ServiceClient::Nlm(host) } => {
                Self::HostReleased((&**host).into())
            }
            Change::ClientReleased { client: ServiceClient::V4(_) } => return None,
        })
    }
}

fn nlm(owner: &ServiceHolder) -> Option<OwnerName> {
    match owner {
        ServiceHolder::Nlm(owner, _) => Some(owner.into()),
        ServiceHolder::V4(..) => None,
    }
}

/// Reads records, and gives each host one place in memory.
#[derive(Debug, Default)]
pub struct Reader {
    hosts: HashSet<Arc<Host>>,
}

impl Reader {
    fn host(&mut self, name: &HostName) -> Option<Arc<Host>> {
        let address = |text: &AddressText| std::str::from_utf8(text).ok()?.parse().ok();
        let host = Host {
            name: Bytes::copy_from_slice(&name.name),
            address: address(&name.address)?,
            local: address(&name.local)?,
            transport: if name.udp { Transport::Udp } else { Transport::Tcp },
            wide: name.wide,
        };
        if let Some(known) = self.hosts.get(&host) {
            return Some(Arc::clone(known));
        }
        let host = Arc::new(host);
        self.hosts.insert(Arc::clone(&host));
        Some(host)
    }

    fn owner(&mut self, name: &OwnerName) -> Option<ServiceHolder> {
        let host = self.host(&name.host)?;
        let name_of_owner = Bytes::copy_from_slice(&name.name);
        Some(LockOwner { host, svid: name.svid, name: name_of_owner }.into())
    }

    /// What a change says; `None` never happens for what was made from one.
    pub fn read(&mut self, change: &LockChange) -> Option<Read> {
        let mode = |exclusive| if exclusive { Mode::Exclusive } else { Mode::Shared };
        Some(Read::Table(match change {
            LockChange::Granted(lock) => Change::Granted {
                file: lock.file.key()?,
                owner: self.owner(&lock.owner)?,
                range: Range::between(lock.first, lock.last)?,
                mode: mode(lock.exclusive),
                waiter: lock.waiter.map(WaiterId),
            },
            LockChange::Waiting(lock) => Change::Waiting {
                file: lock.file.key()?,
                owner: self.owner(&lock.owner)?,
                range: Range::between(lock.first, lock.last)?,
                mode: mode(lock.exclusive),
                waiter: WaiterId(lock.waiter?),
            },
            LockChange::Released(released) => Change::Released {
                file: released.file.key()?,
                owner: self.owner(&released.owner)?,
                range: Range::between(released.first, released.last)?,
            },
            LockChange::Cancelled(cancelled) => Change::Cancelled {
                file: cancelled.file.key()?,
                waiter: WaiterId(cancelled.waiter),
            },
            LockChange::Shared(shared) => Change::Shared {
                file: shared.file.key()?,
                owner: self.owner(&shared.owner)?,
                share: Share { access: access(shared.access), deny: access(shared.deny) },
            },
            LockChange::Unshared(unshared) => {
                Change::Unshared { file: unshared.file.key()?, owner: self.owner(&unshared.owner)? }
            }
            LockChange::OwnerReleased(owner) => Change::OwnerReleased { owner: self.owner(owner)? },
            LockChange::HostReleased(host) => {
                Change::ClientReleased { client: ServiceClient::Nlm(self.host(host)?) }
            }
            LockChange::Run(run) => {
                return Some(Read::Run(self.host(&run.host)?, run.state, run.told));
            }
        }))
    }
}

#[cfg(test)]
mod tests {
    use standfast_vfs::Handle;

    use super::*;

    #[test]
    fn changes_are_read_as_they_were_written() {
        let host = Arc::new(Host {
            name: Bytes::from_static(b"client"),
            address: [192, 0, 2, 7].into(),
            local: "2001:db8::1".parse().unwrap(),
            transport: Transport::Udp,
            wide: true,
        });
        let name = Bytes::from_static(b"7@client");
        let owner = ServiceHolder::from(LockOwner { host: Arc::clone(&host), svid: -7, name });
        let file = FileKey { export: 3, handle: Handle::new(0, 1, b"file").unwrap() };
        let (range, mode) = (Range::between(5, u64::MAX).unwrap(), Mode::Exclusive);
        let owned = || owner.clone();
        let waiter = WaiterId(9);
        let share = Share {
            access: Access { read: true, write: false },
            deny: Access { read: false, write: true },
        };
        let changes = [
            Change::Granted { file, owner: owned(), range, mode, waiter: None },
            Change::Granted { file, owner: owned(), range, mode, waiter: Some(waiter) },
            Change::Waiting { file, owner: owned(), range, mode: Mode::Shared, waiter },
            Change::Released { file, owner: owned(), range },
            Change::Cancelled { file, waiter },
            Change::Shared { file, owner: owned(), share },
            Change::Unshared { file, owner: owned() },
            Change::OwnerReleased { owner: owned() },
            Change::ClientReleased { client: ServiceClient::Nlm(Arc::clone(&host)) },
        ];
        let mut written: Vec<_> = changes.iter().filter_map(LockChange::of_table).collect();
        written.push(LockChange::run(&host, 3, Some(5)));
        let (state, locks) = decode(&encode(Vec::new(), written)).unwrap();
        assert!(state.is_empty());
        let mut reader = Reader::default();
        let read: Vec<_> = locks.iter().map(|change| reader.read(change).unwrap()).collect();
        let mut expected: Vec<_> = changes.into_iter().map(Read::Table).collect();
        expected.push(Read::Run(host, 3, Some(5)));
        assert_eq!(read, expected);
    }
}
