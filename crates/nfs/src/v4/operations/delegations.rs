//! Delegations that go back: DELEGRETURN and DELEGPURGE.

use super::super::context::Compound;
use super::super::protocol::{StateId, Status};
use super::plain;

/// DELEGRETURN (RFC 8881 section 18.6).
pub(super) async fn deleg_return(context: &mut Compound<'_>, id: StateId) -> Status {
    let checked = context.file().map(|file| file.key());
    let checked = checked.and_then(|file| Ok((file, context.stateid(id)?)));
    let (file, id) = match checked {
        Ok(checked) => checked,
        Err(status) => return status,
    };
    let client = context.client();
    plain(context.state(|state, now| {
        if state.file_of(client, &id)? != file {
            return Err(Status::BadStateId);
        }
        state.return_delegation(client, &id, now)
    }))
}

/// DELEGPURGE (RFC 8881 section 18.5): delegations of a client that restarted are not kept for it,
/// so there is nothing to give up.
pub(super) async fn deleg_purge(_context: &mut Compound<'_>, _client: u64) -> Status {
    Status::NotSupp
}
