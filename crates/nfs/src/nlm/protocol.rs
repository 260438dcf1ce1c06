//! The wire types of the network lock manager, versions 1 to 4 (The Open Group, XNFS, chapters 10
//! and 14). Version 4 differs from the others in the width of offsets and lengths, and in having
//! more statuses: the messages are written once, over the [`Offset`] that they use.

use standfast_rpc::xdr::{Decode, Encode, Opaque};
use standfast_rpc::{xdr_enum, xdr_struct, xdr_union};

/// Program number.
pub const PROGRAM: u32 = 100_021;

/// The version with 64-bit offsets; the ones before it have 32-bit ones.
pub const VERSION_4: u32 = 4;

/// The first version with share reservations and unmonitored locks.
pub const VERSION_3: u32 = 3;

/// Longest name of a host (`LM_MAXSTRLEN`).
pub const MAX_NAME: usize = 1024;

/// Longest `netobj` (`MAXNETOBJ_SZ`).
pub const MAX_NETOBJ: usize = 1024;

/// Opaque data of the other side.
pub type Netobj = Opaque<MAX_NETOBJ>;

/// The name of a host.
pub type Name = Opaque<MAX_NAME>;

/// From a `_MSG` or `_RES` procedure to the plain one, and from a `_MSG` to its `_RES`.
pub const ASYNC_STEP: u32 = 5;

/// An offset or a length on the wire.
pub trait Offset: Copy + Encode + Decode + Send + Sync + 'static {
    /// As 64 bits.
    fn widen(self) -> u64;

    /// From 64 bits: what does not fit becomes the highest that does.
    fn narrow(value: u64) -> Self;
}

impl Offset for u32 {
    fn widen(self) -> u64 {
        self.into()
    }

    fn narrow(value: u64) -> Self {
        Self::try_from(value).unwrap_or(Self::MAX)
    }
}

impl Offset for u64 {
    fn widen(self) -> u64 {
        self
    }

    fn narrow(value: u64) -> Self {
        value
    }
}

xdr_enum! {
    /// Procedures.
    pub enum Procedure {
        /// Nothing.
        Null = 0,
        /// Would this lock be granted?
        Test = 1,
        /// Set a monitored lock.
        Lock = 2,
        /// End the wait for a lock.
        Cancel = 3,
        /// Release a lock.
        Unlock = 4,
        /// From server to client: a lock that was waited for is granted.
        Granted = 5,
        /// As `Test`; the result comes as a call.
        TestMsg = 6,
        /// As `Lock`; the result comes as a call.
        LockMsg = 7,
        /// As `Cancel`; the result comes as a call.
        CancelMsg = 8,
        /// As `Unlock`; the result comes as a call.
        UnlockMsg = 9,
        /// As `Granted`; the result comes as a call.
        GrantedMsg = 10,
        /// The result of `TestMsg`.
        TestRes = 11,
        /// The result of `LockMsg`.
        LockRes = 12,
        /// The result of `CancelMsg`.
        CancelRes = 13,
        /// The result of `UnlockMsg`.
        UnlockRes = 14,
        /// The result of `GrantedMsg`.
        GrantedRes = 15,
        /// Make a share reservation.
        Share = 20,
        /// Drop a share reservation.
        Unshare = 21,
        /// Set a lock that is not monitored.
        NmLock = 22,
        /// Drop everything of a client.
        FreeAll = 23,
    }

    /// `nlm4_stats`; [`Status::in_version`] gives what the older versions have.
    pub enum Status {
        /// Done.
        Granted = 0,
        /// Refused: somebody else holds a lock.
        Denied = 1,
        /// Refused: too many locks.
        DeniedNoLocks = 2,
        /// The lock is waited for; a call tells when it is granted.
        Blocked = 3,
        /// Refused: clients are reclaiming their locks, or it is too late for that.
        DeniedGracePeriod = 4,
        /// Waiting would never end.
        Deadlock = 5,
        /// The filesystem is read-only.
        ReadOnly = 6,
        /// The handle is of no file.
        StaleHandle = 7,
        /// The range ends beyond the last possible byte.
        TooBig = 8,
        /// Any other failure.
        Failed = 9,
    }

    /// `fsh_mode`: what others must not do.
    pub enum ShareMode {
        /// They may do all.
        DenyNone = 0,
        /// Read.
        DenyRead = 1,
        /// Write.
        DenyWrite = 2,
        /// Read or write.
        DenyReadWrite = 3,
    }

    /// `fsh_access`: what the owner does.
    pub enum ShareAccess {
        /// Nothing.
        None = 0,
        /// Read.
        Read = 1,
        /// Write.
        Write = 2,
        /// Read and write.
        ReadWrite = 3,
    }
}

impl Status {
    /// The status in the words of a version: those before 4 have fewer.
    pub fn in_version(self, version: u32) -> Self {
        match self {
            _ if version >= VERSION_4 => self,
            Self::Deadlock if version < VERSION_3 => Self::Denied,
            Self::ReadOnly | Self::StaleHandle | Self::TooBig | Self::Failed => Self::DeniedNoLocks,
            known => known,
        }
    }
}

xdr_struct! {
    /// `nlm_lock`.
    pub struct Lock<O> {
        /// What the client calls itself.
        pub caller_name: Name,
        /// The file.
        pub handle: Netobj,
        /// The owner on the client.
        pub owner: Netobj,
        /// The owner's process.
        pub svid: i32,
        /// The first byte.
        pub offset: O,
        /// How many bytes; 0: all that follow.
        pub length: O,
    }

    /// `nlm_holder`.
    pub struct Holder<O> {
        /// Whether nobody else may hold it too.
        pub exclusive: bool,
        /// The holder's process.
        pub svid: i32,
        /// The holder on its client.
        pub owner: Netobj,
        /// The first byte.
        pub offset: O,
        /// How many bytes; 0: all that follow.
        pub length: O,
    }

    /// `nlm_testargs`: arguments of `TEST` and `GRANTED`.
    pub struct TestArgs<O> {
        /// Given back.
        pub cookie: Netobj,
        /// Whether nobody else may hold it too.
        pub exclusive: bool,
        /// Which lock.
        pub lock: Lock<O>,
    }

    /// `nlm_testres`.
    pub struct TestResult<O> {
        /// From the arguments.
        pub cookie: Netobj,
        /// Whether the lock would be granted.
        pub reply: TestReply<O>,
    }

    /// `nlm_lockargs`: arguments of `LOCK` and `NM_LOCK`.
    pub struct LockArgs<O> {
        /// Given back.
        pub cookie: Netobj,
        /// Wait if it cannot be granted at once.
        pub block: bool,
        /// Whether nobody else may hold it too.
        pub exclusive: bool,
        /// Which lock.
        pub lock: Lock<O>,
        /// It was held before the server restarted.
        pub reclaim: bool,
        /// The client's state number.
        pub state: i32,
    }

    /// `nlm_cancargs`.
    pub struct CancelArgs<O> {
        /// Given back.
        pub cookie: Netobj,
        /// As in the lock's arguments.
        pub block: bool,
        /// As in the lock's arguments.
        pub exclusive: bool,
        /// Which lock.
        pub lock: Lock<O>,
    }

    /// `nlm_unlockargs`.
    pub struct UnlockArgs<O> {
        /// Given back.
        pub cookie: Netobj,
        /// Which bytes.
        pub lock: Lock<O>,
    }

    /// `nlm_res`.
    pub struct LockResult {
        /// From the arguments.
        pub cookie: Netobj,
        /// What became of it.
        pub status: Status,
    }

    /// `nlm_share`.
    pub struct ShareWish {
        /// What the client calls itself.
        pub caller_name: Name,
        /// The file.
        pub handle: Netobj,
        /// The owner on the client.
        pub owner: Netobj,
        /// What others must not do.
        pub mode: ShareMode,
        /// What the owner does.
        pub access: ShareAccess,
    }

    /// `nlm_shareargs`.
    pub struct ShareArgs {
        /// Given back.
        pub cookie: Netobj,
        /// The reservation.
        pub share: ShareWish,
        /// It was held before the server restarted.
        pub reclaim: bool,
    }

    /// `nlm_shareres`.
    pub struct ShareResult {
        /// From the arguments.
        pub cookie: Netobj,
        /// What became of it.
        pub status: Status,
        /// Of no use to anybody; 0.
        pub sequence: i32,
    }

    /// `nlm_notify`: arguments of `FREE_ALL`.
    pub struct FreeAllArgs {
        /// What the client calls itself.
        pub name: Name,
        /// The client's state number.
        pub state: i32,
    }
}

xdr_union! {
    /// `nlm_testrply`.
    pub enum TestReply<O> {
        /// It would be granted.
        Granted = 0,
        /// Somebody holds this lock.
        Denied(Holder<O>) = 1,
        /// See [`Status`].
        DeniedNoLocks = 2,
        /// See [`Status`].
        Blocked = 3,
        /// See [`Status`].
        DeniedGracePeriod = 4,
        /// See [`Status`].
        Deadlock = 5,
        /// See [`Status`].
        ReadOnly = 6,
        /// See [`Status`].
        StaleHandle = 7,
        /// See [`Status`].
        TooBig = 8,
        /// See [`Status`].
        Failed = 9,
    }
}

impl<O> From<Status> for TestReply<O> {
    /// A denial needs a holder; without one it is a failure.
    fn from(status: Status) -> Self {
        match status {
            Status::Granted => Self::Granted,
            Status::DeniedNoLocks => Self::DeniedNoLocks,
            Status::Blocked => Self::Blocked,
            Status::DeniedGracePeriod => Self::DeniedGracePeriod,
            Status::Deadlock => Self::Deadlock,
            Status::ReadOnly => Self::ReadOnly,
            Status::StaleHandle => Self::StaleHandle,
            Status::TooBig => Self::TooBig,
            Status::Denied | Status::Failed => Self::Failed,
        }
    }
}
