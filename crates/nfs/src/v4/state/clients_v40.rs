//! Clients of minor version 0: SETCLIENTID and its confirmation (RFC 7530 sections 16.33, 16.34),
//! RENEW (section 16.28).

use std::time::Instant;

use super::super::protocol::{
    Detailed, NetAddress, Outcome, SetClientIdArgs, SetClientIdOk, Status, Verifier,
};
use super::clients::own;
use super::{
    CallbackTarget, Change, ClientRecord, Holder, PendingCallback, Principal, Revocation, State,
};

/// Number and bytes of what confirms a client.
fn confirm_verifier(number: u64) -> Verifier {
    number.to_be_bytes()
}

impl<H: Holder> State<H> {
    /// SETCLIENTID (RFC 7530 section 16.33.5).
    pub fn set_client_id(
        &mut self,
        request: &SetClientIdArgs,
        principal: &Principal,
        now: Instant,
    ) -> Detailed<SetClientIdOk, NetAddress> {
        let names = self.names_of(false, &request.id);
        let confirmed = names.confirmed.and_then(|id| self.clients.get(&id));
        if let Some(client) = confirmed
            && client.record.principal != *principal
            && client.holds_state()
            && !self.is_expired(client.record.id, now)
        {
            let callback = client.record.callback.clone();
            let address = callback.map(|callback| callback.client.address);
            return match address {
                Some(address) => Detailed::Explained(address),
                None => Detailed::Plain(Outcome::Fail(Status::ClidInUse)),
            };
        }
        let callback = owned_callback(request);
        let confirm = self.next;
        let updated = confirmed.filter(|client| {
            client.record.verifier == request.verifier && client.record.principal == *principal
        });
        let updated = updated.map(|client| ClientRecord {
            pending: Some(PendingCallback { confirm, callback: callback.clone() }),
            ..client.record.clone()
        });
        if let Some(id) = names.unconfirmed {
            self.remove_client(id, now);
        }
        let record = match updated {
            Some(record) => record,
            None if self.make_room_for_client(now).is_err() => {
                return Detailed::Plain(Outcome::Fail(Status::Resource));
            }
            None => ClientRecord {
                confirm,
                callback: Some(callback),
                ..self.new_client(false, &request.id, request.verifier, principal)
            },
        };
        let client = record.id;
        self.commit(Change::Client(record), now);
        let confirm = confirm_verifier(confirm);
        Detailed::Plain(Outcome::Ok(SetClientIdOk { client, confirm }))
    }

    /// SETCLIENTID_CONFIRM (RFC 7530 section 16.34.5).
    ///
    /// # Errors
    /// `STALE_CLIENTID`, `CLID_INUSE`.
    pub fn confirm_client_id(
        &mut self,
        id: u64,
        confirm: Verifier,
        principal: &Principal,
        now: Instant,
    ) -> Result<(), Status> {
        let client = self.clients.get(&id).filter(|client| !client.record.has_sessions);
        let record = client.ok_or(Status::StaleClientId)?.record.clone();
        if record.principal != *principal {
            return Err(Status::ClidInUse);
        }
        let pending = record.pending.as_ref();
        if let Some(pending) = pending.filter(|it| confirm_verifier(it.confirm) == confirm) {
            let callback = Some(pending.callback.clone());
            let updated = ClientRecord {
                confirm: pending.confirm,
                callback,
                pending: None,
                ..record.clone()
            };
            self.commit(Change::Client(updated), now);
        } else if confirm_verifier(record.confirm) != confirm {
            return Err(Status::StaleClientId);
        } else if !record.confirmed {
            let former = self.names_of(false, &record.owner).confirmed;
            former.into_iter().for_each(|former| self.remove_client(former, now));
            self.commit(Change::Client(ClientRecord { confirmed: true, ..record }), now);
        }
        self.forget_expired_states(id, now);
        self.renew(id, now);
        Ok(())
    }

    /// RENEW. `CB_PATH_DOWN` is for the caller to add.
    ///
    /// # Errors
    /// `STALE_CLIENTID`; `EXPIRED` if the client lost something while it was silent: it learns so
    /// until it introduces itself again.
    pub fn renew_lease(&mut self, id: u64, now: Instant) -> Result<(), Status> {
        self.check_client_v40(id)?;
        let lost = self.expired_states(id);
        self.renew(id, now);
        if lost.is_empty() { Ok(()) } else { Err(Status::Expired) }
    }

    /// A client of minor version 0 must be known and confirmed.
    pub(super) fn check_client_v40(&self, id: u64) -> Result<(), Status> {
        let client = self.clients.get(&id);
        let known = client.is_some_and(|it| !it.record.has_sessions && it.record.confirmed);
        if known { Ok(()) } else { Err(Status::StaleClientId) }
    }

    /// Where callbacks of a client go.
    pub fn callback_target(&self, id: u64) -> Option<&CallbackTarget> {
        self.clients.get(&id)?.record.callback.as_ref()
    }

    fn expired_states(&self, id: u64) -> Vec<u64> {
        let states = self.clients.get(&id).into_iter().flat_map(|client| &client.revoked);
        let expired = states.filter(|state| self.revocation(**state) == Some(Revocation::Expired));
        expired.copied().collect()
    }

    fn forget_expired_states(&mut self, id: u64, now: Instant) {
        for state in self.expired_states(id) {
            self.commit(Change::StateRemoved(state), now);
        }
    }
}

fn owned_callback(request: &SetClientIdArgs) -> CallbackTarget {
    let mut client = request.callback.clone();
    client.address.netid = own(&client.address.netid).into();
    client.address.address = own(&client.address.address).into();
    CallbackTarget { client, ident: request.callback_ident }
}
