//! The wire types of the status monitor protocol, version 1 (The Open Group, XNFS, chapter 11).

use standfast_rpc::xdr::Opaque;
use standfast_rpc::{xdr_enum, xdr_struct};

/// Program number.
pub const PROGRAM: u32 = 100_024;

/// The one version.
pub const VERSION: u32 = 1;

/// Longest name of a host (`SM_MAXSTRLEN`).
pub const MAX_NAME: usize = 1024;

/// The name of a host.
pub type Name = Opaque<MAX_NAME>;

xdr_enum! {
    /// Procedures.
    pub enum Procedure {
        /// Nothing.
        Null = 0,
        /// Can this host be monitored?
        Stat = 1,
        /// Monitor this host.
        Mon = 2,
        /// Do not monitor this host any more.
        Unmon = 3,
        /// Do not monitor any host any more.
        UnmonAll = 4,
        /// Do as after a crash.
        SimuCrash = 5,
        /// A host tells that it restarted.
        Notify = 6,
    }

    /// `res`.
    pub enum Outcome {
        /// `STAT_SUCC`: the host is, or can be, monitored.
        Success = 0,
        /// `STAT_FAIL`: it is not.
        Fail = 1,
    }
}

xdr_struct! {
    /// `sm_name`: arguments of `SM_STAT`.
    pub struct StatArgs {
        /// The host.
        pub mon_name: Name,
    }

    /// `my_id`: whom to call when a host restarted. Arguments of `SM_UNMON_ALL`.
    pub struct MyId {
        /// The machine to call: always this one, whatever it says.
        pub my_name: Name,
        /// Program to call.
        pub program: u32,
        /// Its version.
        pub version: u32,
        /// Its procedure.
        pub procedure: u32,
    }

    /// `mon_id`: arguments of `SM_UNMON`.
    pub struct MonId {
        /// The host to monitor.
        pub mon_name: Name,
        /// Whom to call.
        pub my_id: MyId,
    }

    /// `mon`: arguments of `SM_MON`.
    pub struct Mon {
        /// What to monitor, for whom.
        pub id: MonId,
        /// Given back when the host restarted.
        pub private: [u8; 16],
    }

    /// `sm_stat_res`: results of `SM_STAT` and `SM_MON`.
    pub struct StatResult {
        /// Whether the host is monitored.
        pub outcome: Outcome,
        /// Our state number.
        pub state: i32,
    }

    /// `sm_stat`: results of `SM_UNMON` and `SM_UNMON_ALL`.
    pub struct State {
        /// Our state number.
        pub state: i32,
    }

    /// `stat_chge`: arguments of `SM_NOTIFY`.
    pub struct StateChange {
        /// Who restarted.
        pub mon_name: Name,
        /// Its new state number: odd while it is up.
        pub state: i32,
    }

    /// `status`: what a local program that asked for it is called with.
    pub struct Status {
        /// Who restarted.
        pub mon_name: Name,
        /// Its new state number.
        pub state: i32,
        /// What the program gave to `SM_MON`.
        pub private: [u8; 16],
    }
}
