//! Clients: SETCLIENTID and its confirmation (RFC 7530 sections 16.33, 16.34), EXCHANGE_ID (RFC
//! 8881 section 18.35).

use standfast_rpc::xdr::{List, Opaque};
use standfast_rpc::{xdr_struct, xdr_union};

use super::{Bitmap, Detail, NetAddress, OwnerName, Status, Time, Verifier};

/// Flags of EXCHANGE_ID (`EXCHGID4_FLAG_*`).
pub mod exchange_id_flags {
    /// `SUPP_MOVED_REFER`.
    pub const SUPP_MOVED_REFER: u32 = 0x0000_0001;
    /// `SUPP_MOVED_MIGR`.
    pub const SUPP_MOVED_MIGR: u32 = 0x0000_0002;
    /// `SUPP_FENCE_OPS` (RFC 7862).
    pub const SUPP_FENCE_OPS: u32 = 0x0000_0004;
    /// `BIND_PRINC_STATEID`.
    pub const BIND_PRINC_STATEID: u32 = 0x0000_0100;
    /// `USE_NON_PNFS`.
    pub const USE_NON_PNFS: u32 = 0x0001_0000;
    /// `USE_PNFS_MDS`.
    pub const USE_PNFS_MDS: u32 = 0x0002_0000;
    /// `USE_PNFS_DS`.
    pub const USE_PNFS_DS: u32 = 0x0004_0000;
    /// `UPD_CONFIRMED_REC_A`: update a confirmed record.
    pub const UPDATE_CONFIRMED: u32 = 0x4000_0000;
    /// `CONFIRMED_R`: the record is confirmed.
    pub const CONFIRMED: u32 = 0x8000_0000;
    /// All that a client may set.
    pub const ALLOWED_IN_ARGUMENTS: u32 = SUPP_MOVED_REFER
        | SUPP_MOVED_MIGR
        | SUPP_FENCE_OPS
        | BIND_PRINC_STATEID
        | USE_NON_PNFS
        | USE_PNFS_MDS
        | USE_PNFS_DS
        | UPDATE_CONFIRMED;
}

xdr_struct! {
    /// `cb_client4`: where callbacks of minor version 0 go.
    pub struct CallbackClient {
        /// RPC program.
        pub program: u32,
        /// Address.
        pub address: NetAddress,
    }

    /// `SETCLIENTID4args`.
    pub struct SetClientIdArgs {
        /// Changes when the client restarts.
        pub verifier: Verifier,
        /// The client's name.
        pub id: OwnerName,
        /// Where callbacks go.
        pub callback: CallbackClient,
        /// To be sent along with callbacks.
        pub callback_ident: u32,
    }

    /// `SETCLIENTID4resok`.
    pub struct SetClientIdOk {
        /// The client's id.
        pub client: u64,
        /// To confirm with.
        pub confirm: Verifier,
    }

    /// `SETCLIENTID_CONFIRM4args`.
    pub struct SetClientIdConfirmArgs {
        /// The client's id.
        pub client: u64,
        /// What SETCLIENTID gave.
        pub confirm: Verifier,
    }

    /// `state_protect_ops4`.
    pub struct StateProtectOps {
        /// Operations that must use the machine's credential.
        pub must_enforce: Bitmap,
        /// Operations that may.
        pub must_allow: Bitmap,
    }

    /// `ssv_sp_parms4`.
    pub struct SsvParameters {
        /// Operations.
        pub ops: StateProtectOps,
        /// Hash algorithms, as OIDs.
        pub hashes: List<Opaque<64>, 16>,
        /// Ciphers, as OIDs.
        pub ciphers: List<Opaque<64>, 16>,
        /// Versions of the secret that are kept.
        pub window: u32,
        /// Handles wanted.
        pub handles: u32,
    }

    /// `nfs_impl_id4`.
    pub struct ImplementationId {
        /// Domain of who made it.
        pub domain: OwnerName,
        /// Name of the software.
        pub name: OwnerName,
        /// When it was made.
        pub date: Time,
    }

    /// `EXCHANGE_ID4args`.
    pub struct ExchangeIdArgs {
        /// Changes when the client restarts.
        pub verifier: Verifier,
        /// The client's name.
        pub owner: OwnerName,
        /// See [`exchange_id_flags`].
        pub flags: u32,
        /// Who may change the client's state.
        pub protect: StateProtect,
        /// What the client runs.
        pub implementation: List<ImplementationId, 1>,
    }

    /// `server_owner4`.
    pub struct ServerOwner {
        /// Which part of the server.
        pub minor: u64,
        /// The server's name.
        pub major: OwnerName,
    }

    /// `EXCHANGE_ID4resok`.
    pub struct ExchangeIdOk {
        /// The client's id.
        pub client: u64,
        /// Of the next CREATE_SESSION.
        pub sequence: u32,
        /// See [`exchange_id_flags`].
        pub flags: u32,
        /// Who may change the client's state.
        pub protect: StateProtected,
        /// Tells servers apart.
        pub server_owner: ServerOwner,
        /// Tells installations apart.
        pub server_scope: OwnerName,
        /// What the server runs.
        pub implementation: List<ImplementationId, 1>,
    }
}

xdr_union! {
    /// `state_protect4_a`.
    pub enum StateProtect {
        /// Anybody with the client's id.
        None = 0,
        /// The machine's credential.
        MachineCredential(StateProtectOps) = 1,
        /// A secret state verifier.
        Ssv(SsvParameters) = 2,
    }

    /// `state_protect4_r`; SSV is never granted.
    pub enum StateProtected {
        /// Anybody with the client's id.
        None = 0,
        /// The machine's credential.
        MachineCredential(StateProtectOps) = 1,
    }
}

impl Detail for NetAddress {
    /// SETCLIENTID tells where the other user of the name is.
    const STATUS: Status = Status::ClidInUse;
}
