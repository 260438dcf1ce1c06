//! What becomes of opens: OPEN_CONFIRM, OPEN_DOWNGRADE and CLOSE.

use std::time::Instant;

use super::super::context::Compound;
use super::super::keeper::ServiceState;
use super::super::protocol::{
    CloseArgs, OpenConfirmArgs, OpenDowngradeArgs, Outcome, StateId, Status, share_access,
};
use super::owners;

/// OPEN_CONFIRM (RFC 7530 section 16.18).
pub(super) async fn open_confirm(
    context: &mut Compound<'_>,
    args: OpenConfirmArgs,
) -> Outcome<StateId> {
    let OpenConfirmArgs { stateid, seqid } = args;
    change(context, stateid, seqid, |state, id, now| state.confirm_open(id, now))
}

/// OPEN_DOWNGRADE (RFC 8881 section 18.18).
pub(super) async fn open_downgrade(
    context: &mut Compound<'_>,
    args: OpenDowngradeArgs,
) -> Outcome<StateId> {
    let OpenDowngradeArgs { stateid, seqid, access, deny } = args;
    let client = context.client();
    let access = if context.minor > 0 { access & !share_access::WANT_MASK } else { access };
    change(context, stateid, seqid, |state, id, now| state.downgrade(client, id, access, deny, now))
}

/// CLOSE (RFC 8881 section 18.2).
pub(super) async fn close(context: &mut Compound<'_>, args: CloseArgs) -> Outcome<StateId> {
    let CloseArgs { seqid, stateid } = args;
    let client = context.client();
    change(context, stateid, seqid, |state, id, now| state.close(client, id, now))
}

/// Changes an open of the current file.
fn change(
    context: &mut Compound<'_>,
    id: StateId,
    seqid: u32,
    change: impl FnOnce(&mut ServiceState, &StateId, Instant) -> Result<StateId, Status>,
) -> Outcome<StateId> {
    let checked = context.file().map(|file| file.key());
    let checked = checked.and_then(|file| Ok((file, context.stateid(id)?)));
    let (file, id) = match checked {
        Ok(checked) => checked,
        Err(status) => return Outcome::Fail(status),
    };
    let client = context.client();
    let outcome = owners::run(context, &id, seqid, |state, now| {
        let result = match state.file_of(client, &id) {
            Ok(known) if known != file => Err(Status::BadStateId),
            Ok(_) => change(state, &id, now),
            Err(status) => Err(status),
        };
        result.into()
    });
    if let Outcome::Ok(id) = outcome {
        context.set_stateid(id);
    }
    outcome
}
