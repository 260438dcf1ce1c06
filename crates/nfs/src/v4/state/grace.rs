//! The grace period: only where the journal was lost. Clients that had something say so again
//! (reclaim), and nothing new is given out meanwhile (RFC 8881 section 8.4.2).

use std::collections::HashSet;
use std::mem;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::super::protocol::Status;
use super::client::{Client, ClientName};
use super::{Change, ClientRecord, Holder, State};

/// A grace period under way.
#[derive(Debug)]
pub(super) struct Grace {
    end: Instant,
    /// Those that had something and have not said yet that they are through; unknown if what
    /// was lost may have held others.
    former: Option<HashSet<ClientName>>,
    /// All that had something.
    may_reclaim: Option<HashSet<ClientName>>,
}

impl<H: Holder> State<H> {
    /// Begins a grace period: the journal was lost, and with it what clients hold. `former` are
    /// the clients that may have had something, if that is known: whether each uses sessions, and
    /// what it calls itself. It ends when all of them are through, else after `length`.
    pub fn begin_grace(
        &mut self,
        length: Duration,
        former: Option<impl IntoIterator<Item = (bool, Bytes)>>,
        now: Instant,
    ) {
        let former: Option<HashSet<ClientName>> = former.map(|all| all.into_iter().collect());
        let may_reclaim = former.clone();
        self.grace = Some(Grace { end: now + length, former, may_reclaim });
        self.end_grace_early();
    }

    /// Whether only reclaims are served.
    pub fn is_in_grace(&self, now: Instant) -> bool {
        self.grace.as_ref().is_some_and(|grace| now < grace.end)
    }

    fn end_grace_early(&mut self) {
        let is_through = |grace: &Grace| grace.former.as_ref().is_some_and(HashSet::is_empty);
        if self.grace.as_ref().is_some_and(is_through) {
            self.grace = None;
        }
    }

    /// Reclaims are served in the grace period only, of clients that are not through, and all else
    /// only outside it, and not before the client said that it has nothing to reclaim.
    pub(super) fn check_reclaim(
        &self,
        client: u64,
        reclaim: bool,
        now: Instant,
    ) -> Result<(), Status> {
        let record = &self.clients.get(&client).ok_or(Status::StaleClientId)?.record;
        let is_through = record.reclaimed;
        let grace = self.grace.as_ref().filter(|grace| now < grace.end);
        let Some(grace) = grace else {
            return match reclaim {
                true => Err(Status::NoGrace),
                false if record.has_sessions && !is_through => Err(Status::Grace),
                false => Ok(()),
            };
        };
        let is_known = |known: &HashSet<ClientName>| known.contains(&Client::name(record));
        match reclaim {
            false => Err(Status::Grace),
            true if is_through => Err(Status::NoGrace),
            true if grace.may_reclaim.as_ref().is_some_and(|known| !is_known(known)) => {
                Err(Status::ReclaimBad)
            }
            true => Ok(()),
        }
    }

    /// RECLAIM_COMPLETE. One for a single filesystem says nothing of the others, but there are
    /// clients (ESXi) that never say more: outside a grace period it counts as one for all.
    ///
    /// # Errors
    /// `COMPLETE_ALREADY`, `STALE_CLIENTID`.
    pub fn reclaim_complete(
        &mut self,
        id: u64,
        one_filesystem: bool,
        now: Instant,
    ) -> Result<(), Status> {
        let record = self.session_client(id)?.record.clone();
        if one_filesystem && (record.reclaimed || self.is_in_grace(now)) {
            return Ok(());
        }
        if record.reclaimed {
            let client = self.clients.get_mut(&id);
            let may_say = client.is_some_and(|client| mem::take(&mut client.reclaimed_one));
            return if may_say { Ok(()) } else { Err(Status::CompleteAlready) };
        }
        if let Some(former) = self.grace.as_mut().and_then(|grace| grace.former.as_mut()) {
            former.remove(&Client::name(&record));
        }
        self.end_grace_early();
        self.commit(Change::Client(ClientRecord { reclaimed: true, ..record }), now);
        if let Some(client) = self.clients.get_mut(&id) {
            client.reclaimed_one = one_filesystem;
        }
        Ok(())
    }
}
