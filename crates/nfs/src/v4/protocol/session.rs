//! Sessions (RFC 8881 sections 18.33, 18.34, 18.36, 18.37, 18.46) and the stateid operations of
//! minor version 1.

use standfast_rpc::auth::AuthSys;
use standfast_rpc::xdr::{List, Opaque};
use standfast_rpc::{xdr_enum, xdr_struct, xdr_union};

use super::{SessionId, StateId, Status};

/// Most stateids of one TEST_STATEID that are read.
pub const MAX_TESTED: usize = 4096;

/// Flags of CREATE_SESSION (`CREATE_SESSION4_FLAG_*`).
pub mod create_session_flags {
    /// `PERSIST`: the reply cache survives the server.
    pub const PERSIST: u32 = 1;
    /// `CONN_BACK_CHAN`: this connection carries callbacks too.
    pub const BACK_CHANNEL: u32 = 2;
    /// `CONN_RDMA`.
    pub const RDMA: u32 = 4;
}

/// Flags of SEQUENCE (`SEQ4_STATUS_*`).
pub mod sequence_flags {
    /// `CB_PATH_DOWN`: no connection for callbacks in any session.
    pub const CALLBACK_PATH_DOWN: u32 = 0x0001;
    /// `EXPIRED_ALL_STATE_REVOKED`.
    pub const EXPIRED_ALL_STATE_REVOKED: u32 = 0x0008;
    /// `EXPIRED_SOME_STATE_REVOKED`.
    pub const EXPIRED_SOME_STATE_REVOKED: u32 = 0x0010;
    /// `ADMIN_STATE_REVOKED`.
    pub const ADMIN_STATE_REVOKED: u32 = 0x0020;
    /// `RECALLABLE_STATE_REVOKED`.
    pub const RECALLABLE_STATE_REVOKED: u32 = 0x0040;
    /// `RESTART_RECLAIM_NEEDED`.
    pub const RESTART_RECLAIM_NEEDED: u32 = 0x0100;
    /// `CB_PATH_DOWN_SESSION`: no connection for callbacks in this session.
    pub const CALLBACK_PATH_DOWN_SESSION: u32 = 0x0200;
    /// `BACKCHANNEL_FAULT`.
    pub const BACKCHANNEL_FAULT: u32 = 0x0400;
}

xdr_enum! {
    /// `channel_dir_from_client4`.
    pub enum ChannelWanted {
        /// Requests.
        Fore = 1,
        /// Callbacks.
        Back = 2,
        /// Requests, and callbacks if possible.
        ForeOrBoth = 3,
        /// Callbacks, and requests if possible.
        BackOrBoth = 7,
    }

    /// `channel_dir_from_server4`.
    pub enum ChannelGranted {
        /// Requests.
        Fore = 1,
        /// Callbacks.
        Back = 2,
        /// Both.
        Both = 3,
    }
}

xdr_struct! {
    /// `channel_attrs4`.
    pub struct ChannelAttributes {
        /// For RDMA.
        pub header_pad: u32,
        /// Largest request, in bytes.
        pub max_request: u32,
        /// Largest reply, in bytes.
        pub max_response: u32,
        /// Largest reply that is kept, in bytes.
        pub max_response_cached: u32,
        /// Most operations of a COMPOUND.
        pub max_operations: u32,
        /// Slots.
        pub max_requests: u32,
        /// For RDMA.
        pub rdma_ird: List<u32, 1>,
    }

    /// `gss_cb_handles4`.
    pub struct GssCallback {
        /// `rpc_gss_svc_t`.
        pub service: u32,
        /// Handle.
        pub from_server: Opaque<400>,
        /// Handle.
        pub from_client: Opaque<400>,
    }

    /// `CREATE_SESSION4args`.
    pub struct CreateSessionArgs {
        /// The client's id.
        pub client: u64,
        /// Its sequence.
        pub sequence: u32,
        /// See [`create_session_flags`].
        pub flags: u32,
        /// For requests.
        pub fore: ChannelAttributes,
        /// For callbacks.
        pub back: ChannelAttributes,
        /// RPC program of callbacks.
        pub callback_program: u32,
        /// Credentials of callbacks.
        pub callback_security: List<CallbackSecurity, 16>,
    }

    /// `CREATE_SESSION4resok`.
    pub struct CreateSessionOk {
        /// The session.
        pub session: SessionId,
        /// As in the arguments.
        pub sequence: u32,
        /// See [`create_session_flags`].
        pub flags: u32,
        /// For requests.
        pub fore: ChannelAttributes,
        /// For callbacks.
        pub back: ChannelAttributes,
    }

    /// `BACKCHANNEL_CTL4args`.
    pub struct BackchannelCtlArgs {
        /// RPC program of callbacks.
        pub callback_program: u32,
        /// Credentials of callbacks.
        pub callback_security: List<CallbackSecurity, 16>,
    }

    /// `BIND_CONN_TO_SESSION4args`.
    pub struct BindConnectionArgs {
        /// The session.
        pub session: SessionId,
        /// For what.
        pub direction: ChannelWanted,
        /// For RDMA.
        pub rdma: bool,
    }

    /// `BIND_CONN_TO_SESSION4resok`.
    pub struct BindConnectionOk {
        /// The session.
        pub session: SessionId,
        /// For what.
        pub direction: ChannelGranted,
        /// For RDMA.
        pub rdma: bool,
    }

    /// `SEQUENCE4args`.
    pub struct SequenceArgs {
        /// The session.
        pub session: SessionId,
        /// Of the slot.
        pub sequence: u32,
        /// The slot.
        pub slot: u32,
        /// The highest slot in use.
        pub highest_slot: u32,
        /// Keep the reply.
        pub cache_this: bool,
    }

    /// `SEQUENCE4resok`.
    pub struct SequenceOk {
        /// The session.
        pub session: SessionId,
        /// Of the slot.
        pub sequence: u32,
        /// The slot.
        pub slot: u32,
        /// The highest slot there is.
        pub highest_slot: u32,
        /// The highest slot that should be used.
        pub target_highest_slot: u32,
        /// See [`sequence_flags`].
        pub flags: u32,
    }

    /// `TEST_STATEID4args`.
    pub struct TestStateIdArgs {
        /// Which.
        pub ids: List<StateId, MAX_TESTED>,
    }

    /// `TEST_STATEID4resok`.
    pub struct TestStateIdOk {
        /// What of each.
        pub statuses: List<Status, MAX_TESTED>,
    }
}

xdr_union! {
    /// `callback_sec_parms4`.
    pub enum CallbackSecurity {
        /// `AUTH_NONE`.
        None = 0,
        /// `AUTH_SYS`.
        Sys(AuthSys) = 1,
        /// `RPCSEC_GSS`.
        Gss(GssCallback) = 6,
    }
}
