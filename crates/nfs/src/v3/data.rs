//! READ, WRITE and COMMIT.

use standfast_rpc::xdr::Opaque;
use standfast_vfs::Stability;

use super::attributes::failed_attributes;
use super::protocol::{
    Attributes, CommitArgs, CommitOk, Outcome, ReadArgs, ReadOk, Status, WccData, WriteArgs,
    WriteOk,
};
use super::request::Request;

/// READ (RFC 1813 section 3.3.6).
pub(super) async fn read(
    request: &Request<'_>,
    args: ReadArgs,
) -> Outcome<ReadOk, Option<Attributes>> {
    let object = match request.object_to_read(&args.file).await {
        Ok(object) => object,
        Err(status) => return Outcome::Fail(status, None),
    };
    let count = (args.count as usize).min(request.limits().max_read);
    let buffers = request.service.buffers().clone();
    let looked = object.look(move |fs, context, file| {
        let mut buffer = buffers.take(count);
        let read = fs.read(context, file, args.offset, buffer.as_mut())?;
        Ok((buffer.into_bytes(read.length), read))
    });
    match looked.await {
        Ok((data, read)) => {
            object.export.metrics().read(data.len());
            Outcome::Ok(ReadOk {
                attributes: Some(object.wire(&read.attributes)),
                count: data.len() as u32,
                end_of_file: read.end_of_file,
                data: Opaque(data),
            })
        }
        Err(status) => Outcome::Fail(status, failed_attributes(status, &object).await),
    }
}

/// WRITE (section 3.3.7).
pub(super) async fn write(request: &Request<'_>, args: WriteArgs) -> Outcome<WriteOk, WccData> {
    let object = match request.object_to_change(&args.file).await {
        Ok(object) => object,
        Err(status) => return Outcome::Fail(status, WccData::NONE),
    };
    let length = (args.count as usize).min(request.limits().max_write);
    if args.data.len() < length {
        return Outcome::Fail(Status::Inval, WccData::NONE);
    }
    // More than the server takes at once: the client sends the rest again.
    let data = args.data.0.slice(..length);
    let stability = Stability::from(args.stable);
    // Taken before the write: if the storage loses something while it runs, the client sees a
    // verifier that is no longer in force, and sends again.
    let verifier = object.export.write_verifier();
    let changed = object
        .change_alone(move |fs, context, file| {
            fs.write(context, file, args.offset, &data, stability)
        })
        .await;
    let changed = match changed {
        Ok(changed) => changed,
        Err(status) => return Outcome::Fail(status, WccData::NONE),
    };
    let file = object.wcc(changed.before, changed.after.as_ref());
    match changed.result {
        Ok(committed) => {
            object.export.metrics().written(length);
            Outcome::Ok(WriteOk {
                file,
                count: length as u32,
                committed: committed.into(),
                verifier,
            })
        }
        Err(error) => Outcome::Fail(object.status(&error), file),
    }
}

/// COMMIT (section 3.3.21).
pub(super) async fn commit(request: &Request<'_>, args: CommitArgs) -> Outcome<CommitOk, WccData> {
    let object = match request.object_to_change(&args.file).await {
        Ok(object) => object,
        Err(status) => return Outcome::Fail(status, WccData::NONE),
    };
    let changed = match object.change_alone(|fs, context, file| fs.commit(context, file)).await {
        Ok(changed) => changed,
        Err(status) => return Outcome::Fail(status, WccData::NONE),
    };
    let file = object.wcc(changed.before, changed.after.as_ref());
    match changed.result {
        // Taken after the flush: had it lost earlier data, the verifier would differ from the
        // one that those writes were answered with.
        Ok(()) => Outcome::Ok(CommitOk { file, verifier: object.export.write_verifier() }),
        Err(error) => Outcome::Fail(object.status(&error), file),
    }
}
