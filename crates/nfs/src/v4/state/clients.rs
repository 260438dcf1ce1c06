//! Clients of minor version 1 and later (RFC 8881 sections 18.35, 18.50, 18.51), and what all
//! clients have in common.

use std::collections::HashSet;
use std::time::Instant;

use bytes::Bytes;

use crate::locks::FileKey;

use super::super::protocol::{Status, Verifier, exchange_id_flags as flags};
use super::client::{Client, Names};
use super::ids::client_id;
use super::{Change, ClientRecord, CreateSessionReply, Holder, Principal, State};

/// A copy that does not keep the message it came in.
pub(super) fn own(bytes: &[u8]) -> Bytes {
    Bytes::copy_from_slice(bytes)
}

/// What EXCHANGE_ID says of a client.
#[derive(Clone, Debug)]
pub struct ExchangeId<'a> {
    /// `eia_clientowner.co_ownerid`.
    pub owner: &'a [u8],
    /// `eia_clientowner.co_verifier`.
    pub verifier: Verifier,
    /// `eia_flags`.
    pub flags: u32,
    /// Who asks.
    pub principal: &'a Principal,
}

/// What EXCHANGE_ID gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exchanged {
    /// The client's id.
    pub client: u64,
    /// Of the next CREATE_SESSION.
    pub sequence: u32,
    /// Whether it was confirmed before.
    pub confirmed: bool,
}

impl<H: Holder> State<H> {
    /// EXCHANGE_ID (RFC 8881 section 18.35.4, cases 1 to 9).
    ///
    /// # Errors
    /// `INVAL`, `NOENT`, `NOT_SAME`, `PERM`, `CLID_INUSE`, `DELAY`.
    pub fn exchange_id(
        &mut self,
        request: &ExchangeId<'_>,
        now: Instant,
    ) -> Result<Exchanged, Status> {
        if request.flags & !flags::ALLOWED_IN_ARGUMENTS != 0 {
            return Err(Status::Inval);
        }
        let names = self.names_of(true, request.owner);
        let confirmed = names.confirmed.and_then(|id| self.clients.get(&id));
        let same = |client: &Client| client.record.verifier == request.verifier;
        let mine = |client: &Client| client.record.principal == *request.principal;
        if request.flags & flags::UPDATE_CONFIRMED != 0 {
            let client = confirmed.ok_or(Status::NoEnt)?;
            return match (same(client), mine(client)) {
                (false, _) => Err(Status::NotSame),
                (true, false) => Err(Status::Perm),
                (true, true) => Ok(exchanged(&client.record)),
            };
        }
        match confirmed {
            Some(client) if same(client) && mine(client) => return Ok(exchanged(&client.record)),
            Some(client) if !mine(client) => {
                let id = client.record.id;
                if client.holds_state() && !self.is_expired(id, now) {
                    return Err(Status::ClidInUse);
                }
                self.remove_client(id, now);
            }
            // A client that restarted: what it had stays until CREATE_SESSION confirms this.
            Some(_) | None => {}
        }
        if let Some(id) = names.unconfirmed {
            self.remove_client(id, now);
        }
        self.make_room_for_client(now).map_err(|()| Status::Delay)?;
        let record = self.new_client(true, request.owner, request.verifier, request.principal);
        let answer = exchanged(&record);
        self.commit(Change::Client(record), now);
        Ok(answer)
    }

    /// DESTROY_CLIENTID.
    ///
    /// # Errors
    /// `STALE_CLIENTID`, `CLIENTID_BUSY`.
    pub fn destroy_client(&mut self, id: u64, now: Instant) -> Result<(), Status> {
        let client = self.session_client(id)?;
        if !client.sessions.is_empty() || client.holds_state() {
            return Err(Status::ClientIdBusy);
        }
        self.remove_client(id, now);
        Ok(())
    }

    /// A client that uses sessions, confirmed or not.
    pub(super) fn session_client(&self, id: u64) -> Result<&Client, Status> {
        let client = self.clients.get(&id).filter(|client| client.record.has_sessions);
        client.ok_or(Status::StaleClientId)
    }

    pub(super) fn names_of(&self, has_sessions: bool, owner: &[u8]) -> Names {
        self.client_names.get(&(has_sessions, own(owner))).copied().unwrap_or_default()
    }

    /// A record for a client that nothing is known of.
    pub(super) fn new_client(
        &self,
        has_sessions: bool,
        owner: &[u8],
        verifier: Verifier,
        principal: &Principal,
    ) -> ClientRecord {
        ClientRecord {
            id: client_id(self.instance, self.next_client),
            has_sessions,
            owner: own(owner).into(),
            verifier,
            principal: own(principal).into(),
            confirm: 0,
            confirmed: false,
            reclaimed: false,
            callback: None,
            pending: None,
            create_session: CreateSessionReply { sequence: 0, reply: None },
        }
    }

    /// Removes a client with all that it has; others get what that frees.
    pub(super) fn remove_client(&mut self, id: u64, now: Instant) {
        let client = self.clients.get(&id);
        let states = client.into_iter().flat_map(|client| &client.states);
        let files = states.filter_map(|state| Some(self.states.get(state)?.file));
        let files: HashSet<FileKey> = files.collect();
        let freed = self.locks.release_client(&H::client_from_v4(id));
        self.effects.keep_others(freed);
        self.commit(Change::ClientRemoved(id), now);
        files.iter().for_each(|file| self.notify_waiters(file));
        self.effects.closed.extend(files);
    }

    /// Makes sure that one more client fits: if need be, the one is forgotten that has been silent
    /// for longest, beyond its lease.
    pub(super) fn make_room_for_client(&mut self, now: Instant) -> Result<(), ()> {
        if self.clients.len() < self.settings.clients {
            return Ok(());
        }
        let silent = self.clients.values().min_by_key(|client| client.renewed).ok_or(())?;
        let id = silent.record.id;
        if !self.is_expired(id, now) {
            return Err(());
        }
        self.remove_client(id, now);
        Ok(())
    }
}

fn exchanged(record: &ClientRecord) -> Exchanged {
    Exchanged {
        client: record.id,
        sequence: record.create_session.sequence.wrapping_add(1),
        confirmed: record.confirmed,
    }
}
