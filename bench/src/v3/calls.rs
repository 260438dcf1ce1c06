//! Calls and their results.

use standfast_nfs::mount::protocol as mount;
use standfast_nfs::v3::protocol::{
    Attributes, DirOpArgs, FileHandle, LookupOk, Name, Outcome, PROGRAM, Procedure, VERSION,
};
use standfast_rpc::xdr::{Decode, DecodeError, Decoder, Opaque};

use crate::Error;
use crate::load::{DIGITS, MARKED_NAME, Session};

/// The version of MOUNT that goes with NFS version 3 (RFC 1813 appendix I).
const MOUNT_VERSION: u32 = 3;

/// `mountres3`.
struct MountResult(mount::MountResult);

impl Decode for MountResult {
    fn decode(decoder: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        mount::MountResult::decode_v3(decoder).map(Self)
    }
}

/// The handle of an export's root.
///
/// # Errors
/// [`Error::Mount`], and those of the connection.
pub fn mount(session: &mut Session, export: &str) -> Result<FileHandle, Error> {
    let path = mount::Path::copy_from_slice(export.as_bytes());
    let procedure = (mount::PROGRAM, MOUNT_VERSION, mount::Procedure::Mnt as u32);
    let MountResult(result) = session.call(procedure, &path)?;
    match result {
        mount::MountResult::V3(ok) => Ok(own(&ok.handle)),
        refused => Err(Error::Mount { path: export.into(), result: refused }),
    }
}

/// GETATTR.
///
/// # Errors
/// [`Error::Status`], and those of the connection.
pub fn get_attributes(session: &mut Session, object: &FileHandle) -> Result<Attributes, Error> {
    succeeded(session.call::<Outcome<Attributes, ()>>(procedure(Procedure::GetAttr), object)?)
}

/// LOOKUP.
///
/// # Errors
/// [`Error::Status`], and those of the connection.
pub(super) fn lookup(
    session: &mut Session,
    directory: &FileHandle,
    name: &str,
) -> Result<FileHandle, Error> {
    let place = place(directory, name.as_bytes());
    let outcome: Outcome<LookupOk, Option<Attributes>> =
        session.call(procedure(Procedure::Lookup), &place)?;
    Ok(own(&succeeded(outcome)?.object))
}

/// A procedure with its program and version.
pub(super) fn procedure(procedure: Procedure) -> (u32, u32, u32) {
    (PROGRAM, VERSION, procedure as u32)
}

/// A name in a directory.
pub(super) fn place(directory: &FileHandle, name: &[u8]) -> DirOpArgs {
    DirOpArgs { directory: directory.clone(), name: Name::copy_from_slice(name) }
}

/// A numbered name in a directory, its number left open for [`crate::load::Field::Digits`].
pub(super) fn numbered_place(directory: &FileHandle, prefix: u8) -> DirOpArgs {
    place(directory, &[[prefix].as_slice(), &MARKED_NAME].concat())
}

/// The name that a template makes of `prefix` and `number`.
pub(super) fn numbered_name(prefix: u8, number: u64) -> String {
    format!("{}{number:0DIGITS$}", char::from(prefix))
}

/// A copy that does not hold the whole reply in memory.
pub(super) fn own<const MAX: usize>(value: &Opaque<MAX>) -> Opaque<MAX> {
    Opaque::copy_from_slice(value)
}

/// The results of a call that must succeed.
pub(super) fn judge<T: Decode, F: Decode>(results: &mut Decoder<'_>) -> Result<T, Error> {
    succeeded(Outcome::<T, F>::decode(results)?)
}

fn succeeded<T, F>(outcome: Outcome<T, F>) -> Result<T, Error> {
    match outcome {
        Outcome::Ok(value) => Ok(value),
        Outcome::Fail(status, _) => Err(Error::Status(status)),
    }
}

/// What must hold of an answer.
pub(super) fn expect(right: bool, what: impl FnOnce() -> String) -> Result<(), Error> {
    if right { Ok(()) } else { Err(Error::Wrong(what())) }
}
