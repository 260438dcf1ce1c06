//! Delegations: how OPEN gives them, DELEGRETURN and DELEGPURGE.

use standfast_rpc::xdr::Opaque;

use super::super::context::Compound;
use super::super::intents::{Begin, Begun};
use super::super::protocol::{
    Ace, AceKind, Delegation, ReadDelegation, SpaceLimit, StateId, Status, WhyNoDelegation,
    WriteDelegation, share_access,
};
use super::super::state::Opened;
use super::plain;
use crate::intents::Wish;

/// Gives a delegation along with an open, if that helps and a callback would reach the client.
/// `wish` is one of `OPEN4_SHARE_ACCESS_WANT_*`; who has one hears why there is none.
pub(super) fn offer(
    context: &mut Compound<'_>,
    client: u64,
    wish: u32,
    opened: &Opened,
) -> Delegation {
    let none = |why| match wish {
        0 => Delegation::None,
        _ => Delegation::NoneExplained(why),
    };
    match wish {
        share_access::WANT_NONE => return none(WhyNoDelegation::NotWanted),
        share_access::WANT_CANCEL => return none(WhyNoDelegation::Cancelled),
        _ if !is_offered(context) || !context.nfs.keeper.reaches(client) => {
            return none(WhyNoDelegation::Resource(false));
        }
        _ => {}
    }
    let Some(given) = context.state(|state, now| state.delegate(&opened.stateid, now)) else {
        return none(WhyNoDelegation::Contention(false));
    };
    // Nobody but the opener is let in without asking the server.
    let permissions = Ace { kind: AceKind::Allow, flags: 0, mask: 0, who: Opaque::default() };
    let (stateid, recall) = (given.stateid, false);
    match given.write {
        false => Delegation::Read(ReadDelegation { stateid, recall, permissions }),
        true => {
            let limit = SpaceLimit::Size(u64::MAX);
            Delegation::Write(WriteDelegation { stateid, recall, limit, permissions })
        }
    }
}

/// Whether the export gives delegations. Who may not change anything there needs none.
fn is_offered(context: &Compound<'_>) -> bool {
    context.file().is_ok_and(|file| file.place.export.settings().delegations)
}

/// DELEGRETURN (RFC 8881 section 18.6).
pub(super) async fn deleg_return(context: &mut Compound<'_>, id: StateId) -> Status {
    let checked = context.file().map(|file| file.key());
    let checked = checked.and_then(|file| Ok((file, context.stateid(id)?)));
    let (file, id) = match checked {
        Ok(checked) => checked,
        Err(status) => return status,
    };
    let begin = match begin_return(context, id).await {
        Ok(Some(begin)) => begin,
        Ok(None) => return Status::Ok,
        Err(status) => return status,
    };
    let client = context.client();
    let status = context.once(|state, now| {
        let known = state.file_of(client, &id);
        plain(known.and_then(|known| match known == file {
            true => state.return_delegation(client, &id, now),
            false => Err(Status::BadStateId),
        }))
    });
    begin.end(&if status == Status::Ok { Ok(()) } else { Err(status) }, |()| None);
    status
}

/// Without a session, the result of DELEGRETURN is not in the record of the change. `None`: it was
/// given back before the server died.
async fn begin_return(context: &mut Compound<'_>, id: StateId) -> Result<Option<Begin>, Status> {
    if context.session.is_some() {
        return Ok(Some(Begin::default()));
    }
    let file = context.file()?.clone();
    Ok(match context.begin(&file, Wish::Return(id)).await? {
        Begun::Now(begin) => Some(begin),
        Begun::Before(_) => None,
    })
}

/// DELEGPURGE (RFC 8881 section 18.5): delegations of a client that restarted are not kept for it,
/// so there is nothing to give up.
pub(super) async fn deleg_purge(_context: &mut Compound<'_>, _client: u64) -> Status {
    Status::NotSupp
}
