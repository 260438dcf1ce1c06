//! Statuses of operations.

use standfast_rpc::xdr_enum;

xdr_enum! {
    /// What came of an operation (`nfsstat4`, RFC 8881 section 15, RFC 7862 section 11, RFC 8276
    /// section 8.4.1).
    pub enum Status {
        /// Success.
        Ok = 0,
        /// Not owner.
        Perm = 1,
        /// No such file or directory.
        NoEnt = 2,
        /// A hard error of the storage.
        Io = 5,
        /// No such device or address.
        NxIo = 6,
        /// Permission denied.
        Access = 13,
        /// It exists.
        Exist = 17,
        /// Across filesystems.
        XDev = 18,
        /// Not a directory.
        NotDir = 20,
        /// Is a directory.
        IsDir = 21,
        /// Invalid argument.
        Inval = 22,
        /// The file is too large.
        FBig = 27,
        /// No space left.
        NoSpc = 28,
        /// Read-only filesystem.
        RoFs = 30,
        /// Too many hard links.
        MLink = 31,
        /// The name is too long.
        NameTooLong = 63,
        /// The directory is not empty.
        NotEmpty = 66,
        /// The quota is exceeded.
        DQuot = 69,
        /// The file handle is of no object any more.
        Stale = 70,
        /// The file handle is none of ours.
        BadHandle = 10001,
        /// The directory cookie is stale.
        BadCookie = 10003,
        /// The operation is not supported.
        NotSupp = 10004,
        /// The buffer is too small.
        TooSmall = 10005,
        /// The server failed.
        ServerFault = 10006,
        /// This type cannot be created.
        BadType = 10007,
        /// Try again later.
        Delay = 10008,
        /// NVERIFY: the attributes are the same.
        Same = 10009,
        /// The lock is held by another.
        Denied = 10010,
        /// The lease expired and the state is gone.
        Expired = 10011,
        /// The file is locked.
        Locked = 10012,
        /// Only reclaims are served now.
        Grace = 10013,
        /// The file handle expired.
        FhExpired = 10014,
        /// A share reservation of another forbids it.
        ShareDenied = 10015,
        /// Another security flavor is needed.
        WrongSec = 10016,
        /// The client owner is used by another principal.
        ClidInUse = 10017,
        /// A resource of the server is used up.
        Resource = 10018,
        /// The filesystem moved.
        Moved = 10019,
        /// There is no current file handle.
        NoFileHandle = 10020,
        /// This minor version is not served.
        MinorVersMismatch = 10021,
        /// The client id is unknown.
        StaleClientId = 10022,
        /// The stateid is from a lost run of the server.
        StaleStateId = 10023,
        /// The stateid has been superseded.
        OldStateId = 10024,
        /// The stateid is of no state.
        BadStateId = 10025,
        /// The seqid of the owner is out of order.
        BadSeqId = 10026,
        /// VERIFY: the attributes differ.
        NotSame = 10027,
        /// Partly locked ranges are not served.
        LockRange = 10028,
        /// It is a symbolic link.
        Symlink = 10029,
        /// There is no saved file handle.
        RestoreFh = 10030,
        /// A lease moved to another server.
        LeaseMoved = 10031,
        /// The attribute is not supported.
        AttrNotSupp = 10032,
        /// Reclaims are not served now.
        NoGrace = 10033,
        /// The client held no such state.
        ReclaimBad = 10034,
        /// The reclaim conflicts with what is held.
        ReclaimConflict = 10035,
        /// The request cannot be decoded.
        BadXdr = 10036,
        /// Locks are held.
        LocksHeld = 10037,
        /// The file is not open in this way.
        OpenMode = 10038,
        /// No such owner.
        BadOwner = 10039,
        /// A character is not supported.
        BadChar = 10040,
        /// The name is not supported.
        BadName = 10041,
        /// The range is not supported.
        BadRange = 10042,
        /// Atomic upgrade and downgrade are not supported.
        LockNotSupp = 10043,
        /// There is no such operation.
        OpIllegal = 10044,
        /// A deadlock.
        Deadlock = 10045,
        /// The file is open.
        FileOpen = 10046,
        /// The state was revoked by an administrator.
        AdminRevoked = 10047,
        /// The callback path is down.
        CbPathDown = 10048,
        /// pNFS: bad I/O mode.
        BadIoMode = 10049,
        /// pNFS: bad layout.
        BadLayout = 10050,
        /// SSV: bad digest.
        BadSessionDigest = 10051,
        /// The session is unknown.
        BadSession = 10052,
        /// The session has no such slot.
        BadSlot = 10053,
        /// Reclaiming is complete already.
        CompleteAlready = 10054,
        /// The connection is not bound to the session.
        ConnNotBoundToSession = 10055,
        /// The delegation is wanted already.
        DelegAlreadyWanted = 10056,
        /// Callbacks are under way.
        BackChanBusy = 10057,
        /// pNFS: try again later.
        LayoutTryLater = 10058,
        /// pNFS: no layout.
        LayoutUnavailable = 10059,
        /// pNFS: no such layout.
        NoMatchingLayout = 10060,
        /// A recall is under way.
        RecallConflict = 10061,
        /// pNFS: unknown layout type.
        UnknownLayoutType = 10062,
        /// The sequence id is out of order.
        SeqMisordered = 10063,
        /// SEQUENCE must come first, and only once.
        SequencePos = 10064,
        /// The request is too large.
        ReqTooBig = 10065,
        /// The reply would be too large.
        RepTooBig = 10066,
        /// The reply would be too large to cache.
        RepTooBigToCache = 10067,
        /// The reply was not cached.
        RetryUncachedRep = 10068,
        /// The operations do not go together.
        UnsafeCompound = 10069,
        /// Too many operations.
        TooManyOps = 10070,
        /// The operation needs a SEQUENCE before it.
        OpNotInSession = 10071,
        /// SSV: unsupported hash.
        HashAlgUnsupp = 10072,
        /// The client id still has state.
        ClientIdBusy = 10074,
        /// pNFS: I/O to a hole.
        PnfsIoHole = 10075,
        /// The retransmission differs from the first request.
        SeqFalseRetry = 10076,
        /// The highest slot is beyond the table.
        BadHighSlot = 10077,
        /// The session is dead.
        DeadSession = 10078,
        /// SSV: unsupported cipher.
        EncrAlgUnsupp = 10079,
        /// pNFS: no layout.
        PnfsNoLayout = 10080,
        /// It must be the only operation.
        NotOnlyOp = 10081,
        /// The wrong principal.
        WrongCred = 10082,
        /// An object of the wrong type.
        WrongType = 10083,
        /// No directory delegation.
        DirDelegUnavail = 10084,
        /// The client rejects the delegation.
        RejectDeleg = 10085,
        /// A return is under way.
        ReturnConflict = 10086,
        /// The delegation was revoked.
        DelegRevoked = 10087,
        /// Copy: the partner cannot.
        PartnerNotSupp = 10088,
        /// Copy: the partner may not.
        PartnerNoAuth = 10089,
        /// This arm of a union is not supported.
        UnionNotSupp = 10090,
        /// The copy is denied.
        OffloadDenied = 10091,
        /// The wrong label format.
        WrongLfs = 10092,
        /// A bad label.
        BadLabel = 10093,
        /// The copy cannot meet the requirements.
        OffloadNoReqs = 10094,
        /// No such extended attribute.
        NoXattr = 10095,
        /// The extended attribute is too large.
        XattrTooBig = 10096,
    }
}
