//! Replies of calls that must not run twice, in the journal: a retransmission that comes after a
//! restart is answered and not run again.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use standfast_nfs::intents::{Calls, RequestName};
use standfast_nfs::v4::keeper::{Covers, Log as _, RecordKind};
use standfast_rpc::reply_cache::{Keep, Left, ReplyCache, ReplyLog, RequestKey};
use standfast_rpc::xdr::{self, DecodeError, List, Opaque};
use standfast_rpc::{xdr_enum, xdr_struct};

use crate::log::JournalLog;

/// Longest reply.
const MAX_REPLY: usize = 8 << 20;
/// Most replies in one record.
const MAX_REPLIES: usize = 1 << 16;

xdr_enum! {
    /// The version of the records.
    pub enum Format {
        /// The first.
        One = 1,
    }
}

xdr_struct! {
    /// A reply.
    pub struct ReplyRecord {
        /// The address of the client, as text.
        pub client: Opaque<64>,
        /// Transaction id.
        pub xid: u32,
        /// Length of the request in bytes.
        pub length: u64,
        /// Of the request's first part.
        pub checksum: u32,
        /// When it was made, in seconds since 1970.
        pub made: u64,
        /// The record that went to the client.
        pub reply: Opaque<MAX_REPLY>,
    }

    /// Replies as they are in the journal.
    pub struct Replies {
        /// Its version.
        pub format: Format,
        /// The replies.
        pub replies: List<ReplyRecord, MAX_REPLIES>,
    }
}

/// Writes replies to the journal, and forgets the steps of requests whose replies are there.
pub(crate) struct JournaledReplies {
    pub(crate) log: Arc<JournalLog>,
    pub(crate) calls: Arc<Calls>,
}

impl ReplyLog for JournaledReplies {
    fn keep(&self, key: &RequestKey, reply: &Bytes, change: Left) -> Keep {
        let record = encode([(*key, reply.clone(), Duration::ZERO)]);
        let covers = match change {
            Left::Nothing | Left::Reply => Covers::Record,
            Left::ReplyAndNames => Covers::Names,
        };
        let ticket = self.log.append(RecordKind::Reply, &record, covers);
        let (calls, request) = (Arc::clone(&self.calls), RequestName::Call(*key));
        Box::pin(async move {
            // What changed nothing need not wait for the disk.
            let may_leave = change == Left::Nothing || ticket.await.is_ok();
            if may_leave {
                calls.end(&request);
            }
            may_leave
        })
    }
}

/// Replies as a record of the journal, each with its age.
pub(crate) fn encode(replies: impl IntoIterator<Item = (RequestKey, Bytes, Duration)>) -> Bytes {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let record = |(key, reply, age): (RequestKey, Bytes, Duration)| ReplyRecord {
        client: Opaque::copy_from_slice(key.client.to_string().as_bytes()),
        xid: key.xid,
        length: key.length as u64,
        checksum: key.checksum,
        made: now.saturating_sub(age).as_secs(),
        reply: Opaque(reply),
    };
    let replies = List(replies.into_iter().map(record).collect());
    xdr::to_bytes(&Replies { format: Format::One, replies })
}

/// A reply that a journal gave back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RestoredReply {
    /// The request.
    pub(crate) key: RequestKey,
    reply: Bytes,
    made: u64,
}

impl fmt::Display for RestoredReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let RequestKey { client, xid, length, .. } = self.key;
        let (reply, made) = (self.reply.len(), self.made);
        write!(f, "{client} xid {xid:#010x}, {length} bytes: {reply} bytes, at {made}")
    }
}

/// The replies of a record.
pub(crate) fn decode(record: &Bytes) -> Result<Vec<RestoredReply>, DecodeError> {
    let replies = xdr::from_bytes::<Replies>(record)?.replies.0;
    let restored = replies.into_iter().filter_map(|record| {
        let client: IpAddr = std::str::from_utf8(&record.client).ok()?.parse().ok()?;
        let length = usize::try_from(record.length).ok()?;
        let ReplyRecord { xid, checksum, made, .. } = record;
        let key = RequestKey { client, xid, length, checksum };
        // A copy that does not keep the whole file in memory that it was read from.
        Some(RestoredReply { key, reply: Bytes::copy_from_slice(&record.reply), made })
    });
    Ok(restored.collect())
}

/// Puts what a journal gave back into the cache, the older ones first.
pub(crate) fn restore(cache: &ReplyCache, mut replies: Vec<RestoredReply>, now: Instant) {
    let clock = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    replies.sort_by_key(|reply| reply.made);
    for RestoredReply { key, reply, made } in replies {
        // A clock that was set back makes them young, not lost.
        let age = clock.saturating_sub(Duration::from_secs(made));
        cache.restore(key, reply, age, now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_read_as_they_were_written() {
        let key = RequestKey::new("2001:db8::7".parse().unwrap(), 7, b"request");
        let reply = Bytes::from_static(b"reply");
        let record = encode(vec![(key, reply.clone(), Duration::from_secs(5)); 2]);
        let read = decode(&record).unwrap();
        assert_eq!(read.len(), 2);
        assert_eq!((read[0].key, &read[0].reply), (key, &reply));
        assert!(decode(&record.slice(..record.len() - 4)).is_err());
    }
}
