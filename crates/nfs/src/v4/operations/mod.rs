//! The operations of COMPOUND, one file for each family.

mod attributes;
mod client;
mod close;
mod copy;
mod creation;
mod data;
mod delegations;
mod directory;
mod handles;
mod lock;
mod names;
mod open;
pub(super) mod owners;
mod security;
pub(super) mod session;
mod space;
mod stateid;
mod xattr;

use standfast_rpc::xdr::{Encode, Encoder};

use super::context::Compound;
use super::protocol::{Detail, Detailed, Operation, OperationCode, Outcome, SetAttrResult, Status};

/// The result of an operation.
pub(super) trait Answer: Encode {
    /// Its status.
    fn status(&self) -> Status;
}

impl Answer for Status {
    fn status(&self) -> Status {
        *self
    }
}

impl Answer for SetAttrResult {
    fn status(&self) -> Status {
        self.status
    }
}

impl<T: Encode> Answer for Outcome<T> {
    fn status(&self) -> Status {
        Outcome::status(self)
    }
}

impl<T: Encode, D: Detail> Answer for Detailed<T, D> {
    fn status(&self) -> Status {
        Detailed::status(self)
    }
}

/// The status of an operation that gives nothing else.
fn plain(result: Result<(), Status>) -> Status {
    result.err().unwrap_or(Status::Ok)
}

/// Whether an operation that succeeded must not be run again when its request comes again.
pub(super) fn runs_once(code: OperationCode) -> bool {
    use OperationCode as Code;
    matches!(
        code,
        Code::Close
            | Code::Copy
            | Code::Create
            | Code::DelegReturn
            | Code::FreeStateId
            | Code::Link
            | Code::Lock
            | Code::Open
            | Code::OpenConfirm
            | Code::OpenDowngrade
            | Code::Remove
            | Code::RemoveXattr
            | Code::Rename
            | Code::SetXattr
            | Code::Unlock
    )
}

/// The same in minor version 0, where the replies of requests are kept as a whole: what could undo
/// a later change if it were run again is among them.
pub(super) fn runs_once_without_session(code: OperationCode) -> bool {
    use OperationCode as Code;
    let more = [Code::SetAttr, Code::Write, Code::SetClientId, Code::SetClientIdConfirm];
    runs_once(code) || more.contains(&code)
}

/// Bytes that the result of an operation must find room for before it is run: those that change
/// something are not run if their result could not be told.
pub(super) fn least_room(code: OperationCode) -> usize {
    use OperationCode as Code;
    match code {
        Code::Open => 512,
        Code::Copy | Code::Create | Code::Rename | Code::SetAttr => 96,
        code if runs_once(code) => 48,
        Code::Allocate | Code::Clone | Code::Commit | Code::Deallocate | Code::Write => 24,
        _ => 8,
    }
}

/// Runs an operation and writes its result; SEQUENCE is not among them.
pub(super) async fn run(
    context: &mut Compound<'_>,
    operation: Operation,
    reply: &mut Encoder,
) -> Status {
    let code = operation.code();
    macro_rules! run {
        ($function:path $(, $args:expr)?) => {{
            let answer = $function(context $(, $args)?).await;
            code.encode(reply);
            answer.encode(reply);
            Answer::status(&answer)
        }};
    }
    match operation {
        Operation::Access(args) => run!(attributes::access, args),
        Operation::Allocate(args) => run!(space::allocate, args),
        Operation::BackchannelCtl(args) => run!(session::backchannel_ctl, args),
        Operation::BindConnToSession(args) => run!(session::bind_conn_to_session, args),
        Operation::Clone(args) => run!(copy::clone, args),
        Operation::Close(args) => run!(close::close, args),
        Operation::Commit(args) => run!(data::commit, args),
        Operation::Copy(args) => run!(copy::copy, args),
        Operation::Create(args) => run!(names::create, args),
        Operation::CreateSession(args) => run!(session::create_session, args),
        Operation::Deallocate(args) => run!(space::deallocate, args),
        Operation::DelegPurge(args) => run!(delegations::deleg_purge, args),
        Operation::DelegReturn(args) => run!(delegations::deleg_return, args),
        Operation::DestroyClientId(args) => run!(client::destroy_client_id, args),
        Operation::DestroySession(args) => run!(session::destroy_session, args),
        Operation::ExchangeId(args) => run!(client::exchange_id, args),
        Operation::FreeStateId(args) => run!(stateid::free_state_id, args),
        Operation::GetAttr(args) => run!(attributes::get_attr, args),
        Operation::GetHandle => run!(handles::get_handle),
        Operation::GetXattr(args) => run!(xattr::get_xattr, args),
        Operation::IoAdvise(args) => run!(space::io_advise, args),
        Operation::Link(args) => run!(names::link, args),
        Operation::ListXattrs(args) => run!(xattr::list_xattrs, args),
        Operation::Lock(args) => run!(lock::lock, args),
        Operation::LockTest(args) => run!(lock::lock_test, args),
        Operation::Lookup(args) => run!(names::lookup, args),
        Operation::LookupParent => run!(names::lookup_parent),
        Operation::NVerify(args) => run!(attributes::n_verify, args),
        Operation::OffloadCancel(args) => run!(copy::offload_cancel, args),
        Operation::OffloadStatus(args) => run!(copy::offload_status, args),
        Operation::Open(args) => run!(open::open, args),
        Operation::OpenConfirm(args) => run!(close::open_confirm, args),
        Operation::OpenDowngrade(args) => run!(close::open_downgrade, args),
        Operation::PutHandle(args) => run!(handles::put_handle, args),
        Operation::PutPublicHandle => run!(handles::put_public_handle),
        Operation::PutRootHandle => run!(handles::put_root_handle),
        Operation::Read(args) => run!(data::read, args),
        Operation::ReadDir(args) => run!(directory::read_dir, args),
        Operation::ReadLink => run!(names::read_link),
        Operation::ReadPlus(args) => run!(space::read_plus, args),
        Operation::ReclaimComplete(args) => run!(client::reclaim_complete, args),
        Operation::ReleaseLockOwner(args) => run!(lock::release_lock_owner, args),
        Operation::Remove(args) => run!(names::remove, args),
        Operation::RemoveXattr(args) => run!(xattr::remove_xattr, args),
        Operation::Rename(args) => run!(names::rename, args),
        Operation::Renew(args) => run!(client::renew, args),
        Operation::RestoreHandle => run!(handles::restore_handle),
        Operation::SaveHandle => run!(handles::save_handle),
        Operation::SecInfo(args) => run!(security::sec_info, args),
        Operation::SecInfoNoName(args) => run!(security::sec_info_no_name, args),
        Operation::Seek(args) => run!(space::seek, args),
        Operation::SetAttr(args) => run!(attributes::set_attr, args),
        Operation::SetClientId(args) => run!(client::set_client_id, args),
        Operation::SetClientIdConfirm(args) => run!(client::set_client_id_confirm, args),
        Operation::SetXattr(args) => run!(xattr::set_xattr, args),
        Operation::TestStateId(args) => run!(stateid::test_state_id, args),
        Operation::Unlock(args) => run!(lock::unlock, args),
        Operation::Verify(args) => run!(attributes::verify, args),
        Operation::Write(args) => run!(data::write, args),
        // Run by COMPOUND itself.
        Operation::Sequence(_) => run!(misplaced_sequence),
    }
}

async fn misplaced_sequence(_context: &mut Compound<'_>) -> Status {
    Status::SequencePos
}
