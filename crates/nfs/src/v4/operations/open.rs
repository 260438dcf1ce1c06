//! OPEN (RFC 8881 section 18.16, RFC 7530 section 16.16).

use std::time::Instant;

use standfast_rpc::xdr;
use standfast_vfs::{AccessMask, Attributes, FileKind, SetAttributes};

use super::super::context::Compound;
use super::super::navigation::check_name;
use super::super::object::File;
use super::super::protocol::{
    ChangeInfo, Delegation, DelegationType, OpenArgs, OpenClaim, OpenHow, OpenOk, Outcome, StateId,
    Status, open_flags, share_access,
};
use super::super::requests::fingerprint;
use super::super::state::{Kept, KeptOpen, OpenRequest, Opened, OwnerReply, OwnerRequest};
use super::creation::{Found, create, look_up};
use super::delegations;

/// Beside the access and a wish: when a delegation that cannot be had at once should be offered
/// (`OPEN4_SHARE_ACCESS_WANT_SIGNAL_DELEG_WHEN_RESRC_AVAIL` and its like).
const WANT_SIGNALS: u32 = 0x3_0000;

/// OPEN.
pub(super) async fn open(context: &mut Compound<'_>, args: OpenArgs) -> Outcome<OpenOk> {
    if let Err(status) = context.current() {
        return Outcome::Fail(status);
    }
    match context.client() {
        Some(client) => open_for(context, client, &args).await.into(),
        None => open_with_seqid(context, &args).await,
    }
}

/// OPEN of minor version 0: each request of an owner has its number.
async fn open_with_seqid(context: &mut Compound<'_>, args: &OpenArgs) -> Outcome<OpenOk> {
    let (client, name, seqid) = (args.owner.client, &args.owner.name, args.seqid);
    let fingerprint = fingerprint(context.call);
    let request =
        context.state(|state, now| state.open_owner_request(client, name, seqid, fingerprint, now));
    let owner = match request {
        Err(status) => return Outcome::Fail(status),
        Ok(OwnerRequest::Replay(reply)) => return replay(context, &reply),
        Ok(OwnerRequest::New(owner)) => owner,
    };
    let result = open_for(context, client, args).await;
    let status = result.as_ref().err().copied().unwrap_or(Status::Ok);
    let kept: Outcome<KeptOpen> = match (&result, context.file()) {
        (Ok(ok), Ok(file)) => Outcome::Ok(KeptOpen { ok: ok.clone(), file: (&file.key()).into() }),
        _ => Outcome::Fail(status),
    };
    let reply = Kept::from(xdr::to_bytes(&kept));
    let reply = OwnerReply { owner, seqid, fingerprint, reply };
    context.state(|state, now| state.owner_replied(reply, status, now));
    result.into()
}

fn replay(context: &mut Compound<'_>, reply: &Kept) -> Outcome<OpenOk> {
    context.wait_for_all();
    match xdr::from_bytes::<Outcome<KeptOpen>>(&reply.0) {
        Ok(Outcome::Ok(KeptOpen { ok, file })) => {
            let Some((key, directory)) = file.key().zip(context.file().ok()) else {
                return Outcome::Fail(Status::ServerFault);
            };
            let file = directory.sibling(key.handle);
            context.set_current_file(file);
            Outcome::Ok(ok)
        }
        Ok(Outcome::Fail(status)) => Outcome::Fail(status),
        Err(_) => Outcome::Fail(Status::ServerFault),
    }
}

/// What a client wants to do with the file, without wishes for delegations.
fn access_of(args: &OpenArgs, minor: u32) -> Result<u32, Status> {
    let known = match minor {
        0 => share_access::BOTH,
        _ => share_access::BOTH | share_access::WANT_MASK | WANT_SIGNALS,
    };
    let access = args.access & share_access::BOTH;
    let wish = args.access & share_access::WANT_MASK;
    if args.access & !known != 0 || access == 0 || args.deny > 3 || wish > share_access::WANT_CANCEL
    {
        return Err(Status::Inval);
    }
    Ok(access)
}

async fn open_for(
    context: &mut Compound<'_>,
    client: u64,
    args: &OpenArgs,
) -> Result<OpenOk, Status> {
    let access = access_of(args, context.minor)?;
    let reclaim = matches!(args.claim, OpenClaim::Previous(_));
    let now = Instant::now();
    context.nfs.keeper.look(|state| state.may_open(client, reclaim, now))?;
    let found = find(context, args).await?;
    check_rights(context, &found, args, access).await?;
    let request = OpenRequest {
        client,
        owner: &args.owner.name,
        file: found.file.key(),
        access,
        deny: args.deny,
        reclaim,
    };
    let opened = context.state(|state, now| state.open(&request, now))?;
    if let Err(status) = keep(&found).await {
        let id = opened.stateid;
        let client = context.client();
        // It may have been open before: then it is open as it was, with more access.
        if id.seqid == 1 {
            let _gone = context.state(|state, now| state.close(client, &id, now));
        }
        return Err(status);
    }
    let delegation = delegation(context, client, args, &opened);
    let Found { file, directory, attributes, .. } = found;
    context.set_current_file(file);
    context.set_stateid(opened.stateid);
    let flags = flags(context, &opened);
    Ok(OpenOk { stateid: opened.stateid, directory, flags, attributes, delegation })
}

fn flags(context: &Compound<'_>, opened: &Opened) -> u32 {
    let mut flags = open_flags::POSIX_LOCKS;
    if opened.confirm {
        flags |= open_flags::CONFIRM;
    }
    if context.minor > 0 {
        flags |= open_flags::PRESERVE_UNLINKED | open_flags::MAY_NOTIFY_LOCK;
    }
    flags
}

/// The file that the claim names; made, if that is what the client wants.
async fn find(context: &mut Compound<'_>, args: &OpenArgs) -> Result<Found, Status> {
    let creates = matches!(args.how, OpenHow::Create(_));
    match &args.claim {
        OpenClaim::Null(name) => {
            check_name(name)?;
            match &args.how {
                OpenHow::NoCreate => look_up(context, name).await,
                OpenHow::Create(how) => create(context, name, how).await,
            }
        }
        OpenClaim::DelegateCurrent(claim) if !creates => {
            check_name(&claim.name)?;
            let found = look_up(context, &claim.name).await?;
            check_delegation(context, &found.file, claim.delegation)?;
            Ok(found)
        }
        OpenClaim::DelegateCurrentHandle(id) if context.minor > 0 && !creates => {
            let found = current(context).await?;
            check_delegation(context, &found.file, *id)?;
            Ok(found)
        }
        OpenClaim::FileHandle if context.minor > 0 && !creates => current(context).await,
        OpenClaim::Previous(_) if !creates => current(context).await,
        // Delegations of a client that restarted are not kept for it.
        OpenClaim::DelegatePrevious(_) | OpenClaim::DelegatePreviousHandle => Err(Status::NotSupp),
        _ => Err(Status::Inval),
    }
}

async fn current(context: &Compound<'_>) -> Result<Found, Status> {
    let file = context.file()?.clone();
    let info = ChangeInfo { atomic: false, before: 0, after: 0 };
    Ok(Found::existing(file, info))
}

fn check_delegation(context: &mut Compound<'_>, file: &File, id: StateId) -> Result<(), Status> {
    let (id, client) = (context.stateid(id)?, context.client());
    let known = context.nfs.keeper.look(|state| state.file_of(client, &id))?;
    if known == file.key() { Ok(()) } else { Err(Status::BadStateId) }
}

/// Whether the caller may do with the file what it wants to.
async fn check_rights(
    context: &Compound<'_>,
    found: &Found,
    args: &OpenArgs,
    access: u32,
) -> Result<(), Status> {
    let (reads, writes) = (access & 1 != 0, access & 2 != 0 || found.truncate);
    if writes && found.file.place.access.read_only {
        return Err(Status::RoFs);
    }
    let wanted = AccessMask(AccessMask::READ | AccessMask::MODIFY | AccessMask::EXECUTE);
    let looked = found.file.look(move |fs, context, file| fs.access(context, file, wanted));
    let (granted, attributes) = looked.await?;
    check_kind(&attributes, context.minor)?;
    let may = |right| granted.0 & right != 0;
    // Whoever may execute a file may read it: that is how it gets to the client's machine.
    let may_read = may(AccessMask::READ) || may(AccessMask::EXECUTE);
    let needs_write = writes || args.deny & share_access::READ != 0;
    let is_owner = attributes.uid == found.file.place.caller.uid;
    let had_it = found.is_new
        || matches!(
            args.claim,
            OpenClaim::Previous(_)
                | OpenClaim::DelegateCurrent(_)
                | OpenClaim::DelegateCurrentHandle(_)
        );
    if had_it && is_owner || (!reads || may_read) && (!needs_write || may(AccessMask::MODIFY)) {
        Ok(())
    } else {
        Err(Status::Access)
    }
}

/// Only regular files are opened.
fn check_kind(attributes: &Attributes, minor: u32) -> Result<(), Status> {
    match attributes.kind {
        FileKind::Regular => Ok(()),
        FileKind::Directory => Err(Status::IsDir),
        FileKind::Symlink => Err(Status::Symlink),
        // Minor version 0 has no error of its own for them.
        _ if minor == 0 => Err(Status::Symlink),
        _ => Err(Status::WrongType),
    }
}

/// Makes sure that an open file is there to stay, and cuts it if that is wanted.
async fn keep(found: &Found) -> Result<(), Status> {
    let file = &found.file;
    file.look(|fs, context, file| fs.confirm_open(context, file)).await?;
    if !found.truncate {
        return Ok(());
    }
    let set = SetAttributes { size: Some(0), ..SetAttributes::default() };
    let changed = file
        .change_alone(move |fs, context, file| fs.set_attributes(context, file, &set, None))
        .await?;
    changed.result.map_err(|error| file.status(&error))
}

fn delegation(
    context: &mut Compound<'_>,
    client: u64,
    args: &OpenArgs,
    opened: &Opened,
) -> Delegation {
    let reclaimed = match args.claim {
        OpenClaim::Previous(kind) => Some(kind),
        OpenClaim::Null(_) | OpenClaim::FileHandle => None,
        // It has one.
        _ => return Delegation::None,
    };
    if opened.confirm || reclaimed == Some(DelegationType::None) {
        return Delegation::None;
    }
    let wish = args.access & share_access::WANT_MASK;
    delegations::offer(context, client, wish, opened)
}
