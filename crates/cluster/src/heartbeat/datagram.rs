//! Heartbeats and their answers as they are on the wire.
//!
//! All numbers are big-endian. A header of 64 octets, a body, and the first 16 octets of an
//! HMAC-SHA-256 over both:
//!
//! ```text
//!  0  magic "SFHB"      4  version (1)     5  kind             6  link         7  flags
//!  8  cluster (16)     24  from           32  to              40  incarnation 48  sequence
//! 56  term
//! ```
//!
//! A later version may add to the end of the body; what a reader does not know there it skips, so
//! nodes of neighbouring versions work together. Nothing is read before the code is verified.

use std::time::Duration;

use ring::hmac;

use super::LinkId;
use crate::lease::{Epoch, Incarnation, NodeId, Renewal, Revision, ServiceId, Term};

const MAGIC: [u8; 4] = *b"SFHB";
const VERSION: u8 = 1;
const HEADER: usize = 64;
const TAG: usize = 16;
const HEARTBEAT: u8 = 1;
const ANSWER: u8 = 2;
const FLAG_LEADER_KNOWN: u8 = 1;
const FLAG_COMPLETE: u8 = 2;
const FLAG_ENDORSED: u8 = 4;
const FLAG_RENEWAL: u8 = 8;
/// Entries of one list in a datagram; what has more is said in the next one, or not renewed.
pub const MOST_ENTRIES: usize = 400;
/// The longest datagram: all lists full.
pub const MOST_OCTETS: usize = 20 * 1024;

/// The name of a cluster, so that a node that was moved between two says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClusterId(pub [u8; 16]);

impl From<crate::model::ClusterId> for ClusterId {
    fn from(cluster: crate::model::ClusterId) -> Self {
        Self(cluster.0.to_be_bytes())
    }
}

/// What a node says of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Report {
    /// It was given the service in this epoch and waits for its first renewal.
    Pending(Epoch),
    /// It held the service in this epoch, or could have, and never will again.
    Released(Epoch),
    /// It is ready to take the service over from the holder of this epoch.
    Warm(Epoch),
    /// It cannot serve it, in this epoch or the next.
    Unable(Epoch),
}

/// Which heartbeat an answer is for, or the newest one that came from the other side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Echo {
    /// The run that sent it.
    pub incarnation: Incarnation,
    /// Its link.
    pub link: LinkId,
    /// Its number.
    pub sequence: u64,
}

/// What a leader's answer brings in addition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Word {
    /// The renewal, if the leader gives one.
    pub renewal: Option<Renewal>,
    /// Services to release for their successors, each in the epoch that is meant.
    pub release: Vec<(ServiceId, Epoch)>,
}

/// What a node says of itself in every datagram.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Datagram {
    /// Who sends it.
    pub from: NodeId,
    /// Whom it is for.
    pub to: NodeId,
    /// The sender's run.
    pub incarnation: Incarnation,
    /// The link that it leaves over.
    pub link: LinkId,
    /// Grows with each datagram of this run.
    pub sequence: u64,
    /// `false` for a heartbeat, which wants an answer; `true` for an answer.
    pub is_answer: bool,
    /// The heartbeat that is answered, or the newest that came.
    pub echo: Option<Echo>,
    /// The sender's term, durable.
    pub term: Term,
    /// Who leads that term, if it knows.
    pub leader: Option<NodeId>,
    /// In an answer: the sender stands by the leader that asked.
    pub endorsed: bool,
    /// How long the sender has acknowledged no leader of an earlier term.
    pub older_age: Duration,
    /// Up to where the sender knows the log.
    pub revision: Revision,
    /// What it says of services.
    pub reports: Vec<(ServiceId, Report)>,
    /// Whether all services that it waits for are among the reports.
    pub complete: bool,
    /// In an answer of the leader.
    pub word: Word,
}

/// Why a datagram was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DatagramError {
    /// It is no heartbeat.
    #[error("not a heartbeat")]
    Foreign,
    /// It is of a version that is not known.
    #[error("a heartbeat of version {0}; this node knows up to {VERSION}")]
    Version(u8),
    /// It is another cluster's.
    #[error("a heartbeat of another cluster")]
    Cluster,
    /// Its code is wrong.
    #[error(
        "a heartbeat with a wrong authentication code: the nodes' cluster keys differ, or somebody forges"
    )]
    Tag,
    /// It is cut off or contradicts itself.
    #[error("a heartbeat that cannot be read")]
    Malformed,
}

/// What protects the datagrams of a cluster.
#[derive(Clone, Debug)]
pub struct Seal {
    cluster: ClusterId,
    key: hmac::Key,
    /// The key before, while nodes change over.
    previous: Option<hmac::Key>,
}

impl Seal {
    /// With the key that the cluster has agreed on; nothing if that is no key.
    pub fn of_state(state: &crate::model::State) -> Option<Self> {
        let key = state.keys.heartbeats.expose().as_bytes();
        let key = data_encoding::HEXLOWER_PERMISSIVE.decode(key).ok()?;
        Some(Self::new(state.cluster.into(), &key.try_into().ok()?, None))
    }

    /// With the cluster's key, of 32 octets, and the one before it while nodes change over.
    pub fn new(cluster: ClusterId, key: &[u8; 32], previous: Option<&[u8; 32]>) -> Self {
        let make = |octets: &[u8; 32]| hmac::Key::new(hmac::HMAC_SHA256, octets);
        Self { cluster, key: make(key), previous: previous.map(make) }
    }

    /// Writes a datagram; lists that are too long are cut, and [`Datagram::complete`] says so.
    pub fn write(&self, datagram: &Datagram) -> Vec<u8> {
        let mut octets = Vec::with_capacity(256);
        write_header(&mut octets, self.cluster, datagram);
        write_body(&mut octets, datagram);
        self.sealed(octets)
    }

    /// Octets followed by their authentication code.
    pub fn sealed(&self, mut octets: Vec<u8>) -> Vec<u8> {
        let tag = hmac::sign(&self.key, &octets);
        octets.extend_from_slice(tag.as_ref().get(..TAG).unwrap_or_default());
        octets
    }

    /// Reads a datagram of this cluster.
    ///
    /// # Errors
    /// Why it is not taken.
    pub fn read(&self, octets: &[u8]) -> Result<Datagram, DatagramError> {
        let (signed, tag) = octets
            .len()
            .checked_sub(TAG)
            .and_then(|length| octets.split_at_checked(length))
            .filter(|(signed, _)| signed.len() >= HEADER && signed.starts_with(&MAGIC))
            .ok_or(DatagramError::Foreign)?;
        let mut reader = Reader(signed);
        let [_, _, _, _, version, kind, link, flags] = reader.array()?;
        if version == 0 {
            return Err(DatagramError::Version(version));
        }
        if reader.array()? != self.cluster.0 {
            return Err(DatagramError::Cluster);
        }
        if !self.is_genuine(signed, tag) {
            return Err(DatagramError::Tag);
        }
        read_datagram(&mut reader, kind, LinkId(link), flags)
    }

    fn is_genuine(&self, signed: &[u8], tag: &[u8]) -> bool {
        [Some(&self.key), self.previous.as_ref()].into_iter().flatten().any(|key| {
            let right = hmac::sign(key, signed);
            let right = right.as_ref().get(..TAG).unwrap_or_default();
            // In the same time whatever differs.
            right.len() == tag.len()
                && right.iter().zip(tag).fold(0, |sum, (a, b)| sum | (a ^ b)) == 0
        })
    }
}

fn write_header(octets: &mut Vec<u8>, cluster: ClusterId, datagram: &Datagram) {
    let flag = |set: bool, bit: u8| if set { bit } else { 0 };
    octets.extend(MAGIC);
    octets.extend([
        VERSION,
        if datagram.is_answer { ANSWER } else { HEARTBEAT },
        datagram.link.0,
        flag(datagram.leader.is_some(), FLAG_LEADER_KNOWN)
            | flag(datagram.complete && datagram.reports.len() <= MOST_ENTRIES, FLAG_COMPLETE)
            | flag(datagram.endorsed, FLAG_ENDORSED)
            | flag(renewal(datagram).is_some(), FLAG_RENEWAL),
    ]);
    octets.extend(cluster.0);
    let numbers = [
        datagram.from.0,
        datagram.to.0,
        datagram.incarnation.0,
        datagram.sequence,
        datagram.term.0,
    ];
    octets.extend(numbers.into_iter().flat_map(u64::to_be_bytes));
}

/// The renewal, unless it has more exceptions than fit: then there is none.
fn renewal(datagram: &Datagram) -> Option<&Renewal> {
    datagram.word.renewal.as_ref().filter(|renewal| renewal.except.len() <= MOST_ENTRIES)
}

fn microseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

fn write_body(octets: &mut Vec<u8>, datagram: &Datagram) {
    let mut number = |value: u64| octets.extend(value.to_be_bytes());
    number(datagram.leader.unwrap_or_default().0);
    number(microseconds(datagram.older_age));
    number(datagram.revision.0);
    let echo =
        datagram.echo.unwrap_or(Echo { incarnation: Incarnation(0), link: LinkId(0), sequence: 0 });
    number(echo.incarnation.0);
    number(echo.sequence);
    octets.push(echo.link.0);
    let reports = datagram.reports.iter().take(MOST_ENTRIES);
    octets.extend((reports.len() as u16).to_be_bytes());
    for (service, report) in reports {
        let (tag, epoch) = match *report {
            Report::Pending(epoch) => (1, epoch),
            Report::Released(epoch) => (2, epoch),
            Report::Warm(epoch) => (3, epoch),
            Report::Unable(epoch) => (4, epoch),
        };
        octets.push(tag);
        octets.extend(service.0.to_be_bytes());
        octets.extend(epoch.0.to_be_bytes());
    }
    let release = datagram.word.release.iter().take(MOST_ENTRIES);
    octets.extend((release.len() as u16).to_be_bytes());
    for (service, epoch) in release {
        octets.extend(service.0.to_be_bytes());
        octets.extend(epoch.0.to_be_bytes());
    }
    if let Some(renewal) = renewal(datagram) {
        // Rounded so that a lease gets shorter, never longer.
        let age = microseconds(renewal.age).saturating_add(1);
        for value in [renewal.term.0, renewal.basis.0, age, microseconds(renewal.lease)] {
            octets.extend(value.to_be_bytes());
        }
        octets.extend((renewal.except.len() as u16).to_be_bytes());
        octets.extend(renewal.except.iter().flat_map(|service| service.0.to_be_bytes()));
    }
}

/// What is left to be read.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn array<const N: usize>(&mut self) -> Result<[u8; N], DatagramError> {
        let (array, rest) = self.0.split_first_chunk().ok_or(DatagramError::Malformed)?;
        self.0 = rest;
        Ok(*array)
    }

    fn octet(&mut self) -> Result<u8, DatagramError> {
        self.array().map(|[octet]| octet)
    }

    fn number(&mut self) -> Result<u64, DatagramError> {
        self.array().map(u64::from_be_bytes)
    }

    fn list<T>(
        &mut self,
        mut entry: impl FnMut(&mut Self) -> Result<T, DatagramError>,
    ) -> Result<Vec<T>, DatagramError> {
        let length = usize::from(u16::from_be_bytes(self.array()?));
        if length > MOST_ENTRIES {
            return Err(DatagramError::Malformed);
        }
        (0..length).map(|_| entry(self)).collect()
    }

    fn service(&mut self) -> Result<ServiceId, DatagramError> {
        self.number().map(ServiceId)
    }

    fn duration(&mut self) -> Result<Duration, DatagramError> {
        self.number().map(Duration::from_micros)
    }
}

fn read_datagram(
    reader: &mut Reader<'_>,
    kind: u8,
    link: LinkId,
    flags: u8,
) -> Result<Datagram, DatagramError> {
    let is_answer = match kind {
        HEARTBEAT => false,
        ANSWER => true,
        _ => return Err(DatagramError::Malformed),
    };
    let (from, to) = (NodeId(reader.number()?), NodeId(reader.number()?));
    let incarnation = Incarnation(reader.number()?);
    let sequence = reader.number()?;
    let term = Term(reader.number()?);
    let leader = NodeId(reader.number()?);
    let older_age = reader.duration()?;
    let revision = Revision(reader.number()?);
    let echo = Echo {
        incarnation: Incarnation(reader.number()?),
        sequence: reader.number()?,
        link: LinkId(reader.octet()?),
    };
    let reports = reader.list(read_report)?;
    let release = reader.list(|reader| Ok((reader.service()?, Epoch(reader.number()?))))?;
    let renewal = match flags & FLAG_RENEWAL {
        0 => None,
        _ => Some(read_renewal(reader)?),
    };
    Ok(Datagram {
        from,
        to,
        incarnation,
        link,
        sequence,
        is_answer,
        echo: (echo.incarnation.0 != 0).then_some(echo),
        term,
        leader: (flags & FLAG_LEADER_KNOWN != 0).then_some(leader),
        endorsed: flags & FLAG_ENDORSED != 0,
        older_age,
        revision,
        reports,
        complete: flags & FLAG_COMPLETE != 0,
        word: Word { renewal, release },
    })
}

fn read_report(reader: &mut Reader<'_>) -> Result<(ServiceId, Report), DatagramError> {
    let tag = reader.octet()?;
    let service = reader.service()?;
    let epoch = Epoch(reader.number()?);
    let report = match tag {
        1 => Report::Pending(epoch),
        2 => Report::Released(epoch),
        3 => Report::Warm(epoch),
        4 => Report::Unable(epoch),
        _ => return Err(DatagramError::Malformed),
    };
    Ok((service, report))
}

fn read_renewal(reader: &mut Reader<'_>) -> Result<Renewal, DatagramError> {
    Ok(Renewal {
        term: Term(reader.number()?),
        basis: Revision(reader.number()?),
        age: reader.duration()?,
        lease: reader.duration()?,
        except: reader.list(Reader::service)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: [u8; 32] = [7; 32];

    fn seal() -> Seal {
        Seal::new(ClusterId([1; 16]), &KEY, None)
    }

    fn datagram() -> Datagram {
        let echo = Echo { incarnation: Incarnation(9), link: LinkId(1), sequence: 77 };
        Datagram {
            from: NodeId(1),
            to: NodeId(2),
            incarnation: Incarnation(5),
            link: LinkId(1),
            sequence: 1234,
            is_answer: true,
            echo: Some(echo),
            term: Term(8),
            leader: Some(NodeId(1)),
            endorsed: true,
            older_age: Duration::from_secs(3),
            revision: Revision(55),
            reports: vec![
                (ServiceId(1), Report::Pending(Epoch(3))),
                (ServiceId(2), Report::Released(Epoch(4))),
                (ServiceId(3), Report::Warm(Epoch(5))),
                (ServiceId(4), Report::Unable(Epoch(6))),
            ],
            complete: true,
            word: Word {
                renewal: Some(Renewal {
                    term: Term(8),
                    basis: Revision(54),
                    age: Duration::from_micros(20_000),
                    lease: Duration::from_millis(350),
                    except: vec![ServiceId(7), ServiceId(9)],
                }),
                release: vec![(ServiceId(5), Epoch(2))],
            },
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let written = datagram();
        let mut read = seal().read(&seal().write(&written)).unwrap();
        let age = &mut read.word.renewal.as_mut().unwrap().age;
        assert_eq!(*age, Duration::from_micros(20_001));
        *age = Duration::from_micros(20_000);
        assert_eq!(read, written);
    }

    #[test]
    fn the_octets_are_as_the_page_says() {
        let octets = seal().write(&datagram());
        assert_eq!(octets[..8], *b"SFHB\x01\x02\x01\x0f");
        assert_eq!(octets[8..24], [1; 16]);
        assert_eq!(octets[48..56], 1234_u64.to_be_bytes());
        assert_eq!(octets[56..64], 8_u64.to_be_bytes());
    }

    #[test]
    fn every_octet_is_protected() {
        let octets = seal().write(&datagram());
        for at in 0..octets.len() {
            let mut forged = octets.clone();
            forged[at] ^= 1;
            assert!(seal().read(&forged).is_err(), "octet {at}");
            assert!(seal().read(&octets[..at]).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn keys_change_over_and_clusters_are_told_apart() {
        let octets = seal().write(&datagram());
        let newer = Seal::new(ClusterId([1; 16]), &[8; 32], Some(&KEY));
        assert!(newer.read(&octets).is_ok());
        let later = Seal::new(ClusterId([1; 16]), &[8; 32], None);
        assert_eq!(later.read(&octets), Err(DatagramError::Tag));
        let other = Seal::new(ClusterId([2; 16]), &KEY, None);
        assert_eq!(other.read(&octets), Err(DatagramError::Cluster));
    }

    #[test]
    fn a_later_version_may_add_to_the_end() {
        let mut octets = Vec::new();
        write_header(&mut octets, ClusterId([1; 16]), &datagram());
        write_body(&mut octets, &datagram());
        octets[4] = VERSION + 1;
        octets.extend([1, 2, 3]);
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &KEY), &octets);
        octets.extend(&tag.as_ref()[..TAG]);
        assert_eq!(seal().read(&octets).unwrap().sequence, 1234);
    }

    #[test]
    fn a_list_that_is_too_long_is_cut_and_said_to_be() {
        let mut long = datagram();
        let reports = (0..1000).map(|n| (ServiceId(n), Report::Pending(Epoch(1))));
        long.reports = reports.collect();
        long.word.renewal.as_mut().unwrap().except = (0..1000).map(ServiceId).collect();
        let octets = seal().write(&long);
        assert!(octets.len() <= MOST_OCTETS);
        let read = seal().read(&octets).unwrap();
        assert_eq!((read.reports.len(), read.complete), (MOST_ENTRIES, false));
        assert_eq!(read.word.renewal, None);
    }
}
