//! Sessions: CREATE_SESSION, DESTROY_SESSION, BIND_CONN_TO_SESSION, BACKCHANNEL_CTL (RFC 8881
//! sections 18.33, 18.34, 18.36, 18.37).

use std::collections::BTreeSet;
use std::time::Instant;

use standfast_rpc::auth::AuthSys;
use standfast_rpc::xdr::{self, List};

use super::super::protocol::{
    BackchannelCtlArgs, CallbackSecurity, ChannelAttributes, ChannelGranted, ChannelWanted,
    CreateSessionArgs, CreateSessionOk, Outcome, SessionId, Status, create_session_flags as flags,
};
use super::clients::own;
use super::ids::session_id;
use super::slots::Slot;
use super::{Change, ClientRecord, CreateSessionReply, Holder, Principal, SessionRecord, State};

/// Channels whose messages would be smaller than this are refused: nothing of use fits.
const MIN_MESSAGE: u32 = 256;

/// CB_SEQUENCE and what it is for.
const MIN_CALLBACK_OPERATIONS: u32 = 2;

/// Names a connection while it lasts; the caller's choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Connection(pub u64);

/// A session.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) record: SessionRecord,
    pub(super) slots: Vec<Slot>,
    /// Slots that it should have; fewer than it has while it shrinks.
    pub(super) target: u32,
    pub(super) fore: BTreeSet<Connection>,
    pub(super) back: BTreeSet<Connection>,
    /// Callbacks cannot be sent, and another connection would not help.
    pub(super) back_fault: bool,
}

impl Session {
    pub(super) fn new(record: &SessionRecord) -> Self {
        let (fore, back) = Default::default();
        Self {
            record: record.clone(),
            slots: Vec::new(),
            target: record.slots,
            fore,
            back,
            back_fault: false,
        }
    }

    pub(super) fn set_record(&mut self, record: &SessionRecord) {
        self.record = record.clone();
        self.target = record.slots;
        self.slots.resize_with(record.slots as usize, Slot::default);
    }
}

/// The credential that callbacks will carry, of those that a client takes: one of RPCSEC_GSS cannot
/// be made.
fn callback_security(offered: &[CallbackSecurity]) -> CallbackSecurity {
    let sys = offered.iter().find_map(|offer| match offer {
        CallbackSecurity::Sys(sys) => Some(sys),
        CallbackSecurity::None | CallbackSecurity::Gss(_) => None,
    });
    sys.map_or(CallbackSecurity::None, |sys| {
        let machine_name = own(&sys.machine_name).into();
        CallbackSecurity::Sys(AuthSys { machine_name, ..sys.clone() })
    })
}

impl<H: Holder> State<H> {
    /// CREATE_SESSION (RFC 8881 section 18.36.4). A retransmission gets the reply of the first.
    pub fn create_session(
        &mut self,
        request: &CreateSessionArgs,
        minor: u32,
        principal: &Principal,
        connection: Connection,
        now: Instant,
    ) -> Outcome<CreateSessionOk> {
        let client = match self.session_client(request.client) {
            Ok(client) => &client.record,
            Err(status) => return Outcome::Fail(status),
        };
        let last = &client.create_session;
        if let Some(reply) = last.reply.as_ref().filter(|_| request.sequence == last.sequence) {
            return xdr::from_bytes(&reply.0).unwrap_or(Outcome::Fail(Status::ServerFault));
        }
        if request.sequence != last.sequence.wrapping_add(1) {
            return Outcome::Fail(Status::SeqMisordered);
        }
        if client.principal != *principal {
            return Outcome::Fail(Status::ClidInUse);
        }
        let outcome = self.check_new_session(request);
        let former = match (&outcome, client.confirmed) {
            (Ok(()), false) => self.names_of(true, &client.owner).confirmed,
            _ => None,
        };
        let confirmed = client.confirmed || outcome.is_ok();
        let record = ClientRecord { confirmed, ..client.clone() };
        former.into_iter().for_each(|former| self.remove_client(former, now));
        let outcome: Outcome<_> = outcome.map(|()| self.new_session(request)).into();
        let reply = Some(xdr::to_bytes(&outcome).into());
        let create_session = CreateSessionReply { sequence: request.sequence, reply };
        self.commit(Change::Client(ClientRecord { create_session, ..record }), now);
        self.renew(request.client, now);
        if let Outcome::Ok(ok) = &outcome {
            self.add_session((request, minor), ok, connection, now);
        }
        outcome
    }

    fn check_new_session(&self, request: &CreateSessionArgs) -> Result<(), Status> {
        if request.flags & !(flags::PERSIST | flags::BACK_CHANNEL | flags::RDMA) != 0 {
            return Err(Status::Inval);
        }
        let (fore, back) = (&request.fore, &request.back);
        let messages = |it: &ChannelAttributes| it.max_request.min(it.max_response);
        if messages(fore).min(messages(back)) < MIN_MESSAGE
            || back.max_operations < MIN_CALLBACK_OPERATIONS
        {
            return Err(Status::TooSmall);
        }
        if fore.max_operations == 0 || fore.max_requests == 0 {
            return Err(Status::Inval);
        }
        let sessions = self.session_client(request.client)?.sessions.len();
        if sessions >= self.settings.sessions_per_client {
            return Err(Status::NoSpc);
        }
        Ok(())
    }

    /// What a new session will be.
    fn new_session(&self, request: &CreateSessionArgs) -> CreateSessionOk {
        let limits = &self.settings;
        CreateSessionOk {
            session: session_id(self.instance, self.next),
            sequence: request.sequence,
            flags: request.flags & (flags::PERSIST | flags::BACK_CHANNEL),
            fore: ChannelAttributes {
                header_pad: 0,
                max_request: request.fore.max_request.min(limits.request_bytes),
                max_response: request.fore.max_response.min(limits.reply_bytes),
                max_response_cached: request
                    .fore
                    .max_response_cached
                    .min(limits.cached_reply_bytes),
                max_operations: request.fore.max_operations.min(limits.operations),
                max_requests: request.fore.max_requests.min(limits.slots_per_session.max(1)),
                rdma_ird: List(Vec::new()),
            },
            back: ChannelAttributes {
                header_pad: 0,
                rdma_ird: List(Vec::new()),
                ..request.back.clone()
            },
        }
    }

    fn add_session(
        &mut self,
        (request, minor): (&CreateSessionArgs, u32),
        ok: &CreateSessionOk,
        connection: Connection,
        now: Instant,
    ) {
        let has_back_channel = ok.flags & flags::BACK_CHANNEL != 0;
        let record = SessionRecord {
            id: ok.session,
            client: request.client,
            fore: ok.fore.clone(),
            back: ok.back.clone(),
            has_back_channel,
            callback_program: request.callback_program,
            callback_security: callback_security(&request.callback_security.0),
            minor,
            slots: ok.fore.max_requests,
        };
        self.commit(Change::Session(record), now);
        if let Some(session) = self.sessions.get_mut(&ok.session) {
            session.fore.insert(connection);
            session.back.extend(has_back_channel.then_some(connection));
        }
    }

    /// DESTROY_SESSION. `by` is the slot that asks, if it is of this session.
    ///
    /// # Errors
    /// `BADSESSION`; `DELAY` while other requests of the session are under way.
    pub fn destroy_session(
        &mut self,
        id: &SessionId,
        by: Option<u32>,
        now: Instant,
    ) -> Result<(), Status> {
        let session = self.sessions.get(id).ok_or(Status::BadSession)?;
        let mut others = session.slots.iter().zip(0..).filter(|(_, slot)| Some(*slot) != by);
        if others.any(|(slot, _)| slot.is_busy()) {
            return Err(Status::Delay);
        }
        self.commit(Change::SessionRemoved(*id), now);
        Ok(())
    }

    /// What is kept of a session: its channels, its client, its callback program.
    ///
    /// # Errors
    /// `BADSESSION`.
    pub fn session(&self, id: &SessionId) -> Result<&SessionRecord, Status> {
        self.sessions.get(id).map(|session| &session.record).ok_or(Status::BadSession)
    }

    /// BIND_CONN_TO_SESSION.
    ///
    /// # Errors
    /// `BADSESSION`, `INVAL`.
    pub fn bind_connection(
        &mut self,
        id: &SessionId,
        wanted: ChannelWanted,
        connection: Connection,
        now: Instant,
    ) -> Result<ChannelGranted, Status> {
        let mut record = self.session(id)?.clone();
        let client = record.client;
        let granted = match wanted {
            ChannelWanted::Fore => ChannelGranted::Fore,
            ChannelWanted::Back => ChannelGranted::Back,
            ChannelWanted::ForeOrBoth | ChannelWanted::BackOrBoth => ChannelGranted::Both,
        };
        if granted != ChannelGranted::Fore && !record.has_back_channel {
            record.has_back_channel = true;
            self.commit(Change::Session(record), now);
        }
        let session = self.sessions.get_mut(id).ok_or(Status::BadSession)?;
        session.fore.extend((granted != ChannelGranted::Back).then_some(connection));
        session.back.extend((granted != ChannelGranted::Fore).then_some(connection));
        self.renew(client, now);
        Ok(granted)
    }

    /// BACKCHANNEL_CTL: another callback program, another credential.
    ///
    /// # Errors
    /// `BADSESSION`.
    pub fn set_callbacks(
        &mut self,
        id: &SessionId,
        request: &BackchannelCtlArgs,
        now: Instant,
    ) -> Result<(), Status> {
        let record = self.session(id)?;
        let changed = SessionRecord {
            callback_program: request.callback_program,
            callback_security: callback_security(&request.callback_security.0),
            ..record.clone()
        };
        if changed != *record {
            self.commit(Change::Session(changed), now);
        }
        if let Some(session) = self.sessions.get_mut(id) {
            session.back_fault = false;
        }
        Ok(())
    }

    /// Callbacks do not get through on a connection: SEQUENCE tells the client if it was the last
    /// one.
    pub fn back_channel_failed(&mut self, id: &SessionId, connection: Connection) {
        if let Some(session) = self.sessions.get_mut(id) {
            session.back.remove(&connection);
        }
    }

    /// Callbacks of a session cannot be sent, whatever the connection: SEQUENCE tells the client.
    pub fn back_channel_fault(&mut self, id: &SessionId) {
        if let Some(session) = self.sessions.get_mut(id) {
            session.back_fault = true;
        }
    }

    /// The connections that callbacks of a session may use.
    pub fn back_channel(&self, id: &SessionId) -> impl Iterator<Item = Connection> {
        self.sessions.get(id).into_iter().flat_map(|session| &session.back).copied()
    }

    /// The sessions of a client.
    pub fn sessions_of(&self, client: u64) -> impl Iterator<Item = &SessionId> {
        self.clients.get(&client).into_iter().flat_map(|client| &client.sessions)
    }

    /// A connection ended; gives the clients whose callbacks used it.
    pub fn connection_closed(&mut self, connection: Connection) -> Vec<u64> {
        let mut clients = Vec::new();
        for session in self.sessions.values_mut() {
            session.fore.remove(&connection);
            if session.back.remove(&connection) {
                clients.push(session.record.client);
            }
        }
        clients
    }
}
