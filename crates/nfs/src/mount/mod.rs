//! MOUNT versions 1 and 3: from a path to its file handle.

mod mounts;
pub mod protocol;

use std::ops::RangeInclusive;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;
use std::sync::Arc;

use standfast_rpc::auth::AUTH_SYS;
use standfast_rpc::message::ReplyStatus;
use standfast_rpc::xdr::{Chain, List, Opaque};
use standfast_rpc::{Call, CallFuture, Program, Reply};
use standfast_settings::normal_path;
use standfast_vfs::{Caller, Error, FileKind, Found, Handle};

use crate::service::{Denied, Export, Service};
use mounts::Mounts;
use protocol::{
    ExportNode, HANDLE_SIZE_1, MountOk, MountResult, Mounted, PROGRAM, Path, Procedure, Status,
};

/// The program, in both versions.
pub struct Mount {
    service: Arc<Service>,
    mounts: Mounts,
}

impl Mount {
    /// MOUNT over `service`.
    pub fn new(service: Arc<Service>) -> Self {
        Self { service, mounts: Mounts::default() }
    }

    async fn run(&self, call: &Call) -> Result<Reply, Reply> {
        let Ok(procedure) = Procedure::try_from(call.procedure) else {
            return Err(Reply::status(ReplyStatus::ProcedureUnavailable));
        };
        let client = call.peer.address.ip();
        Ok(match procedure {
            Procedure::Null => Reply::success(&()),
            Procedure::Mnt => Reply::success(&self.mount(call, &call.decode()?).await),
            Procedure::Dump => Reply::success(&self.dump()),
            Procedure::Umnt => {
                self.mounts.remove(client, Some(&call.decode::<Path>()?));
                Reply::success(&())
            }
            Procedure::UmntAll => {
                self.mounts.remove(client, None);
                Reply::success(&())
            }
            Procedure::Export => Reply::success(&self.list_exports()),
        })
    }

    async fn mount(&self, call: &Call, path: &Path) -> MountResult {
        let client = call.peer.address;
        let asked = String::from_utf8_lossy(path);
        match self.find(call, path).await {
            Ok((export, handle)) => {
                tracing::info!(%client, path = %asked, "mounted");
                self.mounts.add(client.ip(), path);
                self.result(call.version, &export, &handle)
            }
            Err((status, reason)) => {
                tracing::warn!(%client, path = %asked, reason, "mount refused");
                MountResult::Fail(status)
            }
        }
    }

    /// The object that a path names, if the client may use its export.
    async fn find(
        &self,
        call: &Call,
        path: &Path,
    ) -> Result<(Arc<Export>, Handle), (Status, &'static str)> {
        let path = PathBuf::from(std::ffi::OsString::from_vec(path.to_vec()));
        let path = normal_path(&path).map_err(|_| (Status::Inval, "not an absolute path"))?;
        let not_exported = (Status::Access, "no export has this path");
        let (export, below) = self.service.export_of_path(&path).ok_or(not_exported)?;
        self.service.access(&export, call.peer).await.map_err(|denied| match denied {
            Denied::Address => (Status::Access, "the export has no rule for this client"),
            Denied::Port => (Status::Access, "the request came from a port above 1023"),
            Denied::Unknown => (Status::Io, "the name service does not answer"),
        })?;
        let walked = walk(&export, below).await;
        let found = walked.ok_or((Status::ServerFault, "the look-up was cut short"))?;
        match found {
            Ok(handle) => Ok((export, handle)),
            Err(error) => Err(status(&error)),
        }
    }

    fn result(&self, version: u32, export: &Export, handle: &Handle) -> MountResult {
        let handle = self.service.handles().seal(export.id(), handle);
        if version >= 3 {
            let flavors = List(vec![AUTH_SYS]);
            return MountResult::V3(MountOk { handle: Opaque(handle), flavors });
        }
        // Version 1 has handles of 32 bytes: enough for most filesystems, too few for some.
        match <[u8; HANDLE_SIZE_1]>::try_from(&handle[..]) {
            Ok(handle) => MountResult::V1(handle),
            Err(_) => MountResult::Fail(Status::NotSupp),
        }
    }

    fn dump(&self) -> Chain<Mounted> {
        let mounted = |(client, path): (std::net::IpAddr, Vec<u8>)| Mounted {
            host: Opaque::copy_from_slice(client.to_string().as_bytes()),
            path: path.into(),
        };
        Chain(self.mounts.list().into_iter().map(mounted).collect())
    }

    fn list_exports(&self) -> Chain<ExportNode> {
        let node = |export: Arc<Export>| {
            let settings = export.settings();
            let groups = settings.clients.iter().map(|rule| {
                let mut name = rule.client.to_string().into_bytes();
                name.truncate(protocol::MAX_NAME);
                Opaque::from(name)
            });
            ExportNode {
                path: Opaque::copy_from_slice(settings.export_path.as_os_str().as_bytes()),
                groups: Chain(groups.collect()),
            }
        };
        Chain(self.service.exports().into_iter().map(node).collect())
    }
}

/// Walks from the root of an export; the path must end at a directory or a file.
async fn walk(export: &Arc<Export>, names: Vec<Vec<u8>>) -> Option<Result<Handle, Error>> {
    let caller = Arc::new(Caller::root());
    let walk = move |fs: &dyn standfast_vfs::FileSystem, context: standfast_vfs::Context<'_>| {
        let mut handle = fs.root();
        for name in &names {
            let Found { handle: found, attributes } = fs.lookup(context, &handle, name)?;
            if attributes.kind == FileKind::Symlink {
                return Err(Error::Os(rustix::io::Errno::NOTDIR));
            }
            handle = found;
        }
        Ok(handle)
    };
    export.workers().run(export.file_system(), &caller, walk).await
}

fn status(error: &Error) -> (Status, &'static str) {
    use rustix::io::Errno;
    match error {
        Error::Os(Errno::NOENT) => (Status::NoEnt, "no such directory"),
        Error::Os(Errno::NOTDIR) => (Status::NotDir, "not a directory"),
        Error::Os(Errno::ACCESS) => (Status::Access, "permission denied"),
        Error::Os(Errno::NAMETOOLONG) => (Status::NameTooLong, "a name is too long"),
        Error::Os(Errno::INVAL) => (Status::Inval, "not a path"),
        _ => (Status::Io, "the storage failed"),
    }
}

impl Program for Mount {
    fn number(&self) -> u32 {
        PROGRAM
    }

    fn versions(&self) -> RangeInclusive<u32> {
        1..=3
    }

    fn call(self: Arc<Self>, call: Call) -> CallFuture {
        Box::pin(async move { self.run(&call).await.unwrap_or_else(|refused| refused) })
    }
}
