//! SECINFO and SECINFO_NO_NAME.

use standfast_rpc::xdr::List;
use standfast_settings::SecurityFlavour;
use standfast_vfs::FileKind;

use super::super::context::Compound;
use super::super::navigation::check_name;
use super::super::object::Object;
use super::super::protocol::{NameArgs, Outcome, SecInfo, SecInfoOk, SecInfoStyle, Status};

/// SECINFO (RFC 8881 section 18.29): takes the current file handle away.
pub(super) async fn sec_info(context: &mut Compound<'_>, args: NameArgs) -> Outcome<SecInfoOk> {
    if let Err(status) = check_name(&args.name) {
        // Without a file handle, that is what is wrong.
        return Outcome::Fail(context.current().err().unwrap_or(status));
    }
    let found = context.lookup(&args.name).await.map_err(|status| match status {
        Status::Symlink => Status::NotDir,
        status => status,
    });
    answer(context, found)
}

/// SECINFO_NO_NAME (section 18.45): takes the current file handle away.
pub(super) async fn sec_info_no_name(
    context: &mut Compound<'_>,
    style: SecInfoStyle,
) -> Outcome<SecInfoOk> {
    let found = match style {
        SecInfoStyle::Current => context.current().cloned(),
        SecInfoStyle::Parent => match context.current() {
            Ok(object) if !matches!(object.kind().await, Ok(FileKind::Directory)) => {
                Err(Status::NotDir)
            }
            _ => context.lookup_parent().await,
        },
    };
    answer(context, found)
}

fn answer(context: &mut Compound<'_>, found: Result<Object, Status>) -> Outcome<SecInfoOk> {
    let flavours = found.map(|object| flavours(&object));
    if flavours.is_ok() && context.minor > 0 {
        context.clear_current();
    }
    flavours.into()
}

/// How clients may prove who their users are.
fn flavours(object: &Object) -> SecInfoOk {
    let of = |flavour: &SecurityFlavour| match flavour {
        SecurityFlavour::Sys => SecInfo::Sys,
    };
    List(match object {
        Object::File(file) => file.place.access.security.iter().map(of).collect(),
        Object::Node(_) => vec![SecInfo::Sys],
    })
}
