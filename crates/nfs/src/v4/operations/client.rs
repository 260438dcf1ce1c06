//! Clients: SETCLIENTID, SETCLIENTID_CONFIRM, RENEW, EXCHANGE_ID, DESTROY_CLIENTID and
//! RECLAIM_COMPLETE.

use standfast_rpc::xdr::List;

use super::super::context::Compound;
use super::super::protocol::{
    Detailed, ExchangeIdArgs, ExchangeIdOk, ImplementationId, NetAddress, Outcome, OwnerName,
    ServerOwner, SetClientIdArgs, SetClientIdConfirmArgs, SetClientIdOk, StateProtect,
    StateProtected, Status, Time, exchange_id_flags as flags,
};
use super::super::requests::principal;
use super::super::state::{ExchangeId, Exchanged};
use super::plain;

/// SETCLIENTID (RFC 7530 section 16.33).
pub(super) async fn set_client_id(
    context: &mut Compound<'_>,
    args: SetClientIdArgs,
) -> Detailed<SetClientIdOk, NetAddress> {
    let principal = principal(context.call);
    context.state(|state, now| state.set_client_id(&args, &principal, now))
}

/// SETCLIENTID_CONFIRM (RFC 7530 section 16.34).
pub(super) async fn set_client_id_confirm(
    context: &mut Compound<'_>,
    args: SetClientIdConfirmArgs,
) -> Status {
    let principal = principal(context.call);
    let SetClientIdConfirmArgs { client, confirm } = args;
    let result =
        context.state(|state, now| state.confirm_client_id(client, confirm, &principal, now));
    context.nfs.keeper.callbacks_changed(client);
    plain(result)
}

/// RENEW (RFC 7530 section 16.28).
pub(super) async fn renew(context: &mut Compound<'_>, client: u64) -> Status {
    plain(context.state(|state, now| state.renew_lease(client, now)))
}

/// EXCHANGE_ID (RFC 8881 section 18.35).
pub(super) async fn exchange_id(
    context: &mut Compound<'_>,
    args: ExchangeIdArgs,
) -> Outcome<ExchangeIdOk> {
    // Both need RPCSEC_GSS.
    match args.protect {
        StateProtect::None => {}
        StateProtect::MachineCredential(_) => return Outcome::Fail(Status::Inval),
        StateProtect::Ssv(_) => return Outcome::Fail(Status::EncrAlgUnsupp),
    }
    // Minor version 2 brought this flag (RFC 7862 section 14.1).
    if context.minor < 2 && args.flags & flags::SUPP_FENCE_OPS != 0 {
        return Outcome::Fail(Status::Inval);
    }
    let principal = principal(context.call);
    let request = ExchangeId {
        owner: &args.owner,
        verifier: args.verifier,
        flags: args.flags,
        principal: &principal,
    };
    let exchanged = context.state(|state, now| state.exchange_id(&request, now));
    // It may tell of a client that another transmission has just made.
    context.wait_for_all();
    exchanged.map(|exchanged| introduced(context, exchanged)).into()
}

/// Owner and scope belong to the service: clients find them on each address and each node of it
/// alike, and so know that a session made through one is good through all.
fn introduced(context: &Compound<'_>, exchanged: Exchanged) -> ExchangeIdOk {
    let Exchanged { client, sequence, confirmed } = exchanged;
    let identity = context.nfs.identity();
    let name = |name: &'static str| OwnerName::from(bytes::Bytes::from_static(name.as_bytes()));
    let implementation = ImplementationId {
        domain: OwnerName::default(),
        name: name("standfast"),
        date: Time { seconds: 0, nanoseconds: 0 },
    };
    ExchangeIdOk {
        client,
        sequence,
        flags: flags::USE_NON_PNFS | if confirmed { flags::CONFIRMED } else { 0 },
        protect: StateProtected::None,
        server_owner: ServerOwner { minor: 0, major: identity.owner.clone() },
        server_scope: identity.scope.clone(),
        implementation: List(vec![implementation]),
    }
}

/// DESTROY_CLIENTID (RFC 8881 section 18.50).
pub(super) async fn destroy_client_id(context: &mut Compound<'_>, client: u64) -> Status {
    let result = context.state(|state, now| state.destroy_client(client, now));
    context.nfs.keeper.callbacks_changed(client);
    plain(result)
}

/// RECLAIM_COMPLETE (RFC 8881 section 18.51).
pub(super) async fn reclaim_complete(context: &mut Compound<'_>, one_filesystem: bool) -> Status {
    if one_filesystem && let Err(status) = context.current() {
        return status;
    }
    let Some(client) = context.client() else { return Status::OpNotInSession };
    plain(context.state(|state, now| state.reclaim_complete(client, one_filesystem, now)))
}
