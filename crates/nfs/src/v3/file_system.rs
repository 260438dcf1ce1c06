//! FSSTAT, FSINFO and PATHCONF.

use standfast_vfs::{Context, Error, FileSystem, Handle};

use super::attributes::failed_attributes;
use super::protocol::{
    Attributes, FSINFO_PROPERTIES, FileHandle, FsInfoOk, FsStatOk, Outcome, PathConfOk, Time,
};
use super::request::Request;

/// Sizes of READ and WRITE should be multiples of a page.
const MULTIPLE: u32 = 4096;

/// A READDIR of this size is worth its round trip.
const READDIR_PREFERRED: u32 = 256 << 10;

/// FSSTAT (RFC 1813 section 3.3.18).
pub(super) async fn fs_stat(
    request: &Request<'_>,
    handle: FileHandle,
) -> Outcome<FsStatOk, Option<Attributes>> {
    let ask =
        |fs: &dyn FileSystem, context: Context<'_>, handle: &Handle| fs.space(context, handle);
    answer(request, handle, ask, |space, attributes| FsStatOk {
        attributes,
        total_bytes: space.total_bytes,
        free_bytes: space.free_bytes,
        available_bytes: space.available_bytes,
        total_files: space.total_files,
        free_files: space.free_files,
        available_files: space.available_files,
        unchanged_for: 0,
    })
    .await
}

/// FSINFO (section 3.3.19).
pub(super) async fn fs_info(
    request: &Request<'_>,
    handle: FileHandle,
) -> Outcome<FsInfoOk, Option<Attributes>> {
    let (read_max, write_max) = request.limits().transfer_sizes();
    answer(request, handle, ask_limits, |limits, attributes| FsInfoOk {
        attributes,
        read_max,
        read_preferred: read_max,
        read_multiple: MULTIPLE,
        write_max,
        write_preferred: write_max,
        write_multiple: MULTIPLE,
        readdir_preferred: READDIR_PREFERRED.min(read_max),
        max_file_size: limits.file_size,
        time_delta: Time { seconds: 0, nanoseconds: 1 },
        properties: FSINFO_PROPERTIES,
    })
    .await
}

/// PATHCONF (section 3.3.20).
pub(super) async fn path_conf(
    request: &Request<'_>,
    handle: FileHandle,
) -> Outcome<PathConfOk, Option<Attributes>> {
    answer(request, handle, ask_limits, |limits, attributes| PathConfOk {
        attributes,
        max_links: limits.links,
        max_name: limits.name,
        no_truncation: true,
        chown_restricted: true,
        case_insensitive: false,
        case_preserving: true,
    })
    .await
}

fn ask_limits(
    fs: &dyn FileSystem,
    context: Context<'_>,
    handle: &Handle,
) -> Result<standfast_vfs::Limits, Error> {
    fs.limits(context, handle)
}

/// Asks the filesystem of an object something, and makes the result of it and of the object's
/// attributes.
async fn answer<T, R>(
    request: &Request<'_>,
    handle: FileHandle,
    ask: impl Fn(&dyn FileSystem, Context<'_>, &Handle) -> Result<T, Error> + Send + 'static,
    result: impl FnOnce(T, Option<Attributes>) -> R,
) -> Outcome<R, Option<Attributes>>
where
    T: Send + 'static,
{
    let object = match request.object(&handle).await {
        Ok(object) => object,
        Err(status) => return Outcome::Fail(status, None),
    };
    let looked = object.look(move |fs, context, handle| {
        Ok((ask(fs, context, handle)?, fs.attributes(context, handle)?))
    });
    match looked.await {
        Ok((told, attributes)) => Outcome::Ok(result(told, Some(object.wire(&attributes)))),
        Err(status) => Outcome::Fail(status, failed_attributes(status, &object).await),
    }
}
