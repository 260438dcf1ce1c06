//! Clients: SETCLIENTID, SETCLIENTID_CONFIRM, RENEW, EXCHANGE_ID, DESTROY_CLIENTID and
//! RECLAIM_COMPLETE.

use super::super::context::Compound;
use super::super::protocol::{
    Detailed, ExchangeIdArgs, ExchangeIdOk, NetAddress, Outcome, SetClientIdArgs,
    SetClientIdConfirmArgs, SetClientIdOk, Status,
};

/// Introduce a client (minor version 0).
pub(super) async fn set_client_id(
    _context: &mut Compound<'_>,
    _args: SetClientIdArgs,
) -> Detailed<SetClientIdOk, NetAddress> {
    Detailed::Plain(Outcome::Fail(Status::NotSupp))
}

/// Confirm a client (minor version 0).
pub(super) async fn set_client_id_confirm(
    _context: &mut Compound<'_>,
    _args: SetClientIdConfirmArgs,
) -> Status {
    Status::NotSupp
}

/// Renew the lease (minor version 0).
pub(super) async fn renew(_context: &mut Compound<'_>, _args: u64) -> Status {
    Status::NotSupp
}

/// Introduce a client.
pub(super) async fn exchange_id(
    _context: &mut Compound<'_>,
    _args: ExchangeIdArgs,
) -> Outcome<ExchangeIdOk> {
    Outcome::Fail(Status::NotSupp)
}

/// Forget a client.
pub(super) async fn destroy_client_id(_context: &mut Compound<'_>, _args: u64) -> Status {
    Status::NotSupp
}

/// End reclaiming.
pub(super) async fn reclaim_complete(_context: &mut Compound<'_>, _args: bool) -> Status {
    Status::NotSupp
}
