//! The operations of COMPOUND.

use standfast_rpc::{xdr_enum, xdr_union};

use super::*;

xdr_enum! {
    /// The number of an operation (`nfs_opnum4`).
    pub enum OperationCode {
        /// Check rights.
        Access = 3,
        /// Close a file.
        Close = 4,
        /// Make data stable.
        Commit = 5,
        /// Create what is not a regular file.
        Create = 6,
        /// Give up delegations that await recovery.
        DelegPurge = 7,
        /// Return a delegation.
        DelegReturn = 8,
        /// Get attributes.
        GetAttr = 9,
        /// Get the current file handle.
        GetHandle = 10,
        /// Make a hard link.
        Link = 11,
        /// Lock bytes.
        Lock = 12,
        /// Test for a lock.
        LockTest = 13,
        /// Unlock bytes.
        Unlock = 14,
        /// Look a name up.
        Lookup = 15,
        /// Go to the parent directory.
        LookupParent = 16,
        /// Go on if attributes differ.
        NVerify = 17,
        /// Open a file.
        Open = 18,
        /// Open the named attributes.
        OpenAttr = 19,
        /// Confirm an open owner (minor version 0).
        OpenConfirm = 20,
        /// Reduce the access of an open.
        OpenDowngrade = 21,
        /// Set the current file handle.
        PutHandle = 22,
        /// Go to the public root.
        PutPublicHandle = 23,
        /// Go to the root.
        PutRootHandle = 24,
        /// Read.
        Read = 25,
        /// Read a directory.
        ReadDir = 26,
        /// Read a symbolic link.
        ReadLink = 27,
        /// Remove a name.
        Remove = 28,
        /// Rename.
        Rename = 29,
        /// Renew the lease (minor version 0).
        Renew = 30,
        /// Go to the saved file handle.
        RestoreHandle = 31,
        /// Save the current file handle.
        SaveHandle = 32,
        /// Get the security flavors of a name.
        SecInfo = 33,
        /// Set attributes.
        SetAttr = 34,
        /// Introduce a client (minor version 0).
        SetClientId = 35,
        /// Confirm a client (minor version 0).
        SetClientIdConfirm = 36,
        /// Go on if attributes are the same.
        Verify = 37,
        /// Write.
        Write = 38,
        /// Forget a lock owner (minor version 0).
        ReleaseLockOwner = 39,
        /// Set up callbacks.
        BackchannelCtl = 40,
        /// Bind the connection.
        BindConnToSession = 41,
        /// Introduce a client.
        ExchangeId = 42,
        /// Create a session.
        CreateSession = 43,
        /// Destroy a session.
        DestroySession = 44,
        /// Free a stateid.
        FreeStateId = 45,
        /// Get a directory delegation.
        GetDirDelegation = 46,
        /// pNFS.
        GetDeviceInfo = 47,
        /// pNFS.
        GetDeviceList = 48,
        /// pNFS.
        LayoutCommit = 49,
        /// pNFS.
        LayoutGet = 50,
        /// pNFS.
        LayoutReturn = 51,
        /// Get the security flavors of a file handle.
        SecInfoNoName = 52,
        /// Use a slot of a session.
        Sequence = 53,
        /// SSV.
        SetSsv = 54,
        /// Test stateids.
        TestStateId = 55,
        /// Ask for a delegation.
        WantDelegation = 56,
        /// Forget a client.
        DestroyClientId = 57,
        /// End reclaiming.
        ReclaimComplete = 58,
        /// Reserve space.
        Allocate = 59,
        /// Copy inside the server.
        Copy = 60,
        /// Prepare a copy between servers.
        CopyNotify = 61,
        /// Punch a hole.
        Deallocate = 62,
        /// Hints about access.
        IoAdvise = 63,
        /// pNFS.
        LayoutError = 64,
        /// pNFS.
        LayoutStats = 65,
        /// Cancel a copy.
        OffloadCancel = 66,
        /// Ask for a copy.
        OffloadStatus = 67,
        /// Read, with holes.
        ReadPlus = 68,
        /// Look for data or a hole.
        Seek = 69,
        /// Application data blocks.
        WriteSame = 70,
        /// Clone blocks.
        Clone = 71,
        /// Get an extended attribute.
        GetXattr = 72,
        /// Set an extended attribute.
        SetXattr = 73,
        /// List extended attributes.
        ListXattrs = 74,
        /// Remove an extended attribute.
        RemoveXattr = 75,
        /// Stands for all that is no operation.
        Illegal = 10044,
    }
}

xdr_union! {
    /// An operation that is served, with its arguments (`nfs_argop4`).
    pub enum Operation {
        /// Check rights.
        Access(AccessArgs) = 3,
        /// Close a file.
        Close(CloseArgs) = 4,
        /// Make data stable.
        Commit(CommitArgs) = 5,
        /// Create what is not a regular file.
        Create(CreateArgs) = 6,
        /// Give up delegations that await recovery.
        DelegPurge(u64) = 7,
        /// Return a delegation.
        DelegReturn(StateId) = 8,
        /// Get attributes.
        GetAttr(GetAttrArgs) = 9,
        /// Get the current file handle.
        GetHandle = 10,
        /// Make a hard link.
        Link(NameArgs) = 11,
        /// Lock bytes.
        Lock(LockArgs) = 12,
        /// Test for a lock.
        LockTest(LockTestArgs) = 13,
        /// Unlock bytes.
        Unlock(UnlockArgs) = 14,
        /// Look a name up.
        Lookup(NameArgs) = 15,
        /// Go to the parent directory.
        LookupParent = 16,
        /// Go on if attributes differ.
        NVerify(Fattr) = 17,
        /// Open a file.
        Open(OpenArgs) = 18,
        /// Confirm an open owner (minor version 0).
        OpenConfirm(OpenConfirmArgs) = 20,
        /// Reduce the access of an open.
        OpenDowngrade(OpenDowngradeArgs) = 21,
        /// Set the current file handle.
        PutHandle(FileHandle) = 22,
        /// Go to the public root.
        PutPublicHandle = 23,
        /// Go to the root.
        PutRootHandle = 24,
        /// Read.
        Read(ReadArgs) = 25,
        /// Read a directory.
        ReadDir(ReadDirArgs) = 26,
        /// Read a symbolic link.
        ReadLink = 27,
        /// Remove a name.
        Remove(NameArgs) = 28,
        /// Rename.
        Rename(RenameArgs) = 29,
        /// Renew the lease (minor version 0).
        Renew(u64) = 30,
        /// Go to the saved file handle.
        RestoreHandle = 31,
        /// Save the current file handle.
        SaveHandle = 32,
        /// Get the security flavors of a name.
        SecInfo(NameArgs) = 33,
        /// Set attributes.
        SetAttr(SetAttrArgs) = 34,
        /// Introduce a client (minor version 0).
        SetClientId(SetClientIdArgs) = 35,
        /// Confirm a client (minor version 0).
        SetClientIdConfirm(SetClientIdConfirmArgs) = 36,
        /// Go on if attributes are the same.
        Verify(Fattr) = 37,
        /// Write.
        Write(WriteArgs) = 38,
        /// Forget a lock owner (minor version 0).
        ReleaseLockOwner(StateOwner) = 39,
        /// Set up callbacks.
        BackchannelCtl(BackchannelCtlArgs) = 40,
        /// Bind the connection.
        BindConnToSession(BindConnectionArgs) = 41,
        /// Introduce a client.
        ExchangeId(ExchangeIdArgs) = 42,
        /// Create a session.
        CreateSession(CreateSessionArgs) = 43,
        /// Destroy a session.
        DestroySession(SessionId) = 44,
        /// Free a stateid.
        FreeStateId(StateId) = 45,
        /// Get the security flavors of a file handle.
        SecInfoNoName(SecInfoStyle) = 52,
        /// Use a slot of a session.
        Sequence(SequenceArgs) = 53,
        /// Test stateids.
        TestStateId(TestStateIdArgs) = 55,
        /// Forget a client.
        DestroyClientId(u64) = 57,
        /// End reclaiming.
        ReclaimComplete(bool) = 58,
        /// Reserve space.
        Allocate(SpaceArgs) = 59,
        /// Copy inside the server.
        Copy(CopyArgs) = 60,
        /// Punch a hole.
        Deallocate(SpaceArgs) = 62,
        /// Hints about access.
        IoAdvise(IoAdviseArgs) = 63,
        /// Cancel a copy.
        OffloadCancel(StateId) = 66,
        /// Ask for a copy.
        OffloadStatus(StateId) = 67,
        /// Read, with holes.
        ReadPlus(ReadArgs) = 68,
        /// Look for data or a hole.
        Seek(SeekArgs) = 69,
        /// Clone blocks.
        Clone(CloneArgs) = 71,
        /// Get an extended attribute.
        GetXattr(Component) = 72,
        /// Set an extended attribute.
        SetXattr(SetXattrArgs) = 73,
        /// List extended attributes.
        ListXattrs(ListXattrsArgs) = 74,
        /// Remove an extended attribute.
        RemoveXattr(Component) = 75,
    }

    /// The result of such an operation (`nfs_resop4`).
    pub enum OperationResult {
        /// Check rights.
        Access(Outcome<AccessOk>) = 3,
        /// Close a file.
        Close(Outcome<StateId>) = 4,
        /// Make data stable.
        Commit(Outcome<Verifier>) = 5,
        /// Create what is not a regular file.
        Create(Outcome<CreateOk>) = 6,
        /// Give up delegations that await recovery.
        DelegPurge(Status) = 7,
        /// Return a delegation.
        DelegReturn(Status) = 8,
        /// Get attributes.
        GetAttr(Outcome<Fattr>) = 9,
        /// Get the current file handle.
        GetHandle(Outcome<GetHandleOk>) = 10,
        /// Make a hard link.
        Link(Outcome<ChangeInfo>) = 11,
        /// Lock bytes.
        Lock(Detailed<StateId, LockDenied>) = 12,
        /// Test for a lock.
        LockTest(Detailed<(), LockDenied>) = 13,
        /// Unlock bytes.
        Unlock(Outcome<StateId>) = 14,
        /// Look a name up.
        Lookup(Status) = 15,
        /// Go to the parent directory.
        LookupParent(Status) = 16,
        /// Go on if attributes differ.
        NVerify(Status) = 17,
        /// Open a file.
        Open(Outcome<OpenOk>) = 18,
        /// Confirm an open owner (minor version 0).
        OpenConfirm(Outcome<StateId>) = 20,
        /// Reduce the access of an open.
        OpenDowngrade(Outcome<StateId>) = 21,
        /// Set the current file handle.
        PutHandle(Status) = 22,
        /// Go to the public root.
        PutPublicHandle(Status) = 23,
        /// Go to the root.
        PutRootHandle(Status) = 24,
        /// Read.
        Read(Outcome<ReadOk>) = 25,
        /// Read a directory.
        ReadDir(Outcome<ReadDirOk>) = 26,
        /// Read a symbolic link.
        ReadLink(Outcome<ReadLinkOk>) = 27,
        /// Remove a name.
        Remove(Outcome<ChangeInfo>) = 28,
        /// Rename.
        Rename(Outcome<RenameOk>) = 29,
        /// Renew the lease (minor version 0).
        Renew(Status) = 30,
        /// Go to the saved file handle.
        RestoreHandle(Status) = 31,
        /// Save the current file handle.
        SaveHandle(Status) = 32,
        /// Get the security flavors of a name.
        SecInfo(Outcome<SecInfoOk>) = 33,
        /// Set attributes.
        SetAttr(SetAttrResult) = 34,
        /// Introduce a client (minor version 0).
        SetClientId(Detailed<SetClientIdOk, NetAddress>) = 35,
        /// Confirm a client (minor version 0).
        SetClientIdConfirm(Status) = 36,
        /// Go on if attributes are the same.
        Verify(Status) = 37,
        /// Write.
        Write(Outcome<WriteOk>) = 38,
        /// Forget a lock owner (minor version 0).
        ReleaseLockOwner(Status) = 39,
        /// Set up callbacks.
        BackchannelCtl(Status) = 40,
        /// Bind the connection.
        BindConnToSession(Outcome<BindConnectionOk>) = 41,
        /// Introduce a client.
        ExchangeId(Outcome<ExchangeIdOk>) = 42,
        /// Create a session.
        CreateSession(Outcome<CreateSessionOk>) = 43,
        /// Destroy a session.
        DestroySession(Status) = 44,
        /// Free a stateid.
        FreeStateId(Status) = 45,
        /// Get the security flavors of a file handle.
        SecInfoNoName(Outcome<SecInfoOk>) = 52,
        /// Use a slot of a session.
        Sequence(Outcome<SequenceOk>) = 53,
        /// Test stateids.
        TestStateId(Outcome<TestStateIdOk>) = 55,
        /// Forget a client.
        DestroyClientId(Status) = 57,
        /// End reclaiming.
        ReclaimComplete(Status) = 58,
        /// Reserve space.
        Allocate(Status) = 59,
        /// Copy inside the server.
        Copy(Detailed<CopyOk, CopyRequirements>) = 60,
        /// Punch a hole.
        Deallocate(Status) = 62,
        /// Hints about access.
        IoAdvise(Outcome<Bitmap>) = 63,
        /// Cancel a copy.
        OffloadCancel(Status) = 66,
        /// Ask for a copy.
        OffloadStatus(Outcome<OffloadStatusOk>) = 67,
        /// Read, with holes.
        ReadPlus(Outcome<ReadPlusOk>) = 68,
        /// Look for data or a hole.
        Seek(Outcome<SeekOk>) = 69,
        /// Clone blocks.
        Clone(Status) = 71,
        /// Get an extended attribute.
        GetXattr(Outcome<XattrValue>) = 72,
        /// Set an extended attribute.
        SetXattr(Outcome<ChangeInfo>) = 73,
        /// List extended attributes.
        ListXattrs(Outcome<ListXattrsOk>) = 74,
        /// Remove an extended attribute.
        RemoveXattr(Outcome<ChangeInfo>) = 75,
    }
}

impl Operation {
    /// Its number.
    pub fn code(&self) -> OperationCode {
        match self {
            Self::Access(_) => OperationCode::Access,
            Self::Close(_) => OperationCode::Close,
            Self::Commit(_) => OperationCode::Commit,
            Self::Create(_) => OperationCode::Create,
            Self::DelegPurge(_) => OperationCode::DelegPurge,
            Self::DelegReturn(_) => OperationCode::DelegReturn,
            Self::GetAttr(_) => OperationCode::GetAttr,
            Self::GetHandle => OperationCode::GetHandle,
            Self::Link(_) => OperationCode::Link,
            Self::Lock(_) => OperationCode::Lock,
            Self::LockTest(_) => OperationCode::LockTest,
            Self::Unlock(_) => OperationCode::Unlock,
            Self::Lookup(_) => OperationCode::Lookup,
            Self::LookupParent => OperationCode::LookupParent,
            Self::NVerify(_) => OperationCode::NVerify,
            Self::Open(_) => OperationCode::Open,
            Self::OpenConfirm(_) => OperationCode::OpenConfirm,
            Self::OpenDowngrade(_) => OperationCode::OpenDowngrade,
            Self::PutHandle(_) => OperationCode::PutHandle,
            Self::PutPublicHandle => OperationCode::PutPublicHandle,
            Self::PutRootHandle => OperationCode::PutRootHandle,
            Self::Read(_) => OperationCode::Read,
            Self::ReadDir(_) => OperationCode::ReadDir,
            Self::ReadLink => OperationCode::ReadLink,
            Self::Remove(_) => OperationCode::Remove,
            Self::Rename(_) => OperationCode::Rename,
            Self::Renew(_) => OperationCode::Renew,
            Self::RestoreHandle => OperationCode::RestoreHandle,
            Self::SaveHandle => OperationCode::SaveHandle,
            Self::SecInfo(_) => OperationCode::SecInfo,
            Self::SetAttr(_) => OperationCode::SetAttr,
            Self::SetClientId(_) => OperationCode::SetClientId,
            Self::SetClientIdConfirm(_) => OperationCode::SetClientIdConfirm,
            Self::Verify(_) => OperationCode::Verify,
            Self::Write(_) => OperationCode::Write,
            Self::ReleaseLockOwner(_) => OperationCode::ReleaseLockOwner,
            Self::BackchannelCtl(_) => OperationCode::BackchannelCtl,
            Self::BindConnToSession(_) => OperationCode::BindConnToSession,
            Self::ExchangeId(_) => OperationCode::ExchangeId,
            Self::CreateSession(_) => OperationCode::CreateSession,
            Self::DestroySession(_) => OperationCode::DestroySession,
            Self::FreeStateId(_) => OperationCode::FreeStateId,
            Self::SecInfoNoName(_) => OperationCode::SecInfoNoName,
            Self::Sequence(_) => OperationCode::Sequence,
            Self::TestStateId(_) => OperationCode::TestStateId,
            Self::DestroyClientId(_) => OperationCode::DestroyClientId,
            Self::ReclaimComplete(_) => OperationCode::ReclaimComplete,
            Self::Allocate(_) => OperationCode::Allocate,
            Self::Copy(_) => OperationCode::Copy,
            Self::Deallocate(_) => OperationCode::Deallocate,
            Self::IoAdvise(_) => OperationCode::IoAdvise,
            Self::OffloadCancel(_) => OperationCode::OffloadCancel,
            Self::OffloadStatus(_) => OperationCode::OffloadStatus,
            Self::ReadPlus(_) => OperationCode::ReadPlus,
            Self::Seek(_) => OperationCode::Seek,
            Self::Clone(_) => OperationCode::Clone,
            Self::GetXattr(_) => OperationCode::GetXattr,
            Self::SetXattr(_) => OperationCode::SetXattr,
            Self::ListXattrs(_) => OperationCode::ListXattrs,
            Self::RemoveXattr(_) => OperationCode::RemoveXattr,
        }
    }
}

impl OperationResult {
    /// Its status.
    pub fn status(&self) -> Status {
        match self {
            Self::DelegPurge(status)
            | Self::DelegReturn(status)
            | Self::Lookup(status)
            | Self::LookupParent(status)
            | Self::NVerify(status)
            | Self::PutHandle(status)
            | Self::PutPublicHandle(status)
            | Self::PutRootHandle(status)
            | Self::Renew(status)
            | Self::RestoreHandle(status)
            | Self::SaveHandle(status)
            | Self::SetClientIdConfirm(status)
            | Self::Verify(status)
            | Self::ReleaseLockOwner(status)
            | Self::BackchannelCtl(status)
            | Self::DestroySession(status)
            | Self::FreeStateId(status)
            | Self::DestroyClientId(status)
            | Self::ReclaimComplete(status)
            | Self::Allocate(status)
            | Self::Deallocate(status)
            | Self::OffloadCancel(status)
            | Self::Clone(status) => *status,
            Self::SetAttr(result) => result.status,
            Self::Access(outcome) => outcome.status(),
            Self::Close(outcome) => outcome.status(),
            Self::Commit(outcome) => outcome.status(),
            Self::Create(outcome) => outcome.status(),
            Self::GetAttr(outcome) => outcome.status(),
            Self::GetHandle(outcome) => outcome.status(),
            Self::Link(outcome) => outcome.status(),
            Self::Lock(outcome) => outcome.status(),
            Self::LockTest(outcome) => outcome.status(),
            Self::Unlock(outcome) => outcome.status(),
            Self::Open(outcome) => outcome.status(),
            Self::OpenConfirm(outcome) => outcome.status(),
            Self::OpenDowngrade(outcome) => outcome.status(),
            Self::Read(outcome) => outcome.status(),
            Self::ReadDir(outcome) => outcome.status(),
            Self::ReadLink(outcome) => outcome.status(),
            Self::Remove(outcome) => outcome.status(),
            Self::Rename(outcome) => outcome.status(),
            Self::SecInfo(outcome) => outcome.status(),
            Self::SetClientId(outcome) => outcome.status(),
            Self::Write(outcome) => outcome.status(),
            Self::BindConnToSession(outcome) => outcome.status(),
            Self::ExchangeId(outcome) => outcome.status(),
            Self::CreateSession(outcome) => outcome.status(),
            Self::SecInfoNoName(outcome) => outcome.status(),
            Self::Sequence(outcome) => outcome.status(),
            Self::TestStateId(outcome) => outcome.status(),
            Self::Copy(outcome) => outcome.status(),
            Self::IoAdvise(outcome) => outcome.status(),
            Self::OffloadStatus(outcome) => outcome.status(),
            Self::ReadPlus(outcome) => outcome.status(),
            Self::Seek(outcome) => outcome.status(),
            Self::GetXattr(outcome) => outcome.status(),
            Self::SetXattr(outcome) => outcome.status(),
            Self::ListXattrs(outcome) => outcome.status(),
            Self::RemoveXattr(outcome) => outcome.status(),
        }
    }
}
